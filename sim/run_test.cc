// Whole runs: that they repeat, that service is watched, and that what breaks is seen.
#include "sim/run.h"

#include <gtest/gtest.h>

#include "sim/liveness.h"
#include "sim/plan_draw.h"

namespace doozer::sim {
namespace {

Plan plan_of(const std::string& text) {
  auto plan = parse_plan(text);
  CHECK(plan.has_value());
  return *plan;
}

RunResult run(const std::string& text) {
  Timeline silent;
  return run_plan(plan_of(text), silent);
}

std::string first_failure(const RunResult& result) {
  return result.failures.empty() ? "" : result.failures.front();
}

constexpr const char* kAlone = "servers 1\nslots 1\nclients 6\nfaults 9s\n";

TEST(Run, AServerAloneSurvivesAllThatStopsIt) {
  const RunResult result = run(std::string(kAlone) +
                               "at 1s for 500ms kill s1\n"
                               "at 2s for 500ms crash s1 torn\n"
                               "at 3s for 700ms pause leader\n"
                               "at 4s for 300ms stop s1\n"
                               "at 5s for 1s cut clients <> servers\n"
                               "at 7s fail-sync s1\n");
  EXPECT_EQ(first_failure(result), "");
  EXPECT_GT(result.ok, 1'000U);
  EXPECT_GT(result.owed, 0U) << "liveness was never looked for";
}

TEST(Run, TheSamePlanComesToTheSame) {
  const std::string text = std::string(kAlone) + "at 1s for 500ms crash s1 mixed\n";
  const RunResult first = run(text);
  EXPECT_EQ(run(text), first);
  const RunResult other = run("seed 2\n" + text);
  EXPECT_NE(other.digest, first.digest);
  EXPECT_NE(other.last_draw, first.last_draw);
}

TEST(Run, TracingChangesNothing) {
  std::string story;
  Timeline told([&](std::string_view line) { story += line; });
  const Plan plan = plan_of(std::string(kAlone) + "at 1s for 500ms kill s1\n");
  Timeline silent;
  EXPECT_EQ(run_plan(plan, told), run_plan(plan, silent));
  for (const char* part : {"s1    serving ", "plan  at 1s for 500ms kill s1", "nobody leads",
                           "plan  everything heals", "answered"}) {
    EXPECT_NE(story.find(part), std::string::npos) << part << " is not in\n" << story;
  }
}

constexpr const char* kThree = "servers 3\nslots 3\nclients 8\n";

TEST(Run, AClusterSurvivesAllThatCanBeDoneToIt) {
  const char* const plans[] = {
      // Ways between hosts.
      "faults 9s\n"
      "at 500ms for 1s cut leader > servers\nat 1s for 1s reject s1 <> s2\n"
      "at 2s for 1s clog s2 <> s3\nat 3s for 1s delay s1 <> servers 30ms\n"
      "at 4s for 1s slow s1 <> s3 20000\nat 4s for 1s mtu s2 <> s3 1000\n"
      "at 5s for 1s loss servers <> servers 100\nat 6s for 1s resets c1 <> servers 500\n"
      "at 7s for 1s flap s1 <> s3 50ms\n",
      // Processes, machines, disks.
      "faults 12s\nsnapshot 30000\nhistory 100\ndrift s2 10000\ndrift s3 -10000\n"
      "at 500ms for 500ms kill leader\nat 2s for 500ms stop follower\n"
      "at 3s for 300ms crash servers mixed\nat 5s for 1s pause leader\n"
      "at 6s for 100ms stall servers\nat 7s for 1s slow-sync s1 20ms\n"
      "at 7s for 1s stuck-sync leader\nat 8s fail-sync s2\nat 9s for 1s fail-reads s3 100\n"
      "at 9s for 1s full s1 10000\nat 10s wall s1 1000s\nat 10s wall-back s2 1000s\n",
      // A disk that is lost, and members.
      "faults 16s\n"
      "at 500ms add-server\nat 1s rot s2 2\nat 1.1s for 300ms kill s2\n"
      "at 3s for 500ms wipe s2\nat 5s create-slot 3\nat 6s empty-slot 3\n"
      "at 7s delete-slot 3\nat 8s burst leader 300\n",
      "faults 8s\nat 500ms save s3\nat 2s for 200ms rollback s3\n",
      "faults 8s\nat 1s for 300ms copy s1 s2\n",
      "faults 8s\nat 1s for 3s foreign s2\n",
  };
  for (const char* plan : plans) {
    const RunResult result = run(std::string(kThree) + plan);
    EXPECT_EQ(first_failure(result), "") << plan;
    EXPECT_GT(result.ok, 500U) << plan;
  }
}

TEST(Run, ServiceIsOwedAlongAChain) {
  const auto plan = named_plan("chain", 5, 1);
  ASSERT_TRUE(plan.has_value());
  Timeline silent;
  const RunResult result = run_plan(*plan, silent);
  EXPECT_EQ(first_failure(result), "");
  EXPECT_GT(result.owed, 500U);
}

TEST(Run, AMajorityThatIsLostIsNoFailureOfThePromise) {
  const RunResult result = run(std::string(kThree) + "faults 9s\nat 1s kill s1\nat 1s kill s2\n");
  EXPECT_EQ(first_failure(result), "");
}

TEST(Components, AreWhatIsTransitivelyConnected) {
  // 0-1-2, 3 alone, 4 is no node although 3-4 is an edge.
  const auto edge = [](size_t a, size_t b) {
    const size_t low = std::min(a, b);
    const size_t high = std::max(a, b);
    return (low == 0 && high == 1) || (low == 1 && high == 2) || (low == 3 && high == 4);
  };
  EXPECT_EQ(
      components(5, [](size_t i) { return i != 4; }, edge), (std::vector<int>{0, 0, 0, 1, -1}));
}

/// A server of one slot whose writes succeed as the test says.
struct Watched {
  Watched() { world.boot(); }
  std::string after(uint64_t us) {
    const uint64_t until_us = world.now_us() + us;
    while (world.now_us() < until_us) {
      world.run_until(world.now_us() + 50'000);
      if (std::string broken = liveness.judge(); !broken.empty()) return broken;
    }
    return "";
  }
  Plan plan = plan_of(kAlone);
  Timeline silent;
  ClusterWorld world{plan, silent};
  Nemesis nemesis{world, {.leader = [] { return 1; }, .follower = [] { return 0; }}, {}};
  uint64_t success_us = 0;
  Liveness liveness{world, nemesis,
                    [this](uint64_t, uint64_t since_us) { return success_us >= since_us; }};
};

TEST(Liveness, OwesServiceAfterTheBoundAndNotBefore) {
  Watched watched;
  EXPECT_EQ(watched.after(kServiceBoundUs - 100'000), "");
  EXPECT_EQ(watched.liveness.judged(), 0U);
  EXPECT_NE(watched.after(300'000), "");
}

TEST(Liveness, IsContentWhileWritesSucceed) {
  Watched watched;
  watched.success_us = UINT64_MAX;
  EXPECT_EQ(watched.after(3 * kServiceBoundUs), "");
  EXPECT_GT(watched.liveness.judged(), 100U);
}

TEST(Liveness, OwesNothingToWhatIsHarmedOrWasUntilAMomentAgo) {
  const std::function<void(Watched&)> harms[] = {
      [](Watched& w) { w.world.host(1).pause(UINT64_MAX); },
      [](Watched& w) { w.world.host(1).trouble().sync_extra_us = 100'000; },
      [](Watched& w) { w.world.host(1).trouble().stuck_until_us = UINT64_MAX; },
      [](Watched& w) { w.world.host(1).trouble().read_fails_per_mille = 1; },
      [](Watched& w) {
        w.world.hold(1);
        w.world.kill(1);
      },
  };
  for (const auto& harm : harms) {
    Watched watched;
    EXPECT_EQ(watched.after(1'000'000), "");
    harm(watched);
    EXPECT_EQ(watched.after(3 * kServiceBoundUs), "");
  }
  Watched watched;
  EXPECT_EQ(watched.after(1'000'000), "");
  watched.liveness.disturb(1);
  EXPECT_EQ(watched.after(kServiceBoundUs - 200'000), "");
  EXPECT_NE(watched.after(400'000), "");
}

}  // namespace
}  // namespace doozer::sim
