// What the tests of this room share: a loop that runs until something is true, and owners of
// streams that write down what they hear.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/address.h"
#include "io/fd.h"
#include "io/loop.h"
#include "io/net.h"

namespace doozer::io {

constexpr uint64_t kTestLimitUs = 30'000'000;

class LoopTest : public testing::Test {
 protected:
  LoopTest() : loop_(std::move(*Loop::create())), net_(*loop_) {
    loop_->at_turn_end([this] {
      if (wanted_ && wanted_()) loop_->stop();
    });
  }
  /// Runs the loop until `wanted` holds at the end of a turn; false after kTestLimitUs.
  bool until(std::function<bool()> wanted) {
    if (wanted()) return true;
    wanted_ = std::move(wanted);
    const bool reached = loop_->run_for(kTestLimitUs);
    wanted_ = nullptr;
    return reached;
  }
  /// Runs all turns that are due, and a few more, without waiting.
  void settle() {
    int turns = 20;
    std::function<void()> again = [&] {
      if (--turns > 0) loop_->post([&] { again(); });
    };
    loop_->post([&] { again(); });
    ASSERT_TRUE(until([&] { return turns == 0; }));
  }

  std::unique_ptr<Loop> loop_;
  RealNet net_;

 private:
  std::function<bool()> wanted_;
};

/// The owner of one stream.
struct Peer : env::StreamEvents {
  void on_connected() override { connected = true; }
  void on_bytes(std::string_view bytes) override {
    received += bytes;
    largest = std::max(largest, bytes.size());
    if (then) then(bytes);
  }
  void on_progress() override { ++progress; }
  void on_end() override {
    ended = true;
    if (at_end) at_end();
  }
  void on_failed(const Error& error) override {
    EXPECT_FALSE(failed.has_value()) << "on_failed is the last call";
    failed = error;
    if (at_failure) at_failure();
  }

  std::unique_ptr<env::Stream> stream;
  std::string received;
  size_t largest = 0;
  int progress = 0;
  bool connected = false;
  bool ended = false;
  std::optional<Error> failed;
  std::function<void(std::string_view)> then;
  std::function<void()> at_end;
  std::function<void()> at_failure;
};

/// Keeps what a listener accepts.
struct Acceptor : env::AcceptEvents {
  void on_accept(std::unique_ptr<env::AcceptedStream> stream) override {
    auto peer = std::make_unique<Peer>();
    if (prepare) prepare(*peer);
    peer->stream = stream->attach(*peer);
    peers.push_back(std::move(peer));
  }
  void on_refused(const Error& why, uint64_t count) override {
    refused.push_back(why);
    refusals += count;
  }
  std::vector<std::unique_ptr<Peer>> peers;
  std::vector<Error> refused;
  uint64_t refusals = 0;
  std::function<void(Peer&)> prepare;
};

/// A listener, those who dial it, and those whom it accepts.
class StreamTest : public LoopTest {
 protected:
  static std::unique_ptr<Peer> dial_over(env::Net& net, const env::DialOptions& options) {
    auto peer = std::make_unique<Peer>();
    peer->stream = net.dial(options, *peer);
    return peer;
  }
  /// A connected pair: who dials the listener, and what is accepted.
  std::pair<Peer*, Peer*> pair_of(std::unique_ptr<Peer> dialling) {
    clients_.push_back(std::move(dialling));
    Peer* const client = clients_.back().get();
    const size_t count = clients_.size();
    EXPECT_TRUE(until(
        [&] { return client->failed || (client->connected && acceptor_.peers.size() == count); }));
    EXPECT_FALSE(client->failed) << client->failed->message;
    return {client, acceptor_.peers.back().get()};
  }

  Acceptor acceptor_;
  std::unique_ptr<env::Listener> listener_;
  std::vector<std::unique_ptr<Peer>> clients_;
};

/// A socket of the test's own, for peers that behave badly; from another address of this machine if
/// one is given.
inline UniqueFd raw_connect(const std::string& address, const std::string& from = {}) {
  const HostPort where = *parse_host_port(address);
  const SocketAddress to = *numeric_address(where.host, where.port);
  UniqueFd fd(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!from.empty()) {
    const SocketAddress mine = *numeric_address(from, 0);
    EXPECT_EQ(bind(fd.get(), mine.get(), mine.size), 0);
  }
  EXPECT_EQ(connect(fd.get(), to.get(), to.size), 0);
  return fd;
}

/// An empty directory for one test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "doozer-io-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace doozer::io
