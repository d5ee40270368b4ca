// Two replicas with real logs and cores, and a network between them that the tests hold up.
#include "server/replica.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "raft/limits.h"
#include "server/recovery.h"
#include "server/snapshotter.h"
#include "storage/storage_fixture.h"

namespace doozer::server {
namespace {

using Kind = door::WriteOutcome::Kind;

const Identity kCluster = storage::test_identity(0xC1);
const Identity kA = storage::test_identity(0x0A);
const Identity kB = storage::test_identity(0x0B);
constexpr uint64_t kWireUs = 200;

class Node;

class Network {
 public:
  sim::SimClock clock;
  std::map<Identity, Node*> nodes;
  std::map<Identity, bool> deaf;  ///< nothing arrives there
};

class Node final : private ReplicaHost {
 public:
  Node(Network& network, const Identity& self, const raft::Retention& retention = {})
      : network_(network), self_(self) {
    const raft::Configuration both{.voters = {kA, kB}, .old_voters = {}};
    EXPECT_TRUE(storage::Storage::create(disk_, {.cluster = kCluster, .identity = self}, both,
                                         storage::kTestOptions));
    auto opened =
        storage::Storage::open(disk_, lanes_, network.clock, logger_, storage::kTestOptions);
    EXPECT_TRUE(opened);
    storage_ = std::move(*opened);
    const storage::Recovered& recovered = storage_->recovered();
    auto machine = rebuild_machine(*storage_, {}, logger_);
    EXPECT_TRUE(machine);
    raft::CoreOptions core;
    core.self = self;
    core.incarnation = recovered.incarnation;
    core.seed = self == kA ? 1 : 2;
    core.configurations = recovered.configurations;
    core.hard_state = recovered.hard_state;
    core.entries = storage_->take_retained();
    core.last_index = recovered.last_index;
    core.last_term = recovered.last_term;
    core.applied = (*machine)->applied();
    core.retention = retention;
    core.now_us = network.clock.now_us();
    replica_ = std::make_unique<Replica>(
        network.clock, *storage_, std::move(*machine), raft::Core::make(std::move(core)),
        static_cast<ReplicaHost&>(*this),
        ReplicaOptions{.self = self, .incarnation = recovered.incarnation}, logger_);
    snapshotter_ = std::make_unique<Snapshotter>(network.clock, *storage_, *replica_,
                                                 SnapshotPolicy(), logger_);
    network.nodes[self] = this;
    network.clock.at_turn_end([this] {
      if (replica_->turn_end()) network_.clock.post([] {});
      snapshotter_->turn_end();
    });
    replica_->start();
  }

  const Identity& self() const { return self_; }
  Replica& replica() { return *replica_; }
  Snapshotter& snapshotter() { return *snapshotter_; }

 private:
  void post(const Identity& to, bool, std::string payload) override {
    network_.clock.at(network_.clock.now_us() + kWireUs, [this, to, payload = std::move(payload)] {
      if (!network_.deaf[to]) network_.nodes.at(to)->hear(self_, payload);
    });
  }
  void hear(const Identity& from, const std::string& payload) {
    auto message = decode_peer_message(payload);
    ASSERT_TRUE(message);
    const Incarnation life = network_.nodes.at(from)->storage_->recovered().incarnation;
    if (const auto* raft = std::get_if<RaftBytes>(&*message)) {
      replica_->on_raft(from, life, raft->bytes);
    }
    if (const auto* forward = std::get_if<Forward>(&*message)) {
      replica_->on_forward(from, life, *forward);
    }
    if (const auto* ack = std::get_if<ForwardAck>(&*message)) {
      replica_->on_forward_ack(from, *ack);
    }
  }
  void on_fatal(const Error& error, bool /*rolled_back*/) override { FAIL() << error.message; }
  void on_cluster_changed() override {}
  void on_fetch_snapshot(const raft::FetchSnapshot&) override {}
  void on_snapshot_wanted() override {}
  void on_digest(const core::Digests&) override {}

  Network& network_;
  const Identity self_;
  sim::SimDisk disk_;
  sim::SimLanes lanes_{network_.clock, &disk_};
  storage::EventSink sink_;
  LogContext context_;
  Logger logger_{sink_, context_, LogLevel::debug};
  std::unique_ptr<storage::Storage> storage_;
  std::unique_ptr<Replica> replica_;
  std::unique_ptr<Snapshotter> snapshotter_;
};

struct Client final : door::WriteCompletion {
  void on_written(uint64_t cookie, const door::WriteOutcome& outcome) override {
    outcomes[cookie] = outcome.kind;
  }
  std::map<uint64_t, Kind> outcomes;
};

class ReplicaTest : public testing::Test {
 public:
  explicit ReplicaTest(const raft::Retention& retention = {})
      : a_(network_, kA, retention), b_(network_, kB, retention) {}

 protected:
  void SetUp() override {
    ASSERT_TRUE(network_.clock.run_until_done(
        [&] { return a_.replica().leading() || b_.replica().leading(); }));
    leader_ = a_.replica().leading() ? &a_ : &b_;
    follower_ = a_.replica().leading() ? &b_ : &a_;
    run_for(200'000);
  }
  void run_for(uint64_t us) { network_.clock.run_until(network_.clock.now_us() + us); }
  void write(Node& node, uint64_t cookie) {
    node.replica().submit(core::SetView{.path = "/f", .revision = -1, .value = "v"}, {}, client_,
                          cookie);
    network_.clock.post([] {});
  }

  Network network_;
  Node a_;
  Node b_;
  Node* leader_ = nullptr;
  Node* follower_ = nullptr;
  Client client_;
};

TEST_F(ReplicaTest, WhatIsWrittenDuringAHandOverThatFailsHappensAfterIt) {
  network_.deaf[follower_->self()] = true;
  ASSERT_TRUE(leader_->replica().hand_over(follower_->self()));
  write(*leader_, 1);
  write(*follower_, 2);
  run_for(100'000);
  ASSERT_TRUE(leader_->replica().core().transferring());
  run_for(raft::kTransferUsMax);
  ASSERT_FALSE(leader_->replica().core().transferring());
  ASSERT_TRUE(leader_->replica().leading());
  network_.deaf.clear();
  run_for(1'000'000);
  const std::map<uint64_t, Kind> both{{1, Kind::applied}, {2, Kind::applied}};
  EXPECT_EQ(client_.outcomes, both);
}

TEST_F(ReplicaTest, WhatIsWrittenDuringAHandOverHappensAtTheNextLeader) {
  ASSERT_TRUE(leader_->replica().hand_over(follower_->self()));
  write(*leader_, 1);
  write(*follower_, 2);
  run_for(1'000'000);
  ASSERT_TRUE(follower_->replica().leading());
  const std::map<uint64_t, Kind> both{{1, Kind::applied}, {2, Kind::applied}};
  EXPECT_EQ(client_.outcomes, both);
  EXPECT_EQ(leader_->replica().machine().revision(), Revision(2)) << "each of them once";
}

TEST_F(ReplicaTest, ALongInstallationCostsNoLeader) {
  const Term term = leader_->replica().core().term();
  follower_->replica().begin_install();
  run_for(2 * kNoQuorumStepDownUs);
  EXPECT_TRUE(leader_->replica().leading());
  EXPECT_EQ(follower_->replica().core().term(), term);
  write(*leader_, 1);
  run_for(100'000);
  EXPECT_TRUE(client_.outcomes.empty()) << "nothing is appended meanwhile";
  follower_->replica().abort_install();
  run_for(1'000'000);
  EXPECT_EQ(client_.outcomes.at(1), Kind::applied);
}

/// Hardly anything may be in the log without being applied.
class FullLogTest : public ReplicaTest {
 public:
  FullLogTest() : ReplicaTest({.unapplied_bytes = 100}) {}
};

TEST_F(FullLogTest, AWriteThatTheLogCannotTakeIsRefusedAtOnce) {
  leader_->replica().begin_install();  // nothing is applied
  write(*leader_, 1);
  write(*leader_, 2);
  run_for(10'000);
  ASSERT_TRUE(leader_->replica().core().full());
  write(*leader_, 3);
  write(*follower_, 4);
  run_for(10'000);
  const std::map<uint64_t, Kind> refused{{3, Kind::refused}, {4, Kind::refused}};
  EXPECT_EQ(client_.outcomes, refused);
  leader_->replica().abort_install();
  run_for(100'000);
  EXPECT_EQ(client_.outcomes.at(1), Kind::applied);
  EXPECT_EQ(client_.outcomes.at(2), Kind::applied);
  write(*leader_, 5);
  run_for(100'000);
  EXPECT_EQ(client_.outcomes.at(5), Kind::applied);
}

// The log became full between the two: the leader's own entry came first.
TEST_F(FullLogTest, AWriteThatWasTakenAndFindsTheLogFullWaits) {
  const Identity newcomer = storage::test_identity(0x0C);
  network_.deaf[newcomer] = true;
  write(*follower_, 1);
  run_for(0);
  network_.clock.at(network_.clock.now_us() + kWireUs, [&] {
    EXPECT_TRUE(leader_->replica().change_voters({kA, kB, newcomer}));
    EXPECT_TRUE(leader_->replica().core().full());
  });
  run_for(100'000);
  const std::map<uint64_t, Kind> done{{1, Kind::applied}};
  EXPECT_EQ(client_.outcomes, done);
}

TEST_F(ReplicaTest, NoSnapshotIsBegunOfAMachineThatIsAboutToGo) {
  write(*leader_, 1);
  run_for(200'000);
  follower_->replica().begin_install();
  follower_->snapshotter().want_one();
  run_for(200'000);
  EXPECT_FALSE(follower_->snapshotter().running());
  EXPECT_EQ(follower_->snapshotter().taken(), 0U);
  follower_->replica().abort_install();
  run_for(200'000);
  EXPECT_EQ(follower_->snapshotter().taken(), 1U);
}

}  // namespace
}  // namespace doozer::server
