// What STATUS tells of a cluster, at its leader and elsewhere, while all is well and while it is
// not.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "sim/world_fixture.h"

namespace doozer::sim {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMembers = 3;

class StatusTest : public WorldFixture {
 protected:
  StatusTest() : WorldFixture(kMembers) {}
  void SetUp() override { boot(); }
  Json status(uint64_t number) {
    // The answer may be a millisecond old.
    world_.run_until(world_.now_us() + 10'000);
    return Json::parse(world_.host(number).process().server().status());
  }
  Json told_of(uint64_t by, const std::string& of) {
    const Json all = status(by);
    for (const Json& server : all.at("servers")) {
      if (server.at("identity") == of) return server;
    }
    ADD_FAILURE() << of << " is not told of";
    return {};
  }
};

TEST_F(StatusTest, EveryServerTellsOfAllWithStateVersionAndLink) {
  for (uint64_t by = 1; by <= kMembers; ++by) {
    const Json status = this->status(by);
    ASSERT_EQ(status.at("servers").size(), kMembers);
    EXPECT_EQ(status.at("leader"), identity(leader()));
    EXPECT_EQ(status.at("state"), by == leader() ? "leader" : "follower");
    for (const Json& server : status.at("servers")) {
      EXPECT_EQ(server.at("state"),
                server.at("identity") == identity(leader()) ? "leader" : "follower");
      EXPECT_NE(server.at("version"), "") << "as the server wrote it below /ctl/node";
      EXPECT_NE(server.at("address"), "");
      if (server.at("self")) {
        EXPECT_EQ(server.at("identity"), identity(by));
        continue;
      }
      EXPECT_EQ(server.at("link"), "direct");
      EXPECT_GT(server.at("rtt_us"), 0);
    }
  }
}

TEST_F(StatusTest, WhatAClientWroteOfAServerIsCutShort) {
  struct Ignored final : door::WriteCompletion {
    void on_written(uint64_t, const door::WriteOutcome&) override {}
  } ignored;
  const std::string name = identity(leader());
  world_.host(leader()).process().server().submit(
      core::SetView{.path = "/ctl/node/" + name + "/version",
                    .revision = -1,
                    .value = std::string(100'000, 'v')},
      ignored, 0);
  ASSERT_TRUE(until([&] {
    const Json told = told_of(leader(), name);
    return told.at("version").get<std::string>() == std::string(128, 'v');
  }));
  world_.host(leader()).process().server().forget(static_cast<door::WriteCompletion&>(ignored));
}

TEST_F(StatusTest, TheWishStandsBesideTheTruth) {
  const Json status = this->status(follower());
  std::set<std::string> wished;
  for (const Json& slot : status.at("slots")) {
    EXPECT_TRUE(slot.at("voting"));
    EXPECT_FALSE(slot.at("garbage"));
    wished.insert(slot.at("holder"));
  }
  const std::set<std::string> voting = status.at("configuration").at("voters");
  EXPECT_EQ(wished, voting);
  EXPECT_EQ(voting.size(), kMembers);
  EXPECT_FALSE(status.at("configuration").at("joint"));
}

TEST_F(StatusTest, TheLeaderKnowsTheLagOfEachAndAFollowerItsOwn) {
  EXPECT_FALSE(told_of(follower(), identity(leader())).contains("lag_entries"));
  EXPECT_EQ(told_of(follower(), identity(follower())).at("lag_entries"), 0);
  const uint64_t behind = follower();
  EXPECT_EQ(told_of(leader(), identity(behind)).at("lag_entries"), 0);
  EXPECT_EQ(told_of(leader(), identity(behind)).at("lag_revisions"), 0);
  const std::string name = identity(behind);
  world_.hold(behind);
  world_.kill(behind);
  struct Ignored final : door::WriteCompletion {
    void on_written(uint64_t, const door::WriteOutcome&) override {}
  } ignored;
  for (int i = 0; i < 20; ++i) {
    world_.host(leader()).process().server().submit(core::NopView{}, ignored, 0);
    world_.run_until(world_.now_us() + 50'000);
  }
  world_.run_until(world_.now_us() + 3'000'000);
  const Json gone = told_of(leader(), name);
  EXPECT_EQ(gone.at("state"), "unreachable");
  EXPECT_EQ(gone.at("link"), "down");
  EXPECT_GE(gone.at("lag_entries"), 20);
  EXPECT_GE(gone.at("lag_revisions"), 20);
  EXPECT_GE(gone.at("silent_ms"), 3'000);
  world_.release(behind);
  EXPECT_TRUE(until([&] {
    const Json back = told_of(leader(), name);
    return back.at("state") == "follower" && back.at("lag_entries") == 0;
  }));
  world_.host(leader()).process().server().forget(static_cast<door::WriteCompletion&>(ignored));
}

TEST_F(StatusTest, AServerWithoutASlotIsAStandby) {
  const uint64_t number = world_.add_server();
  ASSERT_TRUE(until([&] { return cluster(number) != nullptr; }));
  world_.run_until(world_.now_us() + 5'000'000);
  EXPECT_EQ(status(number).at("state"), "standby");
  EXPECT_EQ(told_of(leader(), identity(number)).at("state"), "standby");
  EXPECT_EQ(told_of(leader(), identity(number)).at("role"), "standby");
}

TEST_F(StatusTest, AServerAloneTellsThatItReachesNobody) {
  const uint64_t left = follower();
  const std::string led = identity(leader());
  for (uint64_t number = 1; number <= kMembers; ++number) {
    if (number == left) continue;
    world_.hold(number);
    world_.kill(number);
  }
  world_.run_until(world_.now_us() + 5'000'000);
  const Json status = this->status(left);
  EXPECT_FALSE(status.at("writable"));
  EXPECT_NE(status.at("state"), "leader");
  EXPECT_EQ(status.at("leader"), "") << "nobody";
  EXPECT_EQ(told_of(left, led).at("state"), "unreachable");
  EXPECT_EQ(status.at("configuration").at("voters").size(), kMembers);
}

}  // namespace
}  // namespace doozer::sim
