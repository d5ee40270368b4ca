// Handing leadership over, and giving it up: dissertation 3.10, design section 4. One test a rule.
#include <gtest/gtest.h>

#include "base/limits.h"
#include "raft/limits.h"
#include "raft/testing/member.h"

namespace doozer::raft {
namespace {

TEST(Transfer, TheTargetIsToldOnceItHasEverything) {  // 3.10
  Member one = settled_leader();
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
  Member one = settled_leader();
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
  Member one = settled_leader();
  one.propose("a");
  one.acknowledge(3);
  one.step(TransferLeadership{});
  EXPECT_EQ(said<TimeoutNow>(one.persist(), 3).size() + said<TimeoutNow>(one.tick_next(), 3).size(),
            1U);
  Member two = settled_leader();
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
  EXPECT_TRUE(two.core().leader().none());
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
  Member one = settled_leader();
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

TEST(Transfer, OnlyALeaderThatLeavesHandsOverToWhoWouldRatherNotLead) {  // design 4
  Member one = settled_leader();
  AppendReply unwilling{.term = Term(2),
                        .accepted = true,
                        .willing = false,
                        .match = Index(2),
                        .agreed = Index(2),
                        .round = 1};
  one.hear(2, unwilling);
  one.hear(3, unwilling);
  one.step(SetLeadable{.leadable = false, .last_resort = true});
  EXPECT_FALSE(one.core().transferring()) << "it can lead as well itself";
  EXPECT_EQ(one.step(TransferLeadership{server_id(3)}).reason.code, Code::not_found);
  Member leaves = settled_leader();
  leaves.hear(2, unwilling);
  leaves.hear(3, unwilling);
  EXPECT_FALSE(leaves.step(TransferLeadership{}).refused) << "or there would be nobody for a while";
  Member prefers = settled_leader();
  prefers.hear(2, unwilling);
  AppendReply willing = unwilling;
  willing.willing = true;
  prefers.hear(3, willing);
  prefers.step(TransferLeadership{});
  EXPECT_EQ(said<TimeoutNow>(prefers.tick_next(), 3).size(), 1U);
}

TEST(StepDown, LeavesAtOnceAndRests) {
  Member one = settled_leader();
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

TEST(Transfer, OnlyAVoterThatIsFitAndFollowsMayBeNamed) {  // 3.10
  struct Case {
    const char* what;
    AppendReply answer;
    bool good;
  };
  const AppendReply good{
      .term = Term(2), .accepted = true, .match = Index(2), .agreed = Index(2), .round = 0};
  AppendReply doubtful = good;
  doubtful.counts = false;
  AppendReply unwilling = good;
  unwilling.willing = false;
  AppendReply behind = good;
  behind.match = Index(1);
  const Case cases[] = {{"fit", good, true},
                        {"in doubt", doubtful, false},
                        {"unwilling", unwilling, false},
                        {"has nothing of this term", behind, false}};
  for (const Case& c : cases) {
    Member one(options_of(1, voters_to(3)));
    one.elect({2});
    one.hear(2, c.answer);
    EXPECT_EQ(one.step(TransferLeadership{server_id(2)}).refused, !c.good) << c.what;
  }
  Member looks_for_agreement = settled_leader();
  looks_for_agreement.propose("a");
  looks_for_agreement.hear(2, AppendReply{.term = Term(2),
                                          .match = Index(2),
                                          .agreed = Index(2),
                                          .rejected = Index(3),
                                          .hint = {.index = Index(2), .term = Term(2)}});
  EXPECT_TRUE(looks_for_agreement.step(TransferLeadership{server_id(2)}).refused);
  Member standby = settled_leader();
  standby.step(SetStandbys{{server_id(4)}});
  standby.acknowledge(4);
  ASSERT_EQ(standby.core().progress(server_id(4))->match, Index(2));
  EXPECT_TRUE(standby.step(TransferLeadership{server_id(4)}).refused);
  Member silent = settled_leader();
  silent.wait(kElectionTimeoutMinUs);
  EXPECT_TRUE(silent.step(TransferLeadership{server_id(2)}).refused);
}

TEST(Transfer, NoChangeIsBegunMeanwhile) {
  Member one = settled_leader();
  ASSERT_FALSE(one.step(TransferLeadership{server_id(2)}).refused);
  EXPECT_EQ(one.step(ChangeVoters{voters_of({1, 2}).voters}).reason.code, Code::busy);
}

TEST(Transfer, WhoMustNotLeadWaitsForOneThatHasWhatIsCommitted) {  // design 4
  Member one(options_of(1, voters_to(5)));
  one.elect({2, 3});
  for (const size_t n : {2U, 3U, 4U}) one.acknowledge(n);
  one.propose("a");
  one.persist();
  one.acknowledge(2);
  one.acknowledge(3);
  ASSERT_EQ(one.core().commit(), Index(3));
  one.wait(kElectionTimeoutMinUs);
  one.acknowledge(4, 2);  // the only one that answers lately
  one.step(SetLeadable{.leadable = false, .last_resort = true});
  EXPECT_FALSE(one.core().transferring());
  one.acknowledge(4, 3);
  one.step(SetLeadable{.leadable = false, .last_resort = true});
  EXPECT_TRUE(one.core().transferring());
}

TEST(Transfer, WhoMustNotLeadOrRestsDoesNotStandForIt) {
  for (const bool rests : {true, false}) {
    Member two(options_of(2, voters_to(3)));
    two.hear(1, append_after(1, 1, 1, {}));
    if (rests) two.step(StepDown{});
    if (!rests) two.step(SetLeadable{.leadable = false});
    two.hear(1, TimeoutNow{.term = Term(1)});
    EXPECT_EQ(two.core().role(), Role::follower) << rests;
    EXPECT_EQ(two.core().term(), Term(1)) << rests;
  }
}

TEST(Transfer, OnlyTheLeaderMaySayIt) {  // 3.10
  Member two(options_of(2, voters_to(3)));
  two.hear(1, append_after(1, 1, 1, {}));
  two.hear(3, TimeoutNow{.term = Term(1)});
  EXPECT_EQ(two.core().term(), Term(1));
}

}  // namespace
}  // namespace doozer::raft
