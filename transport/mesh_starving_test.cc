// Meshes on machines that are slow: loops that get their turns late, and what that must not be
// taken for.

#include <array>

#include "base/probe.h"
#include "base/rng.h"
#include "transport/mesh.h"
#include "transport/mesh_testing.h"

namespace doozer::transport {
namespace {

using MeshStarving = MeshWorld;

// A server that starts is dialled before it answers (its log is read), and then dials as well: on a
// machine that is slow one connection is proven while the other takes its place.
TEST_F(MeshStarving, ServersThatDialEachOtherAtOnceKeepOneOfTheTwo) {
  start(0, options(0));
  Rng rng(11);
  for (uint64_t life = 1; life <= 200; ++life) {
    start(1, options(1, life));
    node(1).clock().stall_until(now() + 100'000 + rng.below(300'000));
    const auto linked = [&] { return mesh(0).linked(id(1)) && mesh(1).linked(id(0)); };
    for (int turn = 0; turn < 1'000 && !linked(); ++turn) {
      node(0).clock().stall_until(now() + rng.below(5'000));
      run_for(6'000);
    }
    ASSERT_TRUE(linked()) << life;
    run_for(100'000 + rng.below(100'000));
    EXPECT_EQ(mesh(1).stats().links_down, 0U) << life;
    EXPECT_EQ(mesh(0).stats().links_down, life - 1) << life;
    kill(1);
    run_for(rng.below(400'000));
  }
  for (const std::string& line : node(0).log) EXPECT_FALSE(line.starts_with("peer_refuse")) << line;
}

TEST_F(MeshStarving, HoweverLateTheyAreNeitherTakesTheOtherOneForDead) {
  start(0, options(0));
  Rng rng(12);
  size_t crossed = 0;
  for (uint64_t life = 1; life <= 300; ++life) {
    start(1, options(1, life));
    const uint64_t end_us = now() + 2'000'000;
    std::array<uint64_t, 2> awake_us{};
    while (now() < end_us) {
      for (size_t i = 0; i < 2; ++i) {
        if (now() < awake_us[i]) continue;
        awake_us[i] = now() + 500 + rng.below(rng.chance(1, 3) ? 250'000 : 10'000);
        node(i).clock().stall_until(awake_us[i]);
      }
      run_for(500);
    }
    for (const std::string& line : node(1).log) crossed += line.ends_with("why=duplicate");
    kill(1);
  }
  for (const std::string& line : node(0).log) crossed += line.ends_with("why=duplicate");
  EXPECT_EQ(crossed, 0U);
}

// Its control connection ended while it was on its way: that is no stranger and no fault.
TEST_F(MeshStarving, ABulkConnectionThatComesTooLateIsRefusedWithoutALine) {
  const uint64_t late = Probe::reached("mesh: a bulk connection without its control connection");
  for (uint64_t after_us = 0; after_us < 1'000; after_us += 5) {
    start_all(2);
    run_for(after_us);
    // The goodbye of the control connection may be overtaken.
    const size_t one = after_us % 2;
    if (after_us % 4 < 2) block(one, 1 - one);
    mesh(one).forget(id(1 - one));
    heal_all();
    ASSERT_TRUE(run_until([&] { return connected(2); })) << after_us;
    for (size_t i = 0; i < 2; ++i) {
      for (const std::string& line : node(i).log) EXPECT_FALSE(line.starts_with("peer_refuse"));
    }
    for (size_t i = 0; i < 2; ++i) kill(i);
    run_for(1'000'000);
  }
  EXPECT_GT(Probe::reached("mesh: a bulk connection without its control connection"), late);
}

// A machine that starves: every loop gets its turn late, again and again, and what came meanwhile
// waits in its sockets.
TEST_F(MeshStarving, WhoStarvesTakesNoPeerForSilent) {
  constexpr size_t kServers = 3;
  start_all(kServers);
  ASSERT_TRUE(run_until([&] { return connected(kServers); }, 500'000));
  run_for(1'000'000);
  Rng rng(7);
  std::vector<uint64_t> awake_us(kServers, now());
  const uint64_t end_us = now() + 120'000'000;
  while (now() < end_us) {
    for (size_t i = 0; i < kServers; ++i) {
      if (now() < awake_us[i]) continue;
      awake_us[i] = now() + 1'000 + rng.below(74'000);
      node(i).clock().stall_until(awake_us[i]);
    }
    run_for(500);
  }
  for (size_t i = 0; i < kServers; ++i) EXPECT_EQ(mesh(i).stats().links_down, 0U) << i;
}

TEST_F(MeshStarving, WhoStarvesStillFindsALinkThatIsCut) {
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  run_for(1'000'000);
  cut(0, 1);
  const uint64_t began = now();
  while (mesh(0).linked(id(1)) && now() - began < 3'000'000) {
    node(0).clock().stall_until(now() + 100'000);
    run_for(101'000);
  }
  EXPECT_LE(now() - began, 800'000U);
  EXPECT_TRUE(mesh(0).reachable(id(1)));
}

}  // namespace
}  // namespace doozer::transport
