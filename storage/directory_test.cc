#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "storage/identity_file.h"
#include "storage/storage_fixture.h"
#include "storage/wal_format.h"

namespace doozer::storage {
namespace {

void write_file(env::Disk& disk, const std::string& path, std::string_view content) {
  if (*disk.exists(path)) {
    ASSERT_TRUE(disk.remove(path));
  }
  const auto file = disk.open(path, env::OpenMode::create);
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->write_at(0, content));
}

TEST(Directory, ACrashInCreateLeavesAnEmptyOrAnInitializedOne) {
  sim::SimDisk whole;
  ASSERT_TRUE(Process(whole).create());
  const uint64_t operations = whole.operations();
  int empty = 0;
  int initialized = 0;
  for (uint64_t at = 1; at <= operations; ++at) {
    for (const sim::CrashKind kind : sim::kCrashKinds) {
      for (const sim::Moment moment : sim::kMoments) {
        SCOPED_TRACE(std::to_string(at));
        sim::SimDisk disk({.seed = at});
        disk.crash_at(at, kind, moment);
        EXPECT_FALSE(Process(disk).create());
        disk.restart();
        const auto report = inspect_directory(disk);
        ASSERT_TRUE(report);
        if (report->state == DirectoryState::empty) {
          ++empty;
          const auto created = Process(disk).create();
          ASSERT_TRUE(created) << created.error().message;
        } else {
          ++initialized;
          ASSERT_EQ(report->state, DirectoryState::initialized) << report->detail;
        }
        Process process(disk);
        const auto opened = process.open();
        ASSERT_TRUE(opened) << opened.error().message;
        EXPECT_EQ(process.recovered().last_index, Index(1));
      }
    }
  }
  EXPECT_GT(empty, 50);
  EXPECT_GT(initialized, 2);
}

TEST(Directory, StatesAreSeenWithoutTouchingAnything) {
  struct Case {
    const char* name;
    std::function<void(sim::SimDisk&)> spoil;
    DirectoryState state;
    std::string detail;
  };
  const Case cases[] = {
      {"whole", [](sim::SimDisk&) {}, DirectoryState::initialized, ""},
      {"identity gone", [](sim::SimDisk& disk) { ASSERT_TRUE(disk.remove("identity")); },
       DirectoryState::broken,
       "the file \"identity\" is missing, but log, snapshots or incarnation are there"},
      {"identity damaged", [](sim::SimDisk& disk) { disk.flip_bit("identity", 20, 0); },
       DirectoryState::broken, "file \"identity\" does not check"},
      {"log gone",
       [](sim::SimDisk& disk) {
         const auto names = *disk.list("log");
         for (const auto& name : names) ASSERT_TRUE(disk.remove("log/" + name));
       },
       DirectoryState::broken, "holds no segment"},
      {"incarnation gone", [](sim::SimDisk& disk) { ASSERT_TRUE(disk.remove("incarnation")); },
       DirectoryState::broken, "the file \"incarnation\" is missing"},
      {"barred", [](sim::SimDisk& disk) { ASSERT_TRUE(bar_directory(disk, "it was rolled back")); },
       DirectoryState::broken, "the file \"barred\" says: it was rolled back"},
      {"all gone but a lock",
       [](sim::SimDisk& disk) {
         const auto names = *disk.list("log");
         for (const auto& name : names) ASSERT_TRUE(disk.remove("log/" + name));
         ASSERT_TRUE(disk.remove("incarnation"));
         ASSERT_TRUE(disk.remove("identity"));
         write_file(disk, "lock", "");
       },
       DirectoryState::empty, ""},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    sim::SimDisk disk;
    {
      Process process(disk);
      ASSERT_TRUE(process.create());
      ASSERT_TRUE(process.open());
    }
    one.spoil(disk);
    const uint64_t operations = disk.operations();
    const auto report = inspect_directory(disk);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->state, one.state);
    EXPECT_NE(report->detail.find(one.detail), std::string::npos) << report->detail;
    Process process(disk);
    if (one.state == DirectoryState::initialized) {
      EXPECT_EQ(process.create().error().code, Code::conflict);
      continue;
    }
    const Code expected = one.state == DirectoryState::empty ? Code::not_found : Code::corrupt;
    EXPECT_EQ(process.open().error().code, expected);
    if (one.state == DirectoryState::broken) {
      EXPECT_EQ(process.create().error().code, Code::conflict);
    }
    EXPECT_EQ(disk.operations(), operations);
  }
}

TEST(Directory, ADamagedIncarnationIsToldAndNeverGoesBack) {
  sim::SimDisk disk;
  {
    Process process(disk);
    ASSERT_TRUE(process.create());
    ASSERT_TRUE(process.open());
  }
  ASSERT_TRUE(Process(disk).open());
  const std::string good = *disk.peek("incarnation");
  write_file(disk, "incarnation", "incarnation 9\ncrc 00000000\n");
  EXPECT_EQ(Process(disk).open().error().code, Code::corrupt);
  write_file(disk, "incarnation", encode_incarnation(Incarnation(1)));
  const auto opened = Process(disk).open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message,
            "file \"incarnation\" says 1, a log segment was written by incarnation 2");
  write_file(disk, "incarnation", good);
  EXPECT_TRUE(Process(disk).open());
}

TEST(Directory, AnotherServersSegmentOrSnapshotIsToldByName) {
  sim::SimDisk disk;
  {
    Process process(disk);
    ASSERT_TRUE(process.create());
    ASSERT_TRUE(process.open());
    ASSERT_TRUE(process.snapshot(Process::header_at(Index(1), Term(1)), {"image"}));
  }
  ASSERT_TRUE(write_identity(disk, {.cluster = kTestOwner.cluster, .identity = test_identity(5)}));
  auto opened = Process(disk).open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
  EXPECT_NE(opened.error().message.find("belongs to server"), std::string::npos);
  ASSERT_TRUE(disk.remove("snap/0000000000000001.snap"));
  opened = Process(disk).open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
  EXPECT_NE(opened.error().message.find("log/0000000000000002.wal"), std::string::npos)
      << opened.error().message;
}

TEST(IdentityFile, BadTextIsCorruptAndANewerFormatUnsupported) {
  const std::string good = encode_identity(kTestOwner);
  const auto decoded = decode_identity(good);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->cluster, kTestOwner.cluster);
  EXPECT_EQ(decoded->identity, kTestOwner.identity);
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    EXPECT_FALSE(decode_identity(bad)) << at;
    EXPECT_FALSE(decode_identity(good.substr(0, at))) << at;
  }
  EXPECT_FALSE(decode_identity(good + "x"));

  const std::string newer = "doozer-data 2\n";
  char crc[16];
  std::snprintf(crc, sizeof crc, "crc %08x\n", crc32c(newer));
  EXPECT_EQ(decode_identity(newer + crc).error().code, Code::unsupported);
  for (size_t at = 0; at < 40; ++at) {
    const std::string text = encode_incarnation(Incarnation(at * at * at));
    ASSERT_TRUE(decode_incarnation(text));
    EXPECT_EQ(*decode_incarnation(text), Incarnation(at * at * at));
    EXPECT_FALSE(decode_incarnation(text.substr(1)));
  }
}

}  // namespace
}  // namespace doozer::storage
