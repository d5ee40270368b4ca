// Damage of every kind to every part of a log that was left in peace: each is reported with the
// file, or nothing is missing. Also what is told of a torn tail.
#include <gtest/gtest.h>

#include "base/probe.h"
#include "storage/storage_fixture.h"
#include "storage/wal_format.h"

namespace doozer::storage {
namespace {

/// Three segments, of which recovery made the first; the last batch is vouched for.
class WalDamageTest : public testing::Test {
 protected:
  void SetUp() override {
    {
      Process process(disk_);
      ASSERT_TRUE(process.create());
      ASSERT_TRUE(process.open());
      for (int i = 0; i < 30; ++i) ASSERT_TRUE(process.put(std::string(30, 'a')));
    }
    Process process(disk_);
    ASSERT_TRUE(process.open());
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(process.put(std::string(14'000, 'b')));
    process.run_for(2 * kIdleMarkerUs);
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(process.put(std::string(100, 'c')));
    process.run_for(2 * kIdleMarkerUs);
    ASSERT_EQ(process.storage().stats().segments, 3U);
    last_ = process.last();
    disk_.crash(sim::CrashKind::process);
    disk_.restart();
    names_ = *disk_.list("log");
    for (const std::string& name : names_) {
      const size_t at = disk_.peek("log/" + name)->rfind("doozsync");
      if (at == std::string::npos) continue;
      log_end_path_ = "log/" + name;
      log_end_ = at - kRecordHeadBytes;
    }
  }

  /// Opens a copy that `spoil` has spoilt.
  void expect_told_or_harmless(const std::function<void(sim::SimDisk&)>& spoil,
                               const std::string& what) {
    expect_told_or_keeping(spoil, what, last_);
  }
  void expect_told_or_keeping(const std::function<void(sim::SimDisk&)>& spoil,
                              const std::string& what, Index least) {
    const auto copy = disk_.clone(1);
    spoil(*copy);
    const uint64_t operations = copy->operations();
    Process process(*copy);
    const auto opened = process.open();
    if (!opened) {
      ++told_;
      EXPECT_EQ(opened.error().code, Code::corrupt) << what;
      EXPECT_NE(opened.error().message.find("log/"), std::string::npos) << opened.error().message;
      EXPECT_EQ(copy->operations(), operations) << what << ": something was changed";
      return;
    }
    ++harmless_;
    EXPECT_GE(process.recovered().last_index, least) << what;
    const auto entries = process.entries();
    ASSERT_TRUE(entries) << what << ": " << entries.error().message;
    EXPECT_EQ(entries->size(), process.recovered().last_index.value()) << what;
    for (size_t i = 1; i < entries->size(); ++i) {
      const std::string& payload = (*entries)[i].payload;
      const char expected = i <= 30 ? 'a' : i <= 36 ? 'b' : 'c';
      ASSERT_EQ(payload.find_first_not_of(expected), std::string::npos) << what;
    }
  }

  static void overwrite(sim::SimDisk& disk, const std::string& path, uint64_t at,
                        const std::string& bytes) {
    const auto file = disk.open(path, env::OpenMode::read_write);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->write_at(at, bytes));
    ASSERT_TRUE((*file)->sync());
    disk.crash(sim::CrashKind::process);
    disk.restart();
  }

  sim::SimDisk disk_;
  Index last_;
  std::string log_end_path_;
  size_t log_end_ = 0;  ///< where the newest marker stands
  std::vector<std::string> names_;
  int told_ = 0;
  int harmless_ = 0;
};

TEST_F(WalDamageTest, AFlippedBitIsToldOrHarmless) {
  for (const std::string& name : names_) {
    const std::string path = "log/" + name;
    const std::string content = *disk_.peek(path);
    for (size_t at = 0; at < content.size(); ++at) {
      // All of what is not one long value; that and the zeros behind by samples.
      const bool dull = at > 0 && content[at] == content[at - 1];
      if (dull && at % 251 != 0) continue;
      expect_told_or_harmless([&](sim::SimDisk& disk) { disk.flip_bit(path, at, at % 8); },
                              path + " bit of byte " + std::to_string(at));
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(told_, 1000);
  EXPECT_GT(harmless_, 100);
}

TEST_F(WalDamageTest, AZeroedSectorOrPageIsToldOrHarmless) {
  for (const std::string& name : names_) {
    const std::string path = "log/" + name;
    const size_t size = disk_.peek(path)->size();
    for (const size_t unit : {size_t{512}, size_t{4096}}) {
      for (size_t at = 0; at < size; at += unit) {
        const std::string zeros(std::min(unit, size - at), '\0');
        // Where the newest markers are lost themselves, what was known earlier still counts: here
        // the idle marker in front of the last five entries.
        const bool end_lost =
            path == log_end_path_ && unit > 512 && at <= log_end_ && log_end_ <= at + unit;
        expect_told_or_keeping(
            [&](sim::SimDisk& disk) { overwrite(disk, path, at, zeros); },
            path + ": " + std::to_string(unit) + " zeros at " + std::to_string(at),
            end_lost ? last_ - 5 : last_);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_F(WalDamageTest, ATruncatedFileIsTold) {
  for (const std::string& name : names_) {
    const std::string path = "log/" + name;
    const size_t size = disk_.peek(path)->size();
    for (size_t to = 0; to < size; to += 512) {
      expect_told_or_harmless(
          [&](sim::SimDisk& disk) {
            ASSERT_TRUE((*disk.open(path, env::OpenMode::read_write))->resize(to));
          },
          path + " cut to " + std::to_string(to));
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(told_, 100);
}

TEST_F(WalDamageTest, AMissingSegmentIsTold) {
  for (const std::string& name : names_) {
    expect_told_or_harmless([&](sim::SimDisk& disk) { ASSERT_TRUE(disk.remove("log/" + name)); },
                            name + " removed");
  }
  EXPECT_EQ(told_, 3);
  EXPECT_EQ(harmless_, 1) << "the prepared one";
}

TEST_F(WalDamageTest, ASegmentUnderAnotherNameIsTold) {
  expect_told_or_harmless(
      [&](sim::SimDisk& disk) { ASSERT_TRUE(disk.rename("log/" + names_[0], "log/" + names_[1])); },
      "renamed");
  EXPECT_EQ(told_, 1);
}

TEST_F(WalDamageTest, ACorruptLogNamesFileOffsetAndTheWayOut) {
  disk_.flip_bit("log/" + names_[0], 600, 0);
  Process process(disk_);
  const auto opened = process.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message,
            "file \"log/" + names_[0] +
                "\" at offset 577: the record does not check; acknowledged data may be damaged, "
                "nothing was changed. See `doozer-inspect salvage`");
}

TEST(WalTail, DamageInTheNewestBatchIsDoubtfulUntilSettled) {
  sim::SimDisk disk;
  {
    Process process(disk);
    ASSERT_TRUE(process.create());
    ASSERT_TRUE(process.open());
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(process.put("before"));
    for (int i = 0; i < 4; ++i) process.add("last batch");
    ASSERT_TRUE(process.settle());
    // Dies before the idle marker: nothing vouches for the last batch.
    disk.crash(sim::CrashKind::process);
    disk.restart();
  }
  const std::vector<std::string> names = *disk.list("log");
  size_t at = std::string::npos;
  for (const std::string& name : names) {
    const std::string content = *disk.peek("log/" + name);
    at = content.rfind("last batch");
    if (at == std::string::npos) continue;
    disk.flip_bit("log/" + name, at, 1);
    break;
  }
  ASSERT_NE(at, std::string::npos);
  for (int start = 0; start < 3; ++start) {
    Process process(disk);
    ASSERT_TRUE(process.open());
    EXPECT_EQ(process.sink().has("log_tail_cut"), start == 0);
    EXPECT_EQ(process.recovered().trust, raft::LogTrust::doubtful) << start;
    EXPECT_EQ(process.recovered().last_index, Index(7)) << "all but the damaged entry";
    EXPECT_EQ(process.recovered().doubtful_to, Index(8));
    if (start == 1) {
      // Another hard state does not settle it.
      process.storage().set_hard_state({.term = Term(2), .vote = {}, .commit = Index(1)});
      ASSERT_TRUE(process.settle());
    }
    if (start == 2) {
      process.storage().settle_doubt();
      process.storage().settle_doubt();
      ASSERT_TRUE(process.settle());
    }
  }
  Process process(disk);
  ASSERT_TRUE(process.open());
  EXPECT_EQ(process.recovered().trust, raft::LogTrust::sound);
  EXPECT_EQ(process.recovered().doubtful_to, Index(0));
  EXPECT_EQ(process.recovered().hard_state.term, Term(2));
}

TEST(WalTail, AValueThatImitatesAMarkerIsNone) {
  // The forger knows identities, segment and place, everything but the header's checksum.
  sim::SimDisk disk;
  Process process(disk);
  ASSERT_TRUE(process.create());
  ASSERT_TRUE(process.open());
  std::string value;
  for (uint64_t number = 1; number <= 3; ++number) {
    for (uint64_t offset = 512; offset < 20'000; offset += 512) {
      std::string forged;
      begin_batch(forged);
      seal_batch(forged,
                 {.number = number,
                  .offset = offset,
                  .synced_to = offset + 50'000,
                  .header_crc = 0x12345678,
                  .batch_bytes = 0,
                  .last_index = Index(99)},
                 segment_seed(kTestOwner.cluster, kTestOwner.identity, number), 0);
      value += forged.substr(0, kMarkerRecordBytes);
    }
  }
  ASSERT_TRUE(process.put(value));
  disk.crash(sim::CrashKind::process);
  disk.restart();
  const auto last = disk.list("log")->back();
  disk.flip_bit("log/" + last, 600, 0);
  Process next(disk);
  EXPECT_TRUE(next.open());
}

}  // namespace
}  // namespace doozer::storage
