#include "storage/storage.h"

#include <gtest/gtest.h>

#include "base/probe.h"
#include "storage/storage_fixture.h"

namespace doozer::storage {
namespace {

class StorageTest : public testing::Test {
 protected:
  void start() {
    process_ = std::make_unique<Process>(disk_);
    ASSERT_TRUE(process_->create());
    ASSERT_TRUE(process_->open());
  }
  void kill(sim::CrashKind kind) {
    process_.reset();
    disk_.crash(kind);
    disk_.restart();
    process_ = std::make_unique<Process>(disk_);
  }
  Process& process() { return *process_; }
  sim::SimDisk disk_;
  std::unique_ptr<Process> process_;
};

TEST_F(StorageTest, ANewDirectoryHoldsItsConfiguration) {
  start();
  const Recovered& recovered = process().recovered();
  EXPECT_EQ(recovered.owner.cluster, kTestOwner.cluster);
  EXPECT_EQ(recovered.owner.identity, kTestOwner.identity);
  EXPECT_EQ(recovered.incarnation, Incarnation(1));
  EXPECT_EQ(recovered.trust, raft::LogTrust::sound);
  EXPECT_EQ(recovered.first_index, Index(1));
  EXPECT_EQ(recovered.last_index, Index(1));
  EXPECT_EQ(recovered.last_term, Term(1));
  EXPECT_EQ(recovered.hard_state.term, Term(1));
  EXPECT_EQ(recovered.configuration, kTestConfiguration);
  const auto entries = process().entries();
  ASSERT_TRUE(entries) << entries.error().message;
  ASSERT_EQ(entries->size(), 1U);
  EXPECT_EQ((*entries)[0].kind, raft::EntryKind::configuration);
}

TEST_F(StorageTest, WhatWasPersistedIsThereAfterEveryKindOfCrash) {
  for (const sim::CrashKind kind : sim::kCrashKinds) {
    SCOPED_TRACE(sim::crash_kind_name(kind));
    sim::SimDisk disk;
    std::vector<std::string> expected;
    {
      Process process(disk);
      ASSERT_TRUE(process.create());
      ASSERT_TRUE(process.open());
    }
    for (uint64_t round = 1; round < 6; ++round) {
      Process process(disk);
      const auto opened = process.open();
      ASSERT_TRUE(opened) << opened.error().message;
      EXPECT_EQ(process.recovered().incarnation, Incarnation(round + 1));
      EXPECT_EQ(process.recovered().trust, raft::LogTrust::sound);
      const auto entries = process.entries();
      ASSERT_TRUE(entries) << entries.error().message;
      ASSERT_EQ(entries->size(), expected.size() + 1);
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ((*entries)[i + 1].payload, expected[i]);
      }
      for (int i = 0; i < 100; ++i) {
        expected.push_back(std::string(3000, static_cast<char>('a' + i % 26)));
        ASSERT_TRUE(process.put(expected.back()));
      }
      EXPECT_GT(process.storage().stats().segments, 3U);
      if (round % 2 == 0) process.run_for(50'000);
      disk.crash(kind);
      disk.restart();
    }
  }
}

TEST_F(StorageTest, TagsAreToldInOrderAndOnlyWhenDurable) {
  start();
  process().add("one");
  process().flush();
  process().add("two");
  EXPECT_EQ(process().flush(), 2U);
  EXPECT_EQ(process().persisted(), 0U);
  EXPECT_GT(process().storage().pending_bytes(), 0U);
  ASSERT_TRUE(process().settle());
  EXPECT_EQ(process().persisted(), 3U) << "a flush of nothing is told as well";
  EXPECT_EQ(process().storage().pending_bytes(), 0U);
  ASSERT_TRUE(process().settle()) << "also when nothing is under way";
  process().storage().flush(2);
  process().run_for(1'000'000);
  EXPECT_EQ(process().persisted(), 4U) << "an old tag is not told again";
}

TEST_F(StorageTest, WhatGathersDuringOneSyncIsOneBatch) {
  start();
  ASSERT_TRUE(process().put("first"));
  const uint64_t syncs = process().storage().stats().syncs;
  process().add("a");
  process().flush();
  for (int i = 0; i < 50; ++i) {
    process().add("b");
    process().flush();
  }
  ASSERT_TRUE(process().settle());
  EXPECT_EQ(process().storage().stats().syncs, syncs + 2);
  EXPECT_EQ(process().storage().stats().batches, process().storage().stats().syncs);
}

TEST_F(StorageTest, AnIdleServerWritesOneMarkerAndThenNothing) {
  start();
  process().run_for(10'000'000);
  const uint64_t fresh = disk_.operations();
  process().run_for(10'000'000);
  EXPECT_EQ(disk_.operations(), fresh);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(process().put("x"));
  process().run_for(1'000'000);
  const uint64_t operations = disk_.operations();
  const auto written =
      std::count_if(disk_.log().end() - 2, disk_.log().end(), [](const sim::Operation& operation) {
        return operation.path == "log/0000000000000003.wal" && operation.size <= 512;
      });
  EXPECT_EQ(written, 2) << "a sector and its sync";
  process().run_for(100'000'000);
  EXPECT_EQ(disk_.operations(), operations);
}

TEST_F(StorageTest, QuiesceLeavesNothingInDoubt) {
  start();
  ASSERT_TRUE(process().put("x"));
  bool quiet = false;
  process().storage().quiesce([&] { quiet = true; });
  EXPECT_FALSE(quiet);
  ASSERT_TRUE(process().clock().run_until_done([&] { return quiet; }));
  const uint64_t operations = disk_.operations();
  quiet = false;
  process().storage().quiesce([&] { quiet = true; });
  ASSERT_TRUE(process().clock().run_until_done([&] { return quiet; }));
  EXPECT_EQ(disk_.operations(), operations) << "the second time there is nothing to do";
}

TEST_F(StorageTest, AFailedSyncIsToldOnceAndKillsTheLog) {
  start();
  ASSERT_TRUE(process().put("kept"));
  process().add("lost");
  disk_.fail_at(disk_.operations() + 2);
  EXPECT_FALSE(process().settle());
  ASSERT_TRUE(process().error().has_value());
  EXPECT_EQ(process().error()->code, Code::io_error);
  EXPECT_TRUE(process().sink().has("log_dead"));
  const uint64_t operations = disk_.operations();
  process().add("after");
  process().storage().set_hard_state({.term = Term(9), .vote = {}, .commit = {}});
  process().storage().truncate_from(Index(2));
  process().storage().settle_doubt();
  process().flush();
  bool quiet = false;
  process().storage().quiesce([&] { quiet = true; });
  process().run_for(5'000'000);
  EXPECT_TRUE(quiet);
  EXPECT_EQ(disk_.operations(), operations) << "nothing is tried again";
  EXPECT_EQ(process().storage().admit(1, true).error().code, Code::io_error);
  // The page cache still shows the batch whose sync failed; what recovery found must then stay.
  disk_.restart();
  {
    Process next(disk_);
    ASSERT_TRUE(next.open());
    EXPECT_EQ(next.recovered().last_index, Index(3));
  }
  disk_.crash(sim::CrashKind::machine_lost);
  disk_.restart();
  Process next(disk_);
  ASSERT_TRUE(next.open());
  EXPECT_EQ(next.recovered().last_index, Index(3));
}

TEST_F(StorageTest, ASlowSyncIsLogged) {
  start();
  ASSERT_TRUE(process().put("fast"));
  EXPECT_FALSE(process().sink().has("slow_sync"));
  disk_.plan(disk_.operations() + 2, {.extra_us = 2 * kSlowSyncUs});
  ASSERT_TRUE(process().put("slow"));
  EXPECT_TRUE(process().sink().has("slow_sync"));
  EXPECT_GT(process().storage().stats().sync_us_max, kSlowSyncUs);
}

TEST_F(StorageTest, EntriesOfAnySizeGoThrough) {
  start();
  std::vector<std::string> expected;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{511}, size_t{70'000}, size_t{3},
                            size_t{1'000'000}, size_t{20'000}, size_t{20'000}, size_t{20'000}}) {
    expected.emplace_back(size, 'x');
    process().add(expected.back());
  }
  ASSERT_TRUE(process().settle());
  EXPECT_GT(Probe::reached("wal: a batch larger than the prepared segment"), 0U);
  kill(sim::CrashKind::machine_lost);
  ASSERT_TRUE(process().open());
  const auto entries = process().entries();
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), expected.size() + 1);
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ((*entries)[i + 1].payload, expected[i]);
}

TEST_F(StorageTest, ReplayGivesARangeAndStopsAtTheVisitorsError) {
  start();
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(process().put(std::string(4'000, 'x')));
  kill(sim::CrashKind::process);
  ASSERT_TRUE(process().open());
  Storage& storage = process().storage();
  std::vector<uint64_t> seen;
  const auto collect = [&](const raft::Entry& entry) -> Result<void> {
    seen.push_back(entry.index.value());
    if (entry.index == Index(30)) return fail(Code::other, "enough");
    return {};
  };
  ASSERT_TRUE(storage.replay(Index(20), Index(22), collect));
  EXPECT_EQ(seen, (std::vector<uint64_t>{20, 21, 22}));
  const auto stopped = storage.replay(Index(29), Index(40), collect);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().message, "enough");
  EXPECT_EQ(storage.replay(Index(35), Index(99), collect).error().code, Code::range);
  EXPECT_TRUE(storage.replay(Index(5), Index(4), collect));
}

TEST_F(StorageTest, TheConfigurationInForceFollowsTruncation) {
  start();
  const raft::Configuration two{.voters = {kTestOwner.identity, test_identity(0x77)},
                                .old_voters = {}};
  process().add("x");
  process().storage().append({.index = Index(3),
                              .term = Term(1),
                              .kind = raft::EntryKind::configuration,
                              .payload = raft::encode_configuration(two)});
  ASSERT_TRUE(process().settle());
  kill(sim::CrashKind::machine_lost);
  ASSERT_TRUE(process().open());
  EXPECT_EQ(process().recovered().configuration, two);
  process().truncate(Index(3));
  ASSERT_TRUE(process().settle());
  kill(sim::CrashKind::machine_lost);
  ASSERT_TRUE(process().open());
  EXPECT_EQ(process().recovered().configuration, kTestConfiguration);
  EXPECT_EQ(process().recovered().last_index, Index(2));
}

TEST_F(StorageTest, ManyRestartsLeaveFewFiles) {
  {
    Process first(disk_);
    ASSERT_TRUE(first.create());
  }
  for (uint64_t i = 1; i <= 200; ++i) {
    Process next(disk_);
    ASSERT_TRUE(next.open());
    EXPECT_EQ(next.recovered().last_index, Index(i));
    ASSERT_TRUE(next.put("x"));
    if (i % 2 == 0) next.run_for(100'000);
    disk_.crash(sim::CrashKind::process);
    disk_.restart();
  }
  EXPECT_LE(disk_.list("log")->size(), 4U);
}

TEST(StorageWithoutVoters, BeginsWithAnEmptyLog) {
  sim::SimDisk disk;
  ASSERT_TRUE(Storage::create(disk, kTestOwner, {}, {.segment_bytes = kSegmentBytesMin}));
  Process process(disk);
  ASSERT_TRUE(process.open());
  EXPECT_EQ(process.recovered().first_index, Index(1));
  EXPECT_EQ(process.recovered().last_index, Index(0));
  EXPECT_EQ(process.recovered().last_term, Term(0));
  ASSERT_TRUE(process.put("one"));
}

TEST(StorageWithoutMemory, DestroyedWithJobsUnderWayItHearsNoMore) {
  for (int turns = 0; turns < 40; ++turns) {
    sim::SimDisk disk;
    sim::SimClock clock;
    sim::SimLanes lanes(clock, &disk);
    EventSink sink;
    LogContext context;
    const StorageOptions options{.segment_bytes = kSegmentBytesMin, .disk_reserve_bytes = 1};
    ASSERT_TRUE(Storage::create(disk, kTestOwner, kTestConfiguration, options));
    auto storage =
        Storage::open(disk, lanes, clock, Logger(sink, context, LogLevel::info), options);
    ASSERT_TRUE(storage);
    auto writer = (*storage)->write_snapshot(Process::header_at(Index(1), Term(1)));
    ASSERT_TRUE(writer);
    (*writer)->add("chunk");
    (*writer)->finish([](const Result<void>&) {});
    (*storage)->append({.index = Index(2), .term = Term(1), .payload = std::string(50'000, 'x')});
    (*storage)->flush(1);
    (*storage)->append({.index = Index(3), .term = Term(1), .payload = std::string(50'000, 'x')});
    (*storage)->flush(2);
    (*storage)->quiesce([] {});
    for (int i = 0; i < turns; ++i) clock.run_turn();
    writer->reset();
    storage->reset();
    clock.run_until(clock.now_us() + 60'000'000);
  }
}

}  // namespace
}  // namespace doozer::storage
