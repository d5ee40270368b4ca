// The simulated disk keeps what it says: each way to lose bytes is shown here.
#include "sim/disk.h"

#include <gtest/gtest.h>

#include <set>

namespace doozer::sim {
namespace {

using env::OpenMode;

std::unique_ptr<env::File> open(SimDisk& disk, std::string_view path, OpenMode mode) {
  auto file = disk.open(path, mode);
  EXPECT_TRUE(file.has_value()) << (file ? "" : file.error().message);
  return file ? std::move(*file) : nullptr;
}

/// Makes a file of `content`, durable with its name.
void make_durable(SimDisk& disk, std::string_view path, std::string_view content) {
  const auto file = open(disk, path, OpenMode::create);
  ASSERT_TRUE(file->write_at(0, content));
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(disk.sync_directory(directory_of(path)));
}

std::string text_of(SimDisk& disk, std::string_view path) {
  const auto content = disk.peek(path);
  return content ? *content : "(none)";
}

void crash_and_restart(SimDisk& disk, CrashKind kind) {
  disk.crash(kind);
  disk.restart();
}

// --- What survives which crash

struct SurvivalCase {
  CrashKind kind;
  std::set<std::string> unsynced;  ///< what may read back of "old" + unsynced "new"
};

TEST(SimDisk, UnsyncedBytesFareAsTheCrashKindSays) {
  const SurvivalCase cases[] = {
      {CrashKind::process, {"new"}},
      {CrashKind::machine_kept, {"new"}},
      {CrashKind::machine_lost, {"old"}},
      {CrashKind::machine_torn, {"old", "new"}},
  };
  for (const SurvivalCase& one : cases) {
    std::set<std::string> seen;
    for (uint64_t seed = 1; seed <= 40; ++seed) {
      SimDisk disk({.seed = seed});
      make_durable(disk, "a", "old");
      const auto file = open(disk, "a", OpenMode::read_write);
      ASSERT_TRUE(file->write_at(0, "new"));
      crash_and_restart(disk, one.kind);
      seen.insert(text_of(disk, "a"));
    }
    EXPECT_EQ(seen, one.unsynced) << crash_kind_name(one.kind);
  }
}

TEST(SimDisk, SyncedBytesAndNamesSurviveEveryCrash) {
  for (const CrashKind kind : kCrashKinds) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      SimDisk disk({.seed = seed});
      ASSERT_TRUE(disk.make_directory("d"));
      ASSERT_TRUE(disk.sync_directory(""));
      make_durable(disk, "d/a", "jewels");
      crash_and_restart(disk, kind);
      EXPECT_EQ(text_of(disk, "d/a"), "jewels") << crash_kind_name(kind);
    }
  }
}

TEST(SimDisk, WhatAProcessCrashLeftUnsyncedIsStillLostWithTheMachine) {
  SimDisk disk;
  make_durable(disk, "a", "old");
  ASSERT_TRUE(open(disk, "a", OpenMode::read_write)->write_at(0, "new"));
  crash_and_restart(disk, CrashKind::process);
  EXPECT_EQ(text_of(disk, "a"), "new");
  crash_and_restart(disk, CrashKind::machine_lost);
  EXPECT_EQ(text_of(disk, "a"), "old");
}

TEST(SimDisk, WhatSurvivedAMachineCrashIsDurable) {
  SimDisk disk;
  make_durable(disk, "a", "old");
  ASSERT_TRUE(open(disk, "a", OpenMode::read_write)->write_at(0, "new"));
  crash_and_restart(disk, CrashKind::machine_kept);
  crash_and_restart(disk, CrashKind::machine_lost);
  EXPECT_EQ(text_of(disk, "a"), "new");
}

TEST(SimDisk, SectorsOfOneWriteSurviveInAnySubset) {
  std::set<std::string> seen;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SimDisk disk({.seed = seed});
    make_durable(disk, "a", std::string(3 * kSectorBytes, 'o'));
    ASSERT_TRUE(
        open(disk, "a", OpenMode::read_write)->write_at(0, std::string(3 * kSectorBytes, 'n')));
    crash_and_restart(disk, CrashKind::machine_torn);
    const std::string left = text_of(disk, "a");
    std::string picture;
    for (size_t i = 0; i < 3; ++i) {
      const std::string sector = left.substr(i * kSectorBytes, kSectorBytes);
      ASSERT_EQ(sector.find_first_not_of(sector[0]), std::string::npos) << "a sector is whole";
      picture += sector[0];
    }
    seen.insert(picture);
  }
  EXPECT_EQ(seen.size(), 8U);
}

TEST(SimDisk, AnEarlierUnsyncedWriteOfASectorMaySurviveTheLaterOne) {
  std::set<std::string> seen;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SimDisk disk({.seed = seed});
    make_durable(disk, "a", "0");
    const auto file = open(disk, "a", OpenMode::read_write);
    for (const char* text : {"1", "2", "3"}) ASSERT_TRUE(file->write_at(0, text));
    crash_and_restart(disk, CrashKind::machine_torn);
    seen.insert(text_of(disk, "a"));
  }
  EXPECT_EQ(seen, (std::set<std::string>{"0", "1", "2", "3"}));
}

TEST(SimDisk, TrashCoversWhatWasWrittenAndNeverItsSyncedNeighbours) {
  bool trashed = false;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SimDisk disk({.seed = seed});
    make_durable(disk, "a", std::string(100, 's') + std::string(50, 'o') + std::string(100, 's'));
    ASSERT_TRUE(open(disk, "a", OpenMode::read_write)->write_at(100, std::string(50, 'n')));
    crash_and_restart(disk, CrashKind::machine_mixed);
    const std::string left = text_of(disk, "a");
    ASSERT_EQ(left.substr(0, 100), std::string(100, 's'));
    ASSERT_EQ(left.substr(150), std::string(100, 's'));
    const std::string written = left.substr(100, 50);
    trashed = trashed || (written != std::string(50, 'n') && written != std::string(50, 'o'));
  }
  EXPECT_TRUE(trashed);
}

// --- Sizes

TEST(SimDisk, ASizeSurvivesByItself) {
  std::set<std::string> seen;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SimDisk disk({.seed = seed});
    make_durable(disk, "a", "");
    ASSERT_TRUE(open(disk, "a", OpenMode::read_write)->write_at(0, "x"));
    crash_and_restart(disk, CrashKind::machine_torn);
    seen.insert(text_of(disk, "a"));
  }
  EXPECT_EQ(seen, (std::set<std::string>{"", "x", std::string(1, '\0')}));
}

TEST(SimDisk, ResizeAndAllocateAreVolatileUntilSync) {
  for (const bool synced : {false, true}) {
    SimDisk disk;
    make_durable(disk, "short", "abcdef");
    make_durable(disk, "long", "abcdef");
    const auto cut = open(disk, "short", OpenMode::read_write);
    const auto grown = open(disk, "long", OpenMode::read_write);
    ASSERT_TRUE(cut->resize(3));
    ASSERT_TRUE(grown->allocate(1000));
    EXPECT_EQ(text_of(disk, "short"), "abc");
    EXPECT_EQ(text_of(disk, "long"), "abcdef" + std::string(994, '\0'));
    if (synced) {
      ASSERT_TRUE(cut->sync());
      ASSERT_TRUE(grown->sync());
    }
    crash_and_restart(disk, CrashKind::machine_lost);
    EXPECT_EQ(text_of(disk, "short"), synced ? "abc" : "abcdef");
    EXPECT_EQ(text_of(disk, "long").size(), synced ? 1000U : 6U);
  }
}

TEST(SimDisk, AFileCutAndGrownAgainReadsZeros) {
  SimDisk disk;
  make_durable(disk, "a", std::string(2000, 'x'));
  const auto file = open(disk, "a", OpenMode::read_write);
  ASSERT_TRUE(file->resize(600));
  ASSERT_TRUE(file->resize(2000));
  EXPECT_EQ(text_of(disk, "a"), std::string(600, 'x') + std::string(1400, '\0'));
  ASSERT_TRUE(file->sync());
  crash_and_restart(disk, CrashKind::machine_lost);
  EXPECT_EQ(text_of(disk, "a"), std::string(600, 'x') + std::string(1400, '\0'));
}

// --- Names

TEST(SimDisk, AFilesSyncDoesNotMakeItsNameDurable) {
  SimDisk disk;
  const auto file = open(disk, "a", OpenMode::create);
  ASSERT_TRUE(file->write_at(0, "x"));
  ASSERT_TRUE(file->sync());
  crash_and_restart(disk, CrashKind::machine_lost);
  EXPECT_EQ(text_of(disk, "a"), "(none)");
}

TEST(SimDisk, ADurableNameDoesNotMakeTheContentDurable) {
  SimDisk disk;
  ASSERT_TRUE(open(disk, "a", OpenMode::create)->write_at(0, "x"));
  ASSERT_TRUE(disk.sync_directory(""));
  crash_and_restart(disk, CrashKind::machine_lost);
  EXPECT_EQ(text_of(disk, "a"), "");
}

TEST(SimDisk, ARenameNotSyncedShowsTheOldOrTheNewFile) {
  std::set<std::string> seen;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SimDisk disk({.seed = seed});
    make_durable(disk, "a", "old");
    make_durable(disk, "a.tmp", "new");
    ASSERT_TRUE(disk.rename("a.tmp", "a"));
    EXPECT_EQ(text_of(disk, "a"), "new");
    crash_and_restart(disk, CrashKind::machine_mixed);
    seen.insert(text_of(disk, "a") + " " + text_of(disk, "a.tmp"));
  }
  EXPECT_EQ(seen, (std::set<std::string>{"old new", "new (none)", "new new"}));
}

TEST(SimDisk, CreatedAndRemovedNamesSurviveInAnySubset) {
  std::set<std::string> seen;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SimDisk disk({.seed = seed});
    make_durable(disk, "a", "a");
    open(disk, "b", OpenMode::create);
    ASSERT_TRUE(disk.remove("a"));
    crash_and_restart(disk, CrashKind::machine_torn);
    seen.insert(text_of(disk, "a") + text_of(disk, "b"));
  }
  EXPECT_EQ(seen, (std::set<std::string>{"a(none)", "a", "(none)(none)", "(none)"}));
}

TEST(SimDisk, AFileInADirectoryThatIsLostIsLost) {
  SimDisk disk;
  ASSERT_TRUE(disk.make_directory("d"));
  make_durable(disk, "d/a", "x");
  crash_and_restart(disk, CrashKind::machine_lost);
  EXPECT_FALSE(*disk.exists("d"));
  EXPECT_FALSE(*disk.exists("d/a"));
}

TEST(SimDisk, ListsNamesInOrderAndOnlyOfThatDirectory) {
  SimDisk disk;
  ASSERT_TRUE(disk.make_directory("d"));
  for (const char* path : {"b", "d/z", "d/a", "a"}) open(disk, path, OpenMode::create);
  EXPECT_EQ(*disk.list(""), (std::vector<std::string>{"a", "b", "d"}));
  EXPECT_EQ(*disk.list("d"), (std::vector<std::string>{"a", "z"}));
  EXPECT_EQ(disk.list("e").error().code, Code::not_found);
}

// --- Failures

TEST(SimDisk, AFailedSyncReadsBackIsLostAndNoLaterSyncSavesIt) {
  SimDisk disk;
  make_durable(disk, "a", "old");
  const auto file = open(disk, "a", OpenMode::read_write);
  ASSERT_TRUE(file->write_at(0, "newer"));
  disk.fail_at(disk.operations() + 1);
  EXPECT_EQ(file->sync().error().code, Code::io_error);
  EXPECT_EQ(text_of(disk, "a"), "newer");
  EXPECT_TRUE(file->sync()) << "the second sync succeeds and does nothing";
  crash_and_restart(disk, CrashKind::process);
  EXPECT_EQ(text_of(disk, "a"), "newer");
  crash_and_restart(disk, CrashKind::machine_kept);
  EXPECT_EQ(text_of(disk, "a"), "old");
}

TEST(SimDisk, WhatIsWrittenAgainAfterAFailedSyncCanBeSynced) {
  SimDisk disk;
  make_durable(disk, "a", "old");
  const auto file = open(disk, "a", OpenMode::read_write);
  ASSERT_TRUE(file->write_at(0, "new"));
  disk.fail_at(disk.operations() + 1);
  ASSERT_FALSE(file->sync());
  ASSERT_TRUE(file->write_at(0, "new"));
  ASSERT_TRUE(file->sync());
  crash_and_restart(disk, CrashKind::machine_lost);
  EXPECT_EQ(text_of(disk, "a"), "new");
}

TEST(SimDisk, AFailedDirectorySyncLosesTheNames) {
  SimDisk disk;
  make_durable(disk, "a", "x");
  ASSERT_TRUE(disk.rename("a", "b"));
  disk.fail_at(disk.operations() + 1);
  EXPECT_FALSE(disk.sync_directory(""));
  EXPECT_TRUE(disk.sync_directory(""));
  EXPECT_EQ(text_of(disk, "b"), "x");
  crash_and_restart(disk, CrashKind::machine_kept);
  EXPECT_EQ(text_of(disk, "a"), "x");
  EXPECT_EQ(text_of(disk, "b"), "(none)");
}

TEST(SimDisk, TheOperationThatWasNamedFailsAndOnlyThat) {
  SimDisk disk;
  make_durable(disk, "a", "x");
  const auto file = open(disk, "a", OpenMode::read_write);
  disk.fail_at(disk.operations() + 2, Code::no_space);
  EXPECT_TRUE(file->write_at(0, "1"));
  EXPECT_EQ(file->write_at(0, "2").error().code, Code::no_space);
  EXPECT_TRUE(file->write_at(0, "3"));
  disk.fail_read_at(disk.reads() + 2);
  char byte = 0;
  EXPECT_TRUE(file->read_at(0, {&byte, 1}));
  EXPECT_EQ(file->read_at(0, {&byte, 1}).error().code, Code::io_error);
  EXPECT_TRUE(file->read_at(0, {&byte, 1}));
  EXPECT_EQ(byte, '3');
}

TEST(SimDisk, AFullDiskRefusesAndTakesAgainWhenSpaceIsFreed) {
  SimDisk disk({.capacity_bytes = 10 * kSectorBytes});
  const auto reserved = open(disk, "a", OpenMode::create);
  ASSERT_TRUE(reserved->allocate(6 * kSectorBytes));
  EXPECT_EQ(*disk.free_bytes(), 4 * kSectorBytes);
  EXPECT_EQ(reserved->allocate(11 * kSectorBytes).error().code, Code::no_space);
  const auto file = open(disk, "b", OpenMode::create);
  EXPECT_EQ(file->write_at(0, std::string(5 * kSectorBytes, 'x')).error().code, Code::no_space);
  EXPECT_EQ(text_of(disk, "b").size(), 4 * kSectorBytes) << "what fitted was written";
  EXPECT_EQ(*disk.free_bytes(), 0U);
  EXPECT_TRUE(reserved->write_at(0, std::string(6 * kSectorBytes, 'y'))) << "it has its blocks";
  EXPECT_EQ(disk.open("c", OpenMode::create).error().code, Code::no_space);
  ASSERT_TRUE(disk.remove("b"));
  EXPECT_EQ(*disk.free_bytes(), 0U) << "an open file keeps its blocks";
}

TEST(SimDisk, RemovingAFileFreesItsBlocksOnceItIsClosed) {
  SimDisk disk({.capacity_bytes = 10 * kSectorBytes});
  auto file = open(disk, "a", OpenMode::create);
  ASSERT_TRUE(file->allocate(6 * kSectorBytes));
  ASSERT_TRUE(file->write_at(8 * kSectorBytes, "x"));
  EXPECT_EQ(*disk.free_bytes(), 3 * kSectorBytes);
  ASSERT_TRUE(file->resize(kSectorBytes));
  EXPECT_EQ(*disk.free_bytes(), 9 * kSectorBytes);
  ASSERT_TRUE(disk.remove("a"));
  file.reset();
  EXPECT_EQ(*disk.free_bytes(), 10 * kSectorBytes);
}

TEST(SimDisk, RotFlipsADurableBit) {
  SimDisk disk;
  ASSERT_TRUE(disk.make_directory("log"));
  ASSERT_TRUE(disk.sync_directory(""));
  make_durable(disk, "log/a", "");
  make_durable(disk, "other", "xxxx");
  disk.flip_bit("other", 1, 0);
  EXPECT_EQ(text_of(disk, "other"), "xyxx");
  crash_and_restart(disk, CrashKind::machine_lost);
  EXPECT_EQ(text_of(disk, "other"), "xyxx");
  EXPECT_FALSE(disk.flip_random_bit("log/")) << "there is no byte";
  EXPECT_TRUE(disk.flip_random_bit("ot"));
  EXPECT_FALSE(disk.flip_recent_bit("log/")) << "nothing was written there";
  EXPECT_TRUE(disk.flip_recent_bit("ot"));
  EXPECT_NE(text_of(disk, "other"), "xyxx");
}

// --- Crashes at an operation

/// Creates, writes twice, syncs, renames: six operations.
void small_workload(SimDisk& disk) {
  auto file = disk.open("a.tmp", OpenMode::create);
  if (!file) return;
  for (const char* text : {"one", "two"}) {
    if (!(*file)->write_at(0, text)) return;
  }
  if (!(*file)->sync()) return;
  if (!disk.rename("a.tmp", "a")) return;
  (void)disk.sync_directory("");
}

TEST(SimDisk, ACrashHappensBeforeOrAfterTheNamedOperation) {
  // What reads back after a process crash at operation n.
  const struct {
    uint64_t number;
    Moment moment;
    const char* temporary;
    const char* final;
  } cases[] = {
      {1, Moment::before, "(none)", "(none)"}, {1, Moment::after, "", "(none)"},
      {2, Moment::before, "", "(none)"},       {2, Moment::after, "one", "(none)"},
      {3, Moment::before, "one", "(none)"},    {3, Moment::after, "two", "(none)"},
      {4, Moment::before, "two", "(none)"},    {4, Moment::after, "two", "(none)"},
      {5, Moment::before, "two", "(none)"},    {5, Moment::after, "(none)", "two"},
      {6, Moment::before, "(none)", "two"},    {6, Moment::after, "(none)", "two"},
  };
  for (const auto& one : cases) {
    SimDisk disk;
    disk.crash_at(one.number, CrashKind::process, one.moment);
    small_workload(disk);
    ASSERT_TRUE(disk.crashed());
    ASSERT_EQ(disk.crashed_in()->number, one.number);
    disk.restart();
    EXPECT_EQ(text_of(disk, "a.tmp"), one.temporary) << one.number;
    EXPECT_EQ(text_of(disk, "a"), one.final) << one.number;
  }
}

TEST(SimDisk, ACrashDuringAWriteLeavesAnyPrefixOfWholeSectors) {
  // From within the second sector to within the fourth.
  const std::string all(1'400, 'w');
  constexpr uint64_t kOffset = 700;
  std::set<size_t> sizes;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SimDisk disk({.seed = seed});
    make_durable(disk, "a", std::string(kOffset, 'o'));
    disk.crash_at(disk.operations() + 1, CrashKind::process, Moment::during);
    {
      const auto file = open(disk, "a", OpenMode::read_write);
      EXPECT_FALSE(file->write_at(kOffset, all));
    }
    disk.restart();
    const std::string left = text_of(disk, "a").substr(kOffset);
    EXPECT_EQ(left, all.substr(0, left.size()));
    sizes.insert(left.size());
  }
  EXPECT_EQ(sizes, (std::set<size_t>{0, 1'024 - kOffset, 1'536 - kOffset, 2'048 - kOffset}));
}

TEST(SimDisk, AfterACrashEverythingIsClosedUntilRestartAndHandlesAreDeadForGood) {
  SimDisk disk;
  make_durable(disk, "a", "x");
  const auto file = open(disk, "a", OpenMode::read_write);
  ASSERT_TRUE(disk.lock("lock"));
  EXPECT_EQ(disk.lock("lock").error().code, Code::conflict);
  disk.crash(CrashKind::process);
  char byte = 0;
  EXPECT_EQ(file->write_at(0, "y").error().code, Code::closed);
  EXPECT_EQ(file->read_at(0, {&byte, 1}).error().code, Code::closed);
  EXPECT_EQ(disk.exists("a").error().code, Code::closed);
  EXPECT_EQ(disk.list("").error().code, Code::closed);
  EXPECT_EQ(disk.open("a", OpenMode::read).error().code, Code::closed);
  disk.restart();
  EXPECT_TRUE(*disk.exists("a"));
  EXPECT_EQ(file->write_at(0, "y").error().code, Code::closed);
  EXPECT_TRUE(disk.lock("lock")) << "locks vanish with their process";
  EXPECT_EQ(text_of(disk, "a"), "x");
}

TEST(SimDisk, ANextCrashCanComeInTheRecoveryFromTheFirst) {
  SimDisk disk;
  disk.crash_at(4, CrashKind::process);
  small_workload(disk);
  ASSERT_TRUE(disk.crashed());
  disk.restart();
  disk.crash_at(disk.operations() + 1, CrashKind::machine_lost, Moment::before);
  EXPECT_EQ(disk.remove("a.tmp").error().code, Code::closed);
  disk.restart();
  EXPECT_EQ(text_of(disk, "a.tmp"), "(none)") << "its name was never synced";
  EXPECT_TRUE(disk.list("")->empty());
}

TEST(SimDisk, ACloneIsTheSameDiskAndLivesItsOwnLife) {
  SimDisk disk;
  make_durable(disk, "a", "x");
  const auto file = open(disk, "a", OpenMode::read_write);
  ASSERT_TRUE(file->write_at(0, "y"));
  const auto copy = disk.clone(7);
  EXPECT_EQ(text_of(*copy, "a"), "y");
  EXPECT_EQ(copy->operations(), disk.operations());
  crash_and_restart(*copy, CrashKind::machine_lost);
  EXPECT_EQ(text_of(*copy, "a"), "x");
  EXPECT_TRUE(file->sync());
  EXPECT_EQ(text_of(disk, "a"), "y");
}

// --- Log, digest, determinism

TEST(SimDisk, LogsEachOperationWithItsLabel) {
  SimDisk disk;
  disk.label("publishing");
  small_workload(disk);
  std::string log;
  for (const Operation& operation : disk.log()) log += to_string(operation) + "\n";
  EXPECT_EQ(log,
            "1 create a.tmp (publishing)\n"
            "2 write a.tmp size 3 (publishing)\n"
            "3 write a.tmp size 3 (publishing)\n"
            "4 sync a.tmp (publishing)\n"
            "5 rename a.tmp to a (publishing)\n"
            "6 sync_directory  (publishing)\n");
}

TEST(SimDisk, AFileIsLoggedByTheNameThatItHasAtThatMoment) {
  SimDisk disk;
  const auto file = open(disk, "a", OpenMode::create);
  ASSERT_TRUE(disk.rename("a", "b"));
  ASSERT_TRUE(file->write_at(0, "x"));
  EXPECT_EQ(disk.log().back().path, "b");
  ASSERT_TRUE(disk.remove("b"));
  ASSERT_TRUE(file->write_at(0, "x"));
  EXPECT_EQ(disk.log().back().path, "a") << "nameless: as it was opened";
}

TEST(SimDisk, TheSameSeedGivesTheSameBytesAndDigestAnotherSeedOthers) {
  const auto run = [](uint64_t seed) {
    SimDisk disk({.seed = seed});
    Rng rng(3);
    std::string left;
    for (int round = 0; round < 20; ++round) {
      const std::string path(1, static_cast<char>('a' + rng.below(4)));
      auto file = disk.open(path, *disk.exists(path) ? OpenMode::read_write : OpenMode::create);
      (void)(*file)->write_at(rng.below(3000), std::string(rng.below(2000), 'x'));
      if (rng.chance(1, 4)) (void)disk.sync_directory("");
      if (rng.chance(1, 4)) crash_and_restart(disk, CrashKind::machine_mixed);
    }
    const auto names = disk.list("");
    for (const std::string& name : *names) left += name + *disk.peek(name);
    return std::pair(disk.digest(), left);
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1).second, run(2).second);
}

TEST(SimDisk, TheDigestSeesEveryByteWritten) {
  SimDisk one;
  SimDisk other;
  ASSERT_TRUE(open(one, "a", OpenMode::create)->write_at(0, "abc"));
  ASSERT_TRUE(open(other, "a", OpenMode::create)->write_at(0, "abd"));
  EXPECT_NE(one.digest(), other.digest());
}

TEST(SimDisk, OperationsTakeVirtualTimeAndMayBeSlow) {
  SimDisk disk({.sync_us = 100, .write_us = 10, .other_us = 1});
  make_durable(disk, "a", "x");
  EXPECT_EQ(disk.take_spent_us(), 211U) << "create, write, sync, sync_directory";
  EXPECT_EQ(disk.take_spent_us(), 0U);
  disk.plan(disk.operations() + 1, {.extra_us = 5'000'000});
  EXPECT_TRUE(open(disk, "a", OpenMode::read_write)->sync());
  EXPECT_EQ(disk.take_spent_us(), 5'000'100U);
}

TEST(SimDisk, AJudgeSeesEveryOperationAndDecides) {
  SimDisk disk;
  disk.on_operation([](const Operation& operation) {
    Fate fate;
    if (operation.kind == DiskOp::sync && operation.path == "b") fate.kind = Fate::Kind::fail;
    return fate;
  });
  EXPECT_TRUE(open(disk, "a", OpenMode::create)->sync());
  EXPECT_FALSE(open(disk, "b", OpenMode::create)->sync());
}

TEST(SimDisk, RefusesWhatARealOneRefuses) {
  SimDisk disk;
  make_durable(disk, "a", "x");
  ASSERT_TRUE(disk.make_directory("d"));
  EXPECT_TRUE(disk.make_directory("d")) << "it exists: no error";
  EXPECT_EQ(disk.open("a", OpenMode::create).error().code, Code::conflict);
  EXPECT_EQ(disk.open("b", OpenMode::read).error().code, Code::not_found);
  EXPECT_EQ(disk.open("e/b", OpenMode::create).error().code, Code::not_found);
  EXPECT_EQ(disk.rename("b", "c").error().code, Code::not_found);
  EXPECT_EQ(disk.remove("b").error().code, Code::not_found);
  EXPECT_EQ(disk.sync_directory("e").error().code, Code::not_found);
  EXPECT_EQ(open(disk, "a", OpenMode::read)->write_at(0, "y").error().code, Code::io_error);
}

}  // namespace
}  // namespace doozer::sim
