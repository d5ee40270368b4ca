// Finding a server: addresses, pauses, time limits, secrets, clusters.
#include <gtest/gtest.h>

#include "client/testing/fake_world.h"

namespace doozer::client {
namespace {

constexpr uint64_t kMs = 1'000;

TEST(Backoff, DoublesUpToTheMaximumAndTakesOffAtMostAHalf) {
  Rng rng(7);
  uint64_t least = UINT64_MAX;
  uint64_t most = 0;
  for (uint64_t round = 1; round <= 70; ++round) {
    const uint64_t whole = round < 8 ? 50 * kMs << (round - 1) : 5'000 * kMs;
    for (int i = 0; i < 100; ++i) {
      const uint64_t pause = backoff_us(round, 50 * kMs, 5'000 * kMs, rng);
      EXPECT_LE(pause, whole);
      EXPECT_GE(pause, whole / 2);
      if (round == 70) {
        least = std::min(least, pause);
        most = std::max(most, pause);
      }
    }
  }
  EXPECT_GT(most - least, 1'000 * kMs) << "the jitter spreads";
}

TEST(Connect, EveryAddressIsTriedBeforeAPauseAndTheErrorNamesAll) {
  World world;
  world.options.addresses = {World::kA, World::kB, World::kC};
  world.net.serve(World::kA, nullptr);
  Core& core = world.make();
  Box<> box;
  core.connect(box.then());
  ASSERT_FALSE(world.finish(box));
  EXPECT_EQ(box.error().code, Code::refused);
  for (const char* address : {World::kA, World::kB, World::kC}) {
    EXPECT_NE(box.error().message.find(address), std::string::npos) << box.error().message;
  }
  EXPECT_EQ(world.net.dials().size(), 3U);
}

TEST(Connect, AnErrorNamesItsAddressOnceWhoeverHasToldIt) {
  struct Case {
    Error told;
    Error wanted;
  };
  const Case cases[] = {
      {{Code::refused, "a:1: Connection refused"}, {Code::refused, "a:1: Connection refused"}},
      {{Code::closed, "TLS handshake with a:1: closed"},
       {Code::closed, "TLS handshake with a:1: closed"}},
      {{Code::closed, "the server closed"}, {Code::closed, "a:1: the server closed"}},
      {{Code::not_found, "a:1: Host not found"}, {Code::refused, "a:1: Host not found"}},
  };
  for (const Case& c : cases) {
    const Error one = with_address({"a:1", c.told});
    EXPECT_EQ(one.message, c.wanted.message);
    EXPECT_EQ(one.code, c.wanted.code) << one.message;
    const Error round = round_error({{"a:1", c.told}});
    EXPECT_EQ(round.message, "cannot connect: " + c.wanted.message);
    EXPECT_EQ(round.code, c.wanted.code) << round.message;
  }
}

TEST(Connect, TheFirstAddressIsOfTheSeed) {
  std::map<std::string, int> first;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    World world;
    world.options.addresses = {World::kA, World::kB, World::kC};
    world.net.serve(World::kB, &world.b);
    world.net.serve(World::kC, &world.c);
    world.connected(seed);
    ++first[world.net.dials().front().address];
  }
  EXPECT_EQ(first.size(), 3U);
  for (const auto& [address, count] : first) EXPECT_GT(count, 8) << address;
}

TEST(Connect, WaitsForAServerIfToldTo) {
  World world;
  world.options.wait_for_server = true;
  world.net.serve(World::kA, nullptr);
  Core& core = world.make();
  Box<> box;
  core.connect(box.then());
  world.clock.run_for(4'000 * kMs);
  EXPECT_FALSE(box.done());
  world.net.serve(World::kA, &world.a);
  ASSERT_TRUE(world.finish(box));

  World other;
  other.options.wait_for_server = true;
  other.net.serve(World::kA, nullptr);
  Box<> failed;
  other.make().connect(failed.then());
  const uint64_t began = other.clock.now_us();
  ASSERT_FALSE(other.finish(failed));
  EXPECT_EQ(failed.error().code, Code::refused);
  EXPECT_EQ(other.clock.now_us() - began, 10'000 * kMs);
}

TEST(Connect, RoundsGetRarer) {
  World world;
  world.options.wait_for_server = true;
  world.options.request_timeout = std::chrono::seconds(60);
  world.net.serve(World::kA, nullptr);
  Box<> box;
  world.make().connect(box.then());
  ASSERT_FALSE(world.finish(box));
  const auto& dials = world.net.dials();
  ASSERT_GT(dials.size(), 10U);
  EXPECT_LT(dials.size(), 40U);
  EXPECT_LE(dials[1].at_us - dials[0].at_us, 52 * kMs);
  const uint64_t last = dials.back().at_us - dials[dials.size() - 2].at_us;
  EXPECT_GE(last, 2'500 * kMs);
  EXPECT_LE(last, 5'002 * kMs);
}

TEST(Connect, AnAddressThatDoesNotAnswerCostsOnlyTheConnectTimeLimit) {
  World world;
  world.options.addresses = {World::kA, World::kB};
  world.net.serve(World::kB, &world.b);
  world.net.swallow(World::kA);
  for (uint64_t seed = 0; seed < 8; ++seed) {
    world.make(seed);
    const uint64_t began = world.clock.now_us();
    Box<> box;
    world.core->connect(box.then());
    ASSERT_TRUE(world.finish(box));
    EXPECT_LE(world.clock.now_us() - began, 5'010 * kMs);
  }
}

TEST(Connect, AServerThatAcceptsAndSaysNothingCostsOnlyTheConnectTimeLimit) {
  World world;
  world.a.deaf = true;
  Box<> box;
  world.make().connect(box.then());
  const uint64_t began = world.clock.now_us();
  ASSERT_FALSE(world.finish(box));
  EXPECT_EQ(box.error().code, Code::timed_out);
  EXPECT_EQ(world.clock.now_us() - began, 5'000 * kMs);
}

TEST(Connect, AConnectionThatBreaksAtAnyByteOfTheFirstQuestionsIsTriedAgain) {
  for (uint64_t n = 1; n <= 80; ++n) {
    for (const bool to_server : {true, false}) {
      World world;
      world.a.secret = "s";
      world.options.secret = "s";
      world.options.wait_for_server = true;
      if (to_server) {
        world.net.cut_before_client_byte(n);
      } else {
        world.net.cut_before_server_byte(n);
      }
      world.connected();
      EXPECT_LE(world.net.dials().size(), 2U);
    }
  }
}

TEST(Connect, AServerThatLetsInAndDropsIsNotStormed) {
  World world;
  world.connected();
  world.net.dials();
  for (int i = 0; i < 1'000; ++i) {
    world.clock.run_for(10 * kMs);
    world.net.reset_all();
  }
  EXPECT_LT(world.net.dials().size(), 40U) << "in 10 s";
}

TEST(Connect, AGoodConnectionThatBreaksIsReplacedAtOnce) {
  World world;
  world.connected();
  world.clock.run_for(60'000 * kMs);
  world.net.reset_all();
  world.clock.run_for(5 * kMs);
  EXPECT_TRUE(world.core->connection().connected);
  EXPECT_EQ(world.core->connection().connects, 2);
}

TEST(Secret, IsShownOnEachConnectionAndAWrongOneIsToldAtOnce) {
  World world;
  world.a.secret = "right";
  world.options.secret = "right";
  Core& core = world.connected();
  world.net.reset_all();
  Box<int64_t> set;
  core.set("/x", "1", kMissing, {}, set.then());
  ASSERT_TRUE(world.finish(set)) << set.error().message;

  World other;
  other.a.secret = "right";
  other.options.secret = "wrong";
  other.options.wait_for_server = true;
  Box<> box;
  other.make().connect(box.then());
  const uint64_t began = other.clock.now_us();
  ASSERT_FALSE(other.finish(box));
  EXPECT_EQ(box.error().code, Code::permission_denied);
  EXPECT_LT(other.clock.now_us() - began, 100 * kMs) << "waiting would not help";
  EXPECT_EQ(box.error().message.find("wrong"), std::string::npos) << "no secret in a message";
}

TEST(Secret, OneShownLaterHoldsForLaterConnectionsAndAWrongOneIsForgotten) {
  World world;
  world.a.secret = "right";
  Core& core = world.connected();
  Box<File> denied;
  core.get("/x", {}, denied.then());
  ASSERT_FALSE(world.finish(denied));
  EXPECT_EQ(denied.error().code, Code::permission_denied);
  Box<> wrong;
  core.access("wrong", {}, wrong.then());
  ASSERT_FALSE(world.finish(wrong));
  EXPECT_EQ(wrong.error().code, Code::permission_denied);
  Box<> right;
  core.access("right", {}, right.then());
  ASSERT_TRUE(world.finish(right));
  world.net.reset_all();
  Box<File> get;
  core.get("/x", {}, get.then());
  ASSERT_TRUE(world.finish(get)) << get.error().message;
}

TEST(Cluster, TheFirstOneSeenIsPinnedAndAnotherIsAConflictThatNamesBoth) {
  World world;
  world.options.addresses = {World::kA};
  Core& core = world.connected();
  const std::string first = core.connection().cluster_id;
  EXPECT_EQ(first, world.a.cluster.to_string());
  world.a.cluster = Identity({9, 9, 9});
  world.net.reset_all();
  Box<File> get;
  core.get("/x", {}, get.then());
  ASSERT_FALSE(world.finish(get));
  EXPECT_EQ(get.error().code, Code::conflict);
  EXPECT_NE(get.error().message.find(first), std::string::npos) << get.error().message;
  EXPECT_NE(get.error().message.find(world.a.cluster.to_string()), std::string::npos);
  // The right one comes back.
  world.a.cluster = Identity({1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  Box<File> again;
  core.get("/x", {}, again.then());
  ASSERT_TRUE(world.finish(again)) << again.error().message;
}

TEST(Cluster, AnOptionPinsItFromTheStartAndAnOldServerThenIsAConflict) {
  for (const bool extensions : {true, false}) {
    World world;
    world.a.extensions = extensions;
    world.options.cluster_id = Identity({7}).to_string();
    Box<> box;
    world.make().connect(box.then());
    ASSERT_FALSE(world.finish(box));
    EXPECT_EQ(box.error().code, Code::conflict);
  }
}

TEST(Cluster, OneServerOfAnotherClusterDoesNotHinderTheOthers) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    World world;
    world.options.addresses = {World::kA, World::kB};
    world.net.serve(World::kB, &world.b);
    world.options.cluster_id = world.a.cluster.to_string();
    world.b.cluster = Identity({7});
    EXPECT_EQ(world.connected(seed).connection().address, World::kA);
  }
}

TEST(Events, AConnectionsFateIsTold) {
  World world;
  std::vector<std::pair<ConnectionEvent::Kind, std::string>> events;
  world.options.on_connection = [&events](const ConnectionEvent& event) {
    events.emplace_back(event.kind, event.address);
  };
  world.connected();
  world.net.serve(World::kA, nullptr);
  world.clock.run_for(2'000 * kMs);
  world.net.reset_all();
  world.clock.run_for(2 * kMs);
  using Kind = ConnectionEvent::Kind;
  EXPECT_EQ(events,
            (std::vector<std::pair<Kind, std::string>>{
                {Kind::connected, "a:8046"}, {Kind::lost, "a:8046"}, {Kind::failed, "a:8046"}}));
}

}  // namespace
}  // namespace doozer::client
