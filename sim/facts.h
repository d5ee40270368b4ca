// What a server says of itself, as the world around it may know without asking over a network.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/cluster_world.h"

namespace doozer::sim {

/// Identities, as text, of those who vote. `old_voters` only while a change is under way.
struct Voters {
  std::vector<std::string> voters;
  std::vector<std::string> old_voters;
  bool operator==(const Voters&) const = default;
};

struct ServerFacts {
  std::string identity;
  bool leads = false;
  uint64_t term = 0;
  uint64_t applied = 0;
  Voters configuration;
};

/// nullopt if no server runs there, or one that has not joined a cluster yet.
std::optional<ServerFacts> facts_of(Host& host);

/// The one that leads in the highest term; 0: nobody says so.
uint64_t leader_of(ClusterWorld& world);
/// The first server that is a voter and does not lead; 0: none.
uint64_t follower_of(ClusterWorld& world);

}  // namespace doozer::sim
