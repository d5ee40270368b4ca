#include "sim/facts.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace doozer::sim {
namespace {

using Json = nlohmann::json;

/// All that the server calls members; itself alone if it knows of no others.
std::vector<std::string> members(const Json& status) {
  std::vector<std::string> found;
  const auto servers = status.find("servers");
  if (servers == status.end()) return {status.value("identity", "")};
  for (const Json& server : *servers) {
    if (server.value("role", "") == "member") found.push_back(server.value("identity", ""));
  }
  return found;
}

}  // namespace

std::optional<ServerFacts> facts_of(Host& host) {
  if (!host.serving()) return std::nullopt;
  const Json status =
      Json::parse(host.process().server().status(), nullptr, /*allow_exceptions=*/false);
  if (!status.is_object()) return std::nullopt;
  ServerFacts facts{.identity = status.value("identity", ""),
                    .cluster = status.value("cluster", ""),
                    .leads = status.value("role", "") == "leader",
                    .term = status.value("term", uint64_t{0}),
                    .incarnation = status.value("incarnation", uint64_t{0}),
                    .applied = status.value("applied_index", uint64_t{0}),
                    .configuration = {.voters = members(status), .old_voters = {}}};
  return facts;
}

uint64_t leader_of(ClusterWorld& world) {
  uint64_t leader = 0;
  uint64_t term = 0;
  for (uint64_t number = 1; number <= world.size(); ++number) {
    const auto facts = facts_of(world.host(number));
    if (!facts || !facts->leads || facts->term < term) continue;
    leader = number;
    term = facts->term;
  }
  return leader;
}

uint64_t follower_of(ClusterWorld& world) {
  const uint64_t leader = leader_of(world);
  if (leader == 0) return 0;
  const Voters configuration = facts_of(world.host(leader))->configuration;
  for (uint64_t number = 1; number <= world.size(); ++number) {
    const auto facts = facts_of(world.host(number));
    if (number != leader && facts &&
        std::ranges::count(configuration.voters, facts->identity) > 0) {
      return number;
    }
  }
  return 0;
}

}  // namespace doozer::sim
