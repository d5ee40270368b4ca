// What a leader has under way to a peer: pipelining, its limits, and what was lost (dissertation
// 10.2.1). One test a rule.
#include <gtest/gtest.h>

#include "base/limits.h"
#include "raft/limits.h"
#include "raft/testing/member.h"

namespace doozer::raft {
namespace {

const Progress& peer(Member& one, size_t n) { return *one.core().progress(server_id(n)); }

TEST(Leader, ProbesUntilItAgreesAndThenSendsAhead) {  // 10.2.1
  Member one = leader_of_three();
  EXPECT_EQ(peer(one, 2).state, Progress::State::probe);
  EXPECT_TRUE(said<AppendRange>(one.propose("a"), 2).empty()) << "the probe is under way";
  const auto rest = said<AppendRange>(one.acknowledge(2, 2), 2);
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0].prev.index, Index(2));
  EXPECT_EQ(peer(one, 2).state, Progress::State::replicate);
  for (uint64_t i = 4; i < 8; ++i) {
    EXPECT_EQ(said<AppendRange>(one.propose("b"), 2).at(0).prev.index, Index(i - 1))
        << "without waiting for answers";
  }
}

TEST(Leader, ASilentPeerCostsOneProbeAHeartbeatAndNoLoad) {
  Member one = leader_of_three();
  one.acknowledge(2);
  one.propose("a");
  for (int i = 0; i < 5; ++i) {
    const auto sent = said<AppendRange>(one.tick_next(), 3);
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].count, 0U);
    one.acknowledge(2);
  }
}

TEST(Leader, WhatIsUnderWayToOnePeerIsBounded) {
  Member one = leader_of_three();
  one.acknowledge(2);
  one.acknowledge(3);
  uint64_t sent = 0;
  for (size_t i = 0; i < kInflightMessagesMax + 50; ++i) {
    sent += said<AppendRange>(one.propose("x"), 3).size();
  }
  EXPECT_EQ(sent, kInflightMessagesMax);
  EXPECT_EQ(said<AppendRange>(one.tick_next(), 3).at(0).prev.index, peer(one, 3).next - 1)
      << "a heartbeat looks whether it was lost";
  const auto rest = said<AppendRange>(one.acknowledge(3, 3), 3);
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0].count, 50U) << "what gathered goes in one message";

  Member two = leader_of_three();
  two.acknowledge(3);
  uint64_t bytes = 0;
  for (size_t i = 0; i < 200; ++i) {
    for (const AppendRange& append : said<AppendRange>(two.propose(std::string(60'000, 'x')), 3)) {
      bytes += append.count * 60'000;
    }
  }
  EXPECT_LE(bytes, kInflightBytesMax + kAppendBytesMax);
  EXPECT_GE(bytes, kInflightBytesMax - kAppendBytesMax);
}

TEST(Leader, AMessageIsBoundedAndALargerEntryGoesAlone) {
  Member one = leader_of_three();
  one.acknowledge(3);
  Propose batch;
  for (const size_t size : {40'000U, 20'000U, 20'000U, 70'000U, 10U}) {
    batch.proposals.push_back({.kind = EntryKind::command, .payload = std::string(size, 'x')});
  }
  const Output out = one.step(std::move(batch));
  const auto sent = said<AppendRange>(out, 3);
  ASSERT_EQ(sent.size(), 4U);
  EXPECT_EQ(sent[0].count, 2U);
  EXPECT_EQ(sent[1].count, 1U);
  EXPECT_EQ(sent[2].count, 1U);
  std::vector<bool> bulk;
  for (const Send& send : out.sends) {
    if (send.to == server_id(3)) bulk.push_back(send.bulk);
  }
  EXPECT_EQ(bulk, (std::vector<bool>{false, false, true, true}))
      << "the small one must not overtake the large one";
  one.acknowledge(3);
  const Output after = one.propose("small");
  for (const Send& send : after.sends) EXPECT_FALSE(send.bulk);
}

TEST(Leader, ALargeAppendUnderWayIsNotTakenForLost) {
  Member one = leader_of_three();
  one.acknowledge(2);
  one.acknowledge(3);
  one.propose(std::string(2 * kAppendBytesMax, 'x'));  // entry 3
  const AppendReply rejection{.term = Term(2),
                              .match = Index(2),
                              .agreed = Index(2),
                              .round = 1,
                              .rejected = Index(3),
                              .hint = {.index = Index(2), .term = Term(2)}};
  EXPECT_TRUE(said<AppendRange>(one.hear(3, rejection), 3).empty());
  one.wait(kBulkRetryUs);
  const auto probe = said<AppendRange>(one.hear(3, rejection), 3);
  ASSERT_EQ(probe.size(), 1U) << "by now it is";
  EXPECT_EQ(probe[0].count, 0U) << "and a probe carries nothing large";
  one.acknowledge(3);
  one.propose(std::string(2 * kAppendBytesMax, 'x'));
  EXPECT_EQ(said<AppendRange>(one.tick_next(), 3).at(0).prev, LogPosition())
      << "nor is it looked for while it may arrive";
}

TEST(Leader, AnOldAnswerDoesNotEndAProbe) {  // loss, doubling, delay
  Member one = leader_of_three({1, 1, 1});   // noop 5/2
  one.acknowledge(3, 1);
  EXPECT_EQ(peer(one, 3).state, Progress::State::probe) << "it agreed to less than what is asked";
  const AppendReply rejection{.term = Term(2),
                              .match = Index(1),
                              .agreed = Index(1),
                              .round = 1,
                              .rejected = Index(4),
                              .hint = {.index = Index(2), .term = Term(1)}};
  EXPECT_EQ(said<AppendRange>(one.hear(3, rejection), 3).size(), 1U);
  EXPECT_EQ(peer(one, 3).next, Index(3));
  EXPECT_TRUE(said<AppendRange>(one.hear(3, rejection), 3).empty()) << "this one is answered";
  EXPECT_EQ(peer(one, 3).next, Index(3));
}

TEST(Leader, ALostAppendIsFoundByTheNextHeartbeat) {
  Member one = leader_of_three();
  one.acknowledge(2);
  one.acknowledge(3);
  one.propose("lost");  // entry 3
  const auto heartbeat = said<AppendRange>(one.tick_next(), 3);
  ASSERT_EQ(heartbeat.size(), 1U);
  EXPECT_EQ(heartbeat[0].prev.index, Index(3));
  const auto again =
      said<AppendRange>(one.hear(3, AppendReply{.term = Term(2),
                                                .match = Index(2),
                                                .agreed = Index(2),
                                                .round = 2,
                                                .rejected = Index(3),
                                                .hint = {.index = Index(2), .term = Term(2)}}),
                        3);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].prev.index, Index(2));
  EXPECT_EQ(again[0].count, 1U);
}

// A busy leader sends small ones behind the large one all the time, by the same connection.
TEST(Leader, ALostLargeAppendIsFoundThoughMoreIsSentBehindIt) {
  Member one = leader_of_three();
  one.acknowledge(2);
  one.acknowledge(3);
  one.propose(std::string(2 * kAppendBytesMax, 'x'));  // entry 3, lost on its way to server 3
  bool again = false;
  for (uint64_t us = 0; us <= 2 * kBulkRetryUs && !again; us += kHeartbeatUs) {
    one.wait(kHeartbeatUs);
    const Output behind = one.propose("small");
    one.acknowledge(2);
    const auto sent = said<AppendRange>(behind, 3);
    ASSERT_FALSE(sent.empty());
    const AppendReply rejection{.term = Term(2),
                                .match = Index(2),
                                .agreed = Index(2),
                                .round = 1,
                                .rejected = sent.front().prev.index,
                                .hint = {.index = Index(2), .term = Term(2)}};
    for (const AppendRange& append : said<AppendRange>(one.hear(3, rejection), 3)) {
      again = again || append.prev.index == Index(2);
    }
  }
  EXPECT_TRUE(again);
}

// As long as something arrives, what is behind it is on its way.
TEST(Leader, LargeAppendsThatArriveSlowlyAreNotTakenForLost) {
  Member one = leader_of_three();
  one.acknowledge(2);
  one.acknowledge(3);
  for (size_t i = 0; i < 4; ++i) one.propose(std::string(2 * kAppendBytesMax, 'x'));  // 3 to 6
  for (uint64_t index = 3; index <= 5; ++index) {
    one.wait(kBulkRetryUs - 1);
    one.hear(3, AppendReply{.term = Term(2),
                            .accepted = true,
                            .match = Index(index),
                            .agreed = Index(index),
                            .round = 1});
    const AppendReply rejection{.term = Term(2),
                                .match = Index(index),
                                .agreed = Index(index),
                                .round = 1,
                                .rejected = Index(6),
                                .hint = {.index = Index(index), .term = Term(2)}};
    EXPECT_TRUE(said<AppendRange>(one.hear(3, rejection), 3).empty()) << index;
  }
}

}  // namespace
}  // namespace doozer::raft
