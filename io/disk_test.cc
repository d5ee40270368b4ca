#include "io/disk.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "io/io_testing.h"

namespace doozer::io {
namespace {

struct DiskTest : testing::Test {
  TemporaryDirectory directory;
  std::unique_ptr<RealDisk> disk = std::move(*RealDisk::open_directory(directory.path(), false));

  std::unique_ptr<env::File> create(std::string_view name) {
    return std::move(*disk->open(name, env::OpenMode::create));
  }
};

TEST_F(DiskTest, AFileReadsWhatWasWrittenAndEndsWhereItEnds) {
  const auto file = create("log");
  ASSERT_TRUE(file->write_at(3, "defgh"));
  ASSERT_TRUE(file->write_at(0, "abc"));
  ASSERT_TRUE(file->sync());
  std::string out(20, '?');
  EXPECT_EQ(file->read_at(0, out), 8U);
  EXPECT_EQ(out.substr(0, 8), "abcdefgh");
  EXPECT_EQ(file->read_at(6, std::span(out.data(), 1)), 1U);
  EXPECT_EQ(file->read_at(8, out), 0U);
  EXPECT_EQ(file->read_at(1000, out), 0U);
  EXPECT_EQ(file->size(), 8U);
}

TEST_F(DiskTest, ResizeCutsAndGrowsWithZeros) {
  const auto file = create("f");
  ASSERT_TRUE(file->write_at(0, "abcdef"));
  ASSERT_TRUE(file->resize(2));
  ASSERT_TRUE(file->resize(4));
  std::string out(10, '?');
  EXPECT_EQ(file->read_at(0, out), 4U);
  EXPECT_EQ(out.substr(0, 4), std::string("ab\0\0", 4));
}

TEST_F(DiskTest, AllocateTakesBlocksAndMakesTheFileExactlySoLong) {
  const auto file = create("segment");
  ASSERT_TRUE(file->write_at(0, "head"));
  ASSERT_TRUE(file->allocate(1 * kMiB));
  EXPECT_EQ(file->size(), 1 * kMiB);
  struct stat status{};
  ASSERT_EQ(stat((directory / "segment").c_str(), &status), 0);
  EXPECT_GE(static_cast<uint64_t>(status.st_blocks) * 512, 1 * kMiB);
  std::string out(6, '?');
  EXPECT_EQ(file->read_at(0, out), 6U);
  EXPECT_EQ(out, std::string("head\0\0", 6));
  ASSERT_TRUE(file->allocate(4096));
  EXPECT_EQ(file->size(), 4096U);
}

TEST_F(DiskTest, OpenModesSayWhatMustBeThere) {
  const auto missing = disk->open("x", env::OpenMode::read);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::not_found);
  EXPECT_EQ(missing.error().message,
            directory / "x" + ": open: No such file or directory (ENOENT)");
  EXPECT_EQ(disk->open("x", env::OpenMode::read_write).error().code, Code::not_found);
  create("x");
  EXPECT_EQ(disk->open("x", env::OpenMode::create).error().code, Code::conflict);
  const auto read = disk->open("x", env::OpenMode::read);
  ASSERT_TRUE(read);
  EXPECT_EQ((*read)->write_at(0, "a").error().code, Code::io_error);
}

TEST_F(DiskTest, NamesAreListedRenamedAndRemoved) {
  EXPECT_EQ(disk->list(""), std::vector<std::string>{});
  EXPECT_EQ(disk->list("no").error().code, Code::not_found);
  ASSERT_TRUE(disk->make_directory("d"));
  ASSERT_TRUE(disk->make_directory("d"));
  for (const char* name : {"b", "d/c", "a", "Z"}) ASSERT_TRUE(create(name)->write_at(0, name));
  EXPECT_EQ(disk->list(""), (std::vector<std::string>{"Z", "a", "b", "d"}));
  EXPECT_EQ(disk->list("d"), std::vector<std::string>{"c"});
  EXPECT_FALSE(disk->make_directory("a"));
  ASSERT_TRUE(disk->rename("a", "d/c"));
  EXPECT_EQ(env::read_file(*disk, "d/c", 10), "a");
  EXPECT_EQ(disk->rename("a", "q").error().code, Code::not_found);
  EXPECT_EQ(disk->exists("a"), false);
  EXPECT_EQ(disk->exists("d"), true);
  ASSERT_TRUE(disk->sync_directory("d"));
  ASSERT_TRUE(disk->sync_directory(""));
  EXPECT_EQ(disk->sync_directory("no").error().code, Code::not_found);
  EXPECT_EQ(disk->remove("a").error().code, Code::not_found);
  EXPECT_FALSE(disk->remove("d"));
  ASSERT_TRUE(disk->remove("d/c"));
  ASSERT_TRUE(disk->remove("d"));
  EXPECT_EQ(disk->list(""), (std::vector<std::string>{"Z", "b"}));
}

TEST_F(DiskTest, ReplaceFileLeavesOneWholeFile) {
  ASSERT_TRUE(env::replace_file(*disk, "", "id", "one"));
  ASSERT_TRUE(env::replace_file(*disk, "", "id", "two"));
  EXPECT_EQ(env::read_file(*disk, "id", 10), "two");
  EXPECT_EQ(disk->list(""), std::vector<std::string>{"id"});
}

TEST_F(DiskTest, FilesAreNobodyElsesBusiness) {
  create("secret");
  ASSERT_TRUE(disk->make_directory("d"));
  struct stat status{};
  ASSERT_EQ(stat((directory / "secret").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  ASSERT_EQ(stat((directory / "d").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
}

TEST_F(DiskTest, TheDirectoryIsMadeOnlyWhenAsked) {
  const std::string deep = directory / "a/b/c";
  EXPECT_EQ(RealDisk::open_directory(deep, false).error().code, Code::not_found);
  EXPECT_TRUE(RealDisk::open_directory(deep, true));
  EXPECT_TRUE(RealDisk::open_directory(deep, false));
  create("file");
  const auto file = RealDisk::open_directory(directory / "file", true);
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("Not a directory"), std::string::npos);
  EXPECT_FALSE(RealDisk::open_directory("", true));
}

TEST_F(DiskTest, TheLockNamesItsHolderAndVanishesWithIt) {
  ASSERT_TRUE(disk->lock("lock"));
  const auto other = std::move(*RealDisk::open_directory(directory.path(), false));
  const Result<void> second = other->lock("lock");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::conflict);
  EXPECT_NE(second.error().message.find("(process " + std::to_string(getpid()) + ")"),
            std::string::npos)
      << second.error().message;
  disk.reset();
  EXPECT_TRUE(other->lock("lock"));
}

TEST_F(DiskTest, ARefusedStartLeavesWhatItFound) {
  namespace fs = std::filesystem;
  // Nothing was there: directory, parents and lock go, what was there before stays.
  const std::string deep = directory / "a/b/c";
  fs::create_directory(directory / "a");
  for (const bool locked : {false, true}) {
    const auto made = std::move(*RealDisk::open_directory(deep, true));
    if (locked) {
      ASSERT_TRUE(made->lock("lock"));
    }
    made->undo_start();
    EXPECT_TRUE(fs::exists(directory / "a"));
    EXPECT_FALSE(fs::exists(directory / "a/b"));
  }
  // An empty directory stays an empty directory.
  fs::create_directories(deep);
  auto found = std::move(*RealDisk::open_directory(deep, true));
  ASSERT_TRUE(found->lock("lock"));
  found->undo_start();
  EXPECT_TRUE(fs::is_empty(deep));
  // One with anything in it is not touched, nor is a lock that was there.
  found = std::move(*RealDisk::open_directory(deep, true));
  ASSERT_TRUE(found->open("lock", env::OpenMode::create));
  ASSERT_TRUE(found->lock("lock"));
  found->undo_start();
  EXPECT_TRUE(fs::exists(directory / "a/b/c/lock"));
  fs::remove_all(directory / "a/b");
  found = std::move(*RealDisk::open_directory(deep, true));
  ASSERT_TRUE(found->lock("lock"));
  ASSERT_TRUE(found->open("wal", env::OpenMode::create));
  found->undo_start();
  EXPECT_TRUE(fs::exists(directory / "a/b/c/lock"));
  EXPECT_TRUE(fs::exists(directory / "a/b/c/wal"));
}

TEST_F(DiskTest, ALockIsHeldAgainstOtherProcessesAndFreedWhenTheyDie) {
  int ready[2];
  int end[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(end), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto mine = RealDisk::open_directory(directory.path(), false);
    const char outcome = (*mine)->lock("lock") ? 'y' : 'n';
    if (write(ready[1], &outcome, 1) != 1) _exit(1);
    char byte = 0;
    close(end[1]);
    if (read(end[0], &byte, 1) > 0) _exit(1);
    _exit(0);
  }
  char outcome = 0;
  ASSERT_EQ(read(ready[0], &outcome, 1), 1);
  EXPECT_EQ(outcome, 'y');
  const Result<void> held = disk->lock("lock");
  ASSERT_FALSE(held);
  EXPECT_NE(held.error().message.find(std::to_string(child)), std::string::npos);
  for (const int fd : {ready[0], ready[1], end[0], end[1]}) close(fd);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(disk->lock("lock"));
}

TEST_F(DiskTest, FreeBytesAreTold) {
  const Result<uint64_t> free = disk->free_bytes();
  ASSERT_TRUE(free);
  EXPECT_GT(*free, 0U);
}

// Runs in a child, as the limit cannot be raised again.
TEST_F(DiskTest, AWriteOverTheFileSizeLimitIsNoSpace) {
  const auto file = create("f");
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{.rlim_cur = 8192, .rlim_max = 8192};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(2);
    const Result<void> written = file->write_at(0, std::string(10'000, 'x'));
    if (written) _exit(3);
    if (written.error().code != Code::no_space) _exit(4);
    if (written.error().message.find("at offset 8192") == std::string::npos) _exit(5);
    _exit(file->allocate(100'000) ? 6 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(DiskTest, AFullDiskIsNoSpaceAndRecovers) {
  const std::string mount_point = directory / "small";
  ASSERT_TRUE(disk->make_directory("small"));
  if (mount("none", mount_point.c_str(), "tmpfs", 0, "size=256k") != 0) {
    GTEST_SKIP() << "needs the right to mount";
  }
  {
    const auto small = std::move(*RealDisk::open_directory(mount_point, false));
    EXPECT_LE(*small->free_bytes(), 256 * kKiB);
    auto file = std::move(*small->open("f", env::OpenMode::create));
    EXPECT_EQ(file->allocate(1 * kMiB).error().code, Code::no_space);
    const Result<void> written = file->write_at(0, std::string(1 * kMiB, 'x'));
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, Code::no_space);
    EXPECT_NE(written.error().message.find("ENOSPC"), std::string::npos);
    EXPECT_LT(*small->free_bytes(), 8 * kKiB);
    ASSERT_TRUE(file->resize(0));
    EXPECT_TRUE(file->write_at(0, std::string(100 * kKiB, 'x')));
    file.reset();
  }
  EXPECT_EQ(umount(mount_point.c_str()), 0);
}

}  // namespace
}  // namespace doozer::io
