#include "raft/core.h"

#include <gtest/gtest.h>

namespace doozer::raft {
namespace {

Identity id(uint8_t n) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes[0] = n;
  return Identity(bytes);
}

CoreOptions fresh() {
  return {.self = id(1),
          .configuration = {.voters = {id(1)}, .old_voters = {}},
          .hard_state = {.term = Term(1), .vote = Identity(), .commit = Index(1)},
          .last_index = Index(1),
          .last_term = Term(1),
          .applied = Index(1)};
}

Output tick(Core& core) { return core.step({.now_us = 0, .event = Tick{}}); }
Output persisted(Core& core, uint64_t sequence) {
  return core.step({.now_us = 0, .event = Persisted{sequence}});
}
Output propose(Core& core, const std::vector<std::string>& payloads) {
  Propose batch;
  for (const std::string& payload : payloads) {
    batch.proposals.push_back({.kind = EntryKind::command, .payload = payload});
  }
  return core.step({.now_us = 0, .event = std::move(batch)});
}

// Elects the core and commits its noop, which is entry 2.
Core leader() {
  Core core = Core::make(fresh()).value();
  persisted(core, tick(core).persist_sequence);
  persisted(core, 2);
  return core;
}

TEST(Core, TermAndVoteAreDurableBeforeItLeads) {  // dissertation 3.4
  Core core = Core::make(fresh()).value();
  const Output asked = tick(core);
  ASSERT_TRUE(asked.hard_state);
  EXPECT_EQ(asked.hard_state->term, Term(2));
  EXPECT_EQ(asked.hard_state->vote, id(1));
  EXPECT_EQ(core.role(), Role::candidate);
  EXPECT_TRUE(propose(core, {"early"}).refused);
  const Output won = persisted(core, asked.persist_sequence);
  EXPECT_EQ(core.role(), Role::leader);
  EXPECT_EQ(won.append_first, Index(2));
  EXPECT_EQ(core.entry(Index(2)).kind, EntryKind::noop);
  EXPECT_EQ(core.entry(Index(2)).term, Term(2));
  EXPECT_EQ(won.apply_to, Index(1)) << "nothing of its own is committed yet";
}

TEST(Core, AnEntryIsCommittedOnlyByItsOwnSync) {
  Core core = leader();
  const Output out = propose(core, {"a", "b"});
  EXPECT_EQ(out.accepted_first, Index(3));
  EXPECT_EQ(out.append_last, Index(4));
  EXPECT_EQ(out.apply_to, Index(2));
  const Output later = propose(core, {"c"});
  EXPECT_EQ(persisted(core, out.persist_sequence).apply_to, Index(4));
  EXPECT_EQ(persisted(core, later.persist_sequence).apply_to, Index(5));
  EXPECT_EQ(core.entry(Index(5)).payload, "c");
}

TEST(Core, StoredCommitNeverPassesTheDurableLog) {
  Core core = leader();
  const Output one = propose(core, {"a"});
  EXPECT_EQ(one.hard_state->commit, Index(2));
  const Output two = propose(core, {"b"});
  EXPECT_EQ(two.hard_state->commit, Index(2));
  persisted(core, two.persist_sequence);
  EXPECT_EQ(propose(core, {"c"}).hard_state->commit, Index(4));
}

TEST(Core, NoReadIsAnsweredBeforeAnEntryOfItsTermCommitted) {  // dissertation 6.4
  Core core = Core::make(fresh()).value();
  EXPECT_TRUE(core.step({.now_us = 0, .event = ReadIndex{7}}).reads.empty());
  const Output won = persisted(core, tick(core).persist_sequence);
  EXPECT_TRUE(core.step({.now_us = 0, .event = ReadIndex{8}}).reads.empty());
  const Output out = persisted(core, won.persist_sequence);
  ASSERT_EQ(out.reads.size(), 2U);
  EXPECT_EQ(out.reads[0].ticket, 7U);
  EXPECT_EQ(out.reads[1].index, Index(2));
  EXPECT_EQ(core.step({.now_us = 0, .event = ReadIndex{9}}).reads.at(0).index, Index(2));
}

TEST(Core, AppliedEntriesAreForgotten) {
  Core core = leader();
  const Output out = propose(core, {"a", "b"});
  persisted(core, out.persist_sequence);
  core.step({.now_us = 0, .event = AppliedTo{Index(3)}});
  EXPECT_EQ(core.entry(Index(4)).payload, "b");
  EXPECT_DEATH(core.entry(Index(3)), "CHECK failed");
}

TEST(Core, AConfigurationOfOthersIsRefused) {
  CoreOptions options = fresh();
  options.configuration.voters = {id(1), id(2)};
  EXPECT_EQ(Core::make(options).error().code, Code::unsupported);
  options.configuration.voters = {id(2)};
  EXPECT_EQ(Core::make(options).error().code, Code::unsupported);
}

TEST(Core, ARestartCommitsWhatTheLogHolds) {
  CoreOptions options = fresh();
  options.hard_state = {.term = Term(5), .vote = id(1), .commit = Index(3)};
  options.last_index = Index(9);
  options.last_term = Term(5);
  options.applied = Index(9);
  Core core = Core::make(options).value();
  const Output asked = tick(core);
  EXPECT_EQ(asked.hard_state->term, Term(6));
  const Output won = persisted(core, asked.persist_sequence);
  EXPECT_EQ(won.append_first, Index(10));
  EXPECT_EQ(persisted(core, won.persist_sequence).apply_to, Index(10));
}

}  // namespace
}  // namespace doozer::raft
