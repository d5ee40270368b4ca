// Many seeds of a hostile world: after every step all invariants hold, and once it is kind again
// the cluster commits and answers.
//
//   RAFT_SEEDS=5000 raft_test --gtest_filter='*Seeds*'            as many seeds of each world
//   RAFT_SEED=284 raft_test --gtest_filter='*Seeds*damaged'       one seed, and its story
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "base/limits.h"
#include "base/probe.h"
#include "raft/testing/logbook.h"
#include "raft/testing/network.h"

namespace doozer::raft {
namespace {

constexpr uint64_t kSecond = 1'000'000;

struct Plan {
  const char* name;
  size_t servers;
  size_t voters;
  uint64_t seeds;
  uint64_t rounds;
  bool damages;
};

Weather bad_weather(Rng& rng) {
  Weather weather;
  weather.delay_us_max = 1'000 + rng.below(rng.chance(1, 4) ? 400'000 : 20'000);
  weather.lost_per_1000 = rng.chance(1, 2) ? rng.below(300) : 0;
  weather.doubled_per_1000 = rng.chance(1, 2) ? rng.below(200) : 0;
  weather.disk_us_max = 1'000 + rng.below(rng.chance(1, 4) ? 300'000 : 10'000);
  weather.snapshot_every = rng.chance(1, 2) ? 1 + rng.below(30) : 0;
  weather.applies_late = rng.chance(1, 3);
  return weather;
}

size_t any(Network& net) { return 1 + net.rng().below(net.size()); }

std::vector<Identity> some_servers(Network& net) {
  std::vector<Identity> chosen;
  while (chosen.empty()) {
    for (size_t n = 1; n <= net.size(); ++n) {
      if (net.rng().chance(1, 2)) chosen.push_back(server_id(n));
    }
  }
  return chosen;
}

void all_standbys(Network& net) {
  std::vector<Identity> all;
  for (size_t n = 1; n <= net.size(); ++n) all.push_back(server_id(n));
  for (size_t n = 1; n <= net.size(); ++n) net.give(n, SetStandbys{all});
}

/// Never so much that an entry may be lost everywhere, or that nobody is left to vote.
void damage(Network& net, size_t n) {
  size_t doubtful = 0;
  for (size_t other = 1; other <= net.size(); ++other) {
    if (net.trust(other) == LogTrust::repairing) return;
    if (other != n && net.trust(other) == LogTrust::doubtful) ++doubtful;
  }
  if (doubtful + 1 == net.size() || !net.survives_without(n)) return;
  const bool repairing = doubtful == 0 && net.rng().chance(1, 3);
  net.damage(n, net.rng().below(4), repairing ? LogTrust::repairing : LogTrust::doubtful);
}

void break_something(Network& net, const Plan& plan) {
  const size_t n = any(net);
  switch (net.rng().below(14)) {
    case 0:
    case 1:
      if (net.is_up(n)) {
        net.crash(n, net.rng().chance(1, 2));
        if (net.rng().chance(1, 2)) net.prove_gone(n);
      }
      break;
    case 2:
      if (plan.damages && !net.is_up(n)) damage(net, n);
      break;
    case 3:
    case 4:
    case 5:
      if (!net.is_up(n)) net.restart(n);
      break;
    case 6: net.isolate(n); break;
    case 7: net.cut(n, any(net)); break;
    case 8: net.heal(); break;
    case 9: net.set_weather(bad_weather(net.rng())); break;
    case 10:
      if (plan.servers > plan.voters) {
        net.give(n, ChangeVoters{some_servers(net)});
      }
      break;
    case 11: net.give(n, TransferLeadership{}); break;
    case 12:
      if (net.rng().chance(1, 3)) net.give(n, StepDown{});
      break;
    case 13:
      net.give(n, SetLeadable{.leadable = net.rng().chance(2, 3), .last_resort = true});
      break;
  }
}

void use(Network& net, uint64_t round) {
  all_standbys(net);
  for (int i = 0; i < 5; ++i) {
    const size_t leader = net.leader();
    std::string payload = "w" + std::to_string(round) + "." + std::to_string(i);
    if (net.rng().chance(1, 20)) payload.resize(2 * kAppendBytesMax, 'x');
    if (leader != 0) net.propose(leader, std::move(payload));
    net.propose(any(net), "x" + std::to_string(round) + "." + std::to_string(i));
    net.read(any(net));
    net.run(net.rng().below(60'000));
  }
}

/// Everybody is up and hears everybody: writes commit everywhere and reads are answered.
void expect_life(Network& net) {
  net.heal();
  net.set_weather({});
  for (size_t n = 1; n <= net.size(); ++n) {
    if (!net.is_up(n)) net.restart(n);
    net.give(n, SetLeadable{.leadable = true});
  }
  int tries = 0;
  const auto taken = [&] {
    if (net.leader() == 0) return false;
    return net.propose(net.leader(), "the last one, try " + std::to_string(++tries));
  };
  const bool led = net.run_until(taken, 40 * kElectionTimeoutMaxUs);
  ASSERT_FALSE(net.failure()) << *net.failure();
  ASSERT_TRUE(led) << "nobody leads";
  all_standbys(net);
  const auto all_hold = [&] {
    const size_t leader = net.leader();
    if (leader == 0) return false;
    const Index last = net.core(leader).last_index();
    for (size_t n = 1; n <= net.size(); ++n) {
      if (net.core(n).applied() != last) return false;
      if (net.core(n).durable() != last) return false;
    }
    return true;
  };
  const bool same = net.run_until(all_hold, 20 * kSecond);
  ASSERT_FALSE(net.failure()) << *net.failure();
  ASSERT_TRUE(same) << "not everybody has everything";
  const uint64_t before = net.reads_answered();
  for (size_t n = 1; n <= net.size(); ++n) net.read(n);
  net.run(kSecond);
  ASSERT_FALSE(net.failure()) << *net.failure();
  EXPECT_GE(net.reads_answered() - before, net.size());
}

/// So little of the log that snapshots are needed all the time, in two of three worlds.
Retention few_kept(uint64_t seed) {
  if (seed % 3 == 0) return {};
  return {.bytes = kRetainedLogBytes,
          .entries = seed % 7,
          .pinned_bytes = kPinnedLogBytes,
          .pinned_entries = 2 + seed % 50};
}

uint64_t live_through(uint64_t seed, const Plan& plan) {
  Network net(seed, plan.servers, plan.voters, {}, few_kept(seed));
  std::optional<Logbook> logbook;
  if (std::getenv("RAFT_SEED") != nullptr) logbook.emplace(net);
  for (uint64_t round = 0; round < plan.rounds && !net.failure(); ++round) {
    use(net, round);
    break_something(net, plan);
    net.run(net.rng().below(net.rng().chance(1, 8) ? 2 * kSecond : 200'000));
  }
  EXPECT_FALSE(net.failure()) << *net.failure();
  if (!net.failure()) expect_life(net);
  if (logbook) std::fprintf(stderr, "%s", logbook->text().c_str());
  return net.digest();
}

uint64_t number_of(const char* variable, uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class Seeds : public testing::TestWithParam<Plan> {};

/// Places that a test of all worlds must have passed; else they prove less than they seem to.
class RarePlaces : public testing::Environment {
  void TearDown() override {
    const auto* unit = testing::UnitTest::GetInstance();
    if (std::getenv("RAFT_SEED") != nullptr ||
        unit->test_to_run_count() < unit->total_test_count()) {
      return;
    }
    for (const char* name :
         {"raft: a follower cut what its leader does not have", "raft: a leader removed itself",
          "raft: a leader without a quorum stepped down", "raft: a log is trusted again",
          "raft: a reluctant leader hands over", "raft: a snapshot replaced the log",
          "raft: a transfer was given up", "raft: doubtful logs elected a leader unanimously",
          "raft: the leader's process was proven gone"}) {
      EXPECT_GT(Probe::reached(name), 0U) << name;
    }
  }
};
const auto* const kRarePlaces = testing::AddGlobalTestEnvironment(new RarePlaces);

TEST_P(Seeds, InvariantsHoldAfterEveryStepAndLifeComesBack) {
  const Plan& plan = GetParam();
  const uint64_t only = number_of("RAFT_SEED", 0);
  const uint64_t last = only != 0 ? only : number_of("RAFT_SEEDS", plan.seeds);
  for (uint64_t seed = std::max<uint64_t>(only, 1); seed <= last; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const uint64_t digest = live_through(seed, plan);
    if (seed % 10 == 1) {
      EXPECT_EQ(live_through(seed, plan), digest) << "not deterministic";
    }
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Worlds, Seeds,
    testing::Values(Plan{"one", 1, 1, 10, 30, false}, Plan{"two", 2, 2, 60, 40, false},
                    Plan{"three", 3, 3, 200, 60, false}, Plan{"five", 5, 5, 100, 60, false},
                    Plan{"changing", 5, 3, 200, 80, false}, Plan{"growing", 4, 1, 150, 80, false},
                    Plan{"damaged", 3, 3, 200, 60, true}),
    [](const auto& plan) { return std::string(plan.param.name); });

}  // namespace
}  // namespace doozer::raft
