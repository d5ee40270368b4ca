// Frames and everything in them: golden bytes (docs/peer-protocol.md draws them), and what must not
// be taken.

#include "transport/frame.h"

#include <gtest/gtest.h>

#include <vector>

#include "transport/envelope.h"
#include "transport/health.h"
#include "transport/hello.h"
#include "transport/limits.h"
#include "transport/link_state.h"

namespace doozer::transport {
namespace {

std::string hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<uint8_t>(c) >> 4U];
    text += kDigits[static_cast<uint8_t>(c) & 15U];
  }
  return text;
}

Identity identity(std::string_view text) { return Identity::from_bytes(text); }

std::vector<std::pair<FrameType, std::string>> read_all(FrameReader& reader, Error* error) {
  std::vector<std::pair<FrameType, std::string>> frames;
  FrameReader::Frame frame;
  for (;;) {
    const Result<bool> whole = reader.next(frame);
    if (!whole) {
      *error = whole.error();
      return frames;
    }
    if (!*whole) return frames;
    frames.emplace_back(frame.type, std::string(frame.body));
  }
}

TEST(Frame, GoldenBytes) {
  std::string out(kPreamble);
  append_frame(FrameType::goodbye, "", out);
  append_frame(FrameType::message, "hi", out);
  EXPECT_EQ(hex(out),
            "d07a722d706565720a"
            "00000000"
            "4d478c67"
            "05"
            "02000000"
            "af33c95c"
            "08"
            "6869");
}

TEST(Frame, AreTheSameHoweverTheyAreCut) {
  std::string out(kPreamble);
  append_frame(FrameType::hello, std::string(300, 'h'), out);
  append_frame(FrameType::beat, "", out);
  append_frame(FrameType::part, std::string(1000, 'p'), out);
  for (size_t piece = 1; piece <= out.size(); ++piece) {
    FrameReader reader(1000);
    std::vector<std::pair<FrameType, std::string>> frames;
    for (size_t at = 0; at < out.size(); at += piece) {
      reader.feed(std::string_view(out).substr(at, piece));
      Error error;
      for (auto& frame : read_all(reader, &error)) frames.push_back(std::move(frame));
      ASSERT_TRUE(error.message.empty()) << error.message;
    }
    ASSERT_EQ(frames.size(), 3U) << piece;
    EXPECT_EQ(frames[0], std::pair(FrameType::hello, std::string(300, 'h')));
    EXPECT_EQ(frames[1], std::pair(FrameType::beat, std::string()));
    EXPECT_EQ(frames[2], std::pair(FrameType::part, std::string(1000, 'p')));
    EXPECT_EQ(reader.held(), 0U);
  }
}

TEST(Frame, WhatIsDamagedIsAnError) {
  std::string good(kPreamble);
  append_frame(FrameType::message, "payload", good);
  // Every bit of the preamble and of the frame counts.
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    FrameReader reader(100);
    reader.feed(bad);
    Error error;
    const auto frames = read_all(reader, &error);
    EXPECT_TRUE(frames.empty()) << bit;
    // A longer length waits for more, and fails when it comes.
    if (error.message.empty()) {
      reader.feed(std::string(200, 'x'));
      read_all(reader, &error);
    }
    EXPECT_EQ(error.code, Code::corrupt) << bit;
  }
}

TEST(Frame, ALengthOverTheLimitIsRefusedBeforeAnyOfItComes) {
  FrameReader reader(100);
  std::string head(kPreamble);
  head += std::string("\x65\0\0\0....\x08", 9);
  reader.feed(head);
  Error error;
  read_all(reader, &error);
  EXPECT_NE(error.message.find("101 bytes, the limit is 100"), std::string::npos) << error.message;
}

Hello sample_hello() {
  Hello hello;
  hello.role = Role::bulk;
  hello.never_lead = true;
  hello.cluster = identity("cluster--A");
  hello.identity = identity("server-001");
  hello.incarnation = Incarnation(7);
  hello.life = 0x1122334455667788;
  hello.cluster_version_max = 3;
  hello.address = "h:1";
  hello.other_address = "o:2";
  hello.expected = identity("server-002");
  hello.nonce.fill(0xEE);
  return hello;
}

TEST(HelloFrame, GoldenBytesAndPadding) {
  const std::string body = encode_hello(sample_hello());
  EXPECT_EQ(body.size(), kHelloBytes);
  EXPECT_EQ(hex(std::string_view(body).substr(0, 84)),
            "01000100"
            "02"
            "01"
            "636c75737465722d2d41"
            "7365727665722d303031"
            "0700000000000000"
            "8877665544332211"
            "03000000"
            "7365727665722d303032"
            "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
            "03683a31"
            "036f3a32"
            "00000000");
  EXPECT_EQ(body.find_first_not_of('\0', 80), std::string::npos);
  EXPECT_EQ(*decode_hello(body), sample_hello());
}

TEST(HelloFrame, WhatNoServerSaysIsRefused) {
  const std::string good = encode_hello(sample_hello());
  struct Case {
    const char* what;
    size_t at;
    std::string bytes;
    Code code;
  };
  for (const Case& bad : {Case{"too new", 0, std::string("\x02\0\x03\0", 4), Code::unsupported},
                          Case{"too old", 0, std::string("\0\0\0\0", 4), Code::unsupported},
                          Case{"versions", 0, std::string("\x02\0\x01\0", 4), Code::corrupt},
                          Case{"no role", 4, std::string("\0", 1), Code::corrupt},
                          Case{"role", 4, "\x04", Code::corrupt},
                          Case{"nobody", 16, std::string(10, '\0'), Code::corrupt},
                          Case{"address", 72, "\xFF\xFF\x7F", Code::corrupt},
                          Case{"long address", 72, "\xAE\x02", Code::corrupt}}) {
    std::string body = good;
    body.replace(bad.at, bad.bytes.size(), bad.bytes);
    const Result<Hello> hello = decode_hello(body);
    ASSERT_FALSE(hello) << bad.what;
    EXPECT_EQ(hello.error().code, bad.code) << bad.what << ": " << hello.error().message;
  }
  EXPECT_FALSE(decode_hello(std::string_view(good).substr(1)));
  const Error old =
      decode_hello(std::string(good).replace(0, 4, std::string("\2\0\3\0", 4))).error();
  EXPECT_NE(old.message.find("versions 2..3, this side 1..1"), std::string::npos) << old.message;
}

TEST(Proof, DependsOnEverythingThatIsProven) {
  const std::string base = make_proof("secret", Side::dialled, "a", "b");
  EXPECT_EQ(base.size(), kProofBytes);
  EXPECT_EQ(base, make_proof("secret", Side::dialled, "a", "b"));
  EXPECT_NE(base, make_proof("Secret", Side::dialled, "a", "b"));
  EXPECT_NE(base, make_proof("secret", Side::accepted, "a", "b")) << "may not be reflected";
  EXPECT_NE(base, make_proof("secret", Side::dialled, "b", "a"));
  EXPECT_NE(base, make_proof("secret", Side::dialled, "a", "c"));
  EXPECT_NE(base, make_proof("secret", Side::dialled, "c", "b"));
  EXPECT_EQ(make_proof("", Side::dialled, "a", "b"), std::string(kProofBytes, '\0'));
}

TEST(RefusalFrame, GoldenBytesAndTheUnknown) {
  const std::string body = encode_refusal({RefusalCode::rolled_back, "why"});
  EXPECT_EQ(hex(body),
            "06"
            "03776879");
  EXPECT_EQ(decode_refusal(body)->code, RefusalCode::rolled_back);
  EXPECT_EQ(decode_refusal("\x63\x01x")->code, RefusalCode::unexpected);
  for (uint8_t code = 1; code <= static_cast<uint8_t>(RefusalCode::not_yet); ++code) {
    const Refusal refusal{static_cast<RefusalCode>(code), "why"};
    EXPECT_EQ(decode_refusal(encode_refusal(refusal))->code, refusal.code);
  }
  EXPECT_FALSE(decode_refusal(""));
  EXPECT_FALSE(decode_refusal("\x06\x05why"));
  EXPECT_LE(encode_refusal({RefusalCode::copied, std::string(9'000, 'r')}).size(),
            kReasonBytesMax + 3);
}

TEST(BeatFrame, GoldenBytes) {
  const Beat beat{.stamp_us = 1, .echo_us = 2, .held_us = 3, .bulk_tag = 4, .bulk_received = 5};
  EXPECT_EQ(hex(encode_beat(beat)),
            "0100000000000000"
            "0200000000000000"
            "0300000000000000"
            "0400000000000000"
            "0500000000000000");
  EXPECT_EQ(decode_beat(encode_beat(beat))->bulk_received, 5U);
  EXPECT_FALSE(decode_beat("short"));
}

TEST(LinkStateFrame, GoldenBytesAndDisorder) {
  LinkState state;
  state.cluster = identity("cluster--A");
  state.identity = identity("server-001");
  state.incarnation = Incarnation(2);
  state.life = 3;
  state.sequence = 4;
  state.version = 5;
  state.never_lead = true;
  state.address = "h:1";
  state.neighbours = {{identity("server-000"), 8, true, false},
                      {identity("server-002"), 20, false, true}};
  const std::string body = encode_link_state(state);
  EXPECT_EQ(hex(body),
            "636c75737465722d2d41"
            "7365727665722d303031"
            "0200000000000000"
            "0300000000000000"
            "0400000000000000"
            "05000000"
            "01"
            "03683a31"
            "02"
            "7365727665722d303030"
            "08"
            "01"
            "7365727665722d303032"
            "14"
            "02");
  EXPECT_EQ(*decode_link_state(body), state);
  for (size_t size = 0; size < body.size(); ++size) {
    EXPECT_FALSE(decode_link_state(std::string_view(body).substr(0, size))) << size;
  }
  std::swap(state.neighbours[0], state.neighbours[1]);
  EXPECT_FALSE(decode_link_state(encode_link_state(state))) << "out of order";
  state.neighbours = {state.neighbours[0], state.neighbours[0]};
  EXPECT_FALSE(decode_link_state(encode_link_state(state))) << "twice";
  state.neighbours = {{state.identity, 1, false, false}};
  EXPECT_FALSE(decode_link_state(encode_link_state(state))) << "itself";
  state.neighbours = {{identity("server-002"), 64, false, false}};
  EXPECT_FALSE(decode_link_state(encode_link_state(state))) << "round trip";
}

TEST(EnvelopeFrame, GoldenBytesAndHops) {
  const Envelope envelope{.cluster = identity("cluster--A"),
                          .from = identity("server-001"),
                          .to = identity("server-002"),
                          .from_incarnation = Incarnation(1),
                          .to_incarnation = Incarnation(2),
                          .hops_left = 3};
  const std::string body = encode_envelope(envelope) + "payload";
  EXPECT_EQ(hex(body),
            "03"
            "636c75737465722d2d41"
            "7365727665722d303031"
            "7365727665722d303032"
            "0100000000000000"
            "0200000000000000"
            "7061796c6f6164");
  std::string_view rest = body;
  EXPECT_EQ(*take_envelope(rest), envelope);
  EXPECT_EQ(rest, "payload");
  const std::string less = with_hop_less(body);
  rest = less;
  EXPECT_EQ(take_envelope(rest)->hops_left, 2);
  rest = std::string_view(body).substr(0, kEnvelopeBytes - 1);
  EXPECT_FALSE(take_envelope(rest));
}

TEST(PartFrame, GoldenBytesAndBounds) {
  std::string body;
  append_part({.message = 9, .total = 5, .offset = 2, .bytes = "abc"}, body);
  EXPECT_EQ(hex(body),
            "0900000000000000"
            "05000000"
            "02000000"
            "616263");
  EXPECT_EQ(decode_part(body)->bytes, "abc");
  const auto refused = [](uint32_t total, uint32_t offset, std::string_view bytes) {
    std::string part;
    append_part({.message = 1, .total = total, .offset = offset, .bytes = bytes}, part);
    return !decode_part(part).has_value();
  };
  EXPECT_FALSE(refused(0, 0, ""));
  EXPECT_TRUE(refused(5, 0, "")) << "no progress";
  EXPECT_TRUE(refused(2, 0, "abc")) << "too much";
  EXPECT_TRUE(refused(5, 4, "ab")) << "past the end";
  EXPECT_TRUE(refused(5, 6, "")) << "begins past the end";
  EXPECT_TRUE(refused(kMessageBytesMax + 1, 0, "a"));
  EXPECT_TRUE(refused(kMessageBytesMax, 0, std::string(kPartBytesMax + 1, 'a')));
}

TEST(Loopback, IsToldByNumberOrName) {
  for (const char* near : {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:80"}) {
    EXPECT_TRUE(is_loopback(near)) << near;
  }
  for (const char* far : {"10.0.0.1:1", "127.evil.example:1", "[::2]:1", "localhost.evil:1", ""}) {
    EXPECT_FALSE(is_loopback(far)) << far;
  }
}

}  // namespace
}  // namespace doozer::transport
