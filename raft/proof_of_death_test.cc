// Elections before the time-out, on proof that the leader's process is gone (design section 6). One
// test a rule.
#include <gtest/gtest.h>

#include "base/limits.h"
#include "raft/limits.h"
#include "raft/testing/member.h"

namespace doozer::raft {
namespace {

Member follower_of_two(size_t n, uint8_t rank) {
  Member some(options_of(n, voters_to(5)));
  Append heartbeat = append_after(1, 1, 1, {});
  heartbeat.head.rank = rank;
  some.hear(2, heartbeat, 7);
  return some;
}

RequestVote with_proof(RequestVote request) {
  request.gone = Process{.identity = server_id(2), .incarnation = Incarnation(7)};
  return request;
}

TEST(ProofOfDeath, CandidatesStandInTheOrderOfTheirRanks) {
  for (const uint8_t rank : std::vector<uint8_t>{0, 1, 3}) {
    Member some = follower_of_two(3, rank);
    some.step(PeerGone{.identity = server_id(2), .incarnation = Incarnation(7)});
    EXPECT_EQ(some.deadline_us() - some.now_us(), rank * kCandidateRankUs);
    const Output out = some.tick_next();
    EXPECT_EQ(said<RequestVote>(out, 1).at(0).gone,
              (Process{.identity = server_id(2), .incarnation = Incarnation(7)}));
  }
}

TEST(ProofOfDeath, WhoWasToldNoRankGoesByTheOrderOfIdentities) {
  for (const auto& [n, place] : {std::pair<size_t, uint64_t>{1, 0}, {3, 1}, {5, 3}}) {
    Member some = follower_of_two(n, kRankUnknown);
    some.step(PeerGone{.identity = server_id(2), .incarnation = Incarnation(7)});
    EXPECT_EQ(some.deadline_us() - some.now_us(), place * kCandidateRankUs) << n;
  }
}

TEST(ProofOfDeath, OnlyOfTheLeaderAndOfItsPresentLife) {
  Member three = follower_of_two(3, 0);
  three.step(PeerGone{.identity = server_id(4), .incarnation = Incarnation(7)});
  three.step(PeerGone{.identity = server_id(2), .incarnation = Incarnation(6)});
  EXPECT_GE(three.deadline_us() - three.now_us(), kElectionTimeoutMinUs);
  EXPECT_EQ(three.core().leader(), server_id(2));
}

TEST(ProofOfDeath, AVoterBelievesNobodyElse) {
  Member three = follower_of_two(3, 1);
  EXPECT_TRUE(three.hear(1, with_proof(ask_pre_vote(2, 1, 1))).sends.empty())
      << "its own proof may be a moment away";
  EXPECT_EQ(three.core().leader(), server_id(2));
  EXPECT_FALSE(said<VoteReply>(three.hear(4, ask_pre_vote(2, 1, 1)), 4).at(0).granted)
      << "without any proof it is refused at once";
  RequestVote of_another = ask_pre_vote(2, 1, 1);
  of_another.gone = Process{.identity = server_id(2), .incarnation = Incarnation(6)};
  EXPECT_FALSE(said<VoteReply>(three.hear(4, of_another), 4).at(0).granted) << "or of another life";
  const Output out = three.step(PeerGone{.identity = server_id(2), .incarnation = Incarnation(7)});
  EXPECT_TRUE(said<VoteReply>(out, 1).at(0).granted);
  EXPECT_TRUE(said<VoteReply>(out, 4).empty());
}

TEST(ProofOfDeath, ALeaderThatIsHeardOfAgainEndsTheWait) {
  Member three = follower_of_two(3, 1);
  three.hear(1, with_proof(ask_pre_vote(2, 1, 1)));
  three.hear(2, append_after(1, 1, 1, {}), 7);
  const Output out = three.step(PeerGone{.identity = server_id(2), .incarnation = Incarnation(7)});
  EXPECT_TRUE(said<VoteReply>(out, 1).empty());
}

TEST(ProofOfDeath, WhatComesLongAfterDisprovesIt) {  // a network may reject without a death
  Member three = follower_of_two(3, 1);
  three.step(PeerGone{.identity = server_id(4), .incarnation = Incarnation(7)});
  three.wait(kGoneDoubtUs - 1);
  EXPECT_TRUE(three.hear(4, ask_pre_vote(2, 9, 9), 7).sends.empty());
  three.wait(1);
  EXPECT_TRUE(said<VoteReply>(three.hear(4, ask_pre_vote(2, 9, 9), 7), 4).at(0).granted);
}

TEST(ProofOfDeath, LateMessagesOfTheDeadDoNotBringItBack) {
  Member three = follower_of_two(3, 4);
  three.step(PeerGone{.identity = server_id(2), .incarnation = Incarnation(7)});
  const uint64_t deadline = three.deadline_us();
  three.hear(2, append_after(1, 1, 1, {1}), 7);
  EXPECT_EQ(three.core().last_index(), Index(2)) << "what it sent is worth having";
  EXPECT_EQ(three.deadline_us(), deadline);
  three.persist();
  EXPECT_TRUE(said<VoteReply>(three.hear(1, ask_pre_vote(2, 9, 1)), 1).at(0).granted);
}

TEST(ProofOfDeath, WhoLetsAnotherStandWaitsForIt) {
  Member three = follower_of_two(3, 1);
  three.step(PeerGone{.identity = server_id(2), .incarnation = Incarnation(7)});
  three.hear(1, with_proof(ask_pre_vote(2, 1, 1)));
  EXPECT_EQ(three.deadline_us() - three.now_us(), kCandidateGraceUs);
  three.wait(1);
  EXPECT_FALSE(said<VoteReply>(three.hear(4, with_proof(ask_pre_vote(2, 0, 0))), 4).at(0).granted);
  EXPECT_EQ(three.deadline_us() - three.now_us(), kCandidateGraceUs - 1) << "but for no other";
}

TEST(ProofOfDeath, TheDeadGetNoVotes) {
  Member three = follower_of_two(3, 1);
  three.step(PeerGone{.identity = server_id(1), .incarnation = Incarnation(2)});
  three.step(PeerGone{.identity = server_id(1), .incarnation = Incarnation(1)});
  three.wait(kElectionTimeoutMaxUs);
  EXPECT_TRUE(three.hear(1, ask_pre_vote(2, 9, 1), 2).sends.empty());
  EXPECT_EQ(three.hear(1, ask_pre_vote(2, 9, 1), 3).sends.size(), 1U);
}

TEST(ProofOfDeath, ACandidateThatAsksAgainIsAnsweredOnce) {  // one question of each is kept
  Member three = follower_of_two(3, 1);
  three.hear(1, with_proof(ask_pre_vote(2, 1, 1)));
  three.hear(1, with_proof(ask_pre_vote(2, 1, 1)));
  const Output out = three.step(PeerGone{.identity = server_id(2), .incarnation = Incarnation(7)});
  EXPECT_EQ(said<VoteReply>(out, 1).size(), 1U);
}

TEST(ProofOfDeath, QuestionsThatWaitAreBounded) {
  Member three = follower_of_two(3, 1);
  for (size_t n = 4; n < 4 + 2 * kServersMax; ++n) {
    three.hear(n, with_proof(ask_pre_vote(2, 1, 1)));
  }
  const Output out = three.step(PeerGone{.identity = server_id(2), .incarnation = Incarnation(7)});
  EXPECT_EQ(out.sends.size(), kServersMax);
}

TEST(ProofOfDeath, IsNotSpokenOfOnceAnotherLeads) {
  const auto proof_in_next_question = [](Member& some) {
    return said<RequestVote>(some.tick_next(), 1).at(0).gone;
  };
  Member follows = follower_of_two(3, 0);
  follows.step(PeerGone{.identity = server_id(2), .incarnation = Incarnation(7)});
  follows.hear(4, append_after(1, 1, 2, {}));
  follows.persist();
  EXPECT_EQ(proof_in_next_question(follows), std::nullopt);
  Member led = follower_of_two(3, 0);
  led.step(PeerGone{.identity = server_id(2), .incarnation = Incarnation(7)});
  led.elect({1, 4});
  led.step(StepDown{});
  EXPECT_EQ(proof_in_next_question(led), std::nullopt);
}

TEST(ProofOfDeath, WhoRestsOrWouldRatherNotLeadIsNoQuickerForIt) {
  for (const bool rests : {true, false}) {
    Member three = follower_of_two(3, 0);
    if (rests) three.step(StepDown{});
    if (!rests) three.step(SetLeadable{.leadable = false, .last_resort = true});
    three.hear(2, append_after(1, 1, 1, {}), 7);
    const uint64_t deadline = three.deadline_us();
    three.step(PeerGone{.identity = server_id(2), .incarnation = Incarnation(7)});
    EXPECT_EQ(three.deadline_us(), deadline) << rests;
  }
}

TEST(ProofOfDeath, OfManyProcessesIsForgotten) {  // a bounded buffer; the invariants look at it
  Member three = follower_of_two(3, 1);
  for (size_t n = 4; n < 4 + 2 * kGoneMax && n < 256; ++n) {
    three.step(PeerGone{.identity = server_id(n), .incarnation = Incarnation(1)});
  }
}

}  // namespace
}  // namespace doozer::raft
