#include "transport/routes.h"

#include <algorithm>
#include <compare>
#include <limits>
#include <optional>
#include <tuple>

namespace doozer::transport {
namespace {

struct Node {
  const LinkState* state;
  std::optional<Route> route;
  bool settled = false;
};

const Neighbour* listed(const LinkState& state, const Identity& identity) {
  const auto found =
      std::lower_bound(state.neighbours.begin(), state.neighbours.end(), identity,
                       [](const Neighbour& n, const Identity& id) { return n.identity < id; });
  return found == state.neighbours.end() || found->identity != identity ? nullptr : &*found;
}

auto cost(const Route& route) {
  return std::tie(route.damped, route.hops, route.rtt_us, route.next);
}

// The way over `from` and one more edge, if both ends list that edge for this use.
std::optional<Route> extended(const Node& from, bool first, const LinkState& to, EdgesFor use) {
  const Neighbour* const there = listed(*from.state, to.identity);
  const Neighbour* const back = listed(to, from.state->identity);
  if (there == nullptr || back == nullptr) return std::nullopt;
  if (use == EdgesFor::bulk && !(there->bulk && back->bulk)) return std::nullopt;
  Route route = *from.route;
  if (first) route.next = to.identity;
  route.damped += there->damped || back->damped ? 1 : 0;
  ++route.hops;
  route.rtt_us += uint64_t{1} << std::min<unsigned>(std::max(there->rtt_log2, back->rtt_log2), 40);
  return route;
}

}  // namespace

std::map<Identity, Route> find_routes(const Identity& self,
                                      const std::vector<const LinkState*>& states, EdgesFor use) {
  std::vector<Node> nodes;
  for (const LinkState* state : states) nodes.push_back({state, std::nullopt, false});
  for (Node& node : nodes) {
    if (node.state->identity == self) node.route = Route{};
  }
  // Dijkstra, at most kServersMax + 1 rounds.
  for (size_t round = 0; round < nodes.size(); ++round) {
    Node* nearest = nullptr;
    for (Node& node : nodes) {
      if (node.settled || !node.route) continue;
      if (nearest == nullptr || cost(*node.route) < cost(*nearest->route)) nearest = &node;
    }
    if (nearest == nullptr) break;
    nearest->settled = true;
    for (Node& node : nodes) {
      if (node.settled) continue;
      const auto way = extended(*nearest, nearest->state->identity == self, *node.state, use);
      if (way && (!node.route || cost(*way) < cost(*node.route))) node.route = way;
    }
  }
  std::map<Identity, Route> routes;
  for (const Node& node : nodes) {
    if (node.route && node.state->identity != self)
      routes.emplace(node.state->identity, *node.route);
  }
  return routes;
}

}  // namespace doozer::transport
