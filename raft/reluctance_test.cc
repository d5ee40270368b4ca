// Who does not stand for election, or only rather than nobody: dissertation 4.2.1, design
// section 4. One test a rule.
#include <gtest/gtest.h>

#include "base/limits.h"
#include "raft/limits.h"
#include "raft/testing/member.h"

namespace doozer::raft {
namespace {

Member member(size_t n, const std::vector<uint64_t>& terms = {}) {
  return Member(options_of(n, voters_to(3), terms));
}

TEST(Reluctance, WhoNeverLeadsStandsAfterThreeTimeouts) {  // design 4
  CoreOptions options = options_of(1, voters_to(3));
  options.never_lead = true;
  Member one(std::move(options));
  one.tick();
  for (int i = 1; i < 3; ++i) {
    one.tick_next();
    EXPECT_EQ(one.core().role(), Role::follower) << i;
  }
  one.tick_next();
  EXPECT_EQ(one.core().role(), Role::candidate);
}

TEST(Reluctance, WhoMustNotLeadDoesNotStandButVotes) {  // design 4
  Member one = member(1);
  one.step(SetLeadable{.leadable = false});
  one.tick();
  for (int i = 0; i < 5; ++i) {
    one.tick_next();
    EXPECT_EQ(one.core().role(), Role::follower);
  }
  one.hear(2, ask_vote(2, 1, 1));
  EXPECT_TRUE(said<VoteReply>(one.persist(), 2).at(0).granted);
}

TEST(Reluctance, AStandbyNeverStands) {  // 4.2.1
  Member four(options_of(4, voters_to(3)));
  four.hear(1, append_after(1, 1, 1, {1}));
  four.persist();
  EXPECT_NE(four.deadline_us(), 0U);
  for (int i = 0; i < 5; ++i) {
    four.wait(kElectionTimeoutMaxUs);
    four.tick();
    EXPECT_EQ(four.core().role(), Role::follower);
  }
  EXPECT_TRUE(four.core().leader().none()) << "but it notices that nobody leads";
  EXPECT_EQ(four.deadline_us(), 0U);
}

TEST(Reluctance, WhoNeverLeadsDoesIfItIsAlone) {  // design 4: rather than nobody
  CoreOptions options = options_of(1, voters_to(1));
  options.never_lead = true;
  Member one(std::move(options));
  one.tick();
  one.persist();
  EXPECT_EQ(one.core().role(), Role::leader);
}

TEST(Reluctance, TimeoutsOfNoLeaderAreCountedAnewOnceOneIsHeardOf) {  // design 4
  CoreOptions options = options_of(1, voters_to(3));
  options.never_lead = true;
  Member one(std::move(options));
  one.tick();
  for (int i = 1; i < 3; ++i) one.tick_next();
  one.hear(2, append_after(1, 1, 1, {}));
  for (int i = 1; i < 3; ++i) {
    one.tick_next();
    EXPECT_EQ(one.core().role(), Role::follower) << i;
  }
  one.tick_next();
  EXPECT_EQ(one.core().role(), Role::candidate);
}

TEST(Reluctance, WhoMayNotLeadAnyMoreStopsStanding) {  // design 4
  Member one = member(1);
  one.wait(kElectionTimeoutMaxUs);
  one.tick();
  ASSERT_EQ(one.core().role(), Role::candidate);
  one.step(SetLeadable{.leadable = false});
  EXPECT_EQ(one.core().role(), Role::follower);
}

}  // namespace
}  // namespace doozer::raft
