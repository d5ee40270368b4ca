// A server that hears that its state is wrong, in a whole world: out of service, and back in it
// whoever leads by then.
#include <gtest/gtest.h>

#include "sim/cluster_world.h"
#include "sim/run.h"

namespace doozer::sim {
namespace {

constexpr uint64_t kServers = 3;
constexpr uint64_t kPatienceUs = 60'000'000;

Plan plan() {
  auto parsed = parse_plan("servers 3\nslots 3\nclients 1\nfaults 1s\n");
  CHECK(parsed.has_value());
  return *parsed;
}

struct Ignored final : door::WriteCompletion {
  void on_written(uint64_t, const door::WriteOutcome&) override {}
};

class QuarantineTest : public testing::Test {
 protected:
  void SetUp() override {
    world_.boot();
    ASSERT_TRUE(until([this] { return leader() != 0 && voters_at(leader()) == kServers; }));
    // Digests are compared at every 64th index.
    for (int i = 0; i < 200; ++i) {
      process(leader()).server().submit(core::NopView{}, ignored_, 0);
      world_.run_until(world_.now_us() + 10'000);
    }
    leader_ = leader();
    ASSERT_NE(leader_, 0U);
    follower_ = leader_ == 1 ? 2 : 1;
  }
  void TearDown() override {
    for (uint64_t number = 1; number <= kServers; ++number) {
      if (world_.host(number).up()) {
        process(number).server().forget(static_cast<door::WriteCompletion&>(ignored_));
      }
    }
  }
  bool until(const std::function<bool()>& done) {
    return world_.run_until(done, world_.now_us() + kPatienceUs);
  }
  ServerProcess& process(uint64_t number) { return world_.host(number).process(); }
  const server::Cluster* cluster(uint64_t number) {
    return world_.host(number).up() ? process(number).server().cluster_part() : nullptr;
  }
  uint64_t leader() {
    for (uint64_t number = 1; number <= kServers; ++number) {
      const server::Cluster* const part = cluster(number);
      if (part != nullptr && part->replica().leading()) return number;
    }
    return 0;
  }
  size_t voters_at(uint64_t number) {
    return cluster(number)->replica().core().configuration().voters.size();
  }
  /// The leader says so, though it is not true.
  void accuse() {
    const server::Cluster& accuser = *cluster(leader_);
    server::Quarantine quarantine{.term = accuser.replica().core().term(), .majority = {}};
    quarantine.majority.index = Index(128);
    const_cast<transport::Mesh&>(accuser.mesh())
        .send(process(follower_).server().identity(), transport::Channel::control,
              server::encode_peer_message(quarantine));
    ASSERT_TRUE(until([this] { return !cluster(follower_)->trusted(); }));
  }
  bool serves_again() { return cluster(follower_)->trusted(); }

  Timeline timeline_;
  ClusterWorld world_{plan(), timeline_};
  Ignored ignored_;
  uint64_t leader_ = 0;
  uint64_t follower_ = 0;
};

TEST_F(QuarantineTest, EndsOnceTheStateIsFetched) {
  accuse();
  EXPECT_TRUE(until([this] { return serves_again(); }));
  EXPECT_EQ(cluster(follower_)->fetches(), 1U);
}

TEST_F(QuarantineTest, EndsThoughTheServerThatWasAskedForTheStateIsGone) {
  accuse();
  world_.hold(leader_);
  world_.kill(leader_);
  EXPECT_TRUE(until([this] { return serves_again(); }));
}

}  // namespace
}  // namespace doozer::sim
