#include "sim/facts.h"

#include <algorithm>

#include "server/cluster.h"

namespace doozer::sim {
namespace {

std::vector<std::string> names(const std::vector<Identity>& identities) {
  std::vector<std::string> texts;
  for (const Identity& identity : identities) texts.push_back(identity.to_string());
  return texts;
}

}  // namespace

std::optional<ServerFacts> facts_of(Host& host) {
  if (!host.up() || host.process().stopped()) return std::nullopt;
  const server::Server& server = host.process().server();
  if (server.cluster_part() == nullptr) return std::nullopt;
  const raft::Core& core = server.cluster_part()->replica().core();
  return ServerFacts{.identity = server.identity().to_string(),
                     .leads = core.role() == raft::Role::leader,
                     .term = core.term().value(),
                     .applied = core.applied().value(),
                     .configuration = {.voters = names(core.configuration().voters),
                                       .old_voters = names(core.configuration().old_voters)}};
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
