// The storage keeps its promises through a crash at every operation on the disk: of each kind, at
// each moment, in the recovery from the crash before too. sim/storage_harness.h says what is
// judged.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/hash.h"
#include "sim/storage_harness.h"

namespace doozer::sim {
namespace {

constexpr uint64_t kSessionSeed = 7;
constexpr uint64_t kExhaustivePoints = 300;  ///< more are sampled by seed
/// Under sanitizers everything takes ten times as long: there each operation still crashes in each
/// kind, at one of the three moments, and recoveries are crashed in at every twelfth operation.
#ifdef DOOZER_DCHECK
constexpr bool kThorough = false;
#else
constexpr bool kThorough = true;
#endif

// --- The workload

/// Appends about `bytes` of entries in small batches, some on their way at once, and commits.
void fill(Session& session, size_t bytes) {
  size_t batch = 0;
  for (size_t done = 0; done < bytes && !session.dead();) {
    for (const size_t size : {size_t{2'500}, size_t{300}, size_t{4'000}}) {
      session.append_set(size);
      done += size;
    }
    session.flush();
    if (++batch % 3 == 0) session.settle();
  }
  if (session.settle()) session.commit_all();
}

/// Durable entries of an old term are overwritten by those of a new one, within one batch too.
void overwrite_a_tail(Session& session) {
  for (size_t i = 0; i < 4; ++i) session.append_set(900);
  session.flush();
  if (!session.settle()) return;
  session.new_term();
  session.truncate_from(session.last_index() - 2);
  for (size_t i = 0; i < 2; ++i) session.append_set(700);
  session.flush();
  session.append_set(100);
  session.truncate_from(session.last_index());
  session.append_set(200);
  session.flush();
  if (session.settle()) session.commit_all();
}

/// The storage looks at the free space now and then: when it is asked and its figure is old.
void look_at_the_space(Session& session) {
  session.pass(3'000'000);
  (void)session.storage().admit(1'000, false);
  session.pass(3'000'000);
}

/// Entries are refused, DELs pass, a snapshot fails; when there is room again all goes on.
void fill_the_disk(Session& session, SimDisk& disk) {
  disk.leave_free(crash_test_options().disk_reserve_bytes / 2);
  look_at_the_space(session);
  if (session.dead()) return;
  const auto refused = session.storage().admit(1'000, false);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::no_space);
  EXPECT_TRUE(session.storage().admit(100, true).has_value()) << "DELs have a reserve";
  for (size_t i = 0; i < 5; ++i) session.append_del();
  session.flush();
  if (!session.settle()) return;
  session.commit_all();
  disk.leave_free(1'000);
  Error error{Code::other, ""};
  if (!session.take_snapshot(&error)) return;
  EXPECT_NE(error.code, Code::other) << "a snapshot found room on a full disk";
  disk.set_capacity(uint64_t{1} << 40U);
  look_at_the_space(session);
  if (session.dead()) return;
  EXPECT_TRUE(session.storage().admit(1'000, false).has_value()) << "there is room again";
}

void run_workload(Session& session, SimDisk& disk) {
  disk.label("filling");
  session.new_term();
  fill(session, 90'000);
  disk.label("snapshot");
  session.take_snapshot();
  disk.label("filling");
  fill(session, 60'000);
  disk.label("truncation");
  overwrite_a_tail(session);
  disk.label("snapshot");
  session.take_snapshot();
  disk.label("log cut");
  session.purge();
  session.pass(50'000);
  disk.label("full disk");
  fill_the_disk(session, disk);
  disk.label("terms");
  for (size_t i = 0; i < 4; ++i) overwrite_a_tail(session);
  disk.label("filling");
  fill(session, 70'000);
  disk.label("idle");
  session.pass(50'000);
  disk.label("");
}

/// A server that was recovered can go on, and what it then acknowledges survives.
void live_on(SimDisk& disk, LogModel& model, std::unique_ptr<Session> session) {
  session->new_term();
  fill(*session, 8'000);
  session->take_snapshot();
  ASSERT_FALSE(session->dead());
  ASSERT_EQ(session->complaint(), "");
  session.reset();
  disk.crash(CrashKind::machine_lost);
  disk.restart();
  auto again = Session::start(disk, model, kSessionSeed);
  ASSERT_TRUE(again.has_value()) << again.error().message;
  ASSERT_EQ((*again)->complaint(), "");
  ASSERT_EQ((*again)->recovered().trust, raft::LogTrust::sound) << "nothing was torn";
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

uint64_t seed_of(const Point& point) { return hash64(to_string(point)); }

/// A directory after a crash in the workload, restarted, and what its model demands.
struct Crashed {
  std::unique_ptr<SimDisk> disk;
  LogModel model;
  std::optional<Operation> in;
};

Crashed crash_workload_at(const Point& point) {
  Crashed crashed{.disk = std::make_unique<SimDisk>(SimDiskOptions{.seed = seed_of(point)}),
                  .model = {},
                  .in = {}};
  SimDisk& disk = *crashed.disk;
  disk.crash_at(point.number, point.kind, point.moment);
  auto session = Session::start(disk, crashed.model, kSessionSeed);
  if (session) {
    run_workload(**session, disk);
    EXPECT_EQ((*session)->complaint(), "");
    session->reset();
  }
  EXPECT_TRUE(disk.crashed());
  crashed.in = disk.crashed_in();
  disk.set_capacity(uint64_t{1} << 40U);
  disk.clear_plans();
  disk.label("recovery");
  disk.restart();
  return crashed;
}

/// The operations of the workload when nothing goes wrong.
const std::vector<Operation>& reference_log() {
  static const std::vector<Operation> log = [] {
    SimDisk disk;
    LogModel model;
    auto session = Session::start(disk, model, kSessionSeed);
    EXPECT_TRUE(session.has_value()) << (session ? "" : session.error().message);
    if (!session) return std::vector<Operation>();
    run_workload(**session, disk);
    EXPECT_EQ((*session)->complaint(), "");
    EXPECT_FALSE((*session)->dead());
    return disk.log();
  }();
  return log;
}

/// The operations to crash in: all up to kExhaustivePoints, then a sample.
std::vector<uint64_t> crash_numbers() {
  std::vector<uint64_t> numbers;
  const uint64_t count = reference_log().size();
  Rng rng(1);
  for (uint64_t number = 1; number <= count; ++number) {
    if (count <= kExhaustivePoints || rng.chance(kExhaustivePoints, count)) {
      numbers.push_back(number);
    }
  }
  return numbers;
}

/// What kind of place an operation is, for the test that all of them were crashed in.
std::set<std::string> situations_of(const Operation& operation) {
  std::set<std::string> found{operation.label};
  const bool log = operation.path.starts_with("log/");
  const bool temporary = operation.path.ends_with(".tmp");
  if (log && !temporary && operation.kind == DiskOp::write && operation.offset == 0) {
    found.insert("segment switch");
  }
  if (log && temporary && operation.label != "recovery") found.insert("segment preparation");
  if (log && temporary && operation.label == "recovery" && operation.kind == DiskOp::write) {
    found.insert("recovery copying");
  }
  if (operation.kind == DiskOp::rename && operation.to.starts_with("snap/")) {
    found.insert("snapshot publication");
  }
  if (operation.label == "log cut" && operation.kind == DiskOp::remove) {
    found.insert(log ? "segment deletion" : "snapshot deletion");
  }
  return found;
}

// --- The tests

TEST(StorageCrash, TheWorkloadIsTheSameEachTimeAndCrossesWhatItShould) {
  std::set<std::string> segments;
  for (const Operation& operation : reference_log()) {
    if (operation.path.ends_with(".wal") && operation.kind == DiskOp::write) {
      segments.insert(operation.path);
    }
  }
  EXPECT_GE(segments.size(), 3U);
  SimDisk disk;
  LogModel model;
  auto session = Session::start(disk, model, kSessionSeed);
  ASSERT_TRUE(session.has_value());
  run_workload(**session, disk);
  std::string first;
  std::string second;
  for (const Operation& operation : reference_log()) first += sim::to_string(operation) + "\n";
  for (const Operation& operation : disk.log()) second += sim::to_string(operation) + "\n";
  EXPECT_EQ(first, second);
}

TEST(StorageCrash, NothingIsBrokenByACrashOfAnyKindAtAnyOperation) {
  std::set<std::string> situations;
  for (const uint64_t number : crash_numbers()) {
    for (const CrashKind kind : kCrashKinds) {
      for (const Moment moment : kMoments) {
        const Point point{number, kind, moment};
        const uint64_t turn = number + static_cast<uint64_t>(kind) + static_cast<uint64_t>(moment);
        if (!kThorough && turn % std::size(kMoments) != 0) continue;
        SCOPED_TRACE(to_string(point) + ": " + sim::to_string(reference_log()[number - 1]));
        Crashed crashed = crash_workload_at(point);
        if (crashed.in) situations.merge(situations_of(*crashed.in));
        auto session = Session::start(*crashed.disk, crashed.model, kSessionSeed);
        ASSERT_TRUE(session.has_value()) << session.error().message;
        ASSERT_EQ((*session)->complaint(), "");
        if (!kThorough && number % 3 != 0) continue;
        live_on(*crashed.disk, crashed.model, *std::move(session));
        if (HasFatalFailure()) return;
      }
    }
  }
  for (const char* situation :
       {"filling", "snapshot", "truncation", "log cut", "full disk", "terms", "segment switch",
        "segment preparation", "snapshot publication", "segment deletion"}) {
    EXPECT_TRUE(situations.contains(situation)) << "no crash in: " << situation;
  }
}

TEST(StorageCrash, NothingIsBrokenByACrashInTheRecoveryFromACrash) {
  std::set<std::string> situations;
  for (const uint64_t number : crash_numbers()) {
    for (const CrashKind kind : {CrashKind::process, CrashKind::machine_mixed}) {
      const Point point{number, kind, Moment::during};
      const Crashed crashed = crash_workload_at(point);
      // How many operations the recovery takes.
      const auto probe = crashed.disk->clone(1);
      const uint64_t before = probe->operations();
      LogModel probed = crashed.model;
      ASSERT_TRUE(Session::start(*probe, probed, kSessionSeed).has_value()) << to_string(point);
      const uint64_t count = probe->operations() - before;
      for (uint64_t i = 1; i <= count; ++i) {
        if (!kThorough && (number + i) % 12 != 0) continue;
        const Point inner{before + i, i % 2 == 0 ? CrashKind::machine_mixed : kind,
                          kMoments[(number + i) % 3]};
        SCOPED_TRACE(to_string(point) + ", then " + to_string(inner));
        const auto disk = crashed.disk->clone(seed_of(inner) + seed_of(point));
        LogModel model = crashed.model;
        disk->label("recovery");
        disk->crash_at(inner.number, inner.kind, inner.moment);
        ASSERT_FALSE(Session::start(*disk, model, kSessionSeed).has_value());
        ASSERT_TRUE(disk->crashed());
        situations.merge(situations_of(*disk->crashed_in()));
        disk->restart();
        auto session = Session::start(*disk, model, kSessionSeed);
        ASSERT_TRUE(session.has_value()) << session.error().message;
        ASSERT_EQ((*session)->complaint(), "");
        if ((number / 12 + i) % 4 == 0) live_on(*disk, model, *std::move(session));
        if (HasFatalFailure()) return;
      }
    }
  }
  EXPECT_TRUE(situations.contains("recovery copying"));
}

/// A random life: many terms, overwritten tails, snapshots, cuts, and a crash at a random
/// operation.
void live_randomly(Session& session, Rng& rng) {
  session.new_term();
  while (!session.dead()) {
    switch (rng.below(10)) {
      case 0: session.new_term(); break;
      case 1: {
        if (session.take_snapshot() && rng.chance(1, 2)) session.purge();
        break;
      }
      case 2:
      case 3:
        if (rng.chance(1, 2)) {
          if (session.settle()) session.commit_all();
        }
        break;
      case 4: session.append_noop(); break;
      case 5: session.append_del(); break;
      case 6: session.pass(rng.below(30'000)); break;
      case 7:
        if (session.last_index() > session.machine().applied() + 1) {
          const uint64_t free = session.last_index() - session.machine().applied();
          session.new_term();
          session.truncate_from(session.last_index() - rng.below(free));
        }
        break;
      default: session.append_set(rng.below(rng.chance(1, 10) ? 40'000 : 2'000)); break;
    }
    if (rng.chance(1, 2)) session.flush();
  }
}

TEST(StorageCrash, GeneratedHistoriesOfManyTermsAndCrashesKeepTheirPromises) {
  for (uint64_t seed = 1; seed <= (kThorough ? 60 : 20); ++seed) {
    Rng rng(seed);
    SimDisk disk({.seed = seed});
    LogModel model;
    for (int boot = 0; boot < 15; ++boot) {
      SCOPED_TRACE("seed " + std::to_string(seed) + " boot " + std::to_string(boot));
      const CrashKind kind = kCrashKinds[rng.below(std::size(kCrashKinds))];
      const Moment moment = kMoments[rng.below(std::size(kMoments))];
      disk.crash_at(disk.operations() + 1 + rng.below(rng.chance(1, 3) ? 12 : 120), kind, moment);
      {
        const auto session = Session::start(disk, model, rng.next());
        if (session) {
          ASSERT_EQ((*session)->complaint(), "");
          live_randomly(**session, rng);
          ASSERT_EQ((*session)->complaint(), "");
        } else {
          ASSERT_EQ(session.error().code, Code::closed) << session.error().message;
        }
      }
      ASSERT_TRUE(disk.crashed());
      disk.restart();
    }
  }
}

// --- Failures without a crash

bool of_the_running_log(const Operation& operation) {
  return operation.path.starts_with("log/") && operation.path.ends_with(".wal") &&
         (operation.kind == DiskOp::write || operation.kind == DiskOp::sync);
}

TEST(StorageCrash, AnOperationThatFailsStopsTheLogOrHarmsNothing) {
  size_t stopped = 0;
  for (const uint64_t number : crash_numbers()) {
    SCOPED_TRACE(sim::to_string(reference_log()[number - 1]));
    SimDisk disk({.seed = number});
    LogModel model;
    disk.fail_at(number);
    auto session = Session::start(disk, model, kSessionSeed);
    if (session) {
      const Operation& failing = reference_log()[number - 1];
      run_workload(**session, disk);
      ASSERT_EQ((*session)->complaint(), "");
      if (of_the_running_log(failing)) {
        EXPECT_TRUE((*session)->told_dead().has_value()) << "a failed log write was passed over";
      }
      stopped += (*session)->dead() ? 1 : 0;
      session->reset();
    }
    disk.crash(number % 2 == 0 ? CrashKind::machine_lost : CrashKind::machine_mixed);
    disk.set_capacity(uint64_t{1} << 40U);
    disk.restart();
    auto again = Session::start(disk, model, kSessionSeed);
    ASSERT_TRUE(again.has_value()) << again.error().message;
    ASSERT_EQ((*again)->complaint(), "");
  }
  EXPECT_GT(stopped, 10U);
}

// --- Rot

/// The workload to its end, stopped in the given way; `disk` is then as the next start finds it.
LogModel finished_workload(SimDisk& disk, bool graceful) {
  LogModel model;
  auto session = Session::start(disk, model, kSessionSeed);
  EXPECT_TRUE(session.has_value());
  run_workload(**session, disk);
  if (!graceful) {
    (*session)->append_set(2'000);
    (*session)->flush();
    (*session)->settle();
    (*session)->commit_all();
  }
  session->reset();
  disk.crash(CrashKind::process);
  disk.restart();
  return model;
}

TEST(StorageCrash, ARottenBitIsReportedOrHarmsNothing) {
  SimDisk sound({.seed = 1});
  const LogModel model = finished_workload(sound, true);
  size_t corrupt = 0;
  for (uint64_t seed = 1; seed <= (kThorough ? 1'000 : 200); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const auto disk = sound.clone(seed);
    ASSERT_TRUE(disk->flip_random_bit(seed % 3 == 0 ? "snap/" : "log/"));
    LogModel copy = model;
    copy.snapshots.clear();  // a rotten one may be left out, if the log makes up for it
    const auto session = Session::start(*disk, copy, kSessionSeed);
    if (!session) {
      ++corrupt;
      ASSERT_EQ(session.error().code, Code::corrupt) << session.error().message;
      const std::string& message = session.error().message;
      EXPECT_TRUE(message.find("log/") != message.npos || message.find("snap/") != message.npos);
      EXPECT_TRUE(message.find(" offset ") != message.npos) << message;
      continue;
    }
    ASSERT_EQ((*session)->complaint(), "") << "damage was passed over in silence";
  }
  EXPECT_GT(corrupt, 20U);
}

TEST(StorageCrash, RotAboveTheNewestMarkerIsDoubtAndBelowItCorruption) {
  SimDisk sound({.seed = 1});
  const LogModel model = finished_workload(sound, false);
  // The last batch has no marker behind it: its own says how far the disk was synced before.
  const Operation* last = nullptr;
  const auto& log = sound.log();
  for (const Operation& operation : log) {
    if (operation.kind == DiskOp::write && operation.path.ends_with(".wal")) last = &operation;
  }
  ASSERT_NE(last, nullptr);
  size_t doubtful = 0;
  for (uint64_t byte = 0; byte < 1'500; byte += 7) {
    for (const bool above : {true, false}) {
      const auto disk = sound.clone(byte);
      disk->flip_bit(last->path, above ? last->offset + byte : last->offset - 1 - byte % 512, 3);
      LogModel copy = model;
      copy.durable -= above ? 1 : 0;  // the last entry may be lost, and is then said to be
      copy.committed = above ? copy.committed - 1 : copy.committed;
      if (above) copy.digests.pop_back();
      const auto session = Session::start(*disk, copy, kSessionSeed);
      if (!above) {
        EXPECT_TRUE(!session || (*session)->recovered().trust == raft::LogTrust::sound);
        continue;
      }
      ASSERT_TRUE(session.has_value()) << session.error().message;
      if ((*session)->recovered().last_index == model.committed) continue;  // no harm done
      ++doubtful;
      EXPECT_EQ((*session)->recovered().trust, raft::LogTrust::doubtful);
      EXPECT_GE((*session)->recovered().doubtful_to, model.committed);
    }
  }
  EXPECT_GT(doubtful, 100U);
}

}  // namespace
}  // namespace doozer::sim
