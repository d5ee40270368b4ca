#include <gtest/gtest.h>

#include "base/probe.h"
#include "storage/snapshot_format.h"
#include "storage/snapshot_reader.h"
#include "storage/storage_fixture.h"

namespace doozer::storage {
namespace {

std::vector<std::string> some_chunks(size_t count) {
  std::vector<std::string> chunks;
  for (size_t i = 0; i < count; ++i) {
    std::string chunk(i == 0 ? 0 : 1 + i * 37'000 % kSnapshotChunkBytes, '\0');
    uint64_t state = i + 1;
    for (char& c : chunk) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      c = static_cast<char>(state >> 60U);
    }
    chunks.push_back(std::move(chunk));
  }
  return chunks;
}

Result<std::vector<std::string>> read_all(SnapshotReader& reader) {
  std::vector<std::string> chunks;
  while (true) {
    TRY_ASSIGN(auto chunk, reader.next());
    if (!chunk) return chunks;
    chunks.push_back(*std::move(chunk));
  }
}

class SnapshotTest : public testing::Test {
 protected:
  void SetUp() override {
    process_ = std::make_unique<Process>(disk_);
    ASSERT_TRUE(process_->create());
    ASSERT_TRUE(process_->open());
    write(20);
  }
  void write(int count) {
    for (int i = 0; i < count; ++i) ASSERT_TRUE(process_->put(std::string(5'000, 'x')));
  }
  void restart(sim::CrashKind kind = sim::CrashKind::machine_lost) {
    process_.reset();
    disk_.crash(kind);
    disk_.restart();
    process_ = std::make_unique<Process>(disk_);
  }
  Result<void> take(Index index, size_t chunks = 5) {
    return process_->snapshot(Process::header_at(index, Term(1)), some_chunks(chunks));
  }
  Storage& storage() { return process_->storage(); }

  sim::SimDisk disk_;
  std::unique_ptr<Process> process_;
};

TEST_F(SnapshotTest, WhatIsWrittenIsReadAfterAMachineCrash) {
  const auto chunks = some_chunks(40);
  const SnapshotHeader header = Process::header_at(Index(15), Term(1));
  ASSERT_TRUE(process_->snapshot(header, chunks));
  EXPECT_EQ(storage().snapshots(), std::vector<SnapshotHeader>{header});
  EXPECT_EQ(storage().stats().snapshots, 1U);
  EXPECT_GT(storage().stats().snapshot_bytes, 100'000U);
  restart();
  ASSERT_TRUE(process_->open());
  ASSERT_EQ(process_->recovered().snapshots, std::vector<SnapshotHeader>{header});
  const auto reader = storage().read_snapshot(Index(15));
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ((*reader)->header(), header);
  const auto read = read_all(**reader);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, chunks);
  EXPECT_FALSE(*(*reader)->next()) << "the end stays the end";
  EXPECT_EQ(storage().read_snapshot(Index(14)).error().code, Code::not_found);
}

TEST_F(SnapshotTest, LargeOnesAreSyncedPiecewise) {
  std::vector<std::string> chunks(20, std::string(kSnapshotChunkBytes, '\0'));
  uint64_t state = 1;
  for (std::string& chunk : chunks) {
    for (char& c : chunk) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      c = static_cast<char>(state >> 56U);
    }
  }
  ASSERT_TRUE(process_->snapshot(Process::header_at(Index(15), Term(1)), chunks));
  uint64_t unsynced = 0;
  for (const sim::Operation& operation : disk_.log()) {
    if (!operation.path.ends_with(".snap.tmp")) continue;
    if (operation.kind == sim::DiskOp::sync) unsynced = 0;
    if (operation.kind == sim::DiskOp::write) unsynced += operation.size;
    ASSERT_LE(unsynced, kBulkSyncBytes + kSnapshotStoredBytesMax);
  }
}

TEST_F(SnapshotTest, AnUnfinishedOneLeavesNothing) {
  {
    auto writer = storage().write_snapshot(Process::header_at(Index(15), Term(1)));
    ASSERT_TRUE(writer);
    (*writer)->add("chunk");
  }
  process_->run_for(1'000'000);
  EXPECT_TRUE(disk_.list("snap")->empty());
  {
    auto writer = storage().write_snapshot(Process::header_at(Index(15), Term(1)));
    ASSERT_TRUE(writer);
    (*writer)->add("chunk");
    process_->run_for(1'000'000);
    disk_.crash(sim::CrashKind::process);
  }
  process_.reset();
  disk_.restart();
  process_ = std::make_unique<Process>(disk_);
  ASSERT_EQ(disk_.list("snap")->size(), 1U);
  ASSERT_TRUE(process_->open());
  EXPECT_TRUE(disk_.list("snap")->empty()) << "garbage is removed at start";
}

TEST_F(SnapshotTest, IsPublishedOnlyWhenTheLogCoversIt) {
  auto writer = storage().write_snapshot(Process::header_at(Index(23), Term(1)));
  ASSERT_TRUE(writer);
  std::optional<Result<void>> ended;
  (*writer)->finish([&](Result<void> result) { ended = std::move(result); });
  process_->run_for(1'000'000);
  EXPECT_FALSE(ended);
  EXPECT_TRUE(storage().snapshots().empty());
  write(2);
  process_->run_for(1'000'000);
  ASSERT_TRUE(ended);
  EXPECT_TRUE(*ended);
  EXPECT_EQ(storage().snapshots().size(), 1U);
}

TEST_F(SnapshotTest, ThatWaitsForADeadLogFails) {
  auto writer = storage().write_snapshot(Process::header_at(Index(23), Term(1)));
  ASSERT_TRUE(writer);
  std::optional<Result<void>> ended;
  (*writer)->finish([&](Result<void> result) { ended = std::move(result); });
  process_->run_for(1'000'000);
  process_->add("x");
  disk_.fail_at(disk_.operations() + 1);
  EXPECT_FALSE(process_->settle());
  process_->run_for(1'000'000);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->error().code, Code::io_error);
  EXPECT_TRUE(disk_.list("snap")->empty());
}

TEST_F(SnapshotTest, AnErrorAnywhereIsToldOnceAndLeavesNothing) {
  const uint64_t before = disk_.operations();
  ASSERT_TRUE(take(Index(5)));
  const uint64_t operations = disk_.operations() - before;
  ASSERT_GT(operations, 6U);
  process_->run_for(1'000'000);
  for (uint64_t at = 1; at <= operations; ++at) {
    for (const Code code : {Code::io_error, Code::no_space}) {
      disk_.fail_at(disk_.operations() + at, code);
      const auto result = take(Index(10));
      ASSERT_FALSE(result) << at;
      EXPECT_EQ(result.error().code, code);
      disk_.clear_plans();
      process_->run_for(1'000'000);
      // The last operation is the directory's sync: then the file is there, unpublished.
      EXPECT_EQ(disk_.list("snap")->size(), at < operations ? 1U : 2U) << at;
      EXPECT_EQ(storage().snapshots().size(), 1U);
    }
  }
  EXPECT_TRUE(take(Index(10)));
}

TEST_F(SnapshotTest, OfAnotherServerIsNotWritten) {
  SnapshotHeader header = Process::header_at(Index(5), Term(1));
  header.identity = test_identity(9);
  EXPECT_EQ(storage().write_snapshot(header).error().code, Code::conflict);
}

TEST_F(SnapshotTest, PurgeKeepsWhatIsNeeded) {
  ASSERT_TRUE(take(Index(4)));
  ASSERT_TRUE(take(Index(12)));
  ASSERT_TRUE(take(Index(20)));
  ASSERT_TRUE(take(Index(20))) << "the same again replaces it";
  EXPECT_EQ(storage().snapshots().size(), 3U);
  const uint64_t segments = storage().stats().segments;
  const uint64_t log_bytes = storage().stats().log_bytes;
  storage().purge(Index(12));
  EXPECT_EQ(storage().snapshots().size(), 2U);
  EXPECT_EQ(storage().snapshots().front().point.index, Index(12));
  process_->run_for(1'000'000);
  EXPECT_EQ(disk_.list("snap")->size(), 2U);
  write(40);
  ASSERT_TRUE(take(Index(60)));
  storage().purge(Index(60));
  process_->run_for(1'000'000);
  EXPECT_EQ(disk_.list("snap")->size(), 1U);
  EXPECT_LE(disk_.list("log")->size(), 3U);
  EXPECT_LE(storage().stats().segments, segments);
  EXPECT_LE(storage().stats().log_bytes, log_bytes + 70'000);
  restart(sim::CrashKind::process);
  ASSERT_TRUE(process_->open());
  EXPECT_GT(process_->recovered().first_index, Index(40));
  EXPECT_LE(process_->recovered().first_index, Index(61));
  EXPECT_EQ(process_->recovered().last_index, Index(61));
  const auto entries = process_->entries();
  ASSERT_TRUE(entries) << entries.error().message;
  EXPECT_EQ(entries->back().index, Index(61));
  write(3);
  restart();
  ASSERT_TRUE(process_->open());
  EXPECT_EQ(process_->recovered().last_index, Index(64));
}

TEST_F(SnapshotTest, EveryDamageIsSeen) {
  ASSERT_TRUE(take(Index(5), 3));
  const std::string path = snapshot_path(Index(5));
  const std::string content = *disk_.peek(path);
  for (size_t at = 0; at < content.size(); at += at < 200 ? 1 : 97) {
    const auto copy = disk_.clone(1);
    copy->flip_bit(path, at, at % 8);
    auto reader = SnapshotFileReader::open(*copy, path);
    if (!reader) {
      EXPECT_TRUE(reader.error().code == Code::corrupt || reader.error().code == Code::unsupported);
      continue;
    }
    const auto read = read_all(**reader);
    ASSERT_FALSE(read) << at;
    EXPECT_EQ(read.error().code, Code::corrupt);
    EXPECT_NE(read.error().message.find(path), std::string::npos);
    EXPECT_FALSE(verify_snapshot(*copy, path)) << at;
  }
  for (size_t size = 0; size < content.size(); size += 101) {
    const auto copy = disk_.clone(1);
    ASSERT_TRUE((*copy->open(path, env::OpenMode::read_write))->resize(size));
    EXPECT_FALSE(verify_snapshot(*copy, path)) << size;
  }
  const auto copy = disk_.clone(1);
  ASSERT_TRUE((*copy->open(path, env::OpenMode::read_write))->resize(content.size() + 1));
  EXPECT_FALSE(verify_snapshot(*copy, path)) << "one byte too many";
}

TEST_F(SnapshotTest, ADamagedNewestOneFallsBackToAnOlder) {
  ASSERT_TRUE(take(Index(4)));
  ASSERT_TRUE(take(Index(12)));
  const std::string path = snapshot_path(Index(12));
  const size_t middle = disk_.peek(path)->size() / 2;
  restart();
  disk_.flip_bit(path, middle, 0);
  ASSERT_TRUE(process_->open());
  EXPECT_TRUE(process_->sink().has("snapshot_damaged"));
  ASSERT_EQ(process_->recovered().snapshots.size(), 1U);
  EXPECT_EQ(process_->recovered().snapshots[0].point.index, Index(4));
  ASSERT_TRUE(take(Index(20)));
  storage().purge(Index(20));
  process_->run_for(1'000'000);
  EXPECT_EQ(disk_.list("snap")->size(), 1U) << "the damaged one went as well";
}

TEST_F(SnapshotTest, ADamagedOnlyOneIsCorruptWhenTheLogWasCut) {
  ASSERT_TRUE(take(Index(20)));
  write(40);
  storage().purge(Index(20));
  process_->run_for(1'000'000);
  restart(sim::CrashKind::process);
  disk_.flip_bit(snapshot_path(Index(20)), 30, 0);
  const uint64_t operations = disk_.operations();
  const auto opened = process_->open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
  EXPECT_NE(opened.error().message.find("snap/0000000000000014.snap"), std::string::npos)
      << opened.error().message;
  EXPECT_EQ(disk_.operations(), operations);
}

TEST_F(SnapshotTest, OneThatDisagreesWithTheLogIsCorrupt) {
  ASSERT_TRUE(process_->snapshot(Process::header_at(Index(5), Term(3)), {}));
  restart();
  const auto opened = process_->open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
  EXPECT_NE(opened.error().message.find("has term 3, the log 1"), std::string::npos)
      << opened.error().message;
}

TEST_F(SnapshotTest, OneBeyondTheLogIsCorrupt) {
  write(1);
  ASSERT_TRUE(take(Index(22)));
  restart(sim::CrashKind::process);
  // The last batch, for which nothing vouches but the snapshot.
  const auto names = *disk_.list("log");
  std::string newest;
  for (const auto& name : names) {
    if (disk_.peek("log/" + name)->find('x') != std::string::npos) newest = "log/" + name;
  }
  disk_.flip_bit(newest, disk_.peek(newest)->rfind('x'), 0);
  const auto opened = process_->open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
  EXPECT_NE(opened.error().message.find("the log ends at 21"), std::string::npos)
      << opened.error().message;
}

TEST_F(SnapshotTest, OneUnderAnotherNameIsDamaged) {
  ASSERT_TRUE(take(Index(5)));
  restart();
  ASSERT_TRUE(disk_.rename(snapshot_path(Index(5)), snapshot_path(Index(6))));
  ASSERT_TRUE(process_->open());
  EXPECT_TRUE(process_->recovered().snapshots.empty());
  EXPECT_TRUE(process_->sink().has("snapshot_damaged"));
}

TEST(SnapshotFormat, HeaderComesBackAndNewerIsUnsupported) {
  SnapshotHeader header = Process::header_at(Index(1000), Term(7));
  header.cluster_version = 3;
  header.revision = Revision(-5);
  for (const auto& configuration : {kTestConfiguration, raft::Configuration{}}) {
    header.point.configuration = configuration;
    std::string bytes = encode_snapshot_header(header);
    const auto decoded = decode_snapshot_header(bytes);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->header, header);
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode_snapshot_header(bytes.substr(0, size)));
    }
    bytes[8] = 2;
    EXPECT_EQ(snapshot_header_size(bytes).error().code, Code::unsupported);
    bytes[8] = 1;
    bytes[14] = 1;
    EXPECT_EQ(snapshot_header_size(bytes).error().code, Code::corrupt);
  }
}

TEST(SnapshotFormat, Names) {
  EXPECT_EQ(snapshot_path(Index(1000)), "snap/00000000000003e8.snap");
  EXPECT_EQ(parse_snapshot_name("00000000000003e8.snap"), Index(1000));
  for (const char* name : {"", "00000000000003E8.snap", "3e8.snap", "00000000000003e8.snap.tmp",
                           "00000000000003e8.wal.", "00000000000003eg.snap"}) {
    EXPECT_FALSE(parse_snapshot_name(name)) << name;
  }
}

}  // namespace
}  // namespace doozer::storage
