// What all connections together may cost, and how long they may hold a stop; in virtual time, over
// a host whose machine answers at once.
#include "server/connections.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "door/door_testing.h"
#include "sim/net.h"
#include "sim/raw_client.h"
#include "sim/server_process.h"

namespace doozer::server {
namespace {

constexpr size_t kWindowBytes = 64 * kKiB;
constexpr size_t kFileBytes = 256 * kKiB;
constexpr uint64_t kFarUs = 3'600'000'000;

class ConnectionsLimits : public testing::Test {
 protected:
  ConnectionsLimits()
      : network_({.window_bytes = kWindowBytes}),
        server_net_(network_, clock_, "10.0.0.1"),
        client_net_(network_, clock_, "10.0.0.2"),
        log_(clock_),
        logger_(log_, context_, LogLevel::info) {
    host_.set("/file", std::string(kFileBytes, 'f'));
    clock_.at_turn_end([this] { connections_->turn_end(); });
    options_.limits.unsent_stall_us = kFarUs;
  }
  void serve() {
    connections_ = std::make_unique<Connections>(clock_, host_, options_, logger_);
    auto listener = server_net_.listen({.address = "10.0.0.1:8046"}, *connections_);
    ASSERT_TRUE(listener);
    listener_ = std::move(*listener);
    connections_->resume();
  }
  /// Connects, asks so many times for the file, and reads nothing.
  std::unique_ptr<sim::RawClient> deaf_client(int gets) {
    auto client = std::make_unique<sim::RawClient>(client_net_, "10.0.0.1:8046");
    client->pause_reading();
    ask(*client, gets);
    return client;
  }
  void ask(sim::RawClient& client, int gets) {
    wire::RequestView get;
    get.verb = static_cast<int32_t>(wire::Verb::get);
    get.path = "/file";
    for (int i = 0; i < gets; ++i) client.send(get);
    run_for(1'000);
  }
  void run_for(uint64_t us) { clock_.run_until(clock_.now_us() + us); }
  /// What the server holds for one of these: the answers, but for what the network has taken.
  static size_t held(size_t answers) { return answers * kFileBytes - kWindowBytes; }

  /// And the heads of the answers.
  void expect_unsent(size_t bytes) {
    EXPECT_GT(connections_->unsent(), bytes);
    EXPECT_LT(connections_->unsent(), bytes + 1'000);
  }

  sim::SimClock clock_;
  sim::SimNetwork network_;
  sim::SimNet server_net_;
  sim::SimNet client_net_;
  sim::SimLog log_;
  LogContext context_;
  Logger logger_;
  door::TestHost host_;
  ConnectionsOptions options_;
  std::unique_ptr<Connections> connections_;
  std::unique_ptr<env::Listener> listener_;
};

TEST_F(ConnectionsLimits, AboveTheCommonLimitWhoHasUnsentBytesBeginsNoRequestAndOthersDo) {
  options_.unsent_soft = held(2) + held(3);
  serve();
  const auto two = deaf_client(2);
  const auto three = deaf_client(3);
  expect_unsent(held(2) + held(3));
  // His own limit would let him have two more.
  const size_t before = connections_->unsent();
  ask(*two, 1);
  EXPECT_EQ(connections_->unsent(), before);
  // Who takes his answers is served as ever.
  sim::RawClient other(client_net_, "10.0.0.1:8046");
  ask(other, 20);
  run_for(100'000);
  EXPECT_EQ(other.answers(), 20U);
  // One reads, and all get theirs.
  three->resume_reading();
  run_for(100'000);
  EXPECT_EQ(three->answers(), 3U);
  two->resume_reading();
  run_for(100'000);
  EXPECT_EQ(two->answers(), 3U);
  EXPECT_EQ(connections_->unsent(), 0U);
  EXPECT_EQ(connections_->cut(), 0U);
}

TEST_F(ConnectionsLimits, AboveTheCommonMaximumThoseWithTheMostAreCut) {
  options_.unsent_max = held(1) + held(2) + held(3);
  serve();
  const auto one = deaf_client(1);
  const auto three = deaf_client(3);
  EXPECT_EQ(connections_->cut(), 0U);
  const auto two = deaf_client(2);
  EXPECT_EQ(connections_->cut(), 1U);
  EXPECT_EQ(connections_->count(), 2U);
  expect_unsent(held(1) + held(2));
  EXPECT_TRUE(log_.has("this one has the most waiting"));
  EXPECT_TRUE(three->failed().has_value());
  for (const auto& client : {one.get(), two.get()}) {
    client->resume_reading();
    run_for(100'000);
    EXPECT_FALSE(client->failed().has_value());
  }
  EXPECT_EQ(one->answers(), 1U);
  EXPECT_EQ(two->answers(), 2U);
  EXPECT_EQ(connections_->unsent(), 0U);
}

TEST_F(ConnectionsLimits, WhoIsGoneIsNotCounted) {
  serve();
  auto gone = deaf_client(3);
  ASSERT_GT(connections_->unsent(), 0U);
  gone->close();
  run_for(1'000);
  EXPECT_EQ(connections_->count(), 0U);
  EXPECT_EQ(connections_->unsent(), 0U);
}

/// Half a SET of so many bytes, or the part of it from byte `from` to `to`.
std::string half_a_set(size_t value_bytes, size_t from, size_t to) {
  const std::string value(value_bytes, 'v');
  wire::RequestView set;
  set.tag = 1;
  set.verb = static_cast<int32_t>(wire::Verb::set);
  set.path = "/big";
  set.value = value;
  set.rev = -1;
  std::string frame;
  wire::append_request(set, frame);
  return frame.substr(from, to - from);
}

class HalfFramesTest : public ConnectionsLimits {
 protected:
  static constexpr size_t kHalfBytes = 200 * kKiB;
  static constexpr size_t kHeldMost = 2 * kHalfBytes;  // strings grow by doubling

  std::unique_ptr<sim::RawClient> half_client(sim::SimNet& net) {
    auto client = std::make_unique<sim::RawClient>(net, "10.0.0.1:8046");
    client->send_bytes(half_a_set(kFileBytes, 0, kHalfBytes));
    run_for(2'000);
    return client;
  }
  /// The rest of what half_client() began, in small parts, while `also` happens in between.
  template <typename Also>
  void finish_slowly(sim::RawClient& client, Also also) {
    const size_t end = half_a_set(kFileBytes, 0, SIZE_MAX).size();
    constexpr size_t kPart = 4 * kKiB;
    for (size_t at = kHalfBytes; at < end; at += kPart) {
      client.send_bytes(half_a_set(kFileBytes, at, std::min(at + kPart, end)));
      run_for(2'000);
      also();
    }
    clock_.post([this] {
      while (host_.writes() > 0) host_.apply_one();
    });
    run_for(2'000);
  }

  void expect_slow_line_gets_through(sim::SimNet& crowds) {
    options_.half_frames_max = 20 * kHeldMost;
    serve();
    const auto slow = half_client(client_net_);
    std::vector<std::unique_ptr<sim::RawClient>> crowd;
    finish_slowly(*slow, [&] {
      for (int i = 0; i < 5; ++i) crowd.push_back(half_client(crowds));
    });
    EXPECT_GT(connections_->cut(), 20U);
    EXPECT_FALSE(slow->failed().has_value());
    EXPECT_EQ(slow->answers(), 1U);
  }

  sim::SimNet others_net_{network_, clock_, "10.0.0.3"};
};

TEST_F(HalfFramesTest, AllTogetherHoldNoMoreThanTheLimitHoweverManyTheyAre) {
  options_.half_frames_max = 20 * kHeldMost;
  serve();
  std::vector<std::unique_ptr<sim::RawClient>> crowd;
  for (int i = 0; i < 200; ++i) {
    crowd.push_back(half_client(others_net_));
    ASSERT_LE(connections_->half_frames(), options_.half_frames_max);
  }
  EXPECT_GT(connections_->half_frames(), 10 * kHalfBytes) << "nobody is cut who need not be";
  EXPECT_GT(connections_->cut(), 100U);
  EXPECT_TRUE(log_.has("have begun too much and not finished it"));
  crowd.clear();
  run_for(1'000);
  EXPECT_EQ(connections_->half_frames(), 0U);
}

TEST_F(HalfFramesTest, OneSlowLineGetsItsValueThroughACrowdThatStops) {
  expect_slow_line_gets_through(others_net_);
}

TEST_F(HalfFramesTest, AlsoIfTheCrowdComesFromItsOwnAddress) {
  expect_slow_line_gets_through(client_net_);
}

TEST_F(HalfFramesTest, ACrowdWithoutTheSecretHoldsNearlyNothing) {
  host_.test_secrets.read_write = "rw";
  serve();
  std::vector<std::unique_ptr<sim::RawClient>> crowd;
  for (int i = 0; i < 50; ++i) crowd.push_back(half_client(others_net_));
  EXPECT_EQ(connections_->half_frames(), 0U);
  EXPECT_EQ(connections_->cut(), 0U);
  for (const auto& client : crowd) {
    EXPECT_EQ(client->answer(1)->err_detail, "permission denied");
  }
}

/// When all were closed after close_all(); kFarUs: not within a minute.
class StopTest : public ConnectionsLimits {
 protected:
  void stop() {
    began_us_ = clock_.now_us();
    connections_->close_all([this] { took_us_ = clock_.now_us() - began_us_; });
    clock_.post([] {});
  }
  uint64_t began_us_ = 0;
  uint64_t took_us_ = kFarUs;
};

TEST_F(StopTest, WhoTakesNothingHoldsAStopForASecond) {
  serve();
  const auto deaf = deaf_client(3);
  const auto half_closed = deaf_client(2);
  half_closed->shutdown();  // is closing already
  run_for(20'000'000);      // silent for longer than a stop would wait
  ASSERT_EQ(connections_->count(), 2U);
  stop();
  run_for(kGracefulLingerUs / 2);
  EXPECT_EQ(connections_->count(), 2U);
  run_for(60'000'000);
  EXPECT_LT(took_us_, kGracefulLingerUs * 3 / 2);
  EXPECT_EQ(connections_->cut(), 2U);
  EXPECT_TRUE(log_.has("the server stops and the client does not take its answers"));
}

TEST_F(StopTest, WhoTakesAllHisAnswersSlowlyGetsThem) {
  serve();
  const auto slow = deaf_client(3);
  stop();
  // A window at a time, each well within the second.
  const uint64_t pause_us = kGracefulAnswersUs / 2 / (3 * kFileBytes / kWindowBytes);
  for (uint64_t waited = 0; waited < kGracefulAnswersUs && !slow->ended(); waited += pause_us) {
    slow->resume_reading();
    run_for(200);
    slow->pause_reading();
    run_for(pause_us);
  }
  slow->resume_reading();
  run_for(60'000'000);
  EXPECT_EQ(slow->answers(), 3U);
  EXPECT_TRUE(slow->ended());
  EXPECT_EQ(connections_->cut(), 0U);
}

TEST_F(StopTest, WhoDrawsHisAnswersOutHoldsAStopForTheWholeTimeAndNoLonger) {
  options_.limits.stop_us = 2'000'000;
  serve();
  const auto drawing = deaf_client(4);
  stop();
  while (took_us_ == kFarUs && clock_.now_us() - began_us_ < 60'000'000) {
    drawing->resume_reading();
    run_for(100);
    drawing->pause_reading();
    run_for(options_.limits.linger_us * 9 / 10);
  }
  EXPECT_GE(took_us_, options_.limits.stop_us);
  EXPECT_LT(took_us_, options_.limits.stop_us * 3 / 2);
  EXPECT_EQ(connections_->cut(), 1U);
}

}  // namespace
}  // namespace doozer::server
