// The rules of read index: dissertation 6.4. One test a rule.
#include <gtest/gtest.h>

#include "raft/limits.h"
#include "raft/testing/member.h"

namespace doozer::raft {
namespace {

/// Server 1 of three, leader of term 2, its noop committed.
Member leader() {
  Member one(options_of(1, voters_to(3)));
  one.elect({2});
  one.acknowledge(2, 0, 1);
  return one;
}

std::vector<uint64_t> tickets(const Output& out) {
  std::vector<uint64_t> found;
  for (const ReadReady& ready : out.reads) found.push_back(ready.ticket);
  return found;
}

TEST(Reads, ALeaderConfirmsThatItStillLeads) {  // 6.4
  Member one = leader();
  const Output out = one.step(ReadIndex{1});
  EXPECT_TRUE(out.reads.empty());
  const uint64_t round = said<AppendRange>(out, 2).at(0).head.round;
  EXPECT_EQ(said<AppendRange>(out, 3).at(0).head.round, round);
  EXPECT_TRUE(one.acknowledge(2, 0, round - 1).reads.empty()) << "sent before the read came";
  const Output ready = one.acknowledge(3, 0, round);
  EXPECT_EQ(tickets(ready), std::vector<uint64_t>{1});
  EXPECT_EQ(ready.reads[0].index, Index(2));
}

TEST(Reads, NoneIsAnsweredBeforeAnEntryOfTheOwnTermIsCommitted) {  // 6.4
  Member one(options_of(1, voters_to(3), {1, 1}));
  one.elect({2});
  one.step(ReadIndex{1});
  one.acknowledge(2, 3, 1);
  EXPECT_TRUE(one.acknowledge(2, 3, 2).reads.empty()) << "confirmed, but what is committed?";
  const Output out = one.acknowledge(2, 4, 2);
  EXPECT_EQ(tickets(out), std::vector<uint64_t>{1});
  EXPECT_EQ(out.reads[0].index, Index(4));
}

TEST(Reads, ThoseThatComeDuringARoundShareTheNextOne) {  // 6.4
  Member one = leader();
  const uint64_t first = said<AppendRange>(one.step(ReadIndex{1}), 2).at(0).head.round;
  for (uint64_t ticket = 2; ticket <= 1'000; ++ticket) {
    EXPECT_TRUE(one.step(ReadIndex{ticket}).sends.empty());
  }
  const Output out = one.acknowledge(2, 0, first);
  EXPECT_EQ(tickets(out), std::vector<uint64_t>{1});
  ASSERT_EQ(said<AppendRange>(out, 2).size(), 1U);
  EXPECT_EQ(one.acknowledge(2, 0, first + 1).reads.size(), 999U);
}

TEST(Reads, AnAnswerOfAFormerTermConfirmsNothing) {  // 6.4
  Member one = leader();
  const uint64_t round = said<AppendRange>(one.step(ReadIndex{1}), 2).at(0).head.round;
  EXPECT_TRUE(one.hear(2, AppendReply{.term = Term(1),
                                      .accepted = true,
                                      .match = Index(1),
                                      .agreed = Index(1),
                                      .round = round})
                  .reads.empty());
}

TEST(Reads, APeerThatDoubtsItsLogConfirmsNothing) {  // design 4
  Member one = leader();
  const uint64_t round = said<AppendRange>(one.step(ReadIndex{1}), 2).at(0).head.round;
  AppendReply doubtful{.term = Term(2),
                       .accepted = true,
                       .counts = false,
                       .match = Index(2),
                       .agreed = Index(2),
                       .round = round};
  EXPECT_TRUE(one.hear(3, doubtful).reads.empty());
  doubtful.counts = true;
  EXPECT_EQ(one.hear(3, doubtful).reads.size(), 1U);
}

TEST(Reads, AClusterOfOneConfirmsItself) {
  Member one(options_of(1, voters_to(1)));
  one.tick();
  one.persist();
  EXPECT_TRUE(one.step(ReadIndex{1}).reads.empty());
  EXPECT_EQ(one.persist().reads.size(), 1U);
  EXPECT_EQ(one.step(ReadIndex{2}).reads.size(), 1U);
}

// --- At a follower

Member follower() {
  Member three(options_of(3, voters_to(3)));
  three.hear(1, append_after(1, 1, 1, {}));
  return three;
}

ReadReply reply_to(const ReadRequest& request, uint64_t index) {
  return {.term = request.term, .asker = request.asker, .id = request.id, .index = Index(index)};
}

TEST(Reads, AFollowerAsksItsLeaderForAllAtOnce) {  // 6.4
  Member three = follower();
  const auto first = said<ReadRequest>(three.step(ReadIndex{1}), 1);
  ASSERT_EQ(first.size(), 1U);
  EXPECT_TRUE(three.step(ReadIndex{2}).sends.empty());
  EXPECT_TRUE(three.step(ReadIndex{3}).sends.empty());
  const Output out = three.hear(1, reply_to(first[0], 9));
  EXPECT_EQ(tickets(out), std::vector<uint64_t>{1});
  const auto second = said<ReadRequest>(out, 1);
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(tickets(three.hear(1, reply_to(second[0], 10))), (std::vector<uint64_t>{2, 3}));
}

TEST(Reads, AQuestionThatIsLostIsAskedAgain) {
  Member three = follower();
  const auto first = said<ReadRequest>(three.step(ReadIndex{1}), 1);
  three.step(ReadIndex{2});
  EXPECT_EQ(three.deadline_us(), three.now_us() + kReadRetryUs);
  const auto again = said<ReadRequest>(three.tick_next(), 1);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_GT(again[0].id, first[0].id);
  EXPECT_EQ(tickets(three.hear(1, reply_to(again[0], 9))), (std::vector<uint64_t>{1, 2}));
  EXPECT_TRUE(three.hear(1, reply_to(again[0], 9)).reads.empty()) << "each is answered once";
}

TEST(Reads, ALateAnswerServesWhatWasAskedByThen) {  // else a slow network would never be done
  Member three = follower();
  const auto first = said<ReadRequest>(three.step(ReadIndex{1}), 1);
  three.step(ReadIndex{2});
  three.wait(kReadRetryUs);
  const auto again = said<ReadRequest>(three.tick(), 1);
  EXPECT_EQ(tickets(three.hear(1, reply_to(first[0], 5))), std::vector<uint64_t>{1});
  EXPECT_EQ(tickets(three.hear(1, reply_to(again[0], 9))), std::vector<uint64_t>{2});
  EXPECT_TRUE(three.hear(1, reply_to({.term = Term(1), .asker = Incarnation(1), .id = 99}, 9))
                  .reads.empty());
}

TEST(Reads, AnAnswerToAFormerLifeIsNone) {  // design 4
  Member three = follower();
  ReadReply old = reply_to(said<ReadRequest>(three.step(ReadIndex{1}), 1).at(0), 9);
  old.asker = Incarnation(7);
  EXPECT_TRUE(three.hear(1, old).reads.empty());
}

TEST(Reads, ANewLeaderIsAskedAtOnce) {
  Member three = follower();
  three.step(ReadIndex{1});
  three.hear(2, append_after(1, 1, 5, {}));
  const Output out = three.persist();  // term 5 is durable
  ASSERT_EQ(said<ReadRequest>(out, 2).size(), 1U);
  EXPECT_EQ(said<ReadRequest>(out, 2)[0].term, Term(5));
}

TEST(Reads, WithoutALeaderTheyWait) {
  Member three(options_of(3, voters_to(3)));
  EXPECT_TRUE(three.step(ReadIndex{1}).sends.empty());
  EXPECT_EQ(said<ReadRequest>(three.hear(1, append_after(1, 1, 1, {})), 1).size(), 1U);
}

TEST(Reads, WhatIsCancelledIsNotAnswered) {
  Member three = follower();
  const auto asked = said<ReadRequest>(three.step(ReadIndex{1}), 1);
  three.step(ReadIndex{2});
  three.step(ReadIndex{3});
  three.step(CancelReads{.up_to = 2});
  three.hear(1, reply_to(asked[0], 9));
  three.wait(kReadRetryUs);
  const auto again = said<ReadRequest>(three.step(ReadIndex{4}), 1);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(tickets(three.hear(1, reply_to(again[0], 9))), (std::vector<uint64_t>{3, 4}));
}

TEST(Reads, ALeaderConfirmsForItsFollowers) {  // 6.4
  Member one = leader();
  const Output out = one.hear(3, ReadRequest{.term = Term(2), .asker = Incarnation(1), .id = 40});
  const uint64_t round = said<AppendRange>(out, 2).at(0).head.round;
  const auto reply = said<ReadReply>(one.acknowledge(2, 0, round), 3);
  ASSERT_EQ(reply.size(), 1U);
  EXPECT_EQ(reply[0],
            (ReadReply{.term = Term(2), .asker = Incarnation(1), .id = 40, .index = Index(2)}));
}

TEST(Reads, AFollowerHasFewQuestionsAtItsLeaderAndTheOldestAreAnswered) {  // a bounded buffer
  Member one = leader();
  for (uint64_t id = 1; id <= 100; ++id) {
    one.hear(3, ReadRequest{.term = Term(2), .asker = Incarnation(1), .id = id});
  }
  std::vector<uint64_t> answered;
  for (uint64_t round = 1; round <= 20; ++round) {
    for (const ReadReply& reply : said<ReadReply>(one.acknowledge(2, 0, round), 3)) {
      answered.push_back(reply.id);
    }
  }
  EXPECT_EQ(answered, (std::vector<uint64_t>{1, 2, 3, 4}));
}

TEST(Reads, WhoLosesItsLeadershipAsksTheNextLeader) {
  Member one = leader();
  one.step(ReadIndex{1});
  one.hear(3, append_after(2, 2, 5, {}));
  const auto asked = said<ReadRequest>(one.persist(), 3);
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(tickets(one.hear(3, reply_to(asked[0], 9))), std::vector<uint64_t>{1});
}

TEST(Reads, TooManyAreRefused) {
  Member three(options_of(3, voters_to(3)));
  for (uint64_t ticket = 1; ticket <= kReadTicketsMax; ++ticket) {
    ASSERT_FALSE(three.step(ReadIndex{ticket}).refused);
  }
  const Output out = three.step(ReadIndex{kReadTicketsMax + 1});
  EXPECT_TRUE(out.refused);
  EXPECT_EQ(out.reason.code, Code::busy);
}

TEST(Reads, ALateAnswerTakesNoConfirmationBack) {  // 6.4: answers come in any order
  Member one(options_of(1, voters_to(5)));
  one.elect({2, 3});
  one.acknowledge(2, 0, 1);
  one.acknowledge(3, 0, 1);
  const uint64_t round = said<AppendRange>(one.step(ReadIndex{1}), 2).at(0).head.round;
  one.acknowledge(2, 0, round);
  one.acknowledge(2, 0, round - 1);
  EXPECT_EQ(tickets(one.acknowledge(3, 0, round)), std::vector<uint64_t>{1});
}

TEST(Reads, WhatIsCancelledAtTheLeaderIsNotAnsweredButWhatOthersAskedIs) {
  Member one = leader();
  const Output out = one.hear(3, ReadRequest{.term = Term(2), .asker = Incarnation(1), .id = 1});
  const uint64_t round = said<AppendRange>(out, 2).at(0).head.round;
  one.step(ReadIndex{2});
  one.step(ReadIndex{3});
  one.step(CancelReads{.up_to = 2});
  EXPECT_EQ(said<ReadReply>(one.acknowledge(2, 0, round), 3).size(), 1U);
  EXPECT_EQ(tickets(one.acknowledge(2, 0, round + 1)), std::vector<uint64_t>{3});
}

TEST(Reads, AnAnswerToWhatWasNeverAskedIsNone) {
  Member three = follower();
  ReadReply reply = reply_to(said<ReadRequest>(three.step(ReadIndex{1}), 1).at(0), 9);
  reply.id += 1;
  EXPECT_TRUE(three.hear(1, reply).reads.empty());
}

TEST(Reads, WhoBecomesTheLeaderAnswersWhatItAskedTheLastOne) {
  Member three = follower();
  three.step(ReadIndex{1});
  three.elect({2});
  three.acknowledge(2, 0, 0);
  EXPECT_EQ(tickets(three.acknowledge(2, 0, 2)), std::vector<uint64_t>{1});
}

TEST(Reads, ALeaderThatHasTooManyTakesNoneOfOthers) {  // a bounded buffer
  Member one = leader();
  for (uint64_t ticket = 1; ticket <= kReadTicketsMax; ++ticket) one.step(ReadIndex{ticket});
  EXPECT_TRUE(one.step(ReadIndex{kReadTicketsMax + 1}).refused);
  one.hear(3, ReadRequest{.term = Term(2), .asker = Incarnation(1), .id = 7});
  size_t replies = 0;
  for (uint64_t round = 1; round <= 10; ++round) {
    replies += said<ReadReply>(one.acknowledge(2, 0, round), 3).size();
  }
  EXPECT_EQ(replies, 0U);
}

}  // namespace
}  // namespace doozer::raft
