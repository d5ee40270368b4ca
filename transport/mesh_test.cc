// Links, routes and messages of a few meshes, with everything that a network may do to them.

#include "transport/mesh.h"

#include "base/probe.h"
#include "transport/limits.h"
#include "transport/mesh_testing.h"

namespace doozer::transport {
namespace {

using MeshTest = MeshWorld;

TEST_F(MeshTest, TwoServersLinkWithinMillisecondsAndTalkBothWays) {
  start_all(2);
  ASSERT_TRUE(run_until([&] { return connected(2); }, 10'000));
  EXPECT_TRUE(mesh(0).linked(id(1)) && mesh(1).linked(id(0)));
  send(0, 1, "ping");
  send(1, 0, "pong");
  ASSERT_TRUE(run_until([&] { return heard(1, 0, "ping") && heard(0, 1, "pong"); }, 5'000));
  const Heard& ping = node(1).heard.front();
  EXPECT_EQ(ping.incarnation, Incarnation(1));
  EXPECT_EQ(ping.channel, Channel::control);
}

TEST_F(MeshTest, OneSeedIsEnoughForSevenToMeetAndTheyAreToldApart) {
  start_all(7);
  ASSERT_TRUE(run_until([&] { return connected(7); }, 500'000));
  run_for(1'000'000);
  for (size_t a = 0; a < 7; ++a) {
    ASSERT_EQ(mesh(a).peers().size(), 6U);
    for (size_t b = 0; b < 7; ++b) {
      if (a == b) continue;
      const PeerInfo info = node(a).peer(id(b));
      EXPECT_TRUE(info.up && info.direct && info.answered && !info.damped);
      EXPECT_EQ(info.hops, 1U);
      EXPECT_EQ(info.address, address(b));
      EXPECT_EQ(info.version, 7U);
      EXPECT_EQ(info.incarnation, Incarnation(1));
      EXPECT_GE(info.rtt_us, 50U);
      EXPECT_LE(info.rtt_us, 500U);
      EXPECT_GT(info.last_heard_us, now() - 200'000);
    }
    EXPECT_EQ(mesh(a).known().size(), 6U);
    EXPECT_GT(node(a).peers_changed, 0);
    EXPECT_GT(node(a).known_changed, 0);
    EXPECT_TRUE(node(a).fatal.empty());
  }
}

TEST_F(MeshTest, ASteadyMeshNeitherDialsNorFlaps) {
  start_all(5);
  run_for(3'000'000);
  std::vector<uint64_t> dials;
  for (size_t i = 0; i < 5; ++i) dials.push_back(mesh(i).stats().dials);
  run_for(30'000'000);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(mesh(i).stats().links_down, 0U) << i;
    // Server 0 is its own seed, which it tries every kSelfDialUs.
    EXPECT_LE(mesh(i).stats().dials - dials[i], i == 0 ? 3U : 0U) << i;
  }
}

TEST_F(MeshTest, AChainOfSevenPassesMessagesOnByItsLinks) {
  only(7, {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}});
  for (size_t i = 0; i < 7; ++i) {
    MeshOptions chained = options(i);
    if (i > 0) chained.seeds = {address(i - 1)};
    start(i, chained);
  }
  ASSERT_TRUE(run_until([&] { return connected(7); }, 2'000'000));
  EXPECT_EQ(node(0).peer(id(6)).hops, 6U);
  run_for(500'000);  // for the bulk connections
  EXPECT_FALSE(mesh(0).linked(id(2)));
  send(0, 6, "there");
  send(6, 0, "back");
  send(0, 6, std::string(300'000, 'b'), Channel::bulk);
  ASSERT_TRUE(run_until(
      [&] {
        return heard(6, 0, "there") && heard(0, 6, "back") &&
               heard(6, 0, std::string(300'000, 'b'));
      },
      50'000));
  EXPECT_GE(mesh(3).stats().frames_relayed, 2U + 300'000 / kPartBytesMax);
}

TEST_F(MeshTest, ARingBrokenAnywhereIsStillAWay) {
  const std::set<std::pair<size_t, size_t>> ring = {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {0, 4}};
  only(5, ring);
  for (size_t i = 0; i < 5; ++i) {
    MeshOptions all = options(i);
    all.seeds = {address(0), address(1), address(2), address(3), address(4)};
    start(i, all);
  }
  ASSERT_TRUE(run_until([&] { return connected(5); }, 2'000'000));
  for (const auto& [a, b] : ring) {
    cut(a, b);
    ASSERT_TRUE(run_until([&] { return node(a).peer(id(b)).hops == 4; }, 400'000)) << a << b;
    ASSERT_TRUE(run_until([&] { return connected(5); }, 100'000)) << a << b;
    const std::string text = "around " + std::to_string(a);
    send(a, b, text);
    ASSERT_TRUE(run_until([&] { return heard(b, a, text); }, 10'000));
    heal(a, b);
    ASSERT_TRUE(run_until([&] { return node(a).peer(id(b)).hops == 1; }, 40'000'000)) << a << b;
  }
}

TEST_F(MeshTest, AStarLivesByItsMiddleAndDiesWithIt) {
  only(5, {{0, 1}, {0, 2}, {0, 3}, {0, 4}});
  start_all(5);
  ASSERT_TRUE(run_until([&] { return connected(5); }, 2'000'000));
  EXPECT_EQ(node(1).peer(id(4)).hops, 2U);
  kill(0, true);
  ASSERT_TRUE(run_until([&] { return !mesh(1).reachable(id(4)); }, 400'000));
  send(1, 4, "nowhere");
  run_for(1'000'000);
  EXPECT_EQ(count_heard(4, "nowhere"), 0U);
  EXPECT_EQ(mesh(1).stats().dropped_unreachable, 1U);
  EXPECT_FALSE(mesh(1).reachable(id(0)));
}

// The worst case of an election timeout: everything that was said while a link was silently dead is
// lost, for no longer than this.
TEST_F(MeshTest, ASilentCutIsRoutedAroundBeforeAnyElectionTimeout) {
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  for (int round = 0; round < 20; ++round) {
    run_for(1'000 * static_cast<uint64_t>(round) + 7'000'000);
    block(0, 1);  // one way only
    const uint64_t began = now();
    ASSERT_TRUE(run_until(
        [&] { return node(0).peer(id(1)).hops == 2 && node(1).peer(id(0)).hops == 2; }, 400'000));
    EXPECT_LE(now() - began, kLinkDownUs + 2 * kBeatUs);
    const std::string text = "round " + std::to_string(round);
    send(0, 1, text);
    send(1, 0, text);
    ASSERT_TRUE(run_until([&] { return heard(1, 0, text) && heard(0, 1, text); }, 5'000));
    heal(0, 1);
    run_for(40'000'000);
    EXPECT_EQ(node(0).peer(id(1)).hops, 1U);
  }
}

TEST_F(MeshTest, AKilledProcessIsProvenDeadWithinMillisecondsOnceByEveryPeer) {
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  run_for(1'000'000);
  kill(1);
  const uint64_t died = now();
  run_for(5'000);
  for (const size_t i : {0U, 2U}) {
    ASSERT_EQ(node(i).gone.size(), 1U) << i;
    EXPECT_EQ(node(i).gone[0], std::pair(id(1), Incarnation(1)));
    EXPECT_LE(node(i).gone_us[0] - died, 1'000U);
    EXPECT_FALSE(mesh(i).reachable(id(1)));
  }
  run_for(10'000'000);
  EXPECT_EQ(node(0).gone.size(), 1U);
  // Its next life is another one, and may be proven dead again.
  start(1, options(1, 2));
  ASSERT_TRUE(run_until([&] { return connected(3); }, 2'000'000));
  EXPECT_EQ(node(0).peer(id(1)).incarnation, Incarnation(2));
  EXPECT_FALSE(node(0).peer(id(1)).damped) << "a restart is no flap";
  run_for(1'000'000);
  kill(1);
  run_for(5'000);
  EXPECT_EQ(node(0).gone.size(), 2U);
}

/// Accepts and closes, as a process does whose kernel tears it down piece by piece.
struct Dying final : env::AcceptEvents {
  void on_accept(std::unique_ptr<env::AcceptedStream> /*stream*/) override { ++accepted; }
  void on_refused(const Error& /*why*/, uint64_t /*count*/) override {}
  int accepted = 0;
};

TEST_F(MeshTest, ARedialThatMeetsADyingProcessIsTriedAgainUntilItIsProven) {
  start_all(2);
  ASSERT_TRUE(run_until([&] { return connected(2); }, 500'000));
  run_for(1'000'000);
  kill(1);
  sim::SimClock clock({.start_us = now()});
  sim::SimNet net(*network_, clock, host(1));
  Dying dying;
  auto listener = std::move(*net.listen({.address = address(1)}, dying));
  for (int i = 0; i < 30; ++i) {
    run_for(100);
    clock.run_until(now());
  }
  EXPECT_GE(dying.accepted, 2);
  EXPECT_TRUE(node(0).gone.empty());
  listener.reset();
  run_for(5'000);
  EXPECT_EQ(node(0).gone.size(), 1U);
  EXPECT_GT(Probe::reached("mesh: a redial met a dying process"), 0U);
}

TEST_F(MeshTest, AStallOfOurOwnLoopShorterThanALinkIsNoOutage) {
  start_all(2);
  ASSERT_TRUE(run_until([&] { return connected(2); }, 500'000));
  for (int i = 0; i < 50; ++i) {
    run_for(100'000 + static_cast<uint64_t>(i) * 1'000);
    node(0).clock().stall_until(now() + kLinkDownUs - kBeatUs - 10'000);
    run_for(200'000);
  }
  EXPECT_EQ(mesh(0).stats().links_down + mesh(1).stats().links_down, 0U);
}

TEST_F(MeshTest, APausedProcessIsRoutedAroundAndComesBackWithoutBeingDead) {
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  run_for(1'000'000);
  node(2).clock().stall_until(now() + 5'000'000);
  run_for(500'000);
  EXPECT_FALSE(mesh(0).reachable(id(2)));
  EXPECT_TRUE(mesh(0).reachable(id(1)));
  run_for(4'000'000);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 3'000'000));
  EXPECT_TRUE(node(0).gone.empty());
  EXPECT_TRUE(node(2).gone.empty());
}

TEST_F(MeshTest, SilenceOrACutOrAGoodbyeProveNothing) {
  start_all(4);
  ASSERT_TRUE(run_until([&] { return connected(4); }, 500'000));
  run_for(1'000'000);
  for (size_t i = 1; i < 4; ++i) cut(0, i);
  run_for(5'000'000);
  kill(2, true);  // a machine that vanishes: nobody hears a close
  run_for(5'000'000);
  mesh(3).goodbye();
  run_for(1'000);
  kill(3);
  run_for(5'000'000);
  EXPECT_TRUE(node(0).gone.empty());
  EXPECT_TRUE(node(1).gone.empty());
}

TEST_F(MeshTest, WhoStopsListeningIsNotDead) {
  start_all(2);
  ASSERT_TRUE(run_until([&] { return connected(2); }, 500'000));
  run_for(1'000'000);
  node(1).stop_listening();
  run_for(5'000'000);
  EXPECT_TRUE(mesh(0).reachable(id(1)));
  EXPECT_TRUE(node(0).gone.empty());
}

TEST_F(MeshTest, ALinkThatWeEndedOurselvesProvesNothing) {
  start_all(2);
  ASSERT_TRUE(run_until([&] { return connected(2); }, 500'000));
  run_for(1'000'000);
  node(1).stop_listening();
  hurts_.corrupt.insert({host(1), host(0)});
  run_for(100'000);
  EXPECT_TRUE(hurts_.corrupt.empty());
  EXPECT_GT(mesh(0).stats().links_down, 0U) << "nonsense ends a link";
  run_for(2'000'000);
  EXPECT_TRUE(node(0).gone.empty());
}

TEST_F(MeshTest, AnAddressThatNeverAnsweredProvesNothing) {
  start(0, options(0));
  start(1, options(1));
  node(1).stop_listening();  // what it tells others to dial is of no use
  ASSERT_TRUE(run_until([&] { return connected(2); }, 500'000));
  run_for(2'000'000);
  EXPECT_FALSE(node(0).peer(id(1)).answered);
  EXPECT_TRUE(node(1).peer(id(0)).answered);
  kill(1);
  run_for(2'000'000);
  EXPECT_FALSE(mesh(0).reachable(id(1)));
  EXPECT_TRUE(node(0).gone.empty());
}

TEST_F(MeshTest, AfterGoodbyeMessagesStillPass) {
  start_all(2);
  ASSERT_TRUE(run_until([&] { return connected(2); }, 500'000));
  run_for(1'000'000);
  mesh(1).goodbye();
  send(0, 1, "late");
  send(1, 0, "later");
  run_for(5'000);
  EXPECT_TRUE(heard(1, 0, "late") && heard(0, 1, "later"));
}

TEST_F(MeshTest, AFlappingLinkIsTheLastResortUntilItHasStayedUp) {
  only(3, {{0, 1}, {0, 2}, {1, 2}});
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  uint64_t stayed_damped = 0;
  for (int flap = 0; flap < 4; ++flap) {
    cut(0, 1);
    ASSERT_TRUE(run_until([&] { return !mesh(0).linked(id(1)); }, 400'000));
    run_for(1'500'000);
    heal(0, 1);
    ASSERT_TRUE(run_until([&] { return mesh(0).linked(id(1)); }, 4'000'000));
    run_for(100'000);
    EXPECT_TRUE(node(0).peer(id(1)).damped);
    EXPECT_EQ(node(0).peer(id(1)).hops, 2U) << "the other way is better";
    const uint64_t began = now();
    ASSERT_TRUE(run_until([&] { return node(0).peer(id(1)).hops == 1; }, 40'000'000));
    EXPECT_GT(now() - began, stayed_damped + 500'000) << "longer each time";
    stayed_damped = now() - began;
  }
  // Without another way it is used at once.
  cut(0, 1);
  run_for(1'500'000);
  cut(1, 2);
  heal(0, 1);
  ASSERT_TRUE(run_until([&] { return node(0).peer(id(1)).hops == 1; }, 4'000'000));
  EXPECT_TRUE(node(0).peer(id(1)).damped);
  ASSERT_TRUE(run_until([&] { return node(2).peer(id(1)).hops == 2; }, 100'000));
}

TEST_F(MeshTest, APathThatLosesLargePacketsIsNoLink) {
  hurts_.small_mtu.insert({host(0), host(1)});
  for (size_t i = 0; i < 3; ++i) {
    MeshOptions all = options(i);
    all.seeds = {address(0), address(1), address(2)};
    start(i, all);
  }
  run_for(5'000'000);
  EXPECT_FALSE(mesh(0).linked(id(1)) || mesh(1).linked(id(0)));
  EXPECT_EQ(node(0).peer(id(1)).hops, 2U);
  EXPECT_EQ(node(1).peer(id(0)).hops, 2U);
}

TEST_F(MeshTest, AllAddressesMayChangeAtOnceIfOneSeedIsRight) {
  start_all(4);
  ASSERT_TRUE(run_until([&] { return connected(4); }, 500'000));
  std::vector<std::vector<KnownPeer>> caches;
  for (size_t i = 0; i < 4; ++i) caches.push_back(mesh(i).known());
  for (size_t i = 0; i < 4; ++i) kill(i, true);
  run_for(1'000'000);
  for (size_t i = 0; i < 4; ++i) {
    MeshOptions moved = options(i, 2);
    moved.advertise = host(i) + ":9000";
    moved.seeds = {host(2) + ":9000"};
    moved.known = caches[i];
    start(i, moved);
  }
  ASSERT_TRUE(run_until([&] { return connected(4); }, 3'000'000));
  run_for(2'000'000);
  for (size_t i = 1; i < 4; ++i) EXPECT_TRUE(mesh(0).linked(id(i)));
  EXPECT_EQ(mesh(3).known()[1].address, host(1) + ":9000");
  EXPECT_EQ(mesh(3).known()[1].incarnation, Incarnation(2));
}

TEST_F(MeshTest, TheCacheAloneIsEnough) {
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  std::vector<std::vector<KnownPeer>> caches;
  for (size_t i = 0; i < 3; ++i) caches.push_back(mesh(i).known());
  for (size_t i = 0; i < 3; ++i) kill(i);
  for (size_t i = 0; i < 3; ++i) {
    MeshOptions again = options(i, 2);
    again.seeds.clear();
    again.known = caches[i];
    start(i, again);
  }
  ASSERT_TRUE(run_until([&] { return connected(3); }, 1'000'000));
}

TEST_F(MeshTest, ThirtyTwoServersAllLinkAndOneMoreIsRefused) {
  start_all(kServersMax);
  ASSERT_TRUE(run_until([&] { return connected(kServersMax); }, 5'000'000));
  run_for(3'000'000);
  for (size_t i = 0; i < kServersMax; ++i) {
    EXPECT_EQ(node(i).peer(id((i + 7) % kServersMax)).hops, 1U);
  }
  start(kServersMax, options(kServersMax));
  run_for(2'000'000);
  EXPECT_FALSE(mesh(0).reachable(id(kServersMax)));
  EXPECT_GT(mesh(kServersMax).stats().refused, 0U);
  EXPECT_TRUE(connected(kServersMax));
}

TEST_F(MeshTest, ASilentServerGivesItsPlaceToANewcomer) {
  start_all(kServersMax);
  ASSERT_TRUE(run_until([&] { return connected(kServersMax); }, 5'000'000));
  kill(5);
  run_for(3'000'000);
  start(kServersMax, options(kServersMax));
  ASSERT_TRUE(run_until([&] { return mesh(0).reachable(id(kServersMax)); }, 5'000'000));
  EXPECT_EQ(mesh(0).peers().size(), kServersMax - 1);
  EXPECT_EQ(node(0).peer(id(5)).identity, Identity());
}

TEST_F(MeshTest, AMemberKeepsItsPlaceHoweverLongItIsSilent) {
  start_all(kServersMax);
  ASSERT_TRUE(run_until([&] { return connected(kServersMax); }, 5'000'000));
  kill(5);
  run_for(3'000'000);
  mesh(0).keep({id(5)});
  kill(6);
  run_for(3'000'000);
  start(kServersMax, options(kServersMax));
  ASSERT_TRUE(run_until([&] { return mesh(0).reachable(id(kServersMax)); }, 5'000'000));
  EXPECT_EQ(node(0).peer(id(5)).identity, id(5)) << "it was silent for longest";
  EXPECT_EQ(node(0).peer(id(6)).identity, Identity());
}

TEST_F(MeshTest, AForgottenServerIsNotDialledAndComesBackByItself) {
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  kill(2);
  run_for(3'000'000);
  for (size_t i = 0; i < 2; ++i) mesh(i).forget(id(2));
  EXPECT_EQ(mesh(0).known().size(), 1U);
  run_for(100'000);
  const uint64_t dials = mesh(1).stats().dials;
  run_for(5'000'000);
  EXPECT_EQ(mesh(1).stats().dials, dials);
  start(2, options(2, 2));
  ASSERT_TRUE(run_until([&] { return connected(3); }, 2'000'000));
}

}  // namespace
}  // namespace doozer::transport
