// The rules of configuration changes: dissertation 4.1, 4.2, 4.3. One test a rule.
#include <gtest/gtest.h>

#include "base/limits.h"
#include "raft/limits.h"
#include "raft/testing/member.h"

namespace doozer::raft {
namespace {

ChangeVoters change_to(const std::vector<size_t>& voters) { return {voters_of(voters).voters}; }

TEST(Change, TheJointConfigurationIsInForceFromItsAppendOn) {  // 4.1, 4.3
  Member one = settled_leader();
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
  Member one = settled_leader();
  one.step(change_to({1, 4, 5}));
  one.persist();
  EXPECT_EQ(one.acknowledge(2).apply_to, Index(2)) << "1 and 2 of the old, only 1 of the new";
  EXPECT_EQ(one.acknowledge(3).apply_to, Index(2));
  EXPECT_EQ(one.acknowledge(4).apply_to, Index(3));
}

TEST(Change, TheNewConfigurationFollowsOnceTheJointOneIsCommitted) {  // 4.3
  Member one = settled_leader();
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
    Member one = settled_leader();
    const Output out = one.step(ChangeVoters{c.voters});
    EXPECT_TRUE(out.refused);
    EXPECT_EQ(out.reason.code, c.code) << out.reason.message;
    EXPECT_EQ(one.core().last_index(), Index(2));
  }
  Member one = settled_leader();
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
  Member one = settled_leader();
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
  Member one = settled_leader();
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

TEST(Change, TheNewConfigurationDoesNotFollowWhatCommitsBeforeTheJointOne) {  // 4.3
  Member one = settled_leader();
  one.propose("a");  // entry 3
  one.step(change_to({1, 4, 5}));
  one.persist();
  one.acknowledge(2, 3);
  one.acknowledge(4, 3);
  ASSERT_EQ(one.core().commit(), Index(3));
  EXPECT_EQ(one.core().last_index(), Index(4));
  EXPECT_TRUE(one.core().configuration().joint());
}

TEST(Change, NoneWhileTheNewConfigurationIsNotCommitted) {  // 4.1
  Member one = settled_leader();
  one.step(change_to({1, 2}));
  one.persist();
  one.acknowledge(2);
  ASSERT_EQ(one.core().configuration(), voters_of({1, 2}));
  EXPECT_EQ(one.step(change_to({1, 2, 3})).reason.code, Code::busy);
  one.persist();
  one.acknowledge(2);
  EXPECT_FALSE(one.step(change_to({1, 2, 3})).refused);
}

TEST(Change, OldConfigurationsAreForgotten) {  // a bounded buffer
  Member one = settled_leader();
  for (int i = 0; i < 6; ++i) {
    ASSERT_FALSE(one.step(i % 2 == 0 ? change_to({1, 2}) : change_to({1, 2, 3})).refused);
    for (int step = 0; step < 2; ++step) {
      one.persist();
      one.acknowledge(2);
    }
    ASSERT_FALSE(one.core().changing());
    one.step(AppliedTo{one.core().commit()});
  }
  EXPECT_EQ(one.core().configuration_at(Index(3)), voters_of({1, 2, 3}))
      << "of the first change, which made it two, nothing is known any more";
}

}  // namespace
}  // namespace doozer::raft
