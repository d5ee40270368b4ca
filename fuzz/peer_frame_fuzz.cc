// What a stranger may say on a peer connection: frames in any pieces, and everything that is in
// them. What decodes is encoded again to the same bytes.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "transport/envelope.h"
#include "transport/frame.h"
#include "transport/health.h"
#include "transport/hello.h"
#include "transport/limits.h"
#include "transport/link_state.h"
#include "transport/reassembly.h"

namespace doozer::transport {
namespace {

void on_part(std::string_view body, Reassembly& reassembly, uint64_t now_us) {
  const Result<PartView> part = decode_part(body);
  if (!part) return;
  std::string again;
  append_part(*part, again);
  CHECK(again == body);
  const auto whole =
      reassembly.add(Identity::from_bytes("0123456789"), Incarnation(1), *part, now_us);
  CHECK(!whole || whole->size() == part->total);
  CHECK(reassembly.messages() <= kReassemblyMessagesMax);
  CHECK(reassembly.bytes() <= kReassemblyBytesMax);
}

void on_frame(const FrameReader::Frame& frame, Reassembly& reassembly, uint64_t now_us) {
  switch (frame.type) {
    case FrameType::hello:
      if (const Result<Hello> hello = decode_hello(frame.body)) {
        CHECK(*decode_hello(encode_hello(*hello)) == *hello);
      }
      return;
    case FrameType::refusal:
      if (const Result<Refusal> refusal = decode_refusal(frame.body)) {
        CHECK(!refusal_name(refusal->code).empty());
        CHECK(refusal->reason.size() <= kReasonBytesMax);
      }
      return;
    case FrameType::beat:
      if (const Result<Beat> beat = decode_beat(frame.body)) {
        CHECK(frame.body.starts_with(encode_beat(*beat)));
        LinkHealth health;
        health.connect(now_us);
        health.on_beat(*beat, now_us);
        CHECK(!health.fresh(now_us));  // nothing was sent that could be echoed
      }
      return;
    case FrameType::link_state:
      if (const Result<LinkState> state = decode_link_state(frame.body)) {
        CHECK(*decode_link_state(encode_link_state(*state)) == *state);
      }
      return;
    case FrameType::relayed:
    case FrameType::relayed_part: {
      std::string_view rest = frame.body;
      const Result<Envelope> envelope = take_envelope(rest);
      if (!envelope) return;
      CHECK(encode_envelope(*envelope) + std::string(rest) == frame.body);
      if (envelope->hops_left > 0) CHECK(with_hop_less(frame.body).size() == frame.body.size());
      if (frame.type == FrameType::relayed_part) on_part(rest, reassembly, now_us);
      return;
    }
    case FrameType::part: on_part(frame.body, reassembly, now_us); return;
    case FrameType::proof:
    case FrameType::welcome:
    case FrameType::goodbye:
    case FrameType::message: return;
  }
  UNREACHABLE();
}

int try_one(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // The first byte cuts the rest into pieces; its checksums are made right, so that bodies are
  // reached.
  const size_t piece = 1 + data[0];
  std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  std::string stream(kPreamble);
  const bool raw = (data[0] & 1U) != 0;
  while (!raw && rest.size() >= 3) {
    const auto type = static_cast<uint8_t>(1 + static_cast<uint8_t>(rest[0]) % 11);
    const size_t length = static_cast<uint8_t>(rest[1]) + 256U * static_cast<uint8_t>(rest[2]);
    rest.remove_prefix(3);
    std::string body(rest.substr(0, length));
    rest.remove_prefix(body.size());
    if (static_cast<FrameType>(type) == FrameType::hello) body.resize(kHelloBytes);
    append_frame(static_cast<FrameType>(type), body, stream);
  }
  if (raw) stream = rest;
  FrameReader reader(kFrameBodyBytesMax);
  Reassembly reassembly;
  uint64_t now_us = 1'000'000;
  for (size_t at = 0; at < stream.size(); at += piece) {
    reader.feed(std::string_view(stream).substr(at, piece));
    FrameReader::Frame frame;
    for (;;) {
      const Result<bool> whole = reader.next(frame);
      if (!whole) return 0;
      if (!*whole) break;
      on_frame(frame, reassembly, ++now_us);
    }
    CHECK(reader.held() <= kFrameHeadBytes + kFrameBodyBytesMax);
  }
  return 0;
}

}  // namespace
}  // namespace doozer::transport

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return doozer::transport::try_one(data, size);
}
