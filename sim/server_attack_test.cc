// Clients that are unreasonable together: what one of them, or thousands, may cost the others. In
// virtual time; the same attacks on the real program are in tests/system/attack_test.py.

#include <gtest/gtest.h>

#include "sim/one_server_world.h"

namespace doozer::sim {
namespace {

wire::RequestView request(wire::Verb verb, std::string_view path = {}) {
  wire::RequestView view;
  view.verb = static_cast<int32_t>(verb);
  if (!path.empty()) view.path = path;
  return view;
}

wire::RequestView walk_of(std::string_view glob) {
  wire::RequestView view = request(wire::Verb::walk, glob);
  view.offset = 0;
  return view;
}

class ServerAttack : public testing::Test {
 protected:
  void boot(uint64_t frame_complete_us = kFrameCompleteUsMax) {
    ServerProcessOptions options;
    options.config.segment_bytes = 1 * kMiB;
    options.config.disk_reserve_bytes = 1 * kMiB;
    options.config.frame_complete_us_max = frame_complete_us;
    world_ = std::make_unique<OneServerWorld>(SimDiskOptions{}, options);
    ASSERT_TRUE(world_->start());
    ASSERT_TRUE(world_->run([this] { return world_->process().serving(); }));
  }
  bool answered(const RawClient& client, int32_t tag) {
    return world_->run([&] { return client.answer(tag) != nullptr; });
  }
  void make_files(size_t count) {
    const auto client = world_->connect();
    for (size_t i = 0; i < count; ++i) {
      const std::string path = "/d/" + std::to_string(i);
      wire::RequestView view = request(wire::Verb::set, path);
      view.value = "";
      view.rev = -1;
      client->send(view);
    }
    ASSERT_TRUE(world_->run([&] { return client->answers() == count; }));
  }
  size_t waits() { return world_->process().server().machine().stats().waits; }
  std::unique_ptr<OneServerWorld> world_;
};

TEST_F(ServerAttack, ABusyPipelineIsNotTakenForAHalfFrame) {
  constexpr uint64_t kFrameUs = 100'000;
  boot(kFrameUs);
  const auto client = world_->connect();
  std::string frame;
  wire::append_request(request(wire::Verb::rev), frame);
  // The middle of a frame is always there, but never of the same one.
  client->send_bytes(frame.substr(0, 5));
  for (int i = 0; i < 10; ++i) {
    world_->run_for(kFrameUs / 2);
    client->send_bytes(frame.substr(5) + frame.substr(0, 5));
  }
  world_->run_for(kFrameUs / 2);
  EXPECT_FALSE(client->ended() || client->failed());
  EXPECT_FALSE(world_->process().log().has("not finished in time"));
  world_->run_for(kFrameUs * 2);
  EXPECT_TRUE(world_->process().log().has("not finished in time"));
}

TEST_F(ServerAttack, ListingsWithoutEndDoNotKeepOthersFromTheirs) {
  constexpr size_t kFiles = 3'000;  // six slices
  constexpr int32_t kWalks = 300;
  boot();
  make_files(kFiles);
  const auto greedy = world_->connect();
  int32_t last = 0;
  for (int32_t i = 0; i < kWalks; ++i) {
    const std::string glob = "/**no" + std::to_string(i) + "where";
    last = greedy->send(walk_of(glob));
  }
  ASSERT_TRUE(world_->run([&] { return greedy->answers() > 0; }));
  const auto modest = world_->connect();
  const size_t before = greedy->answers();
  const int32_t tag = modest->send(walk_of("/**nothing"));
  ASSERT_TRUE(answered(*modest, tag));
  EXPECT_LT(greedy->answers(), before + 10) << "turn and turn about";
  ASSERT_TRUE(answered(*greedy, last));
}

TEST_F(ServerAttack, TheWaitsOfAnEndedConnectionAreDroppedInSlices) {
  constexpr size_t kWaits = 5'000;
  boot();
  for (const bool half_close : {false, true}) {
    const auto client = world_->connect();
    for (size_t i = 0; i < kWaits; ++i) {
      const std::string path = "/w/" + std::to_string(i);
      wire::RequestView view = request(wire::Verb::wait, path);
      view.rev = 1'000'000;
      client->send(view);
    }
    ASSERT_TRUE(world_->run([&] { return waits() == kWaits; }));
    if (half_close) {
      client->shutdown();
    } else {
      client->close();
    }
    ASSERT_TRUE(world_->run([&] { return waits() < kWaits; }));
    EXPECT_GT(waits(), kWaits / 2) << "not all in one turn";
    const auto other = world_->connect();
    ASSERT_TRUE(answered(*other, other->send(request(wire::Verb::get, "/ctl/name"))));
    ASSERT_TRUE(world_->run([&] { return waits() == 0; }));
    ASSERT_TRUE(world_->run([&] { return !half_close || client->ended(); }));
  }
}

TEST_F(ServerAttack, StatusKnowsAnAcknowledgedWriteThoughThousandsAsk) {
  boot();
  const auto client = world_->connect();
  for (int i = 0; i < 5; ++i) {
    for (int n = 0; n < 100; ++n) client->send(request(wire::Verb::status));
    ASSERT_TRUE(answered(*client, client->send(request(wire::Verb::nop))));
    const int32_t rev = client->send(request(wire::Verb::rev));
    const int32_t status = client->send(request(wire::Verb::status));
    ASSERT_TRUE(answered(*client, status));
    const std::string wanted = "\"revision\":" + std::to_string(client->answer(rev)->rev) + ",";
    EXPECT_NE(client->answer(status)->value.find(wanted), std::string::npos);
  }
}

}  // namespace
}  // namespace doozer::sim
