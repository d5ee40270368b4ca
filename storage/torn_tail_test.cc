// What a crash in the middle of a write leaves, told apart from what a disk has damaged: nobody was
// told of a write that never came to its end, so such a log is in no doubt.
#include <gtest/gtest.h>

#include "storage/storage_fixture.h"
#include "storage/wal_format.h"

namespace doozer::storage {
namespace {

struct TornTailTest : testing::Test {
  /// Three entries that are vouched for, then a batch of `values` for which nothing vouches.
  void write(const std::vector<std::string>& values) {
    {
      Process process(disk);
      ASSERT_TRUE(process.create());
      ASSERT_TRUE(process.open());
      for (int i = 0; i < 3; ++i) ASSERT_TRUE(process.put("before"));
      process.run_for(2 * kIdleMarkerUs);
      for (const std::string& value : values) process.add(value);
      ASSERT_TRUE(process.settle());
      disk.crash(sim::CrashKind::process);
      disk.restart();
    }
    const std::vector<std::string> names = *disk.list("log");
    for (const std::string& name : names) {
      const std::string content = *disk.peek("log/" + name);
      const size_t magic = content.rfind("doozsync");
      if (magic == std::string::npos) continue;
      path = "log/" + name;
      batch = magic - kRecordHeadBytes;
      end = content.find_last_not_of('\0') + 1;
    }
    ASSERT_EQ(batch % kSectorBytes, 0U);
  }

  void zero(uint64_t offset, uint64_t bytes = kSectorBytes) {
    const auto file = disk.open(path, env::OpenMode::read_write);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->write_at(offset, std::string(bytes, '\0')));
    ASSERT_TRUE((*file)->sync());
    disk.crash(sim::CrashKind::process);
    disk.restart();
  }

  /// Opened, the log has lost `lost` entries of the last batch, and is trusted or not.
  void expect_opened(raft::LogTrust trust, size_t values, size_t lost) {
    Process process(disk);
    ASSERT_TRUE(process.open());
    EXPECT_EQ(process.recovered().trust, trust);
    EXPECT_EQ(process.recovered().last_index, Index(4 + values - lost));
    EXPECT_TRUE(process.sink().has("log_tail_cut"));
    if (trust == raft::LogTrust::doubtful) {
      EXPECT_EQ(process.recovered().doubtful_to, Index(4 + values));
    }
    // Whatever was found, a start later finds the same.
    disk.crash(sim::CrashKind::process);
    disk.restart();
    Process again(disk);
    ASSERT_TRUE(again.open());
    EXPECT_EQ(again.recovered().trust, trust);
  }

  sim::SimDisk disk;
  std::string path;
  uint64_t batch = 0;  ///< where the last batch begins
  uint64_t end = 0;    ///< behind its last byte
};

const std::vector<std::string> kValues = {std::string(1'200, 'a'), std::string(1'200, 'b'),
                                          std::string(1'200, 'c')};

TEST_F(TornTailTest, AMissingSectorShowsThatTheWriteNeverEnded) {
  write(kValues);
  const auto whole = disk.clone(1);
  const uint64_t sectors = align_sector(end - batch) / kSectorBytes;
  ASSERT_EQ(sectors, 8U);
  for (uint64_t sector = 0; sector < sectors; ++sector) {
    SCOPED_TRACE(sector);
    const auto copy = whole->clone(2 + sector);
    const auto file = copy->open(path, env::OpenMode::read_write);
    ASSERT_TRUE((*file)->write_at(batch + sector * kSectorBytes, std::string(kSectorBytes, '\0')));
    ASSERT_TRUE((*file)->sync());
    Process process(*copy);
    ASSERT_TRUE(process.open());
    EXPECT_EQ(process.recovered().trust, raft::LogTrust::sound);
    EXPECT_LT(process.recovered().last_index, Index(7));
  }
}

TEST_F(TornTailTest, AllButTheFirstSectorsMissing) {
  write(kValues);
  zero(batch + 3 * kSectorBytes, end - batch - 3 * kSectorBytes);
  expect_opened(raft::LogTrust::sound, 3, 2);
}

TEST_F(TornTailTest, ZerosThatWereWrittenProveNothing) {
  write({std::string(1'200, 'a'), std::string(20'000, '\0')});
  disk.flip_bit(path, batch + 700, 3);
  expect_opened(raft::LogTrust::doubtful, 2, 2);
}

TEST_F(TornTailTest, ZerosBesidesThoseThatWereWritten) {
  write({std::string(1'200, 'a'), std::string(20'000, '\0')});
  zero(batch + kSectorBytes);
  expect_opened(raft::LogTrust::sound, 2, 2);
}

TEST_F(TornTailTest, TrashIsInDoubt) {
  write(kValues);
  disk.flip_bit(path, batch + 2'000, 3);
  expect_opened(raft::LogTrust::doubtful, 3, 2);
}

TEST_F(TornTailTest, ADamagedMarkerIsInDoubt) {
  write(kValues);
  disk.flip_bit(path, batch + 30, 3);
  Process process(disk);
  ASSERT_TRUE(process.open());
  EXPECT_EQ(process.recovered().trust, raft::LogTrust::doubtful);
}

TEST(TornTail, TheHeaderOfANewSegmentIsOfTheSameWrite) {
  for (const bool missing : {true, false}) {
    SCOPED_TRACE(missing);
    sim::SimDisk disk;
    Index last;
    {
      Process process(disk);
      ASSERT_TRUE(process.create());
      ASSERT_TRUE(process.open());
      const size_t before = process.storage().stats().segments;
      while (process.storage().stats().segments == before) {
        ASSERT_TRUE(process.put(std::string(3'000, 'v')));
      }
      last = process.last();
      disk.crash(sim::CrashKind::process);
      disk.restart();
    }
    std::string path;
    const std::vector<std::string> names = *disk.list("log");
    for (const std::string& name : names) {
      const std::string one = "log/" + name;
      if (disk.peek(one)->find("doozsync") != std::string::npos) path = one;
    }
    if (missing) {
      const auto file = disk.open(path, env::OpenMode::read_write);
      ASSERT_TRUE((*file)->write_at(0, std::string(kSectorBytes, '\0')));
      ASSERT_TRUE((*file)->sync());
    } else {
      disk.flip_bit(path, 20, 3);
    }
    Process process(disk);
    ASSERT_TRUE(process.open());
    EXPECT_EQ(process.recovered().trust,
              missing ? raft::LogTrust::sound : raft::LogTrust::doubtful);
    EXPECT_EQ(process.recovered().last_index, last - 1);
  }
}

}  // namespace
}  // namespace doozer::storage
