// Crashes at every operation on the disk while a member of a cluster installs another server's
// snapshot, and while it opens, and settles, a damaged directory: what the next start finds is the
// state before or the one after, never a mixture.
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "base/hash.h"
#include "base/probe.h"
#include "sim/disk.h"
#include "storage/storage_fixture.h"

namespace doozer::sim {
namespace {

using storage::Process;
using storage::Recovered;
using storage::SnapshotHeader;
using storage::test_identity;

/// Each operation crashes in each kind at one of the three moments; under sanitizers, in every
/// other kind.
#ifdef DOOZER_DCHECK
constexpr uint64_t kOneOf = 6;
#else
constexpr uint64_t kOneOf = 3;
#endif

const raft::Configuration kThree{
    .voters = {storage::kTestOwner.identity, test_identity(0x2D), test_identity(0x3D)},
    .old_voters = {}};
const std::vector<std::string> kImage = {std::string(20'000, 'i'), std::string(100'000, 'j')};

SnapshotHeader header_at(Index index, Term term) {
  SnapshotHeader header = Process::header_at(index, term);
  header.point.configuration = kThree;
  return header;
}

/// A stopped member: 40 entries of terms 1 to 4 in several segments, a snapshot at 10.
std::unique_ptr<SimDisk> stopped_member() {
  auto disk = std::make_unique<SimDisk>();
  {
    Process process(*disk);
    EXPECT_TRUE(process.create());
    EXPECT_TRUE(process.open());
    for (uint64_t term = 1; term <= 4; ++term) {
      process.set_hard_state(Term(term), std::min(process.last(), Index(12)));
      process.add_entry(raft::EntryKind::configuration, raft::encode_configuration(kThree));
      for (int i = 0; i < 9; ++i) process.add(std::string(5'000, static_cast<char>('a' + i)));
      EXPECT_TRUE(process.settle());
    }
    EXPECT_TRUE(process.snapshot(header_at(Index(10), Term(1)), {"old image"}));
    process.run_for(2 * kIdleMarkerUs);
    EXPECT_EQ(process.last(), Index(41));
  }
  disk->crash(CrashKind::process);
  disk->restart();
  return disk;
}

struct Point {
  uint64_t number = 0;
  CrashKind kind = CrashKind::process;
  Moment moment = Moment::before;
};

std::string to_string(const Point& point) {
  return "crash " + std::string(crash_kind_name(point.kind)) + " " +
         std::string(moment_name(point.moment)) + " operation " + std::to_string(point.number);
}

/// `run` on a clone of `base`, crashed at every operation of it; then `judge` on what survived.
void crash_everywhere(const SimDisk& base, const std::function<void(SimDisk&)>& run,
                      const std::function<void(SimDisk&)>& judge) {
  const auto whole = base.clone(1);
  run(*whole);
  ASSERT_FALSE(whole->crashed());
  ASSERT_GT(whole->operations(), base.operations() + 10);
  for (uint64_t number = base.operations() + 1; number <= whole->operations(); ++number) {
    for (const CrashKind kind : kCrashKinds) {
      for (const Moment moment : kMoments) {
        const uint64_t turn = number + static_cast<uint64_t>(kind) + static_cast<uint64_t>(moment);
        if (turn % kOneOf != 0) continue;
        const Point point{number, kind, moment};
        SCOPED_TRACE(to_string(point));
        const auto disk = base.clone(hash64(to_string(point)));
        disk->crash_at(number, kind, moment);
        run(*disk);
        ASSERT_TRUE(disk->crashed());
        disk->clear_plans();
        disk->restart();
        judge(*disk);
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

/// One start is crashed in at one of its operations; the next one must not notice.
void crash_in_a_start(SimDisk& disk, uint64_t seed) {
  const auto probe = disk.clone(seed);
  {
    Process process(*probe);
    const auto opened = process.open();
    ASSERT_TRUE(opened) << opened.error().message;
  }
  const uint64_t count = probe->operations() - disk.operations();
  disk.crash_at(disk.operations() + 1 + seed % count, kCrashKinds[seed % std::size(kCrashKinds)],
                kMoments[seed / 7 % std::size(kMoments)]);
  {
    Process process(disk);
    EXPECT_FALSE(process.open());
  }
  disk.clear_plans();
  disk.restart();
}

// --- A received snapshot

struct Installation {
  const char* name;
  Index index;
  Term term;
  bool discards;
};
constexpr Installation kInstallations[] = {
    {"beyond the log", Index(300), Term(5), true},
    {"right behind the log", Index(42), Term(4), true},
    {"in the log, of another term", Index(35), Term(5), true},
    {"the log matches", Index(25), Term(3), false},
    {"the last entry matches", Index(41), Term(4), false},
};
const Identity kVote = test_identity(0x77);

/// What a run of the installation got to hear.
struct Heard {
  bool installed = false;
  Index acknowledged;  ///< of what was appended behind it
};

Heard install(SimDisk& disk, const Installation& what) {
  Heard heard;
  Process process(disk);
  if (!process.open()) return heard;
  process.set_hard_state(Term(5), Index(12));
  auto writer = process.storage().write_received_snapshot(header_at(what.index, what.term));
  EXPECT_TRUE(writer);
  for (const std::string& chunk : kImage) {
    process.clock().run_until_done([&] { return (*writer)->ready() || disk.crashed(); });
    if (disk.crashed()) return heard;
    (*writer)->add(chunk);
  }
  std::optional<Result<void>> done;
  (*writer)->finish([&](Result<void> result) { done = std::move(result); });
  process.set_hard_state(Term(6), Index(12), kVote);
  process.flush();
  process.clock().run_until_done([&] { return done.has_value() || disk.crashed(); });
  heard.installed = done.has_value() && done->has_value();
  if (!heard.installed) return heard;
  process.set_last(process.storage().last_index());
  for (int i = 0; i < 4 && process.put(std::string(9'000, 'n')); ++i) {
    heard.acknowledged = process.last();
  }
  if (!disk.crashed()) process.run_for(1'000'000);
  return heard;
}

class InstallTest : public testing::TestWithParam<Installation> {};

/// The log from `first` on as it was in the beginning, then what was appended behind it.
void expect_old_entries(Process& process, const std::vector<raft::Entry>& old, Index kept_to) {
  const auto entries = process.entries();
  ASSERT_TRUE(entries) << entries.error().message;
  for (const raft::Entry& entry : *entries) {
    if (entry.index <= kept_to) {
      ASSERT_EQ(entry, old[entry.index.value() - 1]);
    } else {
      ASSERT_EQ(entry.payload, std::string(9'000, 'n'));
    }
  }
}

TEST_P(InstallTest, ACrashAnywhereLeavesTheOldStateOrTheNew) {
  const Installation& what = GetParam();
  const auto base = stopped_member();
  std::vector<raft::Entry> old;
  {
    const auto copy = base->clone(1);
    Process process(*copy);
    ASSERT_TRUE(process.open());
    old = *process.entries();
    ASSERT_EQ(old.size(), 41U);
  }
  std::set<bool> outcomes;
  Heard heard;
  const auto run = [&](SimDisk& disk) { heard = install(disk, what); };
  const auto judge = [&](SimDisk& disk) {
    const uint64_t seed = disk.operations() * 31 + outcomes.size() + disk.digest() % 1'000;
    if (seed % 3 == 0) crash_in_a_start(disk, seed);
    {
      Process process(disk);
      const auto opened = process.open();
      ASSERT_TRUE(opened) << opened.error().message;
      const Recovered& found = process.recovered();
      ASSERT_FALSE(found.snapshots.empty());
      const bool installed = found.snapshots.back().point.index == what.index;
      outcomes.insert(installed);
      ASSERT_TRUE(installed || !heard.installed) << "it was told to be done";
      ASSERT_NE(found.trust, raft::LogTrust::repairing);
      ASSERT_EQ(found.configuration, kThree);
      ASSERT_GE(found.last_index, heard.acknowledged);
      const Index kept_to = installed && what.discards ? what.index : Index(41);
      if (installed && what.discards) {
        ASSERT_EQ(found.first_index, what.index + 1);
        ASSERT_EQ(found.snapshots.size(), 1U);
      } else {
        ASSERT_EQ(found.first_index, Index(1));
        ASSERT_GE(found.last_index, Index(41));
      }
      ASSERT_NO_FATAL_FAILURE(expect_old_entries(process, old, kept_to));
      if (installed) {
        ASSERT_EQ(found.snapshots.back(), header_at(what.index, what.term));
        ASSERT_GE(found.hard_state.commit, what.index);
        auto reader = process.storage().read_snapshot(what.index);
        ASSERT_TRUE(reader);
        for (const std::string& chunk : kImage) ASSERT_EQ((*reader)->next(), chunk);
      }
      // The states were set in order: 4, 5 without, 6 with another vote; once told, for good.
      ASSERT_GE(found.hard_state.term, Term(heard.acknowledged > Index(0) ? 6 : 4));
      ASSERT_EQ(found.hard_state.vote == kVote, found.hard_state.term == Term(6));
      ASSERT_TRUE(process.put(std::string(9'000, 'n'))) << "it goes on";
    }
    disk.crash(CrashKind::machine_lost);
    disk.restart();
    Process again(disk);
    const auto opened = again.open();
    ASSERT_TRUE(opened) << opened.error().message;
    const auto names = *disk.list("snap");
    for (const std::string& name : names) {
      ASSERT_TRUE(name.ends_with(".snap")) << name << " was left behind";
    }
  };
  crash_everywhere(*base, run, judge);
  EXPECT_EQ(outcomes.size(), 2U) << "both outcomes";
}

INSTANTIATE_TEST_SUITE_P(StorageCrash, InstallTest, testing::ValuesIn(kInstallations),
                         [](const auto& one) { return "Case" + std::to_string(one.index); });

// --- Repairing

struct Damaging {
  const char* name;
  std::function<void(SimDisk&, const std::vector<std::string>&)> happen;
  Index kept;
};

std::vector<std::string> begun_segments(const SimDisk& disk, SimDisk& listed) {
  std::vector<std::string> paths;
  const auto names = *listed.list("log");
  for (const std::string& name : names) {
    const std::string path = "log/" + name;
    if (disk.peek(path)->find_first_not_of('\0') != std::string::npos) paths.push_back(path);
  }
  return paths;
}

class RepairCrashTest : public testing::Test {
 protected:
  void SetUp() override {
    base_ = stopped_member();
    const auto copy = base_->clone(1);
    Process process(*copy);
    ASSERT_TRUE(process.open());
    old_ = *process.entries();
    paths_ = begun_segments(*base_, *base_);
    ASSERT_GE(paths_.size(), 3U);
  }

  void expect_prefix(Process& process, bool with_more) {
    const auto entries = process.entries();
    ASSERT_TRUE(entries) << entries.error().message;
    for (const raft::Entry& entry : *entries) {
      const bool old = entry.index.value() <= old_.size() && entry == old_[entry.index.value() - 1];
      ASSERT_TRUE(old || (with_more && entry.payload == "of the leader"));
    }
  }

  std::unique_ptr<SimDisk> base_;
  std::vector<raft::Entry> old_;
  std::vector<std::string> paths_;
};

TEST_F(RepairCrashTest, ACrashAnywhereInTheStartThatFindsItChangesNothing) {
  const Damaging damagings[] = {
      {"a record", [](auto& disk, auto& paths) { disk.flip_bit(paths[1], 20'000, 3); }, Index()},
      {"a header", [](auto& disk, auto& paths) { disk.flip_bit(paths[2], 100, 3); }, Index()},
      {"a snapshot beyond the rest of the log",
       [](auto& disk, auto& paths) { disk.flip_bit(paths[0], 1'600, 3); }, Index()},
  };
  for (const Damaging& damaging : damagings) {
    SCOPED_TRACE(damaging.name);
    const auto damaged = base_->clone(1);
    damaging.happen(*damaged, paths_);
    Recovered reference;
    {
      const auto copy = damaged->clone(1);
      Process process(*copy);
      const auto opened = process.open();
      ASSERT_TRUE(opened) << opened.error().message;
      reference = process.recovered();
      ASSERT_EQ(reference.trust, raft::LogTrust::repairing);
    }
    const auto run = [](SimDisk& disk) {
      Process process(disk);
      (void)process.open();
    };
    const auto judge = [&](SimDisk& disk) {
      Process process(disk);
      const auto opened = process.open();
      ASSERT_TRUE(opened) << opened.error().message;
      const Recovered& found = process.recovered();
      ASSERT_EQ(found.trust, raft::LogTrust::repairing);
      ASSERT_EQ(found.repair, reference.repair);
      ASSERT_EQ(found.first_index, reference.first_index);
      ASSERT_EQ(found.last_index, reference.last_index);
      ASSERT_EQ(found.doubtful_to, reference.doubtful_to);
      ASSERT_EQ(found.hard_state, reference.hard_state);
      ASSERT_EQ(found.configurations, reference.configurations);
      ASSERT_NO_FATAL_FAILURE(expect_prefix(process, false));
      size_t aside = 0;
      const auto names = *disk.list("log");
      for (const std::string& name : names) aside += name.ends_with(".damaged") ? 1 : 0;
      ASSERT_GE(aside, 1U) << "the evidence is gone";
    };
    crash_everywhere(*damaged, run, judge);
    if (HasFatalFailure()) return;
  }
}

TEST_F(RepairCrashTest, ACrashAnywhereInItsSettlementLeavesItUnsettledOrMadeUpFor) {
  const auto damaged = base_->clone(1);
  damaged->flip_bit(paths_[1], 20'000, 3);
  {
    Process process(*damaged);
    ASSERT_TRUE(process.open());
  }
  damaged->crash(CrashKind::process);
  damaged->restart();
  std::set<raft::LogTrust> outcomes;
  const auto run = [](SimDisk& disk) {
    Process process(disk);
    if (!process.open()) return;
    process.add("of the leader");
    process.storage().settle_doubt();
    if (process.settle()) process.run_for(1'000'000);
  };
  const auto judge = [&](SimDisk& disk) {
    Process process(disk);
    const auto opened = process.open();
    ASSERT_TRUE(opened) << opened.error().message;
    const Recovered& found = process.recovered();
    outcomes.insert(found.trust);
    const auto entries = process.entries();
    ASSERT_TRUE(entries);
    ASSERT_NO_FATAL_FAILURE(expect_prefix(process, true));
    if (found.trust != raft::LogTrust::repairing) {
      ASSERT_EQ(entries->back().payload, "of the leader") << "settled, and not made up for";
      const auto names = *disk.list("log");
      for (const std::string& name : names) ASSERT_FALSE(name.ends_with(".damaged"));
    }
  };
  crash_everywhere(*damaged, run, judge);
  EXPECT_TRUE(outcomes.contains(raft::LogTrust::repairing));
  EXPECT_TRUE(outcomes.contains(raft::LogTrust::sound));
}

}  // namespace
}  // namespace doozer::sim
