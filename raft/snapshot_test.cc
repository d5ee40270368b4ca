// Snapshots and what is forgotten: dissertation 5.1, 5.3. One test a rule.
#include <gtest/gtest.h>

#include "base/limits.h"
#include "raft/limits.h"
#include "raft/testing/member.h"

namespace doozer::raft {
namespace {

SnapshotPoint point(uint64_t index, uint64_t term) {
  return {.index = Index(index), .term = Term(term), .configuration = voters_to(3)};
}

/// Server 1 of three, leader of term 2; entries 2 .. 11 are committed, applied and all but the last
/// two forgotten.
Member leader_of_little() {
  CoreOptions options = options_of(1, voters_to(3));
  options.retention.entries = 2;
  options.retention.pinned_entries = 2;
  Member one(std::move(options));
  one.elect({2});
  one.acknowledge(2);
  for (int i = 3; i <= 11; ++i) {
    one.propose("x");
    one.persist();
    one.acknowledge(2);
  }
  one.step(AppliedTo{Index(11)});
  EXPECT_EQ(one.core().first_kept(), Index(10));
  return one;
}

TEST(Snapshot, WhoNeedsForgottenEntriesIsOfferedOne) {  // 5.3
  Member one = leader_of_little();
  one.step(SnapshotTaken{point(11, 2)});
  const auto offers = said<SnapshotOffer>(one.tick_next(), 3);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].snapshot, (LogPosition{.index = Index(11), .term = Term(2)}));
  EXPECT_EQ(one.core().progress(server_id(3))->state, Progress::State::snapshot);
  EXPECT_EQ(said<SnapshotOffer>(one.tick_next(), 3).size(), 1U) << "it is the heartbeat too";
}

TEST(Snapshot, OneIsAskedForIfTheNewestIsTooOld) {
  Member one = leader_of_little();
  EXPECT_TRUE(one.tick_next().snapshot_wanted) << "there is none";
  one.step(SnapshotTaken{point(8, 2)});
  const Output out = one.tick_next();
  EXPECT_TRUE(out.snapshot_wanted) << "9 is forgotten";
  EXPECT_EQ(said<AppendRange>(out, 3).size(), 1U) << "it still hears of its leader";
  one.step(SnapshotTaken{point(9, 2)});
  const Output offered = one.tick_next();
  EXPECT_FALSE(offered.snapshot_wanted);
  EXPECT_EQ(said<SnapshotOffer>(offered, 3).size(), 1U);
}

TEST(Snapshot, AfterItTheLogGoesOn) {  // 5.3
  Member one = leader_of_little();
  one.step(SnapshotTaken{point(11, 2)});
  one.tick_next();
  ASSERT_EQ(one.core().progress(server_id(3))->state, Progress::State::snapshot);
  EXPECT_TRUE(said<AppendRange>(one.propose("y"), 3).empty());
  const auto sent = said<AppendRange>(one.acknowledge(3, 11), 3);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].prev.index, Index(11));
  EXPECT_EQ(sent[0].count, 1U);
}

TEST(Snapshot, APeerThatPullsPinsWhatFollows) {  // bounded by the pinned limits
  CoreOptions options = options_of(1, voters_to(3));
  options.retention.entries = 2;
  options.retention.pinned_entries = 20;
  Member one(std::move(options));
  one.elect({2});
  one.acknowledge(2);
  one.acknowledge(3, 2);
  uint64_t last = 2;
  const auto more = [&](int count) {
    for (int i = 0; i < count; ++i) {
      one.propose("x");
      one.persist();
      one.acknowledge(2);
      one.acknowledge(3, 2);
      ++last;
    }
    one.step(AppliedTo{Index(last)});
  };
  more(10);
  EXPECT_EQ(one.core().first_kept(), Index(3)) << "server 3 lags, but answers";
  more(30);
  EXPECT_EQ(one.core().first_kept(), Index(last - 19)) << "and costs no more than that";
}

TEST(Snapshot, WhatFollowsTheOneThatIsPulledStays) {  // or each would be outdated when it arrives
  CoreOptions options = options_of(1, voters_to(3));
  options.retention.entries = 2;
  options.retention.pinned_entries = 100;
  Member one(std::move(options));
  one.elect({2});
  one.acknowledge(2);
  uint64_t last = 2;
  const auto more = [&](int count, bool answers) {
    for (int i = 0; i < count; ++i) {
      one.propose("x");
      one.persist();
      one.acknowledge(2);
      // Nothing but that it lives.
      if (answers) one.hear(3, AppendReply{.term = Term(2), .accepted = true});
      ++last;
    }
    one.step(AppliedTo{Index(last)});
  };
  more(10, false);
  EXPECT_EQ(one.core().first_kept(), Index(last - 1)) << "who does not answer pins nothing";
  one.step(SnapshotTaken{point(last, 2)});
  one.tick_next();
  ASSERT_EQ(one.core().progress(server_id(3))->state, Progress::State::snapshot);
  const uint64_t pulled = last;
  more(20, true);
  one.step(SnapshotTaken{point(last, 2)});
  one.tick_next();
  EXPECT_EQ(one.core().progress(server_id(3))->offered, Index(pulled));
  more(20, true);
  EXPECT_EQ(one.core().first_kept(), Index(pulled + 1));
}

TEST(Snapshot, ALateRejectionDoesNotEndTheOffer) {
  Member one = leader_of_little();
  one.hear(3, AppendReply{.term = Term(2), .accepted = true});
  one.step(SnapshotTaken{point(11, 2)});
  one.tick_next();
  one.propose("x");
  one.persist();
  one.acknowledge(2);
  one.step(AppliedTo{Index(12)});
  one.step(SnapshotTaken{point(12, 2)});
  one.hear(3, AppendReply{.term = Term(2),
                          .match = Index(1),
                          .agreed = Index(1),
                          .rejected = Index(2),
                          .hint = {.index = Index(1), .term = Term(1)}});
  EXPECT_EQ(one.core().progress(server_id(3))->state, Progress::State::snapshot);
  EXPECT_EQ(one.core().progress(server_id(3))->offered, Index(11));
}

TEST(Snapshot, WhoseLogDivergedBelowWhatIsKeptIsOfferedOne) {  // 3.5, 5.3
  Member one = leader_of_little();
  one.step(SnapshotTaken{point(11, 2)});
  one.acknowledge(3, 11);
  one.hear(3,
           AppendReply{.term = Term(2),
                       .match = Index(1),
                       .agreed = Index(1),
                       .rejected = Index(11),
                       .hint = {.index = Index(10), .term = Term(1)}},
           2);
  EXPECT_EQ(one.core().progress(server_id(3))->state, Progress::State::snapshot);
}

TEST(Snapshot, TheNewestIsOffered) {
  Member one = leader_of_little();
  one.step(SnapshotTaken{point(11, 2)});
  one.step(SnapshotTaken{point(10, 2)});
  EXPECT_EQ(said<SnapshotOffer>(one.tick_next(), 3).at(0).snapshot.index, Index(11));
}

TEST(Snapshot, WhatIsNotAppliedIsKept) {
  CoreOptions options = options_of(1, voters_to(3));
  options.retention = {.entries = 2, .pinned_entries = 2};
  Member one(std::move(options));
  one.elect({2});
  one.acknowledge(2);
  for (int i = 3; i <= 11; ++i) {
    one.propose("x");
    one.persist();
    one.acknowledge(2);
  }
  one.step(AppliedTo{Index(5)});
  ASSERT_EQ(one.core().commit(), Index(11));
  EXPECT_EQ(one.core().first_kept(), Index(6));
}

TEST(Snapshot, WithoutAPeerLittleIsKept) {
  for (const bool standby : {false, true}) {
    Member one(options_of(1, voters_to(1)));
    one.elect({});
    if (standby) one.step(SetStandbys{{server_id(2)}});
    for (int i = 0; i < 8; ++i) {
      one.propose(std::string(kMiB / 4, 'x'));
      one.persist();
    }
    one.step(AppliedTo{one.core().commit()});
    const Index last = one.core().last_index();
    EXPECT_EQ(last - one.core().first_kept() + 1, standby ? last.value() : 3U) << standby;
  }
}

// --- The receiver

Member follower(const std::vector<uint64_t>& terms = {}) {
  return Member(options_of(3, voters_to(3), terms));
}

SnapshotOffer offer_of(uint64_t index, uint64_t term, uint64_t leader_term) {
  return {.head = head_of(leader_term, index),
          .snapshot = {.index = Index(index), .term = Term(term)}};
}

TEST(Snapshot, IsFetchedOnlyIfTheLogDoesNotHoldIt) {  // 5.3, 3.6.3
  Member three = follower({1, 2});
  SnapshotOffer held = offer_of(3, 2, 2);
  held.head.commit = Index();
  EXPECT_FALSE(three.hear(1, held).fetch_snapshot);
  EXPECT_EQ(three.core().commit(), Index(3)) << "a snapshot is of what is committed";
  const Output out = three.hear(1, offer_of(9, 2, 2));
  ASSERT_TRUE(out.fetch_snapshot);
  EXPECT_EQ(out.fetch_snapshot->from, server_id(1));
  EXPECT_EQ(out.fetch_snapshot->point.index, Index(9));
  EXPECT_EQ(said<AppendReply>(out, 1).size(), 1U) << "the leader hears that it lives";
}

TEST(Snapshot, OneThatDoesNotMatchDiscardsTheWholeLog) {  // 5.3
  Member three = follower({1, 1, 1, 1});
  three.hear(1, offer_of(4, 2, 2));
  const Output out = three.step(SnapshotInstalled{point(4, 2)});
  ASSERT_TRUE(out.reset_log);
  EXPECT_EQ(out.reset_log->index, Index(4));
  EXPECT_EQ(three.core().last_index(), Index(4));
  EXPECT_EQ(three.core().last_term(), Term(2));
  EXPECT_EQ(three.core().commit(), Index(4));
  EXPECT_EQ(three.core().first_kept(), Index(5));
  EXPECT_EQ(three.core().durable(), Index(1)) << "only what is the same in both, so far";
  const auto replies = said<AppendReply>(three.persist(), 1);
  EXPECT_EQ(replies.back().match, Index(4));
}

TEST(Snapshot, OneThatTheLogHoldsLeavesWhatFollows) {  // 5.3
  Member three = follower({1, 1, 1, 1});
  const Output out = three.step(SnapshotInstalled{point(3, 1)});
  EXPECT_FALSE(out.reset_log);
  EXPECT_EQ(three.core().last_index(), Index(5));
  EXPECT_EQ(three.core().commit(), Index(3));
  EXPECT_EQ(three.core().applied(), Index(3));
}

TEST(Snapshot, ABatchThatItOvertookDoesNotCount) {  // the disk still reports it
  Member three = follower({1});
  const Output batch = three.hear(1, append_after(2, 1, 2, {2, 2, 2}));
  three.step(SnapshotInstalled{point(9, 2)});
  three.step(Persisted{batch.persist_sequence});
  EXPECT_EQ(three.core().durable(), Index(1));
  three.persist();
  EXPECT_EQ(three.core().durable(), Index(9));
}

TEST(Snapshot, AnOldOneChangesNothing) {
  Member three = follower({1, 1});
  three.hear(1, append_after(3, 1, 1, {}, 3));
  EXPECT_FALSE(three.core().wants_snapshot({.index = Index(2), .term = Term(1)}));
  EXPECT_TRUE(three.core().wants_snapshot({.index = Index(4), .term = Term(1)}));
}

TEST(Snapshot, CarriesTheConfiguration) {  // 4.1
  CoreOptions standby;
  standby.self = server_id(4);
  Member four(std::move(standby));
  four.hear(1, offer_of(9, 2, 2));
  SnapshotPoint with_us = point(9, 2);
  with_us.configuration = voters_to(4);
  four.step(SnapshotInstalled{with_us});
  EXPECT_EQ(four.core().configuration(), voters_to(4));
  EXPECT_EQ(four.core().configuration_index(), Index(9));
}

TEST(Snapshot, OfALaterTermThanTheHardStateIsTakenAtStart) {  // stopped between the two syncs
  CoreOptions options = options_of(3, voters_to(3));
  options.entries.clear();
  options.hard_state = {.term = Term(2), .vote = server_id(1), .commit = Index(9)};
  options.last_index = Index(9);
  options.last_term = Term(4);
  options.applied = Index(9);
  Member three(std::move(options));
  EXPECT_EQ(three.core().term(), Term(4));
  const Output out = three.tick();
  ASSERT_TRUE(out.hard_state);
  EXPECT_EQ(out.hard_state->term, Term(4));
  EXPECT_TRUE(out.hard_state->vote.none()) << "it has promised nothing in it";
}

TEST(Snapshot, OneThatIsOlderThanWhatWasForgottenIsNotWanted) {
  Member three = follower();
  three.hear(1, offer_of(9, 2, 2));
  three.step(SnapshotInstalled{point(9, 2)});
  EXPECT_FALSE(three.core().wants_snapshot({.index = Index(5), .term = Term(1)}));
}

TEST(Snapshot, WhatWasInstalledIsOfferedToOthers) {
  Member three = follower();
  three.hear(1, offer_of(9, 2, 2));
  three.step(SnapshotInstalled{point(9, 2)});
  three.persist();
  three.elect({1});
  three.hear(2, AppendReply{.term = Term(3),
                            .match = Index(),
                            .agreed = Index(),
                            .rejected = Index(9),
                            .hint = {.index = Index(1), .term = Term(1)}});
  EXPECT_EQ(said<SnapshotOffer>(three.tick_next(), 2).at(0).snapshot.index, Index(9));
}

TEST(Snapshot, ItsTermIsTaken) {  // it may come from a server that is ahead of our leader
  Member three = follower();
  const Output out = three.step(SnapshotInstalled{point(9, 7)});
  EXPECT_EQ(three.core().term(), Term(7));
  ASSERT_TRUE(out.hard_state);
  EXPECT_EQ(out.hard_state->term, Term(7));
}

TEST(Snapshot, WhoInstallsOneStopsStanding) {  // its log was too old
  Member three = follower();
  three.wait(kElectionTimeoutMaxUs);
  three.tick();
  ASSERT_EQ(three.core().role(), Role::candidate);
  three.step(SnapshotInstalled{point(9, 1)});
  EXPECT_EQ(three.core().role(), Role::follower);
}

// 70,000 entries at once would hold the loop for more than a turn.
TEST(Snapshot, ALoneServerForgetsTheLogThatItFoundAPartAtATime) {
  constexpr uint64_t kParts = 3;
  constexpr size_t kKept = 10;
  CoreOptions options =
      options_of(1, voters_to(1), std::vector<uint64_t>(kParts * kForgottenAtOnce, 1));
  options.applied = options.last_index;
  options.retention.entries = kKept;
  Member one(std::move(options));
  one.tick();
  one.persist();
  ASSERT_EQ(one.core().role(), Role::leader);
  one.persist();  // its noop is committed
  uint64_t steps = 0;
  for (Index first = one.core().first_kept();; ++steps) {
    const Index applied = one.core().last_index();
    one.step(AppliedTo{applied});
    const Index now = one.core().first_kept();
    ASSERT_LE(now - first, kForgottenAtOnce);
    first = now;
    if (applied - now < kKept) break;
    ASSERT_LT(steps, 2 * kParts);
  }
  EXPECT_GE(steps + 1, kParts);
}

}  // namespace
}  // namespace doozer::raft
