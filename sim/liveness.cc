#include "sim/liveness.h"

#include <algorithm>

namespace doozer::sim {
namespace {

constexpr uint64_t kFairDelayUs = 20'000;  ///< what a path may be late without being harmed
constexpr uint64_t kFairSyncUs = 20'000;   ///< and a disk
constexpr uint64_t kFairBytesPerSecond = 10'000'000;
constexpr uint32_t kFairLossPerMille = 10;

bool holds_majority(const std::vector<std::string>& voters,
                    const std::vector<std::string>& present) {
  const auto there = std::ranges::count_if(voters, [&](const std::string& voter) {
    return std::ranges::find(present, voter) != present.end();
  });
  return static_cast<size_t>(there) > voters.size() / 2;
}

}  // namespace

std::vector<int> components(size_t count, const std::function<bool(size_t)>& node,
                            const std::function<bool(size_t, size_t)>& edge) {
  std::vector<int> component(count, -1);
  int next = 0;
  for (size_t first = 0; first < count; ++first) {
    if (component[first] != -1 || !node(first)) continue;
    std::vector<size_t> reached{first};
    component[first] = next;
    for (size_t i = 0; i < reached.size(); ++i) {
      for (size_t other = 0; other < count; ++other) {
        if (component[other] != -1 || !node(other) || !edge(reached[i], other)) continue;
        component[other] = next;
        reached.push_back(other);
      }
    }
    ++next;
  }
  return component;
}

Liveness::Liveness(ClusterWorld& world, const Nemesis& nemesis,
                   std::function<bool(uint64_t, uint64_t)> succeeded)
    : world_(world),
      nemesis_(nemesis),
      succeeded_(std::move(succeeded)),
      configuration_us_(world.now_us()) {}

bool Liveness::path_clear(const std::string& from, const std::string& to) const {
  const PathFaults& faults = world_.network().faults(from, to);
  return !faults.cut && !faults.reject && !faults.clogged && faults.mtu_bytes == 0 &&
         faults.resets_per_10k == 0 && faults.delay_us + faults.jitter_us <= kFairDelayUs &&
         faults.loss_per_mille <= kFairLossPerMille &&
         (faults.bytes_per_second == 0 || faults.bytes_per_second >= kFairBytesPerSecond);
}

bool Liveness::healthy(uint64_t number) {
  Host& host = world_.host(number);
  const DiskTrouble& trouble = host.trouble();
  return host.up() && !host.paused(world_.now_us()) && !host.stuck(world_.now_us()) &&
         !nemesis_.full(number) && !nemesis_.outcast(number) &&
         trouble.sync_extra_us + trouble.log_sync_extra_us <= kFairSyncUs &&
         trouble.stuck_until_us <= world_.now_us() && trouble.read_fails_per_mille == 0;
}

void Liveness::observe() {
  const uint64_t now_us = world_.now_us();
  for (uint64_t a = 1; a <= world_.size(); ++a) {
    if (!healthy(a) || !harmed_us_.contains(a)) harmed_us_[a] = now_us;
    if (!world_.host(a).serving()) idle_us_[a] = now_us;
    for (uint64_t b = a + 1; b <= world_.size(); ++b) {
      const std::string from = world_.host(a).host();
      const std::string to = world_.host(b).host();
      if (path_clear(from, to) && path_clear(to, from) && path_harmed_us_.contains({a, b})) {
        continue;
      }
      path_harmed_us_[{a, b}] = now_us;
    }
    const auto facts = facts_of(world_.host(a));
    if (!facts || nemesis_.outcast(a)) continue;
    identities_[a] = facts->identity;
    if (facts->applied < configuration_applied_) continue;
    configuration_applied_ = facts->applied;
    if (facts->configuration == configuration_) continue;
    configuration_ = facts->configuration;
    configuration_us_ = now_us;
  }
}

bool Liveness::is_majority(const std::vector<int>& component, int which) const {
  std::vector<std::string> present;
  for (const auto& [number, identity] : identities_) {
    if (number <= component.size() && component[number - 1] == which) present.push_back(identity);
  }
  return holds_majority(configuration_.voters, present) &&
         (configuration_.old_voters.empty() || holds_majority(configuration_.old_voters, present));
}

std::string Liveness::judge() {
  observe();
  const uint64_t now_us = world_.now_us();
  if (now_us < configuration_us_ + kServiceBoundUs) return {};
  const uint64_t since_us = now_us - kServiceBoundUs;
  const auto component = components(
      world_.size(), [&](size_t i) { return harmed_us_.at(i + 1) <= since_us; },
      [&](size_t a, size_t b) {
        return path_harmed_us_.at({std::min(a, b) + 1, std::max(a, b) + 1}) <= since_us;
      });
  for (uint64_t number = 1; number <= world_.size(); ++number) {
    const int which = component[number - 1];
    if (which == -1 || !is_majority(component, which)) continue;
    ++judged_;
    if (succeeded_(number, since_us)) continue;
    std::string with;
    for (uint64_t other = 1; other <= world_.size(); ++other) {
      if (component[other - 1] == which) with += " s" + std::to_string(other);
    }
    return "no write at s" + std::to_string(number) + " has succeeded for " +
           time_text(kServiceBoundUs) + ", while these, unharmed, held a majority:" + with;
  }
  return {};
}

}  // namespace doozer::sim
