#include "core/command.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/limits.h"

namespace doozer::core {
namespace {

std::string encode(const CommandView& command) {
  std::string out;
  encode_command(command, out);
  return out;
}

CommandView with_envelope(BodyView body) {
  CommandView command;
  command.envelope.client = "client-7";
  command.envelope.sequence = 300;
  command.envelope.principal = "p";
  command.envelope.cluster_time_us = 1'700'000'000'000'000;
  command.body = std::move(body);
  return command;
}

std::vector<CommandView> samples() {
  TransactionView transaction;
  transaction.guards = {{Compare::at_most, "/a", -1},
                        {Compare::equal, "/b", 7},
                        {Compare::exists, "/c", 0},
                        {Compare::missing, "/d", 0}};
  transaction.operations = {{true, "/a", "value"}, {false, "/b", ""}, {true, "/c", ""}};
  const Identity identity = Identity::from_bytes("0123456789");
  return {with_envelope(SetView{"/a/b", 5, "hello"}),
          with_envelope(DelView{"/a", -1}),
          with_envelope(NopView{}),
          with_envelope(transaction),
          with_envelope(AttachView{identity, Incarnation(300), 2, "host:8046"}),
          with_envelope(ReconcileView{{{"/ctl/cal/0", 7, identity}, {"/ctl/cal/1", 9, {}}}}),
          with_envelope(RaiseVersionView{1})};
}

TEST(Command, BytesOfASetAreAsTheFormatSays) {
  CommandView command;
  command.envelope.client = "cc";
  command.envelope.sequence = 200;
  command.envelope.principal = "p";
  command.envelope.cluster_time_us = 3;
  command.body = SetView{"/a", -2, "xyz"};
  EXPECT_EQ(quote(encode(command)), quote(std::string("\x01\x01\x02"
                                                      "cc\xC8\x01\x01p\x03\x01\x03\x02/axyz")));
}

TEST(Command, DecodingGivesWhatWasEncoded) {
  for (const CommandView& sample : samples()) {
    const std::string bytes = encode(sample);
    const Result<CommandView> decoded = decode_command(bytes);
    ASSERT_TRUE(decoded.has_value()) << decoded.error().message;
    EXPECT_EQ(decoded->envelope.client, "client-7");
    EXPECT_EQ(decoded->envelope.sequence, 300U);
    EXPECT_EQ(decoded->envelope.principal, "p");
    EXPECT_EQ(decoded->envelope.cluster_time_us, 1'700'000'000'000'000U);
    EXPECT_EQ(decoded->body.index(), sample.body.index());
    EXPECT_EQ(encode(*decoded), bytes);
  }
}

TEST(Command, RevisionsOfEverySizeAndSignSurvive) {
  for (const int64_t revision :
       {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{-2}, int64_t{63}, int64_t{64}, int64_t{-64},
        int64_t{-65}, int64_t{1} << 40, std::numeric_limits<int64_t>::max(),
        std::numeric_limits<int64_t>::min()}) {
    CommandView command;
    command.body = DelView{"/x", revision};
    const std::string bytes = encode(command);
    EXPECT_EQ(std::get<DelView>(decode_command(bytes)->body).revision, revision);
  }
}

TEST(Command, TransactionsKeepGuardsAndOperationsInOrder) {
  const std::string bytes = encode(samples()[3]);
  const Result<CommandView> decoded = decode_command(bytes);
  ASSERT_TRUE(decoded.has_value());
  const auto& transaction = std::get<TransactionView>(decoded->body);
  ASSERT_EQ(transaction.guards.size(), 4U);
  EXPECT_EQ(transaction.guards[1].compare, Compare::equal);
  EXPECT_EQ(transaction.guards[1].path, "/b");
  EXPECT_EQ(transaction.guards[1].revision, 7);
  ASSERT_EQ(transaction.operations.size(), 3U);
  EXPECT_TRUE(transaction.operations[0].set);
  EXPECT_EQ(transaction.operations[0].value, "value");
  EXPECT_FALSE(transaction.operations[1].set);
  EXPECT_EQ(transaction.operations[2].path, "/c");
}

TEST(Command, MembershipSurvivesAndItsBytesAreAsTheFormatSays) {
  const Identity identity = Identity::from_bytes("0123456789");
  const std::string attach_bytes = encode(samples()[4]);
  EXPECT_TRUE(
      attach_bytes.ends_with("\x05"
                             "0123456789\xAC\x02\x02\x09host:8046"))
      << quote(attach_bytes);
  const auto attach = std::get<AttachView>(decode_command(attach_bytes)->body);
  EXPECT_EQ(attach.identity, identity);
  EXPECT_EQ(attach.incarnation, Incarnation(300));
  EXPECT_EQ(attach.cluster_version, 2U);
  EXPECT_EQ(attach.address, "host:8046");

  const std::string reconcile_bytes = encode(samples()[5]);
  EXPECT_TRUE(
      reconcile_bytes.ends_with(std::string("\x06\x02\x0A/ctl/cal/0\x0E"
                                            "0123456789\x0A/ctl/cal/1\x12\0\0\0\0\0\0\0\0\0\0",
                                            46)))
      << quote(reconcile_bytes);
  const auto reconcile = std::get<ReconcileView>(decode_command(reconcile_bytes)->body);
  ASSERT_EQ(reconcile.updates.size(), 2U);
  EXPECT_EQ(reconcile.updates[0].path, "/ctl/cal/0");
  EXPECT_EQ(reconcile.updates[0].revision, 7);
  EXPECT_EQ(reconcile.updates[0].identity, identity);
  EXPECT_TRUE(reconcile.updates[1].identity.none());

  const std::string raise_bytes = encode(with_envelope(RaiseVersionView{300}));
  EXPECT_TRUE(raise_bytes.ends_with("\x07\xAC\x02"));
  EXPECT_EQ(std::get<RaiseVersionView>(decode_command(raise_bytes)->body).version, 300U);
}

TEST(Command, NumbersThatNoMembershipCommandHasAreCorrupt) {
  const std::string head("\x01\x01\0\0\0\0", 6);
  const std::string name = "0123456789";
  for (const std::string& body :
       {"\x05" + std::string(10, '\0') + "\x01\x01\x01h",  // attach: no identity
        "\x05" + name + std::string("\0\x01\x01h", 4),     // incarnation 0
        "\x05" + name + std::string("\x01\0\x01h", 4),     // version 0
        "\x05" + name + "\x01\x80\x80\x80\x80\x10\x01h",   // a version of 33 bits
        "\x05" + name + "\x01\x01\x81\x02" + std::string(257, 'h'),
        std::string("\x06\x21") + std::string(33 * 12, '\0'),  // reconcile: 33 slots
        std::string("\x07\0", 2),                              // raised to 0
        std::string("\x07\x80\x80\x80\x80\x10")}) {
    const Result<CommandView> decoded = decode_command(head + body);
    ASSERT_FALSE(decoded.has_value()) << quote(body);
    EXPECT_EQ(decoded.error().code, Code::corrupt);
  }
}

TEST(Command, EveryCutIsCorruptUnlessOnlyTheValueLostItsEnd) {
  for (const CommandView& sample : samples()) {
    const std::string bytes = encode(sample);
    const bool is_set = std::holds_alternative<SetView>(sample.body);
    for (size_t size = 0; size < bytes.size(); ++size) {
      const Result<CommandView> decoded = decode_command(std::string_view(bytes).substr(0, size));
      if (is_set && size + 5 >= bytes.size()) {
        EXPECT_TRUE(decoded.has_value());  // a record's length is the storage's to keep
        continue;
      }
      ASSERT_FALSE(decoded.has_value()) << size;
      EXPECT_EQ(decoded.error().code, Code::corrupt);
    }
    if (!is_set) {
      EXPECT_EQ(decode_command(bytes + "x").error().code, Code::corrupt);
    }
  }
}

TEST(Command, NewerFormatClusterVersionAndKindAreUnsupportedNotCorrupt) {
  struct Case {
    std::string bytes;
    Code code;
  };
  const std::string zeros(5, '\0');
  for (const Case& c : std::vector<Case>{
           {std::string("\x02", 1), Code::unsupported},                  // format
           {std::string("\x00", 1), Code::corrupt},                      //
           {std::string("\x01\x02", 2) + zeros, Code::unsupported},      // cluster version
           {std::string("\x01\x00", 2) + zeros, Code::corrupt},          //
           {std::string("\x01\x01\0\0\0\0\x08", 7), Code::unsupported},  // kind
           {std::string("\x01\x01\0\0\0\0\x00", 7), Code::unsupported},  //
           {std::string("\x01\x01\0\0\0\0\x03", 7), Code::other},        // a nop: good
           {std::string("\x01\x01\x11", 3) + std::string(40, 'c'), Code::corrupt},  // client id
           {std::string("\x01\x01\0\0\0\0\x04\x81\x08", 9), Code::corrupt},         // 1,025 guards
           {std::string("\x01\x01\0\0\0\0\x04\x00\x81\x08", 10), Code::corrupt},
           {std::string("\x01\x01\0\0\0\0\x04\x01\x05\x00\x00\x00", 12), Code::corrupt},
           {std::string("\x01\x01\0\0\0\0\x04\x00\x01\x03\x00", 11), Code::corrupt},
       }) {
    const Result<CommandView> decoded = decode_command(c.bytes);
    EXPECT_EQ(decoded.has_value(), c.code == Code::other) << quote(c.bytes);
    if (!decoded) {
      EXPECT_EQ(decoded.error().code, c.code) << quote(c.bytes);
    }
  }
}

TEST(Command, OverTheSizeLimitIsCorrupt) {
  const std::string bytes(kCommandBytesMax + 1, '\x01');
  EXPECT_EQ(decode_command(bytes).error().code, Code::corrupt);
}

}  // namespace
}  // namespace doozer::core
