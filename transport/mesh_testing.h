// A world of meshes in virtual time: hosts with one server each, and a network whose directions
// can be blocked, slowed or made to lose large packets. What is blocked is silent, as a cut cable:
// nobody hears of an end, a reset or a refusal.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/loop.h"
#include "sim/net.h"
#include "transport/mesh.h"

namespace doozer::transport {

class HurtNet;

/// What is wrong between hosts; shared by all.
struct Hurts {
  std::set<std::pair<std::string, std::string>> blocked;    ///< (from, to)
  std::set<std::pair<std::string, std::string>> small_mtu;  ///< large writes block the stream
  std::set<std::pair<std::string, std::string>> corrupt;    ///< one bit of the next write, once
  std::map<std::pair<std::string, std::string>, uint64_t> bytes_per_ms;
};

/// The network as one host has it.
class HurtNet final : public env::Net {
 public:
  HurtNet(sim::SimNetwork& network, sim::SimClock& clock, Hurts& hurts, std::string host);
  Result<std::unique_ptr<env::Listener>> listen(const env::ListenOptions& options,
                                                env::AcceptEvents& events) override;
  std::unique_ptr<env::Stream> dial(const env::DialOptions& options,
                                    env::StreamEvents& events) override;
  /// An accepted stream, hurt as dialled ones are.
  std::unique_ptr<env::Stream> attach(env::AcceptedStream& accepted, env::StreamEvents& events);
  void die(bool silent) { net_.die(silent); }

 private:
  friend class HurtStream;
  sim::SimNet net_;
  sim::SimClock& clock_;
  Hurts& hurts_;
  std::string host_;
  std::vector<std::unique_ptr<env::Stream>> zombies_;  ///< closed behind a blocked direction
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

struct Heard {
  Identity from;
  Incarnation incarnation;
  Channel channel;
  std::string payload;
};

/// One server: the mesh and what it told.
class Node final : public MeshEvents, private env::AcceptEvents, private LogSink {
 public:
  Node(sim::SimNetwork& network, Hurts& hurts, uint64_t start_us, MeshOptions options,
       std::string host);
  ~Node() override;

  Mesh& mesh() { return *mesh_; }
  sim::SimClock& clock() { return clock_; }
  HurtNet& net() { return net_; }
  const MeshOptions& options() const { return options_; }
  void stop_listening() { listener_.reset(); }
  PeerInfo peer(const Identity& identity) const;

  std::vector<Heard> heard;
  std::vector<std::pair<Identity, Incarnation>> gone;
  std::vector<uint64_t> gone_us;
  std::vector<Error> fatal;
  int rolled_backs = 0;  ///< of these
  std::vector<std::string> log;
  int peers_changed = 0;
  int known_changed = 0;
  std::function<void(const Heard&)> then;

 private:
  struct Waiting;
  void on_message(const Identity& from, Incarnation incarnation, Channel channel,
                  std::string_view payload) override;
  void on_gone(const Identity& identity, Incarnation incarnation) override;
  void on_peers_changed() override { ++peers_changed; }
  void on_known_changed() override { ++known_changed; }
  void on_fatal(const Error& error, bool rolled_back) override {
    fatal.push_back(error);
    if (rolled_back) ++rolled_backs;
  }
  void on_accept(std::unique_ptr<env::AcceptedStream> stream) override;
  void on_refused(const Error& /*why*/, uint64_t /*count*/) override {}
  void write(const LogRecord& record) override;

  sim::SimClock clock_;
  HurtNet net_;
  MeshOptions options_;
  LogContext context_;
  Logger logger_;
  std::map<Waiting*, std::unique_ptr<Waiting>> waiting_;
  std::unique_ptr<env::Listener> listener_;
  std::unique_ptr<Mesh> mesh_;
};

/// Waits for the first byte of an accepted connection, as the client port does.
struct Node::Waiting final : env::StreamEvents {
  explicit Waiting(Node& owner) : node(owner) {}
  void on_bytes(std::string_view bytes) override;
  void on_end() override { gone = true; }
  void on_failed(const Error& /*error*/) override { gone = true; }
  Node& node;
  std::unique_ptr<env::Stream> stream;
  bool gone = false;
};

class MeshWorld : public testing::Test {
 protected:
  static Identity id(size_t i);
  static std::string host(size_t i) { return "10.0.0." + std::to_string(i + 1); }
  static std::string address(size_t i) { return host(i) + ":8046"; }
  static Identity cluster() { return Identity::from_bytes("cluster--A"); }
  /// What server i is started with: it knows the seed address of server 0.
  MeshOptions options(size_t i, uint64_t incarnation = 1);
  void start(size_t i, MeshOptions options);
  void start_all(size_t count);
  void kill(size_t i, bool silent = false);
  Node& node(size_t i) { return *nodes_.at(i); }
  Mesh& mesh(size_t i) { return node(i).mesh(); }

  /// Nothing from a reaches b.
  void block(size_t a, size_t b) { hurts_.blocked.insert({host(a), host(b)}); }
  void cut(size_t a, size_t b) { block(a, b), block(b, a); }
  void heal(size_t a, size_t b);
  void heal_all() { hurts_.blocked.clear(); }
  /// Cuts all pairs but those given.
  void only(size_t count, const std::set<std::pair<size_t, size_t>>& links);

  uint64_t now() const { return now_us_; }
  void run_for(uint64_t us);
  bool run_until(const std::function<bool()>& done, uint64_t us_max = 10'000'000);
  /// Everybody reaches everybody.
  bool connected(size_t count);
  void send(size_t from, size_t to, std::string payload, Channel channel = Channel::control);
  /// The payload came, from that server.
  bool heard(size_t at, size_t from, std::string_view payload);
  size_t count_heard(size_t at, std::string_view payload);

  sim::SimNetworkOptions network_options_;
  std::unique_ptr<sim::SimNetwork> network_ = std::make_unique<sim::SimNetwork>(network_options_);
  Hurts hurts_;
  std::map<size_t, std::unique_ptr<Node>> nodes_;
  uint64_t now_us_ = 1'000'000;
  uint64_t steps_ = 0;

 private:
  bool step(uint64_t until_us);
};

}  // namespace doozer::transport
