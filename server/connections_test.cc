// The client port, before and beside the serving of clients: who is a peer, who waits.

#include "server/connections.h"

#include <gtest/gtest.h>

#include "door/door_testing.h"
#include "sim/loop.h"
#include "sim/net.h"
#include "sim/raw_client.h"

namespace doozer::server {
namespace {

struct NoLog final : LogSink {
  void write(const LogRecord& record) override { events.emplace_back(record.event); }
  std::vector<std::string> events;
};

/// Who takes peers: keeps the stream and what it says.
struct Taker final : env::StreamEvents {
  void take(std::unique_ptr<env::Stream> given, std::string bytes) {
    stream = std::move(given);
    heard = std::move(bytes);
    stream->redirect(*this);
  }
  void on_bytes(std::string_view bytes) override { heard += bytes; }
  void on_end() override { ended = true; }
  void on_failed(const Error& /*error*/) override { failed = true; }

  std::unique_ptr<env::Stream> stream;
  std::string heard;
  bool ended = false;
  bool failed = false;
};

class ConnectionsTest : public testing::Test {
 protected:
  ConnectionsTest() {
    clock_.at_turn_end([this] { connections_.turn_end(); });
    listener_ = std::move(*net_.listen({.address = "127.0.0.1:80"}, connections_));
  }
  void take_peers() {
    connections_.on_peer([this](std::unique_ptr<env::Stream> stream, std::string bytes) {
      taker_.take(std::move(stream), std::move(bytes));
    });
  }
  std::unique_ptr<sim::RawClient> connect() {
    return std::make_unique<sim::RawClient>(net_, "127.0.0.1:80");
  }
  /// More than may wait to be served.
  std::vector<std::unique_ptr<sim::RawClient>> flood() {
    std::vector<std::unique_ptr<sim::RawClient>> clients;
    for (size_t i = 0; i < 300; ++i) {
      clients.push_back(connect());
      clients.back()->send_bytes(std::string(kReadChunkBytes, '\0'));
    }
    run();
    return clients;
  }
  void run() { clock_.run_until(clock_.now_us() + 10'000); }
  static wire::RequestView nop() {
    wire::RequestView view;
    view.verb = static_cast<int32_t>(wire::Verb::rev);
    return view;
  }

  sim::SimClock clock_;
  sim::SimNetwork network_;
  sim::SimNet net_{network_, clock_, "127.0.0.1"};
  NoLog log_;
  LogContext context_;
  Logger logger_{log_, context_, LogLevel::debug};
  door::TestHost host_;
  Taker taker_;
  Connections connections_{clock_, host_, {}, logger_};
  std::unique_ptr<env::Listener> listener_;
};

TEST_F(ConnectionsTest, APeerIsHandedOverWithItsBytesBeforeClientsAreServed) {
  take_peers();
  const auto peer = connect();
  peer->send_bytes("\x80 first");
  run();
  EXPECT_EQ(taker_.heard, "\x80 first");
  EXPECT_EQ(connections_.count(), 0U);
  peer->send_bytes(" second");
  run();
  EXPECT_EQ(taker_.heard, "\x80 first second");
  peer->shutdown();
  run();
  EXPECT_TRUE(taker_.ended);
  EXPECT_EQ(connections_.peers_taken(), 1U);
}

TEST_F(ConnectionsTest, OnlyTheFirstByteMakesAPeer) {
  take_peers();
  connections_.resume();
  const auto client = connect();
  client->send_bytes(std::string("\0\0\0", 3));
  run();
  client->send_bytes("\xFFrest");
  run();
  EXPECT_EQ(taker_.stream, nullptr);
}

TEST_F(ConnectionsTest, WithoutAHandlerAPeerIsABadFrame) {
  connections_.resume();
  const auto peer = connect();
  peer->send_bytes("\x80 first");
  run();
  EXPECT_TRUE(peer->ended() || peer->failed());
  EXPECT_EQ(log_.events, std::vector<std::string>{"connection_closed"});
}

TEST_F(ConnectionsTest, AClientThatSpeaksBeforeTheServerServesIsAnsweredLater) {
  take_peers();
  const auto client = connect();
  const auto half_closed = connect();
  const int32_t tag = client->send(nop());
  const int32_t other = half_closed->send(nop());
  half_closed->shutdown();
  run();
  EXPECT_EQ(client->answers() + half_closed->answers(), 0U);
  connections_.resume();
  run();
  EXPECT_NE(client->answer(tag), nullptr);
  EXPECT_NE(half_closed->answer(other), nullptr);
  EXPECT_EQ(taker_.stream, nullptr);
}

TEST_F(ConnectionsTest, WhatWaitsToBeServedCannotFillTheMemory) {
  take_peers();
  const auto crowd = flood();
  // 16 MiB are held; the others are closed.
  EXPECT_EQ(connections_.count(), 16 * kMiB / kReadChunkBytes);
}

TEST_F(ConnectionsTest, WhatWaitedMakesRoomWhenItIsServedOrGoes) {
  take_peers();
  {
    const auto crowd = flood();
    for (const auto& client : crowd) client->close();
    run();
  }
  connections_.suspend();
  const auto second = flood();
  EXPECT_EQ(connections_.count(), 16 * kMiB / kReadChunkBytes);
  connections_.resume();
  run();
  connections_.suspend();
  const auto third = flood();
  EXPECT_EQ(connections_.count(), 16 * kMiB / kReadChunkBytes);
}

TEST_F(ConnectionsTest, AStopBeforeServingClosesThoseWhoWait) {
  take_peers();
  const auto client = connect();
  client->send(nop());
  run();
  bool closed = false;
  connections_.close_all([&] { closed = true; });
  client->close();
  clock_.run_until(clock_.now_us() + 2'000'000);
  EXPECT_TRUE(closed);
  EXPECT_EQ(client->answers(), 0U);
}

}  // namespace
}  // namespace doozer::server
