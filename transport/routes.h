// Where a message goes next: pure, from what all servers list of their links.
//
// An edge counts only if both ends list it. Of all ways the one with the fewest damped links is
// taken, then the fewest hops, then the shortest round trip, then the lowest identity of the next
// server, so that equal inputs give equal routes everywhere.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "transport/link_state.h"

namespace doozer::transport {

struct Route {
  Identity next;        ///< whom to give it to
  uint32_t damped = 0;  ///< links on the way that have flapped
  uint32_t hops = 0;    ///< at least 1
  uint64_t rtt_us = 0;  ///< of the way, by powers of two

  bool operator==(const Route&) const = default;
};

enum class EdgesFor : uint8_t { control, bulk };

/// Routes from `self` to every server that it can reach. `states` holds self's own record; pointers
/// in the order of the identities.
std::map<Identity, Route> find_routes(const Identity& self,
                                      const std::vector<const LinkState*>& states, EdgesFor use);

}  // namespace doozer::transport
