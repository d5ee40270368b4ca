// Snapshots from one server to another: who asks, who sends, with real storages between them and
// every order in which messages and disks may answer.
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "core/testing.h"
#include "server/snapshot_fetch.h"
#include "server/snapshot_source.h"
#include "storage/storage_fixture.h"

namespace doozer::server {
namespace {

const Identity kSource = storage::test_identity(1);
const Identity kTarget = storage::test_identity(2);
constexpr uint64_t kStepUs = 100;

/// One server that has a snapshot and one that fetches it.
class ExchangeTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(source_.create());
    ASSERT_TRUE(source_.open());
    ASSERT_TRUE(target_.create());
    ASSERT_TRUE(target_.open());
    sender_ = std::make_unique<SnapshotSource>(
        source_.storage(), source_.lanes(),
        SnapshotSource::Hooks{
            .post = [this](const Identity&,
                           std::string payload) { to_target_.push_back(std::move(payload)); },
            .take_one = [] {}},
        source_logger_);
    fetch_ = std::make_unique<SnapshotFetch>(
        target_.clock(), target_.storage(), core::MachineOptions(),
        SnapshotFetch::Hooks{
            .post = [this](const Identity&,
                           std::string payload) { to_source_.push_back(std::move(payload)); },
            .begin_install =
                [this](const raft::SnapshotPoint&) {
                  asked_to_install_ = true;
                  return true;
                },
            .installed = [this](std::unique_ptr<core::Machine> machine,
                                const raft::SnapshotPoint&) { installed_ = std::move(machine); },
            .install_failed = [] {},
            .discard = [](std::unique_ptr<core::Machine>) {}},
        target_logger_);
    target_.clock().at_turn_end([this] { fetch_->turn_end(); });
  }

  /// The source holds a snapshot whose image has exactly so many chunks.
  void take_snapshot(size_t chunks) {
    constexpr size_t kValueBytes = 200'000;
    driver_.apply(core::NopView{});  // entry 1 is the log's configuration
    std::vector<std::string> pieces;
    for (int file = 0; pieces.size() < chunks; ++file) {
      driver_.set("/f" + std::to_string(file), -1,
                  std::string(kValueBytes, static_cast<char>('a' + file % 26)));
      ASSERT_TRUE(source_.put("entry"));
      pieces = image();
    }
    ASSERT_EQ(pieces.size(), chunks);
    const core::Digests digests = driver_.machine->digests();
    storage::SnapshotHeader header = storage::Process::header_at(digests.index, source_.term());
    header.revision = digests.revision;
    header.chain_digest = digests.chain;
    header.state_digest = digests.state;
    ASSERT_TRUE(source_.snapshot(header, pieces));
  }

  std::vector<std::string> image() {
    std::string bytes;
    const auto writer = driver_.machine->write_image();
    for (auto step = core::ImageWriter::Step::more; step != core::ImageWriter::Step::done;) {
      Budget budget(kSliceSteps);
      auto made = writer->next(kSnapshotChunkBytes, budget, bytes);
      EXPECT_TRUE(made);
      step = *made;
    }
    std::vector<std::string> pieces;
    for (size_t at = 0; at < bytes.size(); at += kSnapshotChunkBytes) {
      pieces.push_back(bytes.substr(at, kSnapshotChunkBytes));
    }
    return pieces;
  }

  void hear(const std::string& payload) {
    auto message = decode_peer_message(payload);
    ASSERT_TRUE(message);
    if (const auto* ask = std::get_if<SnapshotAsk>(&*message)) sender_->on_ask(kTarget, *ask);
    if (const auto* chunk = std::get_if<SnapshotChunk>(&*message)) {
      fetch_->on_chunk(kSource, *chunk);
    }
    if (const auto* gone = std::get_if<SnapshotGone>(&*message)) fetch_->on_gone(kSource, *gone);
  }

  void run_for(uint64_t us) {
    for (uint64_t passed = 0; passed < us && installed_ == nullptr; passed += kStepUs) {
      for (const std::string& payload : std::exchange(to_source_, {})) hear(payload);
      source_.run_for(kStepUs);
      for (const std::string& payload : std::exchange(to_target_, {})) hear(payload);
      target_.run_for(kStepUs);
    }
  }

  sim::SimDisk source_disk_;
  sim::SimDisk target_disk_;
  storage::Process source_{source_disk_};
  storage::Process target_{target_disk_};
  LogContext context_;
  Logger source_logger_{source_.sink(), context_, LogLevel::debug};
  Logger target_logger_{target_.sink(), context_, LogLevel::debug};
  core::Driver driver_;
  std::deque<std::string> to_source_;
  std::deque<std::string> to_target_;
  std::unique_ptr<SnapshotSource> sender_;
  std::unique_ptr<SnapshotFetch> fetch_;
  bool asked_to_install_ = false;
  std::unique_ptr<core::Machine> installed_;
};

class ChunksTest : public ExchangeTest, public testing::WithParamInterface<size_t> {};

TEST_P(ChunksTest, ASnapshotOfAnySizeArrivesWholeAtASlowDisk) {
  take_snapshot(GetParam());
  fetch_->want(kSource, {.index = driver_.machine->applied(), .term = source_.term()});
  // What was asked for ahead, beyond the end, is answered before the disk takes the first chunks.
  target_.lanes().stall_until(env::Lane::bulk, target_.clock().now_us() + 100'000);
  run_for(1'000'000);
  ASSERT_NE(installed_, nullptr);
  EXPECT_EQ(installed_->digests().state, driver_.machine->digests().state);
  EXPECT_FALSE(target_.sink().has("snapshot_fetch_failed"));
}
INSTANTIATE_TEST_SUITE_P(Snapshots, ChunksTest, testing::Range<size_t>(1, 9));

TEST_F(ExchangeTest, WhatComesInOneTurnIsLoadedInTurnsOfItsOwn) {
  take_snapshot(1);
  fetch_->want(kSource, {.index = driver_.machine->applied(), .term = source_.term()});
  for (const std::string& payload : std::exchange(to_source_, {})) hear(payload);
  source_.run_for(10'000);
  ASSERT_EQ(to_target_.size(), 2U);  // the chunk and the end
  for (const std::string& payload : std::exchange(to_target_, {})) hear(payload);
  EXPECT_FALSE(asked_to_install_);
  run_for(10'000);
  EXPECT_TRUE(asked_to_install_);
}

}  // namespace
}  // namespace doozer::server
