// A server that hears that its state is wrong, in a whole world: out of service, and back in it
// whoever leads by then.
#include <gtest/gtest.h>

#include "sim/run.h"
#include "sim/world_fixture.h"

namespace doozer::sim {
namespace {

constexpr uint64_t kServers = 3;

struct Ignored final : door::WriteCompletion {
  void on_written(uint64_t, const door::WriteOutcome&) override {}
};

class QuarantineTest : public WorldFixture {
 protected:
  QuarantineTest() : WorldFixture(kServers) {}
  void SetUp() override {
    boot();
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
