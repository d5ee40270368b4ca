// Logs that may lack what they acknowledged: docs/consensus.md, "A log in doubt". One test a rule.
#include <gtest/gtest.h>

#include "base/limits.h"
#include "raft/limits.h"
#include "raft/testing/member.h"

namespace doozer::raft {
namespace {

CoreOptions doubted(LogTrust trust, uint64_t doubtful_to) {
  CoreOptions options = options_of(3, voters_to(3), {2, 2});
  options.trust = trust;
  options.doubtful_to = Index(doubtful_to);
  options.incarnation = Incarnation(5);
  return options;
}

Append to_life(Append append, uint64_t incarnation, uint64_t last_index) {
  append.head.receiver = Incarnation(incarnation);
  append.head.last_index = Index(last_index);
  return append;
}

Append committed_to(Append append, uint64_t commit) {
  append.head.commit = Index(commit);
  return append;
}

TEST(Doubt, ADoubtfulLogSaysSoAndDoesNotCountUntilItIsReplicatedTo) {  // design 4
  Member three(doubted(LogTrust::doubtful, 5));
  three.hear(1, to_life(append_after(3, 2, 3, {}), 5, 9));
  EXPECT_FALSE(said<AppendReply>(three.persist(), 1).at(0).counts);
  three.hear(1, to_life(append_after(3, 2, 3, {3}), 5, 9));
  EXPECT_FALSE(said<AppendReply>(three.persist(), 1).at(0).counts) << "4 of 5";
  three.hear(1, to_life(append_after(4, 3, 3, {3}), 5, 9));
  EXPECT_EQ(three.core().trust(), LogTrust::doubtful) << "5 is not durable yet";
  const Output out = three.persist();
  EXPECT_TRUE(out.settle);
  EXPECT_TRUE(said<AppendReply>(out, 1).back().counts);
  EXPECT_EQ(three.core().trust(), LogTrust::sound);
}

TEST(Doubt, ALeaderWithAShorterLogSettlesItToo) {  // it has all that ever was committed
  Member three(doubted(LogTrust::doubtful, 50));
  three.hear(1, to_life(append_after(3, 2, 3, {3}), 5, 4));
  EXPECT_TRUE(three.persist().settle);
}

TEST(Doubt, OnlyALeaderThatHasHeardOfThisLifeSettlesIt) {  // it may still count on the last one
  Member three(doubted(LogTrust::doubtful, 4));
  three.hear(1, to_life(append_after(3, 2, 3, {3}), 4, 4));
  EXPECT_FALSE(three.persist().settle);
  three.hear(1, to_life(append_after(4, 3, 3, {}), 5, 4));
  EXPECT_EQ(three.core().trust(), LogTrust::sound);
}

TEST(Doubt, WhatIsDurableButPerhapsNotTheLeadersSettlesNothing) {
  Member three(doubted(LogTrust::doubtful, 9));
  three.hear(1, to_life(append_after(0, 0, 3, {}), 5, 3));
  EXPECT_FALSE(three.persist().settle) << "it has an entry 3, but is it that one?";
  EXPECT_TRUE(three.hear(1, to_life(append_after(3, 2, 3, {}), 5, 3)).settle);
}

TEST(Doubt, ASnapshotThatTheLogHoldsSettlesItToo) {
  Member three(doubted(LogTrust::doubtful, 9));
  SnapshotOffer offer{.head = head_of(3), .snapshot = {.index = Index(3), .term = Term(2)}};
  offer.head.receiver = Incarnation(5);
  offer.head.last_index = Index(3);
  three.hear(1, offer);
  EXPECT_EQ(three.core().trust(), LogTrust::sound);
}

TEST(Doubt, ARepairingServerVotesForItselfOverAllItsLives) {  // so that it gives no second vote
  Member three(doubted(LogTrust::repairing, 0));
  const Output out = three.tick();
  ASSERT_TRUE(out.hard_state);
  EXPECT_EQ(out.hard_state->vote, server_id(3));
  EXPECT_EQ(out.hard_state->term, Term(2));
  CoreOptions voted = doubted(LogTrust::repairing, 0);
  voted.hard_state.vote = server_id(1);
  Member other(std::move(voted));
  EXPECT_FALSE(other.tick().hard_state) << "a vote that is known stands";
}

TEST(Doubt, ARepairingServerDoesNotLeadAlone) {  // nobody else has what it lacks
  CoreOptions options = options_of(1, voters_to(1), {2});
  options.trust = LogTrust::repairing;
  Member one(std::move(options));
  EXPECT_FALSE(one.tick().settle);
  one.persist();
  one.wait(kElectionTimeoutMaxUs);
  one.tick();
  EXPECT_EQ(one.core().role(), Role::follower);
}

TEST(Doubt, InAJointChangeTwoVotersOfTheNewSetAreNotAll) {
  CoreOptions options = options_of(2, voters_of({1, 2}, {1, 2, 3}), {2, 2});
  options.trust = LogTrust::repairing;
  options.incarnation = Incarnation(5);
  Member two(std::move(options));
  two.hear(1, to_life(append_after(3, 2, 2, {2}), 5, 4));
  EXPECT_FALSE(two.persist().settle);
}

TEST(Doubt, ARepairingServerNeitherVotesNorStands) {  // design 5
  Member three(doubted(LogTrust::repairing, 0));
  three.hear(1, ask_vote(7, 99, 6));
  EXPECT_FALSE(said<VoteReply>(three.persist(), 1).at(0).granted);
  for (int i = 0; i < 6; ++i) {
    three.wait(kElectionTimeoutMaxUs);
    three.tick();
    EXPECT_EQ(three.core().role(), Role::follower);
  }
}

TEST(Doubt, ARepairedServerNeverVotesInItsRecoveredTerm) {  // that vote may be what was lost
  Member three(doubted(LogTrust::repairing, 0));
  three.hear(1, to_life(append_after(3, 2, 2, {2}), 5, 4));
  three.persist();
  EXPECT_TRUE(three.hear(1, committed_to(to_life(append_after(4, 2, 2, {2}), 5, 5), 5)).settle);
  three.persist();
  three.wait(kElectionTimeoutMaxUs);
  EXPECT_FALSE(said<VoteReply>(three.hear(2, ask_vote(2, 99, 2)), 2).at(0).granted);
  three.hear(2, ask_vote(3, 99, 2));
  EXPECT_TRUE(said<VoteReply>(three.persist(), 2).at(0).granted);
}

// The leader may be an old one that knows nothing of a newer term which was lost here with its
// vote.
TEST(Doubt, ARepairingServerWaitsUntilTheLeaderCommitsWithoutIt) {
  Member three(doubted(LogTrust::repairing, 0));
  three.hear(1, committed_to(to_life(append_after(3, 2, 2, {2}), 5, 4), 4));
  EXPECT_FALSE(three.persist().settle) << "all of its log, and all committed: perhaps long ago";
  three.hear(1, committed_to(to_life(append_after(4, 2, 2, {2}), 5, 5), 4));
  EXPECT_FALSE(three.persist().settle) << "a newer one, but nobody has taken it yet";
  EXPECT_TRUE(three.hear(1, committed_to(to_life(append_after(5, 2, 2, {}), 5, 5), 5)).settle);
  EXPECT_EQ(three.core().trust(), LogTrust::sound);
}

TEST(Doubt, WithOneOtherVoterNoCommitIsWaitedFor) {
  CoreOptions options = options_of(2, voters_to(2), {2, 2});
  options.trust = LogTrust::repairing;
  options.incarnation = Incarnation(5);
  Member two(std::move(options));
  two.hear(1, to_life(append_after(3, 2, 2, {2}), 5, 4));
  EXPECT_TRUE(two.persist().settle);
}

TEST(Doubt, ADoubtfulVoteCountsOnlyIfAllVote) {  // a power cut tears the tail of every log
  Member one(options_of(1, voters_to(3), {2}));
  const auto doubtful = [&](bool pre) {
    VoteReply reply = one.grant(pre);
    reply.counts = false;
    return reply;
  };
  one.wait(kElectionTimeoutMaxUs);
  one.tick();
  one.hear(2, doubtful(true));
  EXPECT_EQ(one.core().term(), Term(2)) << "no majority without it";
  one.hear(3, doubtful(true));
  EXPECT_EQ(one.core().term(), Term(3)) << "all three";
  one.persist();
  one.hear(2, doubtful(false));
  EXPECT_EQ(one.core().role(), Role::candidate);
  one.hear(3, doubtful(false));
  EXPECT_EQ(one.core().role(), Role::leader);
}

TEST(Doubt, ADoubtfulServerStandsLateAndLeadsOnlyIfAllVote) {
  CoreOptions options = doubted(LogTrust::doubtful, 5);
  Member three(std::move(options));
  three.tick();
  three.persist();
  for (int i = 0; i < 3; ++i) three.tick_next();
  ASSERT_EQ(three.core().role(), Role::candidate);
  three.hear(1, three.grant(true));
  EXPECT_EQ(three.core().term(), Term(2)) << "1 and 3 are no majority: 3 does not count";
  three.hear(2, three.grant(true));
  EXPECT_EQ(three.core().term(), Term(3));
  three.persist();
  three.hear(1, three.grant(false));
  EXPECT_EQ(three.core().role(), Role::candidate) << "nor does its vote";
  three.hear(2, three.grant(false));
  EXPECT_EQ(three.core().role(), Role::leader);
  EXPECT_EQ(three.core().trust(), LogTrust::sound) << "a majority's logs were no newer";
}

TEST(Doubt, AClusterOfOneDecidesByItself) {  // nobody else could hold what was cut
  CoreOptions options = options_of(1, voters_to(1), {2});
  options.trust = LogTrust::doubtful;
  options.doubtful_to = Index(9);
  Member one(std::move(options));
  EXPECT_TRUE(one.tick().settle);
  one.persist();
  EXPECT_EQ(one.core().role(), Role::leader);
}

// Its former lives may have acknowledged to the next leader what it lacks now, and that one may not
// have heard of this life yet.
TEST(Doubt, ANewTermBeginsTheWaitAnew) {
  for (const LogTrust trust : {LogTrust::doubtful, LogTrust::repairing}) {
    Member three(doubted(trust, 9));
    three.hear(1, to_life(append_after(3, 2, 2, {}), 5, 4));
    three.hear(2, committed_to(to_life(append_after(3, 2, 4, {4, 4, 4}), 4, 6), 6));
    EXPECT_FALSE(three.persist().settle);
    EXPECT_EQ(three.core().trust(), trust);
    three.hear(2, committed_to(to_life(append_after(6, 4, 4, {4}), 5, 6), 7));
    EXPECT_TRUE(three.persist().settle || three.core().trust() == LogTrust::sound);
  }
  // The same if it stood itself in between.
  Member three(doubted(LogTrust::doubtful, 9));
  three.hear(1, to_life(append_after(3, 2, 2, {}), 5, 4));
  three.tick();
  for (int i = 0; i < 4 && three.core().role() != Role::candidate; ++i) three.tick_next();
  three.hear(1, three.grant(true));
  three.hear(2, three.grant(true));
  ASSERT_EQ(three.core().term(), Term(3));
  three.hear(2, committed_to(to_life(append_after(3, 2, 3, {3, 3}), 4, 5), 5));
  EXPECT_FALSE(three.persist().settle);
}

// Among what it lost was a configuration: with three voters the one that it hears of may be an old
// leader, while the other two have gone on.
TEST(Doubt, HowManyVoteIsAskedOnceItHoldsTheLeadersLog) {
  CoreOptions options = options_of(2, voters_to(2), {2, 2});
  options.trust = LogTrust::repairing;
  options.incarnation = Incarnation(5);
  Member two(std::move(options));
  Append append = committed_to(to_life(append_after(3, 2, 2, {}), 5, 4), 4);
  append.entries.push_back(configuration_at(4, 2, voters_to(3)));
  two.hear(1, append);
  EXPECT_FALSE(two.persist().settle) << "all committed, but perhaps long ago";
  EXPECT_TRUE(two.hear(1, committed_to(to_life(append_after(4, 2, 2, {2}), 5, 5), 5)).settle);
}

TEST(Doubt, ADoubtfulLogKnowsItsVote) {  // a torn tail held no promise: docs/wal-format.md
  Member three(doubted(LogTrust::doubtful, 9));
  const Output out = three.hear(1, ask_vote(2, 9, 2));
  EXPECT_EQ(three.core().term(), Term(2));
  three.persist();
  EXPECT_TRUE(said<VoteReply>(three.hear(1, ask_vote(2, 9, 2)), 1).at(0).granted);
  EXPECT_FALSE(said<VoteReply>(three.hear(2, ask_vote(2, 9, 2)), 2).at(0).granted);
}

}  // namespace
}  // namespace doozer::raft
