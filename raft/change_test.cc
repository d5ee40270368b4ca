// The rules of configuration changes and transfer: dissertation 3.10, 4.1, 4.2, 4.3. One test a
// rule.
#include <gtest/gtest.h>

#include "base/limits.h"
#include "raft/limits.h"
#include "raft/testing/member.h"

namespace doozer::raft {
namespace {

/// Server 1 of three, leader of term 2, its noop (2) committed and everywhere.
Member leader() {
  Member one(options_of(1, voters_to(3)));
  one.elect({2});
  one.acknowledge(2);
  one.acknowledge(3);
  return one;
}

ChangeVoters change_to(const std::vector<size_t>& voters) { return {voters_of(voters).voters}; }

TEST(Change, TheJointConfigurationIsInForceFromItsAppendOn) {  // 4.1, 4.3
  Member one = leader();
  const Output out = one.step(change_to({1, 4, 5}));
  EXPECT_EQ(out.accepted_first, Index(3));
  EXPECT_EQ(one.core().configuration(), voters_of({1, 4, 5}, {1, 2, 3}));
  EXPECT_EQ(one.core().configuration_index(), Index(3));
  EXPECT_FALSE(one.core().configuration_committed());
  EXPECT_TRUE(one.core().changing());
  for (const size_t n : {2U, 3U, 4U, 5U}) {
    EXPECT_EQ(said<AppendRange>(out, n).size(), 1U) << "all of both sets get the log: " << n;
  }
}

TEST(Change, BothSetsMustHoldTheJointEntry) {  // 4.3
  Member one = leader();
  one.step(change_to({1, 4, 5}));
  one.persist();
  EXPECT_EQ(one.acknowledge(2).apply_to, Index(2)) << "1 and 2 of the old, only 1 of the new";
  EXPECT_EQ(one.acknowledge(3).apply_to, Index(2));
  EXPECT_EQ(one.acknowledge(4).apply_to, Index(3));
}

TEST(Change, TheNewConfigurationFollowsOnceTheJointOneIsCommitted) {  // 4.3
  Member one = leader();
  one.step(change_to({1, 4, 5}));
  one.persist();
  EXPECT_EQ(one.core().last_index(), Index(3));
  one.acknowledge(4);
  one.acknowledge(2);
  EXPECT_EQ(one.core().last_index(), Index(4));
  EXPECT_EQ(one.core().configuration(), voters_of({1, 4, 5}));
  EXPECT_TRUE(one.core().changing());
  EXPECT_EQ(one.core().progress(server_id(2)), nullptr) << "removed servers get no more";
  one.persist();
  EXPECT_TRUE(one.core().changing());
  one.acknowledge(5);
  EXPECT_FALSE(one.core().changing());
}

TEST(Change, OneAtATimeAndOnlyWhatMakesSense) {  // 4.1
  struct Case {
    std::vector<Identity> voters;
    Code code;
  };
  std::vector<Identity> too_many;
  for (size_t n = 1; n <= kServersMax + 1; ++n) too_many.push_back(server_id(n));
  const Case cases[] = {{{}, Code::bad_argument},
                        {voters_of({1, 2, 3}).voters, Code::bad_argument},
                        {{server_id(2), server_id(1)}, Code::bad_argument},
                        {{server_id(1), server_id(1)}, Code::bad_argument},
                        {too_many, Code::bad_argument}};
  for (const Case& c : cases) {
    Member one = leader();
    const Output out = one.step(ChangeVoters{c.voters});
    EXPECT_TRUE(out.refused);
    EXPECT_EQ(out.reason.code, c.code) << out.reason.message;
    EXPECT_EQ(one.core().last_index(), Index(2));
  }
  Member one = leader();
  EXPECT_FALSE(one.step(change_to({1, 2})).refused);
  EXPECT_EQ(one.step(change_to({1, 2, 3, 4})).reason.code, Code::busy);
  Member three(options_of(3, voters_to(3)));
  EXPECT_EQ(three.step(change_to({1, 2})).reason.code, Code::read_only);
}

TEST(Change,
     NoneBeforeAnEntryOfTheOwnTermIsCommitted) {  // 4.1, the bug of the single-server change
  Member one(options_of(1, voters_to(3)));
  one.elect({2});
  EXPECT_EQ(one.step(change_to({1, 2})).reason.code, Code::busy);
  one.acknowledge(2);
  EXPECT_FALSE(one.step(change_to({1, 2})).refused);
}

TEST(Change, ANewLeaderFinishesWhatAnotherBegan) {  // 4.3
  CoreOptions options = options_of(1, voters_to(3));
  options.entries.push_back(configuration_at(2, 1, voters_of({1, 4, 5}, {1, 2, 3})));
  options.configurations.push_back(
      {.index = Index(2), .configuration = voters_of({1, 4, 5}, {1, 2, 3})});
  options.last_index = Index(2);
  Member one(std::move(options));
  one.elect({2, 4});
  EXPECT_EQ(one.core().last_index(), Index(3));
  one.acknowledge(2);
  one.acknowledge(4);
  EXPECT_EQ(one.core().commit(), Index(3));
  EXPECT_EQ(one.core().configuration(), voters_of({1, 4, 5}));
  EXPECT_EQ(one.core().configuration_index(), Index(4));
}

TEST(Change, BothSetsElect) {  // 4.3
  CoreOptions options = options_of(1, voters_to(3));
  options.configurations.push_back(
      {.index = Index(2), .configuration = voters_of({1, 4, 5}, {1, 2, 3})});
  options.entries.push_back(configuration_at(2, 1, voters_of({1, 4, 5}, {1, 2, 3})));
  options.last_index = Index(2);
  Member one(std::move(options));
  one.wait(kElectionTimeoutMaxUs);
  one.tick();
  one.hear(2, one.grant(true));
  one.hear(3, one.grant(true));
  EXPECT_EQ(one.core().term(), Term(1)) << "all of the old set is not enough";
  one.hear(5, one.grant(true));
  EXPECT_EQ(one.core().term(), Term(2));
}

TEST(Change, TruncationRevertsAConfiguration) {  // 4.1
  Member three(options_of(3, voters_to(3)));
  Append append{.head = head_of(2), .prev = {.index = Index(1), .term = Term(1)}, .entries = {}};
  append.entries.push_back(configuration_at(2, 2, voters_of({1, 2}, {1, 2, 3})));
  three.hear(1, append);
  EXPECT_EQ(three.core().configuration(), voters_of({1, 2}, {1, 2, 3}));
  three.hear(2, append_after(1, 1, 3, {3}));
  EXPECT_EQ(three.core().configuration(), voters_to(3));
  EXPECT_EQ(three.core().configuration_index(), Index(1));
}

TEST(Change, ALeaderThatIsRemovedGoesOnUntilThatIsCommittedAndCountsNotItself) {  // 4.2.2
  Member one = leader();
  one.step(change_to({2, 3, 4}));
  one.persist();
  one.acknowledge(2);
  one.acknowledge(3);
  ASSERT_EQ(one.core().configuration(), voters_of({2, 3, 4}));
  one.persist();
  one.acknowledge(2);
  EXPECT_EQ(one.core().role(), Role::leader) << "one of three: it does not count itself";
  EXPECT_FALSE(one.core().configuration_committed());
  const Output out = one.acknowledge(3);
  EXPECT_EQ(one.core().role(), Role::follower);
  EXPECT_TRUE(one.core().configuration_committed());
  EXPECT_EQ(said<AppendRange>(out, 3).at(0).head.commit, Index(4)) << "it tells the others";
  EXPECT_EQ(said<TimeoutNow>(out, 2).size(), 1U) << "and hands over";
  for (int i = 0; i < 5; ++i) {
    one.wait(kElectionTimeoutMaxUs);
    one.tick();
    EXPECT_EQ(one.core().role(), Role::follower) << "it is no member any more";
  }
}

TEST(Change, WhoseRemovalIsNotCommittedStillStands) {  // 4.2.2: its log may be the newest
  CoreOptions options = options_of(1, voters_to(3));
  options.configurations.push_back({.index = Index(2), .configuration = voters_of({2, 3})});
  options.entries.push_back(configuration_at(2, 1, voters_of({2, 3})));
  options.last_index = Index(2);
  Member one(std::move(options));
  one.wait(kElectionTimeoutMaxUs);
  one.tick();
  EXPECT_EQ(one.core().role(), Role::candidate);
  one.hear(2, one.grant(true));
  EXPECT_EQ(one.core().term(), Term(1)) << "its own vote does not count";
  one.hear(3, one.grant(true));
  EXPECT_EQ(one.core().term(), Term(2));
}

TEST(Change, AClusterOfOneGrows) {  // 4.3
  Member one(options_of(1, voters_to(1)));
  one.tick();
  one.persist();
  one.persist();
  one.step(change_to({1, 2}));
  EXPECT_EQ(one.persist().apply_to, Index(2)) << "the new set is two";
  EXPECT_NE(one.deadline_us(), 0U);
  one.acknowledge(2);
  EXPECT_EQ(one.core().configuration(), voters_of({1, 2}));
}

TEST(Change, StandbysGetTheLogAndDoNotCount) {  // 4.2.1
  Member one = leader();
  const Output out = one.step(SetStandbys{{server_id(4)}});
  EXPECT_EQ(said<AppendRange>(out, 4).size(), 1U);
  one.propose("a");
  EXPECT_EQ(one.acknowledge(4).apply_to, Index(2));
  one.persist();
  EXPECT_EQ(one.acknowledge(4).apply_to, Index(2)) << "1 of 3 voters";
  EXPECT_EQ(one.acknowledge(2).apply_to, Index(3));
  one.step(SetStandbys{});
  EXPECT_EQ(one.core().progress(server_id(4)), nullptr);
}

// --- Transfer

TEST(Transfer, TheTargetIsToldOnceItHasEverything) {  // 3.10
  Member one = leader();
  one.propose("a");
  one.persist();
  const Output begun = one.step(TransferLeadership{server_id(2)});
  EXPECT_TRUE(one.core().transferring());
  EXPECT_TRUE(said<TimeoutNow>(begun, 2).empty()) << "it lacks 3";
  EXPECT_EQ(one.propose("b").reason.code, Code::read_only);
  EXPECT_EQ(said<TimeoutNow>(one.acknowledge(2), 2).size(), 1U);
  EXPECT_TRUE(said<TimeoutNow>(one.acknowledge(3), 2).empty()) << "once";
  EXPECT_EQ(said<TimeoutNow>(one.tick_next(), 2).size(), 1U) << "and again, as it may be lost";
}

TEST(Transfer, IsGivenUpAfterAnElectionTimeout) {  // 3.10
  Member one = leader();
  one.step(TransferLeadership{server_id(2)});
  const uint64_t begun = one.now_us();
  while (one.core().transferring()) {
    one.tick_next();
    one.acknowledge(3);
    ASSERT_LE(one.now_us(), begun + kTransferUsMax + kHeartbeatUs);
  }
  EXPECT_FALSE(one.propose("b").refused);
}

TEST(Transfer, ChoosesTheBestOrRefuses) {
  Member one = leader();
  one.propose("a");
  one.acknowledge(3);
  one.step(TransferLeadership{});
  EXPECT_EQ(said<TimeoutNow>(one.persist(), 3).size() + said<TimeoutNow>(one.tick_next(), 3).size(),
            1U);
  Member two = leader();
  EXPECT_EQ(two.step(TransferLeadership{server_id(9)}).reason.code, Code::not_found);
  EXPECT_EQ(two.step(TransferLeadership{server_id(1)}).reason.code, Code::not_found);
  two.wait(2 * kElectionTimeoutMaxUs);
  EXPECT_EQ(two.step(TransferLeadership{}).reason.code, Code::not_found) << "nobody answers";
  Member three(options_of(3, voters_to(3)));
  EXPECT_EQ(three.step(TransferLeadership{}).reason.code, Code::read_only);
}

TEST(Transfer, TheTargetStandsAtOnceAndLoyaltyDoesNotStandInItsWay) {  // 3.10, 4.2.3
  Member two(options_of(2, voters_to(3)));
  two.hear(1, append_after(1, 1, 1, {}));
  two.hear(1, TimeoutNow{.term = Term(1)});
  EXPECT_EQ(two.core().term(), Term(2)) << "without a pre-vote";
  const auto request = said<RequestVote>(two.persist(), 3).at(0);
  EXPECT_TRUE(request.transfer);
  Member three(options_of(3, voters_to(3)));
  three.hear(1, append_after(1, 1, 1, {}));
  three.hear(2, request);
  EXPECT_TRUE(said<VoteReply>(three.persist(), 2).at(0).granted);
}

TEST(Transfer, ASecondTimeoutNowIsOfATermThatIsOver) {  // 3.10: doubled by the network
  Member two(options_of(2, voters_to(3)));
  two.hear(1, append_after(1, 1, 1, {}));
  two.hear(1, TimeoutNow{.term = Term(1)});
  two.hear(1, TimeoutNow{.term = Term(1)});
  EXPECT_EQ(two.core().term(), Term(2));
  two.hear(3, append_after(1, 1, 2, {2}));
  two.hear(1, TimeoutNow{.term = Term(2)});
  EXPECT_EQ(two.core().term(), Term(2)) << "nor may anybody but the leader say it";
}

TEST(Transfer, WhoMustNotLeadHandsOver) {  // design 4
  Member one = leader();
  one.step(SetLeadable{.leadable = false, .last_resort = true});
  EXPECT_TRUE(one.core().transferring());
  CoreOptions options = options_of(1, voters_to(3));
  options.never_lead = true;
  Member never(std::move(options));
  never.tick();
  for (int i = 0; i < 3; ++i) never.tick_next();
  never.hear(2, never.grant(true));
  never.persist();
  never.hear(2, never.grant(false));
  ASSERT_EQ(never.core().role(), Role::leader);
  never.persist();
  never.acknowledge(2);
  EXPECT_EQ(said<TimeoutNow>(never.tick_next(), 2).size(), 1U);
}

TEST(Transfer, NobodyHandsOverToWhoWouldRatherNotLead) {  // design 4
  Member one = leader();
  AppendReply unwilling{.term = Term(2),
                        .accepted = true,
                        .willing = false,
                        .match = Index(2),
                        .agreed = Index(2),
                        .round = 1};
  one.hear(2, unwilling);
  one.hear(3, unwilling);
  EXPECT_EQ(one.step(TransferLeadership{}).reason.code, Code::not_found);
  unwilling.willing = true;
  one.hear(3, unwilling);
  EXPECT_FALSE(one.step(TransferLeadership{}).refused);
}

TEST(StepDown, LeavesAtOnceAndRests) {
  Member one = leader();
  const Output out = one.step(StepDown{});
  EXPECT_EQ(one.core().role(), Role::follower);
  EXPECT_EQ(said<TimeoutNow>(out, 2).size(), 1U);
  EXPECT_GE(one.deadline_us(), one.now_us() + kStepDownRestUs);
  EXPECT_TRUE(one.propose("a").refused);
}

TEST(Transfer, AStandingThatFailedIsNoneAnyMore) {  // 4.2.3: or it would be disloyal for ever
  Member two(options_of(2, voters_to(3)));
  two.hear(1, append_after(1, 1, 1, {}));
  two.hear(1, TimeoutNow{.term = Term(1)});
  two.persist();
  two.wait(kElectionTimeoutMaxUs);
  const auto again = said<RequestVote>(two.tick(), 3);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_TRUE(again[0].pre);
  EXPECT_FALSE(again[0].transfer);
}

}  // namespace
}  // namespace doozer::raft
