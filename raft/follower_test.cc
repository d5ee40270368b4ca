// What a follower takes, cuts, acknowledges: dissertation 3.3, 3.5, 3.8. One test a rule.
#include <gtest/gtest.h>

#include "base/limits.h"
#include "raft/limits.h"
#include "raft/testing/member.h"

namespace doozer::raft {
namespace {

TEST(Follower, ProposalsAreRefused) {
  Member three(options_of(3, voters_to(3)));
  const Output out = three.propose("a");
  EXPECT_TRUE(out.refused);
  EXPECT_EQ(out.reason.code, Code::read_only);
  EXPECT_EQ(out.accepted_first, Index(0));
}

struct Taking {
  const char* what;
  std::vector<uint64_t> log;  ///< terms of entries 2 ..
  Append append;
  bool accepted;
  std::vector<uint64_t> after;
};

TEST(Follower, TakesWhatAgreesAndCutsWhatDoesNot) {  // 3.5, figure 3.6
  const Taking cases[] = {
      {"the next one", {1}, append_after(2, 1, 3, {3}), true, {1, 3}},
      {"a gap", {1}, append_after(3, 1, 3, {3}), false, {1}},
      {"another term before", {2}, append_after(2, 1, 3, {3}), false, {2}},
      {"what it has", {1, 2}, append_after(1, 1, 3, {1, 2}), true, {1, 2}},
      {"less than it has", {1, 2, 2}, append_after(1, 1, 3, {1}), true, {1, 2, 2}},
      {"nothing", {1, 2, 2}, append_after(2, 1, 3, {}), true, {1, 2, 2}},
      {"a conflict", {1, 2, 2}, append_after(1, 1, 3, {1, 3}), true, {1, 3}},
      {"a conflict in between", {1, 2, 2, 2}, append_after(2, 1, 3, {2, 3, 3}), true, {1, 2, 3, 3}},
      {"from the very start", {}, append_after(0, 0, 3, {}), true, {}},
  };
  for (const Taking& c : cases) {
    Member three(options_of(3, voters_to(3), c.log));
    const Output out = three.hear(1, c.append);
    const Output later = three.persist();
    std::vector<AppendReply> replies = said<AppendReply>(out, 1);
    for (const AppendReply& reply : said<AppendReply>(later, 1)) replies.push_back(reply);
    ASSERT_FALSE(replies.empty()) << c.what;
    EXPECT_EQ(replies.back().accepted, c.accepted) << c.what;
    std::vector<uint64_t> terms;
    for (Index i(2); i <= three.core().last_index(); ++i) {
      terms.push_back(three.core().entry(i).term.value());
    }
    EXPECT_EQ(terms, c.after) << c.what;
  }
}

TEST(Follower, AcknowledgesWhatIsDurableAndNoMore) {  // 3.8
  Member three(options_of(3, voters_to(3)));
  three.hear(1, append_after(1, 1, 1, {}));
  const Output out = three.hear(1, append_after(1, 1, 1, {1, 1}));
  EXPECT_TRUE(out.sends.empty());
  EXPECT_EQ(out.append_first, Index(2));
  EXPECT_EQ(out.append_last, Index(3));
  Append heartbeat = append_after(3, 1, 1, {});
  heartbeat.head.round = 2;
  const AppendReply early = said<AppendReply>(three.hear(1, heartbeat), 1).at(0);
  EXPECT_EQ(early.match, Index(1));
  EXPECT_EQ(early.agreed, Index(3));
  EXPECT_EQ(early.round, 2U) << "a round needs no disk";
  EXPECT_EQ(said<AppendReply>(three.persist(), 1).at(0).match, Index(3));
}

TEST(Follower, AnAnswerOfANewTermWaitsForTheTermToBeDurable) {  // 3.3, 3.8
  Member three(options_of(3, voters_to(3)));
  EXPECT_TRUE(three.hear(1, append_after(1, 1, 4, {})).sends.empty());
  const auto replies = said<AppendReply>(three.persist(), 1);
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_EQ(replies[0].term, Term(4));
}

TEST(Follower, AcknowledgesOnlyWhatIsTheLeaders) {  // 3.5: what follows may still be cut
  Member three(options_of(3, voters_to(3), {1, 1, 1}));
  Append append = append_after(2, 1, 3, {});
  three.hear(1, append);
  const AppendReply reply = said<AppendReply>(three.persist(), 1).at(0);
  EXPECT_EQ(reply.match, Index(2)) << "3 and 4 are durable, but maybe not the leader's";
}

TEST(Follower, CommitsNoFurtherThanWhatIsTheLeaders) {  // 3.5
  Member three(options_of(3, voters_to(3), {1, 1, 1}));
  EXPECT_EQ(three.hear(1, append_after(2, 1, 3, {}, 4)).apply_to, Index(2));
  EXPECT_EQ(three.hear(1, append_after(2, 1, 3, {3}, 3)).apply_to, Index(3));
}

TEST(Follower, WhatWasCutIsNoLongerDurable) {  // the disk still reports the batch that held it
  Member three(options_of(3, voters_to(3), {1}));
  const Output old = three.hear(1, append_after(2, 1, 2, {2, 2}));  // 3, 4 on their way
  const Output cut = three.hear(2, append_after(2, 1, 3, {3}));     // 3 again
  EXPECT_EQ(cut.truncate_from, Index(3));
  EXPECT_EQ(cut.append_first, Index(3));
  three.step(Persisted{old.persist_sequence});
  EXPECT_EQ(three.core().durable(), Index(2));
  three.step(Persisted{cut.persist_sequence});
  EXPECT_EQ(three.core().durable(), Index(3));
}

TEST(Follower, StoredCommitNeverPassesTheDurableLog) {
  Member three(options_of(3, voters_to(3)));
  const Output out = three.hear(1, append_after(1, 1, 2, {2, 2}, 3));
  EXPECT_EQ(out.apply_to, Index(3)) << "a majority has it";
  ASSERT_TRUE(out.hard_state);
  EXPECT_EQ(out.hard_state->commit, Index(1));
  three.persist();
  EXPECT_EQ(three.hear(1, append_after(3, 2, 2, {2}, 3)).hard_state->commit, Index(3));
}

TEST(Follower, ADoubledAppendIsAnsweredAgain) {  // its first answer may be lost
  Member three(options_of(3, voters_to(3)));
  const Append append = append_after(1, 1, 1, {1});
  three.hear(1, append);
  three.persist();
  const Output out = three.hear(1, append);
  EXPECT_FALSE(out.hard_state);
  EXPECT_EQ(said<AppendReply>(out, 1).at(0).match, Index(2));
}

TEST(Follower, AContradictionOfWhatIsCommittedStopsTheServer) {  // 3.6.3
  Member three(options_of(3, voters_to(3), {1, 1}));
  three.hear(1, append_after(3, 1, 1, {}, 3));
  EXPECT_TRUE(three.hear(1, append_after(2, 1, 2, {2})).fatal);
  EXPECT_EQ(three.core().last_index(), Index(3)) << "nothing is cut";
  EXPECT_TRUE(three.hear(1, append_after(2, 2, 3, {})).fatal);
}

TEST(Follower, WhoseDiskWasRolledBackStops) {
  for (const bool doubtful : {false, true}) {
    CoreOptions options = options_of(3, voters_to(3), {1, 1});
    if (doubtful) {
      options.trust = LogTrust::doubtful;
      options.doubtful_to = Index(9);
    }
    Member three(options);
    Append heartbeat = append_after(3, 1, 1, {});
    heartbeat.head.acknowledged = Index(3);
    EXPECT_FALSE(three.hear(1, heartbeat).fatal);
    heartbeat.head.acknowledged = Index(4);
    const Output out = three.hear(1, heartbeat);
    EXPECT_EQ(out.fatal.has_value(), !doubtful) << "a log in doubt knows why";
    EXPECT_EQ(out.rolled_back, !doubtful);
    if (out.fatal) {
      EXPECT_EQ(said<AppendReply>(out, 1).size(), 0U);
    }
  }
}

TEST(Follower, TakesNoMoreThanItCanHoldUnapplied) {
  Member three(options_of(3, voters_to(3)));
  uint64_t last = 1;
  for (int i = 0; i < 300; ++i) {
    Append append = append_after(last, 1, 1, {1});
    append.entries[0].payload.assign(kMiB, 'x');
    three.hear(1, std::move(append));
    three.persist();
    last = three.core().last_index().value();
  }
  EXPECT_LE(last * kMiB, kUnappliedBytesMax + 2 * kMiB);
  three.hear(1, append_after(last, 1, 1, {}, last));
  three.step(AppliedTo{Index(last)});
  three.hear(1, append_after(last, 1, 1, {1}));
  EXPECT_EQ(three.core().last_index(), Index(last + 1)) << "and goes on";
}

TEST(Follower, AHangingDiskDoesNotMakeItsAnswersPileUp) {
  Member three(options_of(3, voters_to(3)));
  for (uint64_t round = 1; round < 1'000; ++round) {
    Append heartbeat = append_after(1, 1, 9, {});
    heartbeat.head.round = round;
    EXPECT_TRUE(three.hear(1, heartbeat).sends.empty());
  }
  const Output out = three.persist();
  ASSERT_EQ(out.sends.size(), 1U);
  EXPECT_EQ(said<AppendReply>(out, 1).at(0).round, 999U);
}

TEST(Follower, TakesTheFrontOfWhatIsTooMuchAndSaysSo) {
  CoreOptions options = options_of(3, voters_to(3));
  options.retention.unapplied_bytes = 2 * kEntryOverheadBytes;
  Member three(std::move(options));
  three.hear(1, append_after(1, 1, 1, {1, 1, 1, 1, 1}));
  EXPECT_EQ(three.core().last_index(), Index(3));
  const AppendReply reply = said<AppendReply>(three.persist(), 1).at(0);
  EXPECT_EQ(reply.agreed, Index(3));
  EXPECT_EQ(reply.match, Index(3));
}

TEST(Follower, AnswersTheNewestRoundThatItHeard) {  // 6.4: heartbeats come in any order
  Member three(options_of(3, voters_to(3)));
  Append append = append_after(1, 1, 1, {1});
  append.head.round = 5;
  three.hear(1, append);
  three.persist();
  append.head.round = 3;
  EXPECT_EQ(said<AppendReply>(three.hear(1, append), 1).at(0).round, 5U);
  EXPECT_EQ(said<AppendReply>(three.hear(1, append), 1).at(0).round, 5U);
}

}  // namespace
}  // namespace doozer::raft
