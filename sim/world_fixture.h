// A world of some servers for tests: booted, one of them leading all others.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "sim/cluster_world.h"

namespace doozer::sim {

class WorldFixture : public testing::Test {
 protected:
  static constexpr uint64_t kPatienceUs = 60'000'000;

  explicit WorldFixture(uint64_t servers)
      : servers_(servers), world_(plan_of(servers), timeline_) {}

  /// Until all are members, registered, and have told how they are.
  void boot() {
    world_.boot();
    ASSERT_TRUE(until([this] { return leader() != 0 && voters(leader()) == servers_; }));
    run_for(5'000'000);
    ASSERT_NE(leader(), 0U);
  }
  void run_for(uint64_t us) { world_.run_until(world_.now_us() + us); }
  bool until(const std::function<bool()>& done) {
    return world_.run_until(done, world_.now_us() + kPatienceUs);
  }
  ServerProcess& process(uint64_t number) { return world_.host(number).process(); }
  /// Null while it is down or has no cluster.
  const server::Cluster* cluster(uint64_t number) {
    return world_.host(number).up() ? process(number).server().cluster_part() : nullptr;
  }
  /// 0: nobody leads.
  uint64_t leader() {
    for (uint64_t number = 1; number <= world_.size(); ++number) {
      const server::Cluster* const part = cluster(number);
      if (part != nullptr && part->replica().leading()) return number;
    }
    return 0;
  }
  uint64_t follower() { return leader() == 1 ? 2 : 1; }
  size_t voters(uint64_t number) {
    return cluster(number)->replica().core().configuration().voters.size();
  }
  std::string identity(uint64_t number) { return process(number).server().identity().to_string(); }
  /// Lines of the timeline in which server `number` logged `event`.
  std::vector<std::string> logged(uint64_t number, const std::string& event) {
    std::vector<std::string> found;
    for (const std::string& line : lines_) {
      const bool its = line.find(" " + world_.host(number).name() + " ") != std::string::npos;
      if (its && line.find(" " + event + " ") != std::string::npos) found.push_back(line);
    }
    return found;
  }

  const uint64_t servers_;
  std::vector<std::string> lines_;
  Timeline timeline_{[this](std::string_view line) { lines_.emplace_back(line); }};
  ClusterWorld world_;

 private:
  static Plan plan_of(uint64_t servers) {
    const std::string count = std::to_string(servers);
    auto parsed = parse_plan("servers " + count + "\nslots " + count + "\nclients 1\nfaults 1s\n");
    CHECK(parsed.has_value());
    return *parsed;
  }
};

}  // namespace doozer::sim
