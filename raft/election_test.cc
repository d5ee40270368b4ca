// The rules of elections: dissertation 3.3, 3.4, 3.6.1, 4.2.3, 6.2, 9.6. One test a rule. Proof of
// death: proof_of_death_test.cc.
#include <gtest/gtest.h>

#include <set>

#include "base/limits.h"
#include "raft/limits.h"
#include "raft/testing/member.h"

namespace doozer::raft {
namespace {

Member member(size_t n, const std::vector<uint64_t>& terms = {}) {
  return Member(options_of(n, voters_to(3), terms));
}

TEST(Election, AFollowerThatHearsNobodyStandsWithinItsTimeout) {  // 3.4
  std::set<uint64_t> waits;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    CoreOptions options = options_of(1, voters_to(3));
    options.seed = seed;
    Member one(std::move(options));
    one.tick();
    EXPECT_EQ(one.core().role(), Role::follower);
    const uint64_t wait = one.deadline_us() - one.now_us();
    EXPECT_GE(wait, kElectionTimeoutMinUs);
    EXPECT_LE(wait, kElectionTimeoutMaxUs);
    waits.insert(wait);
    one.tick_next();
    EXPECT_EQ(one.core().role(), Role::candidate);
  }
  EXPECT_GT(waits.size(), 40U) << "time-outs are spread, so that few collide";
}

TEST(Election, APreVoteRaisesNoTerm) {  // 9.6
  Member one = member(1);
  one.wait(kElectionTimeoutMaxUs);
  const Output out = one.tick();
  EXPECT_EQ(one.core().term(), Term(1));
  EXPECT_FALSE(out.hard_state);
  const auto asked = said<RequestVote>(out, 2);
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_TRUE(asked[0].pre);
  EXPECT_EQ(asked[0].term, Term(2));
}

TEST(Election, OnlyAMajorityOfPreVotesStartsAnElection) {  // 9.6
  Member one = member(1);
  one.wait(kElectionTimeoutMaxUs);
  one.tick();
  one.hear(2, VoteReply{.term = Term(1), .asked_term = Term(2), .pre = true, .granted = false});
  EXPECT_EQ(one.core().term(), Term(1));
  one.hear(3, one.grant(true));
  EXPECT_EQ(one.core().term(), Term(2));
  EXPECT_EQ(one.core().role(), Role::candidate);
}

TEST(Election, RequestsLeaveOnceTermAndVoteAreDurable) {  // 3.4
  Member one = member(1);
  one.wait(kElectionTimeoutMaxUs);
  one.tick();
  const Output out = one.hear(2, one.grant(true));
  ASSERT_TRUE(out.hard_state);
  EXPECT_EQ(*out.hard_state,
            (HardState{.term = Term(2), .vote = server_id(1), .commit = Index(1)}));
  EXPECT_TRUE(said<RequestVote>(out, 2).empty());
  const Output durable = one.persist();
  EXPECT_EQ(said<RequestVote>(durable, 2).size(), 1U);
  EXPECT_EQ(said<RequestVote>(durable, 3).size(), 1U);
}

TEST(Election, TheOwnVoteDoesNotCountBeforeItIsDurable) {  // 3.4
  Member one = member(1);
  one.wait(kElectionTimeoutMaxUs);
  one.tick();
  one.hear(2, one.grant(true));
  one.hear(2, one.grant(false));  // nobody can have been asked yet; it must not matter
  one.hear(3, one.grant(false));
  EXPECT_EQ(one.core().role(), Role::candidate);
  one.persist();
  EXPECT_EQ(one.core().role(), Role::leader);
}

TEST(Election, ANewLeaderAppendsANoopAndSaysSoAtOnce) {  // 3.4, 6.4
  Member one = member(1);
  one.wait(kElectionTimeoutMaxUs);
  one.tick();
  one.hear(2, one.grant(true));
  one.persist();
  const Output out = one.hear(2, one.grant(false));
  EXPECT_EQ(one.core().role(), Role::leader);
  EXPECT_EQ(one.core().entry(out.append_first).kind, EntryKind::noop);
  for (const size_t n : {2U, 3U}) {
    const auto appends = said<AppendRange>(out, n);
    ASSERT_EQ(appends.size(), 1U);
    EXPECT_EQ(appends[0].prev, (LogPosition{.index = Index(1), .term = Term(1)}));
    EXPECT_EQ(appends[0].count, 1U);
  }
}

TEST(Election, AVoterVotesOnceATermAndRepeatsItsAnswer) {  // 3.4
  Member three = member(3);
  EXPECT_TRUE(three.hear(1, ask_vote(2, 1, 1)).sends.empty()) << "not durable yet";
  const auto granted = said<VoteReply>(three.persist(), 1);
  ASSERT_EQ(granted.size(), 1U);
  EXPECT_TRUE(granted[0].granted);
  EXPECT_FALSE(said<VoteReply>(three.hear(2, ask_vote(2, 9, 1)), 2).at(0).granted);
  EXPECT_TRUE(said<VoteReply>(three.hear(1, ask_vote(2, 1, 1)), 1).at(0).granted);
}

TEST(Election, AVoteSurvivesARestart) {  // 3.4, 3.8
  CoreOptions options = options_of(3, voters_to(3));
  options.hard_state = {.term = Term(2), .vote = server_id(1), .commit = Index(1)};
  Member three(std::move(options));
  EXPECT_FALSE(said<VoteReply>(three.hear(2, ask_vote(2, 9, 1)), 2).at(0).granted);
  EXPECT_TRUE(said<VoteReply>(three.hear(1, ask_vote(2, 1, 1)), 1).at(0).granted);
}

TEST(Election, OnlyALogThatIsAtLeastAsNewMayLead) {  // 3.6.1
  struct Case {
    uint64_t index;
    uint64_t term;
    bool granted;
  };
  const Case cases[] = {{4, 3, true}, {5, 3, true},  {3, 3, false}, {9, 2, false},
                        {1, 4, true}, {4, 2, false}, {3, 4, true}};
  for (const Case& c : cases) {
    for (const bool pre : {false, true}) {
      Member three = member(3, {1, 2, 3});  // ends at 4/3
      RequestVote request = ask_vote(5, c.index, c.term);
      request.pre = pre;
      three.hear(1, request);
      const Output out = pre ? three.hear(1, request) : three.persist();
      EXPECT_EQ(said<VoteReply>(out, 1).at(0).granted, c.granted) << c.index << "/" << c.term;
    }
  }
}

TEST(Election, AVoterDoesNotCareWhetherItsConfigurationHoldsTheCandidate) {  // 4.2
  Member three = member(3);
  three.hear(9, ask_vote(2, 5, 1));
  EXPECT_TRUE(said<VoteReply>(three.persist(), 9).at(0).granted);
  CoreOptions standby;
  standby.self = server_id(7);
  Member seven(std::move(standby));
  seven.hear(1, ask_vote(2, 5, 1));
  EXPECT_TRUE(said<VoteReply>(seven.persist(), 1).at(0).granted) << "nor itself";
}

TEST(Election, WhoHearsALeaderDisregardsCandidates) {  // 4.2.3, 9.6
  Member three = member(3);
  three.hear(1, append_after(1, 1, 1, {}));
  three.wait(kElectionTimeoutMinUs - 1);
  EXPECT_TRUE(three.hear(2, ask_vote(5, 9, 4)).sends.empty());
  EXPECT_EQ(three.core().term(), Term(1)) << "nor is its term taken";
  EXPECT_FALSE(said<VoteReply>(three.hear(2, ask_pre_vote(5, 9, 4)), 2).at(0).granted);
  three.wait(1);
  EXPECT_TRUE(said<VoteReply>(three.hear(2, ask_pre_vote(5, 9, 4)), 2).at(0).granted);
}

TEST(Election, ALeaderThatIsFollowedDisregardsCandidates) {  // 4.2.3
  Member one = member(1);
  one.elect({2});
  one.acknowledge(2);
  EXPECT_TRUE(one.hear(3, ask_vote(9, 9, 8)).sends.empty());
  EXPECT_FALSE(said<VoteReply>(one.hear(3, ask_pre_vote(9, 9, 8)), 3).at(0).granted);
  EXPECT_EQ(one.core().role(), Role::leader);
  one.wait(kElectionTimeoutMinUs);
  EXPECT_TRUE(said<VoteReply>(one.hear(3, ask_pre_vote(9, 9, 8)), 3).at(0).granted);
}

TEST(Election, AGrantedPreVoteBindsNobody) {  // 9.6
  Member three = member(3);
  for (const size_t n : {1U, 2U}) {
    const Output out = three.hear(n, ask_pre_vote(2, 1, 1));
    EXPECT_TRUE(said<VoteReply>(out, n).at(0).granted);
    EXPECT_FALSE(out.hard_state);
  }
  EXPECT_EQ(three.core().term(), Term(1));
}

TEST(Election, PreVotesOfEqualTermsGoOn) {  // 9.6: a split vote left one of them a term ahead
  CoreOptions options = options_of(3, voters_to(3));
  options.hard_state.term = Term(2);
  Member three(std::move(options));
  EXPECT_TRUE(said<VoteReply>(three.hear(1, ask_pre_vote(2, 1, 1)), 1).at(0).granted);
  Member one = member(1);
  one.wait(kElectionTimeoutMaxUs);
  one.tick();
  one.hear(3, VoteReply{.term = Term(2), .asked_term = Term(2), .pre = true, .granted = true});
  EXPECT_EQ(one.core().term(), Term(2));
  EXPECT_EQ(one.core().role(), Role::candidate);
}

TEST(Election, ARefusalOfAHigherTermIsFollowed) {  // 3.3
  Member one = member(1);
  one.wait(kElectionTimeoutMaxUs);
  one.tick();
  one.hear(3, VoteReply{.term = Term(7), .asked_term = Term(2), .pre = true, .granted = false});
  EXPECT_EQ(one.core().term(), Term(7));
  EXPECT_EQ(one.core().role(), Role::follower);
}

TEST(Election, ACandidateThatHearsALeaderOfItsTermFollows) {  // 3.4
  Member one = member(1);
  one.wait(kElectionTimeoutMaxUs);
  one.tick();
  one.hear(2, one.grant(true));
  one.persist();
  one.hear(3, append_after(1, 1, 2, {2}));
  EXPECT_EQ(one.core().role(), Role::follower);
  EXPECT_EQ(one.core().leader(), server_id(3));
}

TEST(Election, AnswersToOtherCandidaciesDoNotCount) {  // 3.4
  Member one = member(1);
  one.wait(kElectionTimeoutMaxUs);
  one.tick();
  one.hear(2, one.grant(true));
  one.persist();  // term 2
  one.hear(3, VoteReply{.term = Term(2), .asked_term = Term(1), .granted = true});
  one.hear(3, VoteReply{.term = Term(2), .asked_term = Term(2), .pre = true, .granted = true});
  one.hear(9, VoteReply{.term = Term(2), .asked_term = Term(2), .granted = true});
  EXPECT_EQ(one.core().role(), Role::candidate);
  one.hear(3, one.grant(false));
  EXPECT_EQ(one.core().role(), Role::leader);
  one.hear(2, VoteReply{.term = Term(2), .asked_term = Term(2), .granted = false});
  EXPECT_EQ(one.core().role(), Role::leader);
}

TEST(Election, UnansweredRequestsAreRepeatedAndThenTheCandidacyEnds) {  // 3.4
  Member one = member(1);
  one.wait(kElectionTimeoutMaxUs);
  one.tick();
  one.hear(2, VoteReply{.term = Term(1), .asked_term = Term(2), .pre = true, .granted = false});
  EXPECT_EQ(one.deadline_us(), one.now_us() + kVoteRetryUs);
  const Output again = one.tick_next();
  EXPECT_EQ(said<RequestVote>(again, 3).size(), 1U);
  EXPECT_TRUE(said<RequestVote>(again, 2).empty()) << "it has answered";
  one.hear(3, one.grant(true));
  one.persist();
  ASSERT_EQ(one.core().term(), Term(2));
  one.wait(kElectionTimeoutMaxUs);
  const Output next = one.tick();
  EXPECT_TRUE(said<RequestVote>(next, 2).at(0).pre) << "a new round begins with pre-votes";
  EXPECT_EQ(one.core().term(), Term(2));
}

TEST(Election, ALeaderOfAFormerTermIsTold) {  // 3.3
  CoreOptions options = options_of(3, voters_to(3));
  options.hard_state.term = Term(4);
  Member three(std::move(options));
  const auto reply = said<AppendReply>(three.hear(1, append_after(1, 1, 3, {})), 1).at(0);
  EXPECT_EQ(reply.term, Term(4));
  EXPECT_FALSE(reply.accepted);
  EXPECT_TRUE(three.core().leader().none());
  Member one = member(1);
  one.elect({2});
  one.hear(3, AppendReply{.term = Term(9), .counts = false});
  EXPECT_EQ(one.core().role(), Role::follower);
  EXPECT_EQ(one.core().term(), Term(9));
}

TEST(Election, ALeaderThatNobodyAnswersStepsDown) {  // 6.2
  Member one = member(1);
  one.elect({2});
  one.acknowledge(2);
  const uint64_t answered = one.now_us();
  while (one.core().role() == Role::leader && one.now_us() < answered + 10'000'000) {
    one.tick_next();
  }
  EXPECT_EQ(one.core().role(), Role::follower);
  EXPECT_GT(one.now_us(), answered + kNoQuorumStepDownUs);
  EXPECT_LT(one.now_us(), answered + kNoQuorumStepDownUs + 2 * kHeartbeatUs);
}

TEST(Election, AServerKnowsForHowLongNoMajorityFollowsItsLeader) {
  Member one = member(1);
  EXPECT_EQ(one.core().forsaken_us(one.now_us()), 0U) << "the start counts as a leader's last word";
  one.elect({2});
  one.acknowledge(2);
  const uint64_t answered = one.now_us();
  Member three = member(3);
  three.wait(one.now_us() - three.now_us());
  // The leader does not know it at once, and says from heartbeat to heartbeat how old its majority
  // is; then it steps down, and is heard of no more.
  while (one.now_us() < answered + 3'000'000) {
    const Output out = one.tick_next();
    three.wait(one.now_us() - three.now_us());
    for (const AppendRange& append : said<AppendRange>(out, 3)) {
      three.hear(1, Append{.head = append.head, .prev = {}, .entries = {}});
    }
    three.tick();
    for (Member* const server : {&one, &three}) {
      const uint64_t told = server->core().forsaken_us(one.now_us());
      EXPECT_LE(told, one.now_us() - answered);
      EXPECT_GE(told + kHeartbeatUs + kQuorumAgeUs, one.now_us() - answered);
    }
  }
  EXPECT_EQ(one.core().role(), Role::candidate);
}

TEST(Election, OwnAbsenceIsNotCountedAsNobodysLeading) {
  Member two = member(2);
  two.hear(1, append_after(1, 1, 1, {}));
  const uint64_t heard = two.now_us();
  EXPECT_EQ(two.core().forsaken_us(heard + 300'000), 300'000U);
  EXPECT_EQ(two.core().forsaken_us(heard + 60'000'000), 0U);
  // Who has no vote waits for no time-out, and is told nothing by its silence.
  Member standby(options_of(4, voters_to(3)));
  standby.hear(1, append_after(1, 1, 1, {}));
  const uint64_t last = standby.now_us();
  standby.tick_next();
  ASSERT_TRUE(standby.core().leader().none());
  EXPECT_EQ(standby.core().forsaken_us(last + 5'000'000), 5'000'000U);
  // A cluster of one is always followed by its majority.
  Member alone(options_of(1, voters_to(1)));
  alone.tick();
  alone.persist();
  ASSERT_EQ(alone.core().role(), Role::leader);
  EXPECT_EQ(alone.core().forsaken_us(alone.now_us() + 500'000), 0U);
}

TEST(Election, ALeaderDoesNotTakeItsOwnStallForTheSilenceOfOthers) {  // design 7
  Member one = member(1);
  one.elect({2});
  one.acknowledge(2);
  one.wait(60'000'000);
  one.tick();
  EXPECT_EQ(one.core().role(), Role::leader);
  EXPECT_EQ(one.core().progress(server_id(3))->silent_since_us, one.now_us());
}

TEST(Election, AClusterOfOneLeadsAfterItsOwnSync) {
  Member one(options_of(1, voters_to(1)));
  one.tick();
  EXPECT_EQ(one.core().role(), Role::candidate);
  one.persist();
  EXPECT_EQ(one.core().role(), Role::leader);
  EXPECT_EQ(one.deadline_us(), 0U) << "it needs no timers";
}

TEST(Election, AVoteThatWasGivenIsNotTakenBack) {  // 3.4
  Member one(options_of(1, voters_to(5)));
  one.wait(kElectionTimeoutMaxUs);
  one.tick();
  one.hear(2, one.grant(true));
  one.hear(3, one.grant(true));
  one.persist();
  one.hear(2, one.grant(false));
  one.hear(2, VoteReply{.term = Term(2), .asked_term = Term(2), .granted = false});
  one.hear(3, one.grant(false));
  EXPECT_EQ(one.core().role(), Role::leader);
}

TEST(Election, WhoWasAwayItselfHearsFirstWhatCameMeanwhile) {  // the loop serves timers first
  Member three = member(3, {1, 1});
  three.hear(1, append_after(3, 1, 1, {}));
  three.wait(3 * kElectionTimeoutMaxUs);
  EXPECT_TRUE(said<RequestVote>(three.tick(), 2).empty());
  EXPECT_EQ(three.core().role(), Role::follower);
  EXPECT_EQ(three.core().leader(), server_id(1));
  EXPECT_EQ(three.deadline_us() - three.now_us(), kLateGraceUs);
  EXPECT_FALSE(said<RequestVote>(three.tick_next(), 2).empty()) << "nothing had come";
  three.hear(1, append_after(3, 1, 1, {}));
  three.wait(3 * kElectionTimeoutMaxUs);
  three.tick();
  three.hear(1, append_after(3, 1, 1, {}));
  EXPECT_GE(three.deadline_us() - three.now_us(), kElectionTimeoutMinUs) << "the leader lives";
}

TEST(Election, ACandidateTrustsNothingOfTheLeaderBefore) {  // 3.5: the next one may cut it
  Member three = member(3, {1, 1});
  three.hear(1, append_after(3, 1, 1, {}));
  three.tick_next();
  three.hear(2, three.grant(true));
  ASSERT_EQ(three.core().term(), Term(2));
  EXPECT_TRUE(three.core().leader().none());
  three.persist();
  const Output out = three.hear(1, append_after(2, 1, 2, {2}));
  EXPECT_FALSE(out.fatal);
  EXPECT_EQ(out.truncate_from, Index(3));
}

TEST(Election, WhatWaitsForTheDiskEndsWithItsTerm) {  // 3.3
  Member three = member(3);
  three.hear(1, ask_vote(2, 1, 1));
  three.hear(2, append_after(1, 1, 5, {}));
  const Output followed = three.persist();
  EXPECT_TRUE(said<VoteReply>(followed, 1).empty());
  EXPECT_EQ(said<AppendReply>(followed, 2).size(), 1U);
  Member other = member(3);
  other.hear(1, ask_vote(2, 1, 1));
  other.wait(kElectionTimeoutMaxUs);
  other.tick();
  other.hear(2, other.grant(true));
  ASSERT_EQ(other.core().term(), Term(3));
  const Output stood = other.persist();
  EXPECT_TRUE(said<VoteReply>(stood, 1).empty());
  EXPECT_EQ(said<RequestVote>(stood, 1).size(), 1U);
}

TEST(Election, ASecondLeaderOfATermIsNotFollowed) {  // 3.2: there cannot be one
  Member three = member(3);
  three.hear(1, append_after(1, 1, 1, {}));
  EXPECT_TRUE(three.hear(2, append_after(1, 1, 1, {1})).sends.empty());
  EXPECT_EQ(three.core().leader(), server_id(1));
  EXPECT_EQ(three.core().last_index(), Index(1));
  Member one = member(1);
  one.elect({2});
  one.hear(3, append_after(1, 1, 2, {2, 2}));
  EXPECT_EQ(one.core().role(), Role::leader);
  EXPECT_EQ(one.core().last_index(), Index(2));
}

TEST(Election, NobodyHearsItself) {
  Member three = member(3);
  three.hear(3, append_after(1, 1, 5, {5}));
  EXPECT_EQ(three.core().term(), Term(1));
  EXPECT_TRUE(three.core().leader().none());
}

TEST(Election, NoVoteIsGivenInATermThatIsOver) {  // 3.3, 3.4
  CoreOptions options = options_of(3, voters_to(3));
  options.hard_state.term = Term(4);
  Member three(std::move(options));
  const VoteReply reply = said<VoteReply>(three.hear(1, ask_vote(3, 9, 3)), 1).at(0);
  EXPECT_FALSE(reply.granted);
  EXPECT_EQ(reply.term, Term(4));
  EXPECT_FALSE(said<VoteReply>(three.hear(1, ask_pre_vote(3, 9, 3)), 1).at(0).granted);
}

TEST(Election, AVoteWaitsForItsOwnBatchAndNotForAnEarlierOne) {  // 3.4, 3.8
  Member three = member(3);
  const Output entries = three.hear(1, append_after(1, 1, 1, {1}));
  three.wait(kElectionTimeoutMinUs);
  const Output vote = three.hear(2, ask_vote(2, 9, 1));
  ASSERT_LT(entries.persist_sequence, vote.persist_sequence);
  EXPECT_TRUE(said<VoteReply>(three.step(Persisted{entries.persist_sequence}), 2).empty());
  EXPECT_EQ(said<VoteReply>(three.step(Persisted{vote.persist_sequence}), 2).size(), 1U);
}

TEST(Election, WhatWaitsForTheDiskIsBounded) {
  Member three = member(3);
  three.hear(1, ask_vote(2, 9, 1));
  for (size_t n = 4; n < 4 + kHeldMessagesMax - 10; ++n) {
    three.hear(n, ask_vote(2, 9, 1));
    three.hear(n, ask_pre_vote(3, 9, 1));
  }
  EXPECT_EQ(three.persist().sends.size(), kHeldMessagesMax);
}

TEST(Election, TimeDoesNotGoBack) {  // whatever the caller's clock says
  Member three = member(3);
  three.hear(1, append_after(1, 1, 1, {}));
  const Output out = three.core().step({.now_us = 0,
                                        .event = Receive{.from = server_id(2),
                                                         .from_incarnation = Incarnation(1),
                                                         .message = ask_pre_vote(2, 9, 1)}});
  EXPECT_FALSE(said<VoteReply>(out, 2).at(0).granted);
}

}  // namespace
}  // namespace doozer::raft
