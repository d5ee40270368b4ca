#include "raft/message.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "base/rng.h"
#include "raft/limits.h"
#include "raft/testing/network.h"

namespace doozer::raft {
namespace {

std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    out += kDigits[byte >> 4U];
    out += kDigits[byte & 15U];
  }
  return out;
}

std::string encoded(const Message& message) {
  std::string out;
  encode_message(message, out);
  return out;
}

LeaderHead head() {
  return {.term = Term(7),
          .commit = Index(300),
          .last_index = Index(302),
          .round = 9,
          .receiver = Incarnation(2),
          .acknowledged = Index(301),
          .rank = 1,
          .quorum_age = 5};
}

Entry entry(uint64_t index, uint64_t term, EntryKind kind, std::string payload) {
  return {.index = Index(index), .term = Term(term), .kind = kind, .payload = std::move(payload)};
}

Append append() {
  return {.head = head(),
          .prev = {.index = Index(300), .term = Term(5)},
          .entries = {entry(301, 5, EntryKind::command, "ab"), entry(302, 7, EntryKind::noop, "")}};
}

struct Golden {
  Message message;
  const char* bytes;
};

std::vector<Golden> goldens() {
  const std::string name = "01000000000000000000";
  static const std::string kVote = "0107ac020507" + name + "03";
  return {
      {RequestVote{.term = Term(7),
                   .pre = true,
                   .transfer = true,
                   .last_index = Index(300),
                   .last_term = Term(5),
                   .gone = Process{.identity = server_id(1), .incarnation = Incarnation(3)}},
       kVote.c_str()},
      {RequestVote{.term = Term(7), .last_index = Index(0), .last_term = Term(0), .gone = {}},
       "010700"
       "0000"},
      {VoteReply{.term = Term(6), .asked_term = Term(7), .pre = true, .granted = false},
       "02060705"},
      {VoteReply{.term = Term(7), .asked_term = Term(7), .granted = true, .counts = false},
       "02070702"},
      {append(),
       "0307ac02ae020902"
       "ad020105"
       "ac0205"
       "02"
       "0100026162"
       "020200"},
      {AppendReply{.term = Term(7),
                   .accepted = true,
                   .match = Index(300),
                   .agreed = Index(301),
                   .round = 9},
       "040707ac02ad0209"},
      {AppendReply{.term = Term(7),
                   .counts = false,
                   .match = Index(3),
                   .agreed = Index(3),
                   .round = 1,
                   .rejected = Index(300),
                   .hint = {.index = Index(290), .term = Term(4)}},
       "04070403"
       "0301ac02a20204"},
      {SnapshotOffer{.head = head(), .snapshot = {.index = Index(299), .term = Term(5)}},
       "0507ac02ae020902"
       "ad020105ab0205"},
      {ReadRequest{.term = Term(7), .asker = Incarnation(2), .id = 128},
       "060702"
       "8001"},
      {ReadReply{.term = Term(7), .asker = Incarnation(2), .id = 128, .index = Index(300)},
       "0707028001ac02"},
      {TimeoutNow{.term = Term(7)}, "0807"},
  };
}

TEST(Message, GoldenBytes) {
  for (const Golden& golden : goldens()) {
    const std::string bytes = encoded(golden.message);
    EXPECT_EQ(hex(bytes), golden.bytes);
    const auto decoded = decode_message(bytes);
    ASSERT_TRUE(decoded) << golden.bytes;
    EXPECT_EQ(*decoded, golden.message) << golden.bytes;
  }
}

TEST(Message, APartOrMoreThanOneIsCorrupt) {
  for (const Golden& golden : goldens()) {
    const std::string bytes = encoded(golden.message);
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode_message(bytes.substr(0, size))) << golden.bytes << " " << size;
    }
    const auto more = decode_message(bytes + "x");
    ASSERT_FALSE(more) << golden.bytes;
    EXPECT_EQ(more.error().code, Code::corrupt);
  }
}

TEST(Message, WhatCannotBeIsCorrupt) {
  struct Case {
    const char* why;
    Message message;
  };
  const auto with = [](auto change) {
    Append message = append();
    change(message);
    return Message(message);
  };
  const Case cases[] = {
      {"a leader of term 0", with([](Append& m) {
         m.head.term = Term(0);
         m.prev = {};
         m.entries.clear();
       })},
      {"an entry of a later term than its leader",
       with([](Append& m) { m.entries[1].term = Term(8); })},
      {"an entry of term 0", with([](Append& m) {
         m.prev = {};
         m.entries = {entry(1, 0, EntryKind::noop, "")};
       })},
      {"a noop with a payload", with([](Append& m) { m.entries[1].payload = "x"; })},
      {"a configuration that is none",
       with([](Append& m) { m.entries[1].kind = EntryKind::configuration; })},
      {"an unknown kind", with([](Append& m) { m.entries[1].kind = static_cast<EntryKind>(5); })},
      {"an index without a term", with([](Append& m) { m.prev.term = Term(0); })},
      {"a term without an index", with([](Append& m) { m.prev.index = Index(0); })},
      {"more than the leader has", with([](Append& m) { m.head.last_index = Index(301); })},
      {"a commit index above the log", with([](Append& m) { m.head.commit = Index(303); })},
      {"an index that may overflow", with([](Append& m) {
         m.head.last_index = Index(kIndexMax + 2);
         m.prev.index = Index(kIndexMax);
       })},
      {"too many entries", with([](Append& m) {
         m.entries.assign(kAppendEntriesMax + 1, m.entries[1]);
         m.head.last_index = Index(kIndexMax);
       })},
      {"a snapshot that is not committed",
       SnapshotOffer{.head = head(), .snapshot = {.index = Index(301), .term = Term(5)}}},
      {"a snapshot of nothing", SnapshotOffer{.head = head(), .snapshot = {}}},
      {"a snapshot of a later term",
       SnapshotOffer{.head = head(), .snapshot = {.index = Index(300), .term = Term(8)}}},
      {"a log of a later term than the candidacy",
       RequestVote{.term = Term(7), .last_index = Index(3), .last_term = Term(8), .gone = {}}},
      {"a log with a length and no term",
       RequestVote{.term = Term(7), .last_index = Index(3), .last_term = Term(0), .gone = {}}},
  };
  for (const Case& c : cases) {
    EXPECT_FALSE(decode_message(encoded(c.message))) << c.why;
  }
  EXPECT_TRUE(decode_message(encoded(append())));
}

TEST(Message, UnknownFlagsAndKindsAreCorrupt) {
  for (int kind = 0; kind < 256; ++kind) {
    const bool known = kind >= 1 && kind <= 8;
    if (known) continue;
    EXPECT_FALSE(decode_message(std::string(1, static_cast<char>(kind)) + "\x07")) << kind;
  }
  std::string vote = encoded(VoteReply{.term = Term(6), .asked_term = Term(7)});
  vote.back() = 8;
  EXPECT_FALSE(decode_message(vote));
}

TEST(Message, ACommandOfTheLargestSizeFitsAndNotOneByteMore) {
  Append message = append();
  message.entries[0].payload.assign(kCommandBytesMax, 'x');
  EXPECT_TRUE(decode_message(encoded(message)));
  message.entries[0].payload += 'x';
  EXPECT_FALSE(decode_message(encoded(message)));
}

TEST(Message, AnAppendOfTheCoreIsTheSameAsOneThatOwnsItsEntries) {
  Network network(1, 3, 3, {});
  ASSERT_TRUE(network.run_until([&] { return network.leader() != 0; }, 10'000'000));
  size_t appends = 0;
  network.on_send = [&](size_t from, const Send& send) {
    std::string bytes;
    encode_message(send, network.core(from), bytes);
    EXPECT_EQ(bytes, encoded(to_message(send, network.core(from))));
    if (std::holds_alternative<AppendRange>(send.message)) ++appends;
  };
  network.propose(network.leader(), "a");
  network.propose(network.leader(), std::string(1000, 'b'));
  network.run(100'000);
  EXPECT_GE(appends, 4U);
}

TEST(Message, BrokenBytesAreReadOrRefusedNeverMore) {
  Rng rng(1);
  size_t good = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto all = goldens();
    std::string bytes = encoded(all[rng.below(all.size())].message);
    for (uint64_t flips = 1 + rng.below(3); flips > 0; --flips) {
      bytes[rng.below(bytes.size())] = static_cast<char>(rng.below(256));
    }
    const auto decoded = decode_message(bytes);
    if (!decoded) continue;
    ++good;
    const auto again = decode_message(encoded(*decoded));
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, *decoded);
  }
  EXPECT_GT(good, 1'000U);
}

}  // namespace
}  // namespace doozer::raft
