// Snapshots from one server to another: who asks, who sends, with real storages between them and
// every order in which messages and disks may answer.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/testing.h"
#include "server/cluster_limits.h"
#include "server/snapshot_fetch.h"
#include "server/snapshot_source.h"
#include "storage/storage_fixture.h"

namespace doozer::server {
namespace {

const Identity kTarget = storage::test_identity(9);
constexpr uint64_t kStepUs = 100;

/// One server that may have a snapshot.
struct Source {
  explicit Source(const Identity& identity) : self(identity) {
    EXPECT_TRUE(process.create());
    EXPECT_TRUE(process.open());
    sender = std::make_unique<SnapshotSource>(
        process.storage(), process.lanes(),
        SnapshotSource::Hooks{
            .post = [this](const Identity&,
                           std::string payload) { sent.push_back(std::move(payload)); },
            .take_one = [this] { ++asked_to_take_one; }},
        logger);
  }

  Identity self;
  sim::SimDisk disk;
  storage::Process process{disk};
  LogContext context;
  Logger logger{process.sink(), context, LogLevel::debug};
  std::unique_ptr<SnapshotSource> sender;
  std::deque<std::string> sent;
  int asked_to_take_one = 0;
  bool cut_off = false;
  bool silent = false;
};

/// Servers that have snapshots and one that fetches them.
class ExchangeTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(target_.create());
    ASSERT_TRUE(target_.open());
    fetch_ = std::make_unique<SnapshotFetch>(
        target_.clock(), target_.storage(), core::MachineOptions(),
        SnapshotFetch::Hooks{
            .post = [this](const Identity& to,
                           std::string payload) { asks_.emplace_back(to, std::move(payload)); },
            .others =
                [this] {
                  std::vector<Identity> others;
                  for (const Source* source : {&one_, &two_, &three_}) {
                    if (!source->cut_off) others.push_back(source->self);
                  }
                  return others;
                },
            .begin_install =
                [this](const raft::SnapshotPoint&) {
                  asked_to_install_ = true;
                  return true;
                },
            .installed = [this](std::unique_ptr<core::Machine> machine,
                                const raft::SnapshotPoint&) { installed_ = std::move(machine); },
            .install_failed = [] {},
            .discard = [this](std::unique_ptr<core::Machine>) { ++discarded_; }},
        target_logger_);
    target_.clock().at_turn_end([this] { fetch_->turn_end(); });
  }

  /// Some servers hold a snapshot whose image has exactly so many chunks.
  void take_snapshot(size_t chunks, const std::vector<Source*>& holders) {
    constexpr size_t kValueBytes = 200'000;
    if (driver_.machine->applied() == Index()) driver_.apply(core::NopView{});  // configuration
    std::vector<std::string> pieces;
    while (pieces.size() < chunks) {
      ++files_;
      driver_.set("/f" + std::to_string(files_), -1,
                  std::string(kValueBytes, static_cast<char>('a' + files_ % 26)));
      for (Source* source : {&one_, &two_, &three_}) ASSERT_TRUE(source->process.put("entry"));
      pieces = image();
    }
    ASSERT_EQ(pieces.size(), chunks);
    const core::Digests digests = driver_.machine->digests();
    storage::SnapshotHeader header =
        storage::Process::header_at(digests.index, one_.process.term());
    header.revision = digests.revision;
    header.chain_digest = digests.chain;
    header.state_digest = digests.state;
    for (Source* source : holders) ASSERT_TRUE(source->process.snapshot(header, pieces));
  }
  raft::LogPosition newest() const {
    return {.index = driver_.machine->applied(), .term = one_.process.term()};
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

  void ask(const Identity& to, const std::string& payload) {
    auto message = decode_peer_message(payload);
    ASSERT_TRUE(message);
    const auto* const ask = std::get_if<SnapshotAsk>(&*message);
    ASSERT_NE(ask, nullptr);
    for (Source* source : {&one_, &two_, &three_}) {
      if (source->self != to || source->cut_off || source->silent) continue;
      first_asked_[to].push_back(ask->first);
      source->sender->on_ask(kTarget, *ask);
    }
  }
  void hear(const Source& from, const std::string& payload) {
    auto message = decode_peer_message(payload);
    ASSERT_TRUE(message);
    if (from.cut_off) return;
    if (const auto* chunk = std::get_if<SnapshotChunk>(&*message)) {
      ++chunks_heard_;
      fetch_->on_chunk(from.self, *chunk);
    }
    if (const auto* gone = std::get_if<SnapshotGone>(&*message)) fetch_->on_gone(from.self, *gone);
  }
  void step() {
    for (const auto& [to, payload] : std::exchange(asks_, {})) ask(to, payload);
    for (Source* source : {&one_, &two_, &three_}) {
      source->process.run_for(kStepUs);
      for (const std::string& payload : std::exchange(source->sent, {})) hear(*source, payload);
    }
    target_.run_for(kStepUs);
  }
  void run_for(uint64_t us) {
    for (uint64_t passed = 0; passed < us && installed_ == nullptr; passed += kStepUs) step();
  }
  /// Until so many chunks have come in all.
  void run_until_chunks(size_t count) {
    while (chunks_heard_ < count && installed_ == nullptr) step();
  }
  /// Long waits, in which nobody but the fetching server does anything.
  void wait(uint64_t us) { target_.run_for(us); }

  bool whole() const {
    return installed_ != nullptr && installed_->digests().state == driver_.machine->digests().state;
  }

  Source one_{storage::test_identity(1)};
  Source two_{storage::test_identity(2)};
  Source three_{storage::test_identity(3)};
  sim::SimDisk target_disk_;
  storage::Process target_{target_disk_};
  LogContext context_;
  Logger target_logger_{target_.sink(), context_, LogLevel::debug};
  core::Driver driver_;
  int files_ = 0;
  std::deque<std::pair<Identity, std::string>> asks_;
  std::map<Identity, std::vector<uint64_t>> first_asked_;
  size_t chunks_heard_ = 0;
  int discarded_ = 0;
  std::unique_ptr<SnapshotFetch> fetch_;
  bool asked_to_install_ = false;
  std::unique_ptr<core::Machine> installed_;
};

class ChunksTest : public ExchangeTest, public testing::WithParamInterface<size_t> {};

TEST_P(ChunksTest, ASnapshotOfAnySizeArrivesWholeAtASlowDisk) {
  take_snapshot(GetParam(), {&one_});
  fetch_->want(one_.self, newest());
  // What was asked for ahead, beyond the end, is answered before the disk takes the first chunks.
  target_.lanes().stall_until(env::Lane::bulk, target_.clock().now_us() + 100'000);
  run_for(1'000'000);
  ASSERT_TRUE(whole());
  EXPECT_FALSE(target_.sink().has("snapshot_fetch_failed"));
}
INSTANTIATE_TEST_SUITE_P(Snapshots, ChunksTest, testing::Range<size_t>(1, 9));

TEST_F(ExchangeTest, WhatComesInOneTurnIsLoadedInTurnsOfItsOwn) {
  take_snapshot(1, {&one_});
  fetch_->want(one_.self, newest());
  for (const auto& [to, payload] : std::exchange(asks_, {})) ask(to, payload);
  one_.process.run_for(10'000);
  ASSERT_EQ(one_.sent.size(), 2U);  // the chunk and the end
  for (const std::string& payload : std::exchange(one_.sent, {})) hear(one_, payload);
  EXPECT_FALSE(asked_to_install_);
  run_for(10'000);
  EXPECT_TRUE(asked_to_install_);
}

// --- Sources come and go.

TEST_F(ExchangeTest, AnotherServerGoesOnWhereTheSourceStopped) {
  take_snapshot(8, {&one_, &three_});
  fetch_->want(one_.self, newest());
  run_until_chunks(3);
  one_.cut_off = true;
  run_for(10'000'000);
  ASSERT_TRUE(whole());
  EXPECT_EQ(first_asked_[two_.self].size(), 1U) << "it has none and says so";
  EXPECT_GE(first_asked_[three_.self].at(0), 3U) << "what had come is kept";
  EXPECT_EQ(discarded_, 0);
}

TEST_F(ExchangeTest, ASourceThatHasLostItIsPassedOverAtOnce) {
  take_snapshot(8, {&two_});
  fetch_->want(one_.self, newest());
  run_for(100'000);
  ASSERT_TRUE(whole());
  EXPECT_EQ(first_asked_[one_.self].size(), 1U);
}

TEST_F(ExchangeTest, ALinkThatWasLostForLongIsNoNewBeginning) {
  take_snapshot(8, {&one_});
  const raft::LogPosition wanted = newest();
  fetch_->want(one_.self, wanted);
  run_until_chunks(3);
  for (Source* source : {&one_, &two_, &three_}) source->cut_off = true;
  asks_.clear();
  wait(kSnapshotForgetUs - 1'000'000);
  asks_.clear();
  first_asked_.clear();
  one_.cut_off = false;
  fetch_->want(one_.self, wanted);
  run_for(5'000'000);
  ASSERT_TRUE(whole());
  EXPECT_GE(first_asked_[one_.self].at(0), 3U);
  EXPECT_EQ(discarded_, 0);
}

TEST_F(ExchangeTest, WhatNobodyGoesOnWithIsDroppedInTheEnd) {
  take_snapshot(8, {&one_});
  fetch_->want(one_.self, newest());
  run_until_chunks(3);
  one_.cut_off = two_.cut_off = three_.cut_off = true;
  wait(kSnapshotForgetUs + 1'000'000);
  EXPECT_FALSE(fetch_->running());
  EXPECT_EQ(discarded_, 1);
}

// At a slow link each would be outdated before it is whole.
TEST_F(ExchangeTest, WhatWasBegunIsPulledToItsEndAlthoughANewerOneIsOffered) {
  take_snapshot(6, {&one_});
  const Index begun = newest().index;
  fetch_->want(one_.self, newest());
  run_until_chunks(2);
  take_snapshot(8, {&one_});
  for (int i = 0; i < 50 && installed_ == nullptr; ++i) {
    fetch_->want(one_.self, newest());
    step();
  }
  run_for(1'000'000);
  ASSERT_NE(installed_, nullptr);
  EXPECT_EQ(installed_->applied(), begun);
  EXPECT_EQ(discarded_, 0);
}

TEST_F(ExchangeTest, IfNobodyGoesOnANewerOneIsBegun) {
  take_snapshot(6, {&one_});
  fetch_->want(one_.self, newest());
  run_until_chunks(2);
  one_.cut_off = true;
  take_snapshot(8, {&two_});
  fetch_->want(two_.self, newest());
  run_for(100'000);
  EXPECT_TRUE(first_asked_[two_.self].empty()) << "it may go on yet";
  wait(kSnapshotGiveUpUs);
  asks_.clear();
  fetch_->want(two_.self, newest());
  run_for(1'000'000);
  ASSERT_TRUE(whole());
  EXPECT_EQ(discarded_, 1);
}

TEST_F(ExchangeTest, ASilentSourceOfAnOldOneIsNotWaitedForLong) {
  take_snapshot(6, {&one_});
  fetch_->want(one_.self, newest());
  run_until_chunks(2);
  one_.silent = true;
  take_snapshot(8, {&two_});
  uint64_t waited = 0;
  for (; installed_ == nullptr && waited < 2 * kSnapshotGiveUpUs; waited += 100'000) {
    fetch_->want(two_.self, newest());
    run_for(100'000);
  }
  ASSERT_TRUE(whole());
  EXPECT_GE(waited, kSnapshotGiveUpUs - 500'000);
}

TEST_F(ExchangeTest, WhoDidNotHaveTheLastOneMayHaveThis) {
  take_snapshot(6, {});
  const raft::LogPosition gone = newest();
  take_snapshot(8, {&one_, &three_});
  fetch_->want(one_.self, gone);
  run_until_chunks(2);
  ASSERT_EQ(first_asked_[three_.self].size(), 1U);
  one_.cut_off = true;
  run_for(10'000'000);
  ASSERT_TRUE(whole());
  EXPECT_EQ(discarded_, 0) << "nothing of it was fetched twice";
}

TEST_F(ExchangeTest, ADiskThatHangsForLongIsNobodysSilence) {
  take_snapshot(8, {&one_});
  fetch_->want(one_.self, newest());
  target_.lanes().stall_until(env::Lane::bulk,
                              target_.clock().now_us() + kSnapshotForgetUs + 5'000'000);
  run_until_chunks(4);
  wait(kSnapshotForgetUs + 4'900'000);
  ASSERT_FALSE(asked_to_install_);
  run_for(1'000'000);
  ASSERT_TRUE(whole());
  EXPECT_EQ(discarded_, 0);
}

TEST_F(ExchangeTest, IfNobodyHasItTheNewestIsFetched) {
  take_snapshot(6, {});
  const raft::LogPosition gone = newest();
  take_snapshot(8, {&one_});
  fetch_->want(one_.self, gone);
  run_for(1'000'000);
  ASSERT_TRUE(whole());
  EXPECT_EQ(first_asked_[two_.self].size(), 1U);
  EXPECT_EQ(first_asked_[three_.self].size(), 1U);
}

TEST_F(ExchangeTest, AStateThatIsTooOldByNowIsNotPulledToItsEnd) {  // of a quarantined server
  take_snapshot(6, {&one_});
  fetch_->want(one_.self, {.index = newest().index, .term = Term()});
  run_until_chunks(2);
  take_snapshot(8, {&one_});
  fetch_->want(one_.self, {.index = newest().index, .term = Term()});
  run_for(1'000'000);
  ASSERT_TRUE(whole());
  EXPECT_EQ(discarded_, 1);
}

}  // namespace
}  // namespace doozer::server
