// The whole of storage on a real disk with real lanes: what the two threads and the loop share
// shows under the thread sanitizer, and what is written is there when the directory is opened
// again.
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>

#include "io/disk.h"
#include "io/lanes.h"
#include "io/loop.h"
#include "storage/storage.h"

namespace doozer::storage {
namespace {

constexpr uint64_t kPatienceUs = 120'000'000;
constexpr StorageOptions kOptions{.segment_bytes = kSegmentBytesMin, .disk_reserve_bytes = kMiB};

Identity id(uint8_t fill) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes.fill(fill);
  return Identity(bytes);
}

const Ownership kOwner{.cluster = id(1), .identity = id(2)};

class NoSink : public LogSink {
 public:
  void write(const LogRecord&) override {}
};

class ThreadsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(loop_ != nullptr);
    path_ = testing::TempDir() + "doozer_storage_threads_" + std::to_string(::getpid());
    disk_ = std::move(*io::RealDisk::open_directory(path_, true));
  }
  void TearDown() override {
    lanes_.reset();
    std::filesystem::remove_all(path_);
  }
  bool until(const std::function<bool()>& done) {
    const uint64_t deadline_us = loop_->now_us() + kPatienceUs;
    while (!done() && loop_->now_us() < deadline_us) loop_->run_for(1'000);
    return done();
  }

  std::unique_ptr<io::Loop> loop_ = std::move(*io::Loop::create());
  std::unique_ptr<io::ThreadLanes> lanes_ = std::move(*io::ThreadLanes::start(*loop_));
  std::string path_;
  std::unique_ptr<io::RealDisk> disk_;
  NoSink sink_;
  LogContext context_;
  Logger logger_{sink_, context_, LogLevel::info};
};

TEST_F(ThreadsTest, TheLogTheSnapshotsAndThePurgeShareNothingButWhatTheyHandOver) {
  ASSERT_TRUE(
      Storage::create(*disk_, kOwner, {.voters = {kOwner.identity}, .old_voters = {}}, kOptions));
  Index last = Index(1);
  Index oldest = Index(1);
  for (int start = 0; start < 3; ++start) {
    auto opened = Storage::open(*disk_, *lanes_, *loop_, logger_, kOptions);
    ASSERT_TRUE(opened) << opened.error().message;
    Storage& storage = **opened;
    ASSERT_EQ(storage.recovered().last_index, last);
    uint64_t persisted = 0;
    storage.on_persisted([&](Result<uint64_t> tag) {
      ASSERT_TRUE(tag) << tag.error().message;
      persisted = *tag;
    });
    for (int round = 0; round < 8; ++round) {
      for (int i = 0; i < 40; ++i) {
        last = last + 1;
        storage.append({.index = last,
                        .term = Term(1),
                        .kind = raft::EntryKind::command,
                        .payload = std::string(1'000, 'x')});
        storage.flush(last.value());
        ASSERT_TRUE(storage.admit(1'000, false));
        if (i % 8 == 0) loop_->run_for(200);
      }
      auto writer = storage.write_snapshot(
          {.cluster = kOwner.cluster,
           .identity = kOwner.identity,
           .point = {.index = last,
                     .term = Term(1),
                     .configuration = {.voters = {kOwner.identity}, .old_voters = {}}},
           .cluster_version = 1,
           .revision = Revision(1),
           .chain_digest = {},
           .state_digest = {}});
      ASSERT_TRUE(writer);
      for (int chunk = 0; chunk < 4; ++chunk) {
        ASSERT_TRUE(until([&] { return (*writer)->ready(); }));
        (*writer)->add(std::string(100'000, static_cast<char>('a' + chunk)));
      }
      bool written = false;
      (*writer)->finish([&](Result<void> result) {
        EXPECT_TRUE(result) << result.error().message;
        written = true;
      });
      ASSERT_TRUE(until([&] { return written && persisted == last.value(); }));
      oldest = storage.snapshots().back().point.index;
      storage.purge(oldest);
    }
    bool quiet = false;
    storage.quiesce([&] { quiet = true; });
    ASSERT_TRUE(until([&] { return quiet; }));
    EXPECT_GT(storage.stats().syncs, 8U);
    // Dies with jobs under way.
    storage.append(
        {.index = last + 1, .term = Term(1), .kind = raft::EntryKind::noop, .payload = {}});
    storage.flush(last.value() + 1);
    opened->reset();
    last = last + 1;
    // The next start stands for another process: what was given to the lanes is done before it.
    lanes_.reset();
    lanes_ = std::move(*io::ThreadLanes::start(*loop_));
  }
}

}  // namespace
}  // namespace doozer::storage
