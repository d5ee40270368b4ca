// The mesh over real sockets of one process: what the simulated network cannot show.

#include "io/io_testing.h"
#include "transport/limits.h"
#include "transport/mesh.h"

namespace doozer::transport {
namespace {

struct Quiet final : LogSink {
  void write(const LogRecord& /*record*/) override {}
};

/// One server: a listener for peers alone and a mesh.
class RealNode final : public MeshEvents, private env::AcceptEvents {
 public:
  RealNode(io::Loop& loop, io::RealNet& net, size_t i, std::vector<std::string> seeds) {
    auto listener = net.listen({.address = "127.0.0.1:0"}, *this);
    EXPECT_TRUE(listener) << listener.error().message;
    listener_ = std::move(*listener);
    MeshOptions options;
    options.cluster = Identity::from_bytes("cluster--A");
    options.self = id(i);
    options.incarnation = Incarnation(1);
    options.advertise = listener_->address();
    options.seeds = std::move(seeds);
    options.secret = "sesame";
    options.seed = i;
    mesh_ = std::make_unique<Mesh>(loop, net, std::move(options), *this, logger_);
    mesh_->start();
  }
  static Identity id(size_t i) { return Identity::from_bytes("server-00" + std::to_string(i)); }
  Mesh& mesh() { return *mesh_; }
  const std::string& address() const { return listener_->address(); }

  std::vector<std::pair<Identity, std::string>> heard;
  std::vector<Identity> gone;

 private:
  void on_message(const Identity& from, Incarnation /*incarnation*/, Channel /*channel*/,
                  std::string_view payload) override {
    heard.emplace_back(from, payload);
  }
  void on_gone(const Identity& identity, Incarnation /*incarnation*/) override {
    gone.push_back(identity);
  }
  void on_peers_changed() override {}
  void on_known_changed() override {}
  void on_fatal(const Error& error, bool /*rolled_back*/) override {
    ADD_FAILURE() << error.message;
  }
  void on_accept(std::unique_ptr<env::AcceptedStream> stream) override {
    mesh_->accept(std::move(stream));
  }
  void on_refused(const Error& /*why*/, uint64_t /*count*/) override {}

  Quiet sink_;
  LogContext context_;
  Logger logger_{sink_, context_, LogLevel::debug};
  std::unique_ptr<env::Listener> listener_;
  std::unique_ptr<Mesh> mesh_;
};

class MeshReal : public io::LoopTest {
 protected:
  MeshReal() {
    loop_->at_turn_end([this] {
      for (const auto& node : nodes_) {
        if (node != nullptr) node->mesh().turn_end();
      }
    });
  }
  void start(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      std::vector<std::string> seeds;
      if (i > 0) seeds.push_back(nodes_[0]->address());
      nodes_.push_back(std::make_unique<RealNode>(*loop_, net_, i, std::move(seeds)));
    }
  }
  bool connected() {
    for (size_t a = 0; a < nodes_.size(); ++a) {
      for (size_t b = 0; b < nodes_.size(); ++b) {
        if (a != b && !nodes_[a]->mesh().linked(RealNode::id(b))) return false;
      }
    }
    return true;
  }
  /// Each side has reached the other.
  bool all_answered() {
    return std::all_of(nodes_.begin(), nodes_.end(), [](const auto& node) {
      const std::vector<PeerInfo> peers = node->mesh().peers();
      return std::all_of(peers.begin(), peers.end(), [](const PeerInfo& p) { return p.answered; });
    });
  }
  std::vector<std::unique_ptr<RealNode>> nodes_;
};

TEST_F(MeshReal, ThreeServersLinkAndCarrySmallAndLarge) {
  start(3);
  ASSERT_TRUE(until([&] { return connected(); }));
  const std::string large(5 * kMiB, 'L');
  // Lossy by contract: said again until it is there.
  ASSERT_TRUE(until([&] {
    if (nodes_[2]->heard.empty() && nodes_[0]->mesh().reachable(RealNode::id(2))) {
      nodes_[0]->mesh().send(RealNode::id(2), Channel::control, "small");
    }
    return !nodes_[2]->heard.empty();
  }));
  EXPECT_EQ(nodes_[2]->heard[0], std::pair(RealNode::id(0), std::string("small")));
  uint64_t asked_us = 0;
  const auto got = [&] {
    return std::any_of(nodes_[1]->heard.begin(), nodes_[1]->heard.end(),
                       [&](const auto& heard) { return heard.second == large; });
  };
  ASSERT_TRUE(until([&] {
    if (loop_->now_us() - asked_us > 3'000'000) {
      asked_us = loop_->now_us();
      nodes_[2]->mesh().send(RealNode::id(1), Channel::bulk, large);
    }
    return got();
  }));
}

TEST_F(MeshReal, AProcessThatIsGoneIsProvenDeadAndOneThatSaysGoodbyeIsNot) {
  start(4);
  ASSERT_TRUE(until([&] { return connected(); }));
  ASSERT_TRUE(until([&] { return all_answered(); }));
  nodes_[3]->mesh().goodbye();
  nodes_[3].reset();
  nodes_[1].reset();
  ASSERT_TRUE(until([&] { return !nodes_[0]->gone.empty() && !nodes_[2]->gone.empty(); }));
  ASSERT_TRUE(until([&] { return !nodes_[0]->mesh().reachable(RealNode::id(3)); }));
  EXPECT_EQ(nodes_[0]->gone, std::vector<Identity>{RealNode::id(1)});
  EXPECT_EQ(nodes_[2]->gone, std::vector<Identity>{RealNode::id(1)});
}

}  // namespace
}  // namespace doozer::transport
