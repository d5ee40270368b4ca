// A disk that fills up, and gets room again.
#include <gtest/gtest.h>

#include "base/probe.h"
#include "storage/ballast.h"
#include "storage/storage_fixture.h"

namespace doozer::storage {
namespace {

constexpr StorageOptions kSmall{.segment_bytes = kSegmentBytesMin,
                                .disk_reserve_bytes = 256 * kKiB};
constexpr size_t kValueBytes = 4'000;

class SpaceTest : public testing::Test {
 protected:
  void SetUp() override {
    process_ = std::make_unique<Process>(disk_, kSmall);
    ASSERT_TRUE(process_->create());
    ASSERT_TRUE(process_->open());
    ASSERT_TRUE(process_->put("x"));
    process_->run_for(100'000);
  }
  Storage& storage() { return process_->storage(); }
  /// Writes as long as it is admitted; false if that did not end.
  bool fill() {
    for (int i = 0; i < 10'000; ++i) {
      const auto admitted = storage().admit(kValueBytes, false);
      if (!admitted) {
        EXPECT_EQ(admitted.error().code, Code::no_space);
        return true;
      }
      if (!process_->put(std::string(kValueBytes, 'x'))) return false;
      process_->run_for(kIdleMarkerUs * 2);
    }
    return false;
  }
  /// Time for a refresh and what follows from it.
  void let_it_look() {
    (void)storage().admit(1, false);
    process_->run_for(2'500'000);
    (void)storage().admit(1, false);
    process_->run_for(500'000);
  }

  sim::SimDisk disk_;
  std::unique_ptr<Process> process_;
};

TEST_F(SpaceTest, AFullDiskRefusesAndKeepsTheReserveAndRecovers) {
  disk_.leave_free(2 * kMiB);
  let_it_look();
  ASSERT_TRUE(fill());
  const auto refused = storage().admit(kValueBytes, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message.rfind("disk full: ", 0), 0U) << refused.error().message;
  EXPECT_GE(*disk_.free_bytes() + kSegmentBytesMin, kSmall.disk_reserve_bytes);

  // The reserve takes deletions: more than what is left of the segment, up to nearly all of it.
  size_t taken = 0;
  while (taken < kSmall.disk_reserve_bytes / 2 && storage().admit(100, true)) {
    ASSERT_TRUE(process_->put(std::string(100, 'd')));
    taken += 512;
  }
  EXPECT_GE(taken, kSmall.disk_reserve_bytes / 2);
  EXPECT_FALSE(storage().admit(kValueBytes, false));

  disk_.leave_free(4 * kMiB);
  let_it_look();
  EXPECT_TRUE(storage().admit(kValueBytes, false));
  ASSERT_TRUE(process_->put(std::string(kValueBytes, 'x')));
}

TEST_F(SpaceTest, NoByteFreeStillServesWhatIsPrepared) {
  disk_.leave_free(0);
  let_it_look();
  EXPECT_FALSE(storage().admit(10, false));
  EXPECT_TRUE(storage().admit(10, true));
  // Until nothing is left at all; then a write waits, and goes on when there is room.
  int written = 0;
  while (written < 1000 && storage().admit(500, true)) {
    ASSERT_TRUE(process_->put(std::string(500, 'd')));
    ++written;
  }
  EXPECT_GT(written, 50);
  EXPECT_LT(written, 1000);
  process_->add(std::string(2'000, 'w'));
  process_->flush();
  process_->run_for(10'000'000);
  EXPECT_GT(storage().pending_bytes(), 0U);
  EXPECT_FALSE(process_->error().has_value()) << "a log that waits is not dead";
  EXPECT_TRUE(process_->sink().has("log_segment_not_prepared"));
  disk_.leave_free(4 * kMiB);
  process_->run_for(5'000'000);
  EXPECT_EQ(storage().pending_bytes(), 0U);
  EXPECT_TRUE(storage().admit(10, true));
  let_it_look();
  EXPECT_TRUE(storage().admit(10, false));
}

TEST_F(SpaceTest, RoomForASnapshotIsKept) {
  disk_.leave_free(4 * kMiB);
  let_it_look();
  EXPECT_TRUE(storage().admit(kValueBytes, false));
  storage().set_snapshot_estimate(4 * kMiB);
  EXPECT_FALSE(storage().admit(kValueBytes, false));
  EXPECT_TRUE(storage().admit(kValueBytes, true));
  storage().set_snapshot_estimate(1 * kMiB);
  EXPECT_TRUE(storage().admit(kValueBytes, false));
}

TEST_F(SpaceTest, WithoutANextSegmentTheEndOfThisOneIsForTheReserve) {
  // Enough for the reserve, not for the reserve and a segment.
  disk_.leave_free(kSmall.disk_reserve_bytes + 10 * kKiB);
  let_it_look();
  const std::string_view small = "wal: a small segment out of the reserve";
  const uint64_t before = Probe::reached(small);
  ASSERT_TRUE(fill());
  EXPECT_GE(*disk_.free_bytes(), kSmall.disk_reserve_bytes);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(storage().admit(100, true));
    ASSERT_TRUE(process_->put(std::string(100, 'd')));
  }
  EXPECT_EQ(Probe::reached(small), before) << "the reserve on the disk is still whole";
}

TEST_F(SpaceTest, AStartOnAFullDiskSucceeds) {
  for (const sim::CrashKind kind : sim::kCrashKinds) {
    ASSERT_TRUE(process_->put(std::string(kValueBytes, 'x')));
    const Index last = process_->last();
    // A prepared segment gives room to the next start; without one it would need a few KiB free.
    process_->run_for(100'000);
    ASSERT_TRUE(disk_.sync_directory("log"));
    process_.reset();
    disk_.crash(kind);
    disk_.restart();
    disk_.leave_free(0);
    process_ = std::make_unique<Process>(disk_, kSmall);
    const auto opened = process_->open();
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(process_->recovered().last_index, last);
    EXPECT_FALSE(storage().admit(1, false));
    disk_.leave_free(1 * kMiB);
    let_it_look();
    EXPECT_TRUE(storage().admit(1, false));
    ASSERT_TRUE(process_->put("x"));
    process_->run_for(1'000'000);
  }
}

TEST_F(SpaceTest, LargeSegmentsShrinkToWhatThereIsRoomFor) {
  sim::SimDisk disk;
  Process process(disk, {.segment_bytes = 16 * kMiB, .disk_reserve_bytes = 1 * kMiB});
  ASSERT_TRUE(process.create());
  ASSERT_TRUE(process.open());
  disk.leave_free(5 * kMiB);
  (void)process.storage().admit(1, false);
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(process.storage().admit(60'000, false)) << i;
    ASSERT_TRUE(process.put(std::string(60'000, 'x')));
    process.run_for(50'000);
  }
  EXPECT_GT(Probe::reached("wal: the next segment is smaller for want of space"), 0U);
}

TEST_F(SpaceTest, WhoWasRefusedFindsRoomTheNextTimeThoughNobodyAskedMeanwhile) {
  disk_.leave_free(0);
  let_it_look();
  ASSERT_FALSE(storage().admit(1, false));
  EXPECT_TRUE(storage().short_of_space());
  process_->run_for(5'000'000);
  EXPECT_TRUE(storage().short_of_space());
  disk_.leave_free(4 * kMiB);
  process_->run_for(5'000'000);
  EXPECT_FALSE(storage().short_of_space());
  EXPECT_TRUE(storage().admit(1, false));
}

TEST_F(SpaceTest, WhatTheReserveAdmitsGetsThroughThoughThereIsLittleOfIt) {
  sim::SimDisk disk;
  Process process(disk, {.segment_bytes = 2 * kMiB, .disk_reserve_bytes = 256 * kKiB});
  ASSERT_TRUE(process.create());
  ASSERT_TRUE(process.open());
  ASSERT_TRUE(process.put("x"));
  process.run_for(1'000'000);
  // One by one, until nothing is admitted: less is free than a segment usually has.
  disk.leave_free(300 * kKiB);
  (void)process.storage().admit(1, false);
  process.run_for(2'000'000);
  int written = 0;
  while (written < 20'000 && process.storage().admit(4'000, true)) {
    ASSERT_TRUE(process.put(std::string(4'000, 'd'))) << written;
    ++written;
  }
  EXPECT_GT(written, 500);
  // In one go: what waits counts against what is free.
  disk.leave_free(300 * kKiB);
  process.run_for(2'000'000);
  (void)process.storage().admit(1, true);
  process.run_for(2'000'000);
  int together = 0;
  while (together < 20'000 && process.storage().admit(4'000, true)) {
    process.add(std::string(4'000, 'd'));
    ++together;
  }
  EXPECT_GT(together, 10);
  process.flush();
  process.run_for(5'000'000);
  EXPECT_EQ(process.storage().pending_bytes(), 0U);
  EXPECT_FALSE(process.error().has_value());
}

TEST_F(SpaceTest, WhatIsAdmittedInOneGoNeverEatsTheReserve) {
  disk_.leave_free(kSmall.disk_reserve_bytes + 200 * kKiB);
  let_it_look();
  const std::string_view small = "wal: a small segment out of the reserve";
  const uint64_t before = Probe::reached(small);
  int admitted = 0;
  while (admitted < 1'000 && storage().admit(kValueBytes, false)) {
    process_->add(std::string(kValueBytes, 'x'));
    ++admitted;
  }
  EXPECT_GT(admitted, 30);
  EXPECT_LT(admitted, 100);
  EXPECT_TRUE(storage().admit(100, true)) << "DELs";
  process_->flush();
  process_->run_for(5'000'000);
  EXPECT_EQ(storage().pending_bytes(), 0U);
  EXPECT_EQ(Probe::reached(small), before);
  EXPECT_GE(*disk_.free_bytes(), kSmall.disk_reserve_bytes);
}

TEST_F(SpaceTest, ABatchThatNoSegmentHasRoomForWaitsAndHarmsNothing) {
  process_->run_for(100'000);
  disk_.leave_free(50 * kKiB);
  process_->add(std::string(200'000, 'l'));
  process_->flush();
  process_->run_for(5'000'000);
  EXPECT_FALSE(process_->error().has_value()) << process_->error()->message;
  EXPECT_GT(storage().pending_bytes(), 200'000U);
  disk_.set_capacity(uint64_t{1} << 40U);
  process_->run_for(5'000'000);
  EXPECT_EQ(storage().pending_bytes(), 0U);
  EXPECT_FALSE(process_->error().has_value());
}

TEST_F(SpaceTest, APreparationThatFailsOtherwiseIsTriedAgain) {
  int failures = 0;
  disk_.on_operation([&](const sim::Operation& operation) -> sim::Fate {
    const bool preparing = operation.path.ends_with(".tmp");
    if (!preparing || failures >= 5) return {};
    ++failures;
    return {.kind = sim::Fate::Kind::fail};
  });
  for (int i = 0; i < 100; ++i) {
    process_->add(std::string(kValueBytes, 'x'));
    process_->flush();
    process_->run_for(100'000);
  }
  process_->run_for(10'000'000);
  EXPECT_EQ(failures, 5);
  EXPECT_EQ(storage().pending_bytes(), 0U);
  EXPECT_FALSE(process_->error().has_value());
}

TEST_F(SpaceTest, WhoOnlyAsksNowAndThenHearsOfADiskThatOthersFilled) {
  disk_.leave_free(0);
  for (int i = 0; i < 15; ++i) {
    (void)storage().admit(0, false);
    process_->run_for(100'000);
  }
  EXPECT_TRUE(storage().short_of_space());
  disk_.leave_free(4 * kMiB);
  process_->run_for(1'500'000);
  EXPECT_FALSE(storage().short_of_space());
}

TEST_F(SpaceTest, ThatNothingWouldFitDoesNotEndTheShortageOfALargeEntry) {
  disk_.leave_free(kSmall.disk_reserve_bytes + 10 * kKiB);
  let_it_look();
  ASSERT_FALSE(storage().admit(500'000, false));
  EXPECT_TRUE(storage().admit(0, false));
  EXPECT_TRUE(storage().short_of_space());
}

constexpr StorageOptions kWithBallast{.segment_bytes = 256 * kKiB, .disk_reserve_bytes = kMiB};
constexpr uint64_t kBallast = 256 * kKiB;

class BallastTest : public testing::Test {
 protected:
  void SetUp() override {
    begin();
    ASSERT_TRUE(process_->create());
    ASSERT_TRUE(process_->open());
    ASSERT_TRUE(process_->put("x"));
    look();
    ASSERT_EQ(ballast(), kBallast);
  }
  void begin() { process_ = std::make_unique<Process>(disk_, kWithBallast); }
  void look() {
    process_->run_for(1'500'000);
    (void)process_->storage().admit(0, false);
    process_->run_for(1'500'000);
  }
  /// 0: there is none.
  uint64_t ballast() {
    const auto space = look_at_space(disk_);
    return space ? space->ballast_bytes : 0;
  }
  /// What a leader decided is written as long as there is room; how many bytes that were.
  uint64_t write_all_that_fits() {
    uint64_t bytes = 0;
    while (bytes < 10 * kMiB) {
      process_->add(std::string(kValueBytes, 'd'));
      process_->flush();
      process_->run_for(3'000'000);
      if (process_->storage().pending_bytes() != 0) return bytes;
      bytes += kValueBytes;
    }
    return bytes;
  }

  sim::SimDisk disk_;
  std::unique_ptr<Process> process_;
};

TEST_F(BallastTest, OnADiskThatOthersFilledItBecomesASegmentAndThenAStart) {
  disk_.leave_free(0);
  look();
  const uint64_t prepared = 2 * kWithBallast.segment_bytes;
  const uint64_t written = write_all_that_fits();
  EXPECT_GT(written, kWithBallast.segment_bytes);
  EXPECT_LT(written, prepared + kBallast);
  EXPECT_EQ(ballast(), kBallast / 2) << "the rest is for a start";
  EXPECT_FALSE(process_->error().has_value());

  // Of a ballast as large as usual some dozen starts are made, of this one two.
  for (int start = 0; start < 2; ++start) {
    process_.reset();
    disk_.leave_free(0);
    begin();
    const auto opened = process_->open();
    ASSERT_TRUE(opened) << start << ": " << opened.error().message;
    EXPECT_EQ(process_->entries()->back().payload, std::string(kValueBytes, 'd'));
    look();
    EXPECT_TRUE(process_->storage().short_of_space());
  }

  disk_.leave_free(8 * kMiB);
  look();
  EXPECT_EQ(ballast(), kBallast);
  EXPECT_FALSE(process_->storage().short_of_space());
  EXPECT_TRUE(process_->storage().admit(kValueBytes, false));
}

TEST_F(BallastTest, ItIsPartOfTheReserve) {
  const uint64_t kept = kWithBallast.disk_reserve_bytes - kBallast;
  disk_.leave_free(kept + 8 * kKiB);
  look();
  EXPECT_TRUE(process_->storage().admit(100, false));
  disk_.leave_free(kept - 8 * kKiB);
  look();
  EXPECT_FALSE(process_->storage().admit(100, false));
}

TEST_F(BallastTest, WithoutAnyRoomAStartSaysWhatToDo) {
  disk_.leave_free(0);
  look();
  write_all_that_fits();
  process_.reset();
  ASSERT_TRUE(cut_ballast(disk_, 0));
  disk_.leave_free(0);
  begin();
  const auto opened = process_->open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::no_space);
  EXPECT_EQ(opened.error().message.rfind("the disk is too full to start", 0), 0U)
      << opened.error().message;
  disk_.leave_free(kMiB);
  begin();
  EXPECT_TRUE(process_->open());
}

}  // namespace
}  // namespace doozer::storage
