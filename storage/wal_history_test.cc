// Generated histories: many terms, overwritten tails, votes, snapshots with purges, and a process
// that dies at any operation of the disk, in any way, also while it recovers. After each death the
// log must be what the operations up to some point made it, not before the newest point that was
// told to be durable.
#include <gtest/gtest.h>

#include "base/probe.h"
#include "base/rng.h"
#include "storage/storage_fixture.h"

namespace doozer::storage {
namespace {

struct ModelState {
  std::vector<raft::Entry> entries;  ///< from index 1
  raft::HardState hard_state;
};

class History {
 public:
  explicit History(uint64_t seed)
      : rng_(seed),
        disk_({.seed = seed}),
        options_{.segment_bytes = seed % 3 == 0 ? 256 * kKiB : kSegmentBytesMin,
                 .disk_reserve_bytes = 64 * kKiB} {}

  void run(int lives) {
    {
      Process process(disk_, options_);
      ASSERT_TRUE(process.create());
    }
    ModelState first;
    first.entries.push_back({.index = Index(1),
                             .term = Term(1),
                             .kind = raft::EntryKind::configuration,
                             .payload = raft::encode_configuration(kTestConfiguration)});
    first.hard_state.term = Term(1);
    states_ = {first};
    for (int life = 0; life < lives && !testing::Test::HasFatalFailure(); ++life) {
      live(life);
      states_.erase(states_.begin(), states_.begin() + static_cast<ptrdiff_t>(durable_));
      durable_ = 0;
    }
  }

 private:
  ModelState& now() { return states_.back(); }
  Index last() const { return Index(states_.back().entries.size()); }
  void plan_crash(uint64_t within) {
    const sim::CrashKind kind = sim::kCrashKinds[rng_.below(std::size(sim::kCrashKinds))];
    const sim::Moment moment = sim::kMoments[rng_.below(std::size(sim::kMoments))];
    disk_.crash_at(disk_.operations() + 1 + rng_.below(within), kind, moment);
  }

  /// Opens, perhaps dying several times on the way, and compares.
  std::unique_ptr<Process> be_born() {
    while (true) {
      auto process = std::make_unique<Process>(disk_, options_);
      if (rng_.below(3) == 0) plan_crash(12);
      const auto opened = process->open();
      disk_.clear_plans();
      if (opened) return process;
      EXPECT_TRUE(disk_.crashed()) << opened.error().message;
      if (!disk_.crashed()) return nullptr;
      process.reset();
      disk_.restart();
    }
  }

  void check(Process& process) {
    const Recovered& recovered = process.recovered();
    const auto entries = process.entries();
    ASSERT_TRUE(entries) << entries.error().message;
    for (size_t at = states_.size(); at-- > durable_;) {
      if (!same(states_[at], recovered, *entries)) continue;
      states_.resize(at + 1);
      now().hard_state = recovered.hard_state;
      return;
    }
    FAIL() << "log of " << recovered.first_index.value() << " to " << recovered.last_index.value()
           << " term " << recovered.hard_state.term.value() << " is none of the "
           << states_.size() - durable_ << " that may be";
  }

  static bool same(const ModelState& state, const Recovered& recovered,
                   const std::vector<raft::Entry>& entries) {
    if (recovered.last_index.value() != state.entries.size()) return false;
    const auto skipped = static_cast<size_t>(recovered.first_index.value() - 1);
    if (entries.size() + skipped != state.entries.size()) return false;
    if (!std::equal(entries.begin(), entries.end(),
                    state.entries.begin() + static_cast<ptrdiff_t>(skipped))) {
      return false;
    }
    const Term last_term = state.entries.back().term;
    if (recovered.last_term != last_term) return false;
    raft::HardState expected = state.hard_state;
    if (expected.term < last_term) expected = {last_term, {}, expected.commit};
    return recovered.hard_state == expected;
  }

  void live(int life) {
    SCOPED_TRACE("life " + std::to_string(life));
    const auto process = be_born();
    ASSERT_NE(process, nullptr);
    check(*process);
    if (testing::Test::HasFatalFailure()) return;
    states_ = {now()};
    durable_ = 0;
    if (rng_.below(4) != 0) plan_crash(60);
    const size_t steps = 5 + rng_.below(60);
    for (size_t i = 0; i < steps && !disk_.crashed(); ++i) step(*process);
    disk_.clear_plans();
    if (!disk_.crashed()) disk_.crash(sim::kCrashKinds[rng_.below(std::size(sim::kCrashKinds))]);
    disk_.restart();
  }

  void step(Process& process) {
    Storage& storage = process.storage();
    switch (rng_.below(8)) {
      case 0:
        if (last() > now().hard_state.commit + 1) overwrite_tail(storage);
        break;
      case 1: {
        states_.push_back(now());
        raft::HardState& state = now().hard_state;
        state.vote = rng_.below(2) == 0 ? Identity() : test_identity(static_cast<uint8_t>(i_++));
        storage.set_hard_state(state);
        break;
      }
      case 2: {
        states_.push_back(now());
        raft::HardState& state = now().hard_state;
        state.commit = Index(std::max(state.commit.value(), states_[durable_].entries.size()));
        state.commit = std::min(state.commit, last());
        storage.set_hard_state(state);
        break;
      }
      case 3:
        if (rng_.below(4) == 0) take_snapshot(process);
        break;
      case 4: process.run_for(rng_.below(15'000)); break;
      default: append(storage, 1 + rng_.below(4)); break;
    }
    const size_t flushed = states_.size() - 1;
    if (rng_.below(2) == 0 && process.settle()) durable_ = flushed;
  }

  void append(Storage& storage, uint64_t count, Term term = Term(0)) {
    for (uint64_t i = 0; i < count; ++i) {
      raft::Entry entry{.index = last() + 1,
                        .term = std::max({term, now().hard_state.term, now().entries.back().term}),
                        .kind = raft::EntryKind::command,
                        .payload = {}};
      const uint64_t size = rng_.below(10) == 0 ? rng_.below(20'000) : rng_.below(600);
      entry.payload.assign(size, static_cast<char>('a' + i_++ % 26));
      states_.push_back(now());
      now().entries.push_back(entry);
      storage.append(entry);
    }
  }

  void overwrite_tail(Storage& storage) {
    const Index kept = std::max(now().hard_state.commit, Index(1));
    if (last() <= kept) return;
    const uint64_t room = last() - kept - 1;
    const Index from = last() - rng_.below(std::min<uint64_t>(room, 12) + 1);
    ASSERT_GT(from, Index(1));
    const Term term = std::max(now().hard_state.term, now().entries.back().term) + 1;
    const bool state_first = rng_.below(2) == 0;
    if (state_first) new_term(storage, term);
    states_.push_back(now());
    now().entries.resize(static_cast<size_t>(from.value() - 1));
    storage.truncate_from(from);
    append(storage, 1 + rng_.below(3), term);
    if (!state_first) new_term(storage, term);
  }

  void new_term(Storage& storage, Term term) {
    states_.push_back(now());
    now().hard_state.term = term;
    now().hard_state.vote = Identity();
    storage.set_hard_state(now().hard_state);
  }

  void take_snapshot(Process& process) {
    const Index commit = now().hard_state.commit;
    const auto& snapshots = process.storage().snapshots();
    if (commit == Index(0) || (!snapshots.empty() && snapshots.back().point.index >= commit))
      return;
    if (!process.settle()) return;
    durable_ = states_.size() - 1;
    const Term term = now().entries[static_cast<size_t>(commit.value() - 1)].term;
    if (!process.snapshot(Process::header_at(commit, term), {"image"})) return;
    if (rng_.below(2) == 0)
      process.storage().purge(process.storage().snapshots().back().point.index);
  }

  Rng rng_;
  sim::SimDisk disk_;
  const StorageOptions options_;
  std::vector<ModelState> states_;  ///< after each operation since the newest certain one
  size_t durable_ = 0;              ///< told to be durable
  uint64_t i_ = 1;
};

TEST(WalHistory, TheLogIsAlwaysOneThatTheOperationsMade) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History(seed).run(12);
    if (HasFatalFailure()) return;
  }
  for (const char* place :
       {"wal: torn tail in the last segment", "wal: batch torn in its middle",
        "wal: torn tail without a marker", "wal: recovery copied an unsynced tail",
        "wal: torn first batch of a new segment", "wal: idle marker",
        "wal: recovery leaves the synced part of a segment",
        "wal: a batch waits for the next segment", "wal: the writer goes on to the next segment",
        "wal: term taken from the last entry", "wal: a truncation reaches into purged segments"}) {
    EXPECT_GT(Probe::reached(place), 0U) << place;
  }
}

}  // namespace
}  // namespace doozer::storage
