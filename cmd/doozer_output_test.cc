// Where an export goes. Everything happens in a folder of the test's own.
#include "cmd/doozer_output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cmd/doozer_process.h"
#include "cmd/doozer_table.h"

namespace doozer::cli {
namespace {

namespace fs = std::filesystem;

class DoozerOutput : public testing::Test {
 protected:
  DoozerOutput() {
    std::string name = (fs::temp_directory_path() / "doozer-output-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~DoozerOutput() override { fs::remove_all(folder_); }

  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  void put(const std::string& name, const std::string& content, mode_t mode) const {
    std::ofstream(at(name)) << content;
    ASSERT_EQ(::chmod(at(name).c_str(), mode), 0);
  }
  std::string content(const std::string& name) const {
    std::ostringstream bytes;
    bytes << std::ifstream(at(name)).rdbuf();
    return bytes.str();
  }
  mode_t mode(const std::string& name) const {
    struct stat status{};
    EXPECT_EQ(::stat(at(name).c_str(), &status), 0);
    return status.st_mode & 07777;
  }
  size_t names() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), {}));
  }
  /// Writes "new" to it and finishes; the error's message, or "".
  std::string write_new(const std::string& name) const {
    auto file = OutputFile::create(at(name));
    if (!file) return file.error().message;
    EXPECT_TRUE(file->write("new"));
    const auto finished = file->finish();
    return finished ? "" : finished.error().message;
  }

  fs::path folder_;
};

TEST_F(DoozerOutput, ANewFileIsItsOwnersAlone) {
  EXPECT_EQ(write_new("x"), "");
  EXPECT_EQ(content("x"), "new");
  EXPECT_EQ(mode("x"), 0600);
  EXPECT_EQ(names(), 1U);
}

TEST_F(DoozerOutput, AFileKeepsItsModeAndIsReplacedOnlyWhenAllIsWritten) {
  put("x", "old", 0644);
  {
    auto file = OutputFile::create(at("x"));
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write("new"));
    EXPECT_EQ(content("x"), "old");
  }
  EXPECT_EQ(content("x"), "old");
  EXPECT_EQ(names(), 1U) << "nothing is left of what was not finished";
  EXPECT_EQ(write_new("x"), "");
  EXPECT_EQ(content("x"), "new");
  EXPECT_EQ(mode("x"), 0644);
}

TEST_F(DoozerOutput, ASymbolicLinkStaysOneAndItsFileIsReplaced) {
  ASSERT_TRUE(fs::create_directory(at("d")));
  put("d/x", "old", 0640);
  fs::create_symlink("d/x", at("link"));
  EXPECT_EQ(write_new("link"), "");
  EXPECT_TRUE(fs::is_symlink(at("link")));
  EXPECT_EQ(content("d/x"), "new");
  EXPECT_EQ(mode("d/x"), 0640);
}

TEST_F(DoozerOutput, ASymbolicLinkToNothingIsRefusedAndLeftAlone) {
  fs::create_symlink("nothing", at("link"));
  EXPECT_EQ(write_new("link"),
            "cannot create " + at("link") + ": it is a symbolic link to a missing file");
  EXPECT_TRUE(fs::is_symlink(at("link")));
  EXPECT_EQ(names(), 1U);
}

TEST_F(DoozerOutput, AFifoIsWrittenToAndStaysOne) {
  ASSERT_EQ(::mkfifo(at("fifo").c_str(), 0600), 0);
  fs::create_symlink("fifo", at("link"));
  // Open at both ends, so that nobody waits.
  const int fd = ::open(at("fifo").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  for (const char* name : {"fifo", "link"}) {
    EXPECT_EQ(write_new(name), "");
    char read[8] = {};
    EXPECT_EQ(::read(fd, read, sizeof read), 3);
    EXPECT_STREQ(read, "new");
    EXPECT_TRUE(fs::is_fifo(at(name)));
  }
  ::close(fd);
  EXPECT_EQ(names(), 2U);
}

TEST_F(DoozerOutput, ANameThatSomebodyLaidOutIsNeverFollowed) {
  put("victim", "old", 0644);
  fs::create_symlink("victim", at("x.part"));
  EXPECT_EQ(write_new("x"), "");
  EXPECT_EQ(content("victim"), "old");
}

TEST_F(DoozerOutput, CtrlCLeavesNothingOfWhatIsNotFinished) {
  const auto interrupted = [this] {
    ::signal(SIGINT, SIG_DFL);  // a background job may have been started with it ignored
    prepare_process();
    auto file = OutputFile::create(at("x"));
    if (file && file->write("new")) ::raise(SIGINT);
  };
  EXPECT_EXIT(interrupted(), testing::ExitedWithCode(kExitInterrupted), "");
  EXPECT_EQ(names(), 0U);
}

TEST_F(DoozerOutput, AFolderIsNoFile) {
  ASSERT_TRUE(fs::create_directory(at("d")));
  EXPECT_EQ(write_new("d"), "cannot write " + at("d") + ": Is a directory");
  EXPECT_EQ(names(), 1U);
}

}  // namespace
}  // namespace doozer::cli
