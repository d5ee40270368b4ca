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
  CoreOptions options;
  options.self = id(1);
  options.configurations = {
      {.index = Index(1), .configuration = {.voters = {id(1)}, .old_voters = {}}}};
  options.hard_state = {.term = Term(1), .vote = Identity(), .commit = Index(1)};
  options.last_index = Index(1);
  options.last_term = Term(1);
  options.applied = Index(1);
  return options;
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
  Core core = Core::make(fresh());
  persisted(core, tick(core).persist_sequence);
  persisted(core, 2);
  return core;
}

TEST(Core, TermAndVoteAreDurableBeforeItLeads) {  // dissertation 3.4
  Core core = Core::make(fresh());
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
  Core core = Core::make(fresh());
  EXPECT_TRUE(core.step({.now_us = 0, .event = ReadIndex{7}}).reads.empty());
  const Output won = persisted(core, tick(core).persist_sequence);
  EXPECT_TRUE(core.step({.now_us = 0, .event = ReadIndex{8}}).reads.empty());
  const Output out = persisted(core, won.persist_sequence);
  ASSERT_EQ(out.reads.size(), 2U);
  EXPECT_EQ(out.reads[0].ticket, 7U);
  EXPECT_EQ(out.reads[1].index, Index(2));
  EXPECT_EQ(core.step({.now_us = 0, .event = ReadIndex{9}}).reads.at(0).index, Index(2));
}

TEST(Core, AppliedEntriesAreForgottenBeyondWhatSlowPeersMayNeed) {
  Core core = leader();
  core.step({.now_us = 0, .event = SetStandbys{{id(2)}}});
  const std::string large(1U << 20U, 'x');
  for (int i = 0; i < 20; ++i) {
    const Output out = propose(core, {large});
    persisted(core, out.persist_sequence);
    EXPECT_EQ(core.first_kept(), Index(2)) << "nothing is applied yet";
  }
  core.step({.now_us = 2'000'000, .event = AppliedTo{Index(21)}});  // the peer never answered
  EXPECT_EQ(core.first_kept(), Index(8)) << "15 of them fit into 16 MiB";
  EXPECT_EQ(core.entry(Index(22)).payload, large);
  EXPECT_DEATH(core.entry(Index(7)), "CHECK failed");
}

TEST(Core, ARestartCommitsWhatTheLogHolds) {
  CoreOptions options = fresh();
  options.hard_state = {.term = Term(5), .vote = id(1), .commit = Index(3)};
  options.last_index = Index(9);
  options.last_term = Term(5);
  options.applied = Index(9);
  Core core = Core::make(options);
  const Output asked = tick(core);
  EXPECT_EQ(asked.hard_state->term, Term(6));
  const Output won = persisted(core, asked.persist_sequence);
  EXPECT_EQ(won.append_first, Index(10));
  EXPECT_EQ(persisted(core, won.persist_sequence).apply_to, Index(10));
}

}  // namespace
}  // namespace doozer::raft
