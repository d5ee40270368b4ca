// What the server does about trouble by itself: doubt about a cut tail, a disk that is full for
// good, a log that is stuck when it should stop.

#include <gtest/gtest.h>

#include <iostream>
#include <map>

#include "base/probe.h"
#include "sim/one_server_world.h"

namespace doozer::sim {
namespace {

wire::RequestView request(wire::Verb verb, std::string_view path) {
  wire::RequestView view;
  view.verb = static_cast<int32_t>(verb);
  view.path = path;
  return view;
}

wire::RequestView set_of(std::string_view path, std::string_view value) {
  wire::RequestView view = request(wire::Verb::set, path);
  view.value = value;
  view.rev = -1;
  return view;
}

wire::RequestView del_of(std::string_view path) {
  wire::RequestView view = request(wire::Verb::del, path);
  view.rev = -1;
  return view;
}

wire::RequestView get_of(std::string_view path, int64_t rev) {
  wire::RequestView view = request(wire::Verb::get, path);
  view.rev = rev;
  return view;
}

ServerProcessOptions small() {
  ServerProcessOptions options;
  options.config.segment_bytes = 256 * kKiB;
  options.config.disk_reserve_bytes = 256 * kKiB;
  return options;
}

class ServerFaults : public testing::Test {
 protected:
  void TearDown() override {
    if (!HasFailure() || world_ == nullptr || !world_->running()) return;
    for (const std::string& line : world_->process().log().lines()) std::cout << line;
  }
  void boot(const ServerProcessOptions& options, const SimDiskOptions& disk = {}) {
    world_ = std::make_unique<OneServerWorld>(disk, options);
    start();
  }
  void start() {
    const auto started = world_->start();
    ASSERT_TRUE(started) << started.error().message;
    ASSERT_TRUE(world_->run([this] { return world_->process().serving(); }));
  }
  // Sends and waits for the answer.
  Answer ask(RawClient& client, const wire::RequestView& what) {
    const int32_t tag = client.send(what);
    EXPECT_TRUE(world_->run([&] { return client.answer(tag) != nullptr || client.failed(); }));
    return client.answer(tag) != nullptr ? *client.answer(tag) : Answer{};
  }
  // Sets files of 20,000 bytes until one is refused; how many there are.
  int fill(RawClient& client) {
    for (int i = 0; i < 2'000; ++i) {
      const Answer answer =
          ask(client, set_of("/fill/" + std::to_string(i), std::string(20'000, 'f')));
      if (answer.err_code != 0) return i;
    }
    return 2'000;
  }
  std::unique_ptr<OneServerWorld> world_;
};

TEST_F(ServerFaults, DoubtAboutACutTailEndsWithTheStartThatFoundIt) {
  int doubted = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    boot(small(), {.seed = seed});
    const auto client = world_->connect();
    ask(*client, set_of("/a", "1"));
    world_->disk().on_operation([](const Operation& operation) -> Fate {
      if (operation.kind != DiskOp::sync) return {};
      return {.kind = Fate::Kind::crash, .crash = CrashKind::machine_mixed};
    });
    for (int i = 0; i < 20; ++i) client->send(set_of("/a", std::string(3'000, 'x')));
    ASSERT_TRUE(world_->run([this] { return !world_->running(); }));
    world_->disk().on_operation({});
    start();
    if (!world_->process().log().has("doubtful=true")) continue;
    ++doubted;
    world_->run_for(100'000);
    world_->kill();
    start();
    EXPECT_FALSE(world_->process().log().has("doubtful=true")) << seed;
  }
  EXPECT_GT(doubted, 3);
}

TEST_F(ServerFaults, AStopDoesNotWaitForALogThatIsStuck) {
  boot(small());
  const auto client = world_->connect();
  ask(*client, set_of("/a", "1"));
  const uint64_t began = world_->now_us();
  world_->process().lanes().stall_until(env::Lane::log, began + 3'600'000'000);
  client->send(set_of("/a", "2"));
  world_->run_for(10'000);
  world_->process().server().stop();
  ASSERT_TRUE(world_->run([this] { return !world_->running(); }));
  EXPECT_LT(world_->now_us() - began, 10'000'000U);
}

TEST_F(ServerFaults, AServerAloneOnAFullDiskWakesUpOnlyToLookForRoom) {
  boot(small(), {.capacity_bytes = 6 * kMiB});
  const auto client = world_->connect();
  ASSERT_LT(fill(*client), 2'000);
  world_->run_for(30'000'000);
  const uint64_t before = world_->process().clock().turns();
  const uint64_t written = world_->disk().operations();
  world_->run_for(20'000'000);
  EXPECT_LT(world_->process().clock().turns() - before, 100U);
  EXPECT_LT(world_->disk().operations() - written, 200U);
}

TEST_F(ServerFaults, DeletingMakesRoomOnADiskThatStaysFull) {
  ServerProcessOptions options = small();
  boot(options, {.capacity_bytes = 8 * kMiB});
  auto client = world_->connect();
  const int kept = fill(*client);
  ASSERT_LT(kept, 2'000);
  for (int i = 0; i < kept; ++i) {
    const Answer deleted = ask(*client, del_of("/fill/" + std::to_string(i)));
    EXPECT_EQ(deleted.err_code, 0) << i << " " << deleted.err_detail;
  }
  world_->run_for(60'000'000);
  const Answer again = ask(*client, set_of("/again", std::string(20'000, 'a')));
  EXPECT_EQ(again.err_code, 0) << again.err_detail;
  // And so again and again, through restarts: the log of all of it would never fit.
  world_->kill();
  start();
  client = world_->connect();
  EXPECT_EQ(ask(*client, get_of("/again", again.rev)).value.size(), 20'000U);
  for (int round = 0; round < 8; ++round) {
    const int more = fill(*client);
    EXPECT_GT(more, kept / 4) << round;
    for (int i = 0; i < more; ++i) {
      EXPECT_EQ(ask(*client, del_of("/fill/" + std::to_string(i))).err_code, 0) << round;
    }
    world_->run_for(60'000'000);
    EXPECT_EQ(ask(*client, set_of("/again", "2")).err_code, 0) << round;
    if (round % 3 == 2) {
      world_->kill();
      start();
      client = world_->connect();
    }
    if (HasFailure()) return;
  }
}

TEST_F(ServerFaults, AStormOfDelsOnAFullDiskIsAnsweredToTheEnd) {
  boot(small(), {.capacity_bytes = 8 * kMiB});
  const auto client = world_->connect();
  ASSERT_LT(fill(*client), 2'000);
  // DELs of nothing free nothing and cost log: refused at last perhaps, never left unanswered.
  int refused = 0;
  for (int i = 0; i < 6'000; ++i) {
    const uint64_t asked = world_->now_us();
    const int32_t tag = client->send(del_of("/none"));
    ASSERT_TRUE(world_->run(
        [&] { return client->answer(tag) != nullptr || client->failed() || client->ended(); }));
    ASSERT_NE(client->answer(tag), nullptr) << i << " was left without an answer";
    EXPECT_LT(world_->now_us() - asked, 1'500'000U);
    refused += client->answer(tag)->err_code != 0 ? 1 : 0;
    if (HasFailure()) return;
  }
  EXPECT_LT(refused, 6'000);
  EXPECT_TRUE(world_->running());
}

TEST_F(ServerFaults, ManySmallWritesAskForASnapshotByWhatTheyTakeOnTheDisk) {
  ServerProcessOptions options = small();
  options.snapshots.log_bytes = 512 * kKiB;
  options.config.history = 100;
  boot(options);
  const auto client = world_->connect();
  // One at a time: each takes a sector or two.
  for (int i = 0; i < 3'000; ++i) ask(*client, set_of("/s", "v"));
  world_->run_for(1'000'000);
  EXPECT_TRUE(world_->process().log().has("snapshot_taken"));
  uint64_t bytes = 0;
  const auto names = world_->disk().list("log");
  ASSERT_TRUE(names);
  for (const std::string& name : *names) bytes += world_->disk().peek("log/" + name)->size();
  EXPECT_LT(bytes, 2 * kMiB);
}

TEST_F(ServerFaults, AChangedHistoryFlagNeverLosesWhatStaysKeptAndCutsTheRest) {
  ServerProcessOptions options = small();
  options.config.history = 400;
  options.snapshots.log_bytes = 60 * kKiB;
  SimDiskOptions disk;
  world_ = std::make_unique<OneServerWorld>(disk, options);
  std::map<int64_t, std::string> written;
  int64_t newest = 0;
  int64_t oldest = 1;
  int number = 0;
  for (const uint64_t history : {400U, 2'000U, 50U, 50U, 1'000U}) {
    world_->set_history(history);
    start();
    const auto client = world_->connect();
    // What was readable before the restart, and is within the flag, still is.
    for (int64_t rev = oldest; rev <= newest; ++rev) {
      if (rev <= newest - static_cast<int64_t>(history) || !written.contains(rev)) continue;
      const Answer answer = ask(*client, get_of("/h", rev));
      ASSERT_EQ(answer.value, written[rev])
          << "history " << history << ", revision " << rev << ": " << answer.err_detail;
    }
    for (int i = 0; i < 700; ++i) {
      const std::string value = std::to_string(number++) + std::string(300, 'h');
      newest = ask(*client, set_of("/h", value)).rev;
      written[newest] = value;
    }
    oldest = std::max(oldest, newest - static_cast<int64_t>(history) + 1);
    for (int64_t rev = oldest; rev <= newest; rev += 7) {
      if (!written.contains(rev)) continue;
      EXPECT_EQ(ask(*client, get_of("/h", rev)).value, written[rev]);
    }
    world_->run_for(500'000);
    world_->kill();
  }
}

TEST_F(ServerFaults, WhatIsUnderWayIsCountedDownAgain) {
  ServerProcessOptions options;
  options.config.history = 2;
  boot(options);
  const auto client = world_->connect();
  const std::string value(kValueBytesMax, 'v');
  const size_t writes = kProposedBytesMax / kValueBytesMax + 8;
  for (size_t i = 0; i < writes; ++i) {
    const Answer answer = ask(*client, set_of("/large", value));
    ASSERT_EQ(answer.err_code, 0) << i << " " << answer.err_detail;
  }
}

TEST_F(ServerFaults, ShortLivesDoNotPutOffSnapshotsForEver) {
  ServerProcessOptions options = small();
  options.snapshots.log_bytes = 200 * kKiB;
  boot(options);
  bool taken = false;
  for (int life = 0; life < 12 && !taken; ++life) {
    const auto client = world_->connect();
    for (int i = 0; i < 10; ++i) ask(*client, set_of("/k", std::string(4'000, 'k')));
    world_->run_for(500'000);
    taken = world_->process().log().has("snapshot_taken");
    world_->kill();
    start();
  }
  EXPECT_TRUE(taken);
}

TEST_F(ServerFaults, ASnapshotThatFailsIsTriedAgainLaterAndNotAtOnce) {
  ServerProcessOptions options = small();
  options.snapshots.log_bytes = 60 * kKiB;
  boot(options);
  const auto client = world_->connect();
  int failures = 0;
  world_->disk().on_operation([&](const Operation& operation) -> Fate {
    if (!operation.path.ends_with(".snap.tmp") || operation.kind != DiskOp::sync) return {};
    ++failures;
    return {.kind = Fate::Kind::fail, .code = Code::no_space};
  });
  for (int i = 0; i < 250; ++i) {
    EXPECT_EQ(ask(*client, set_of("/k", std::string(2'000, 'k'))).err_code, 0);
    world_->run_for(100'000);
  }
  EXPECT_GE(failures, 2);
  EXPECT_LE(failures, 4);
  world_->disk().on_operation({});
  world_->run_for(11'000'000);
  ask(*client, set_of("/k", "1"));
  world_->run_for(1'000'000);
  EXPECT_TRUE(world_->process().log().has("snapshot_taken"));
}

TEST_F(ServerFaults, AClientThatIsGoneIsNotToldOfItsWrites) {
  boot(small());
  auto client = world_->connect();
  ask(*client, set_of("/a", "1"));
  world_->process().lanes().stall_until(env::Lane::log, world_->now_us() + 500'000);
  for (int i = 0; i < 20; ++i) client->send(set_of("/a", "2"));
  world_->run_for(10'000);
  client.reset();
  world_->run_for(1'000'000);
  const auto other = world_->connect();
  EXPECT_EQ(ask(*other, set_of("/a", "3")).err_code, 0);
}

TEST_F(ServerFaults, AGracefulStopVouchesForTheLastWrite) {
  boot(small());
  auto client = world_->connect();
  ask(*client, set_of("/a", "the family jewels"));
  client.reset();
  world_->run_for(1'000);
  world_->process().server().stop();
  ASSERT_TRUE(world_->run([this] { return !world_->running(); }));
  world_->disk().restart();
  const auto names = world_->disk().list("log");
  ASSERT_TRUE(names);
  bool damaged = false;
  for (const std::string& name : *names) {
    const size_t place = world_->disk().peek("log/" + name)->find("the family jewels");
    if (place == std::string::npos) continue;
    world_->disk().flip_bit("log/" + name, place, 0);
    damaged = true;
  }
  ASSERT_TRUE(damaged);
  const auto started = world_->start();
  ASSERT_FALSE(started) << "an acknowledged write was taken for a torn tail";
  EXPECT_EQ(started.error().code, Code::corrupt) << started.error().message;
}

}  // namespace
}  // namespace doozer::sim
