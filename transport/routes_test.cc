// Routes from link-states, and the table that keeps them.

#include "transport/routes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <sstream>
#include <string>

#include "base/rng.h"
#include "transport/limits.h"

namespace doozer::transport {
namespace {

Identity id(size_t i) {
  std::string text = "node------";
  text[9] = static_cast<char>('A' + i);
  return Identity::from_bytes(text);
}

/// "AB AC5 BC! BD*": edges; 5: round trip 2^5; '!': damped; '*': no bulk; "AB>": only A lists it.
std::vector<LinkState> graph(size_t count, const std::string& edges) {
  std::vector<LinkState> states(count);
  for (size_t i = 0; i < count; ++i) states[i].identity = id(i);
  std::istringstream words(edges);
  for (std::string word; words >> word;) {
    const auto a = static_cast<size_t>(word[0] - 'A');
    const auto b = static_cast<size_t>(word[1] - 'A');
    Neighbour edge;
    edge.bulk = word.find('*') == std::string::npos;
    edge.damped = word.find('!') != std::string::npos;
    for (const char c : word) {
      if (c >= '0' && c <= '9') edge.rtt_log2 = static_cast<uint8_t>(c - '0');
    }
    edge.identity = id(b);
    states[a].neighbours.push_back(edge);
    if (word.find('>') != std::string::npos) continue;
    edge.identity = id(a);
    states[b].neighbours.push_back(edge);
  }
  for (LinkState& state : states) {
    std::sort(state.neighbours.begin(), state.neighbours.end(),
              [](const Neighbour& x, const Neighbour& y) { return x.identity < y.identity; });
  }
  return states;
}

std::map<Identity, Route> routes(const std::vector<LinkState>& states, size_t self,
                                 EdgesFor use = EdgesFor::control) {
  std::vector<const LinkState*> all;
  for (const LinkState& state : states) all.push_back(&state);
  return find_routes(id(self), all, use);
}

/// The ways from A: "B:B1 C:B2" is "to C by B in two hops".
std::string ways(const std::vector<LinkState>& states, EdgesFor use = EdgesFor::control) {
  std::string text;
  for (const auto& [to, route] : routes(states, 0, use)) {
    text += text.empty() ? "" : " ";
    text += std::string(1, to.view()[9]) + ":" + route.next.view()[9] + std::to_string(route.hops);
  }
  return text;
}

TEST(Routes, FewestHopsThenRoundTripThenIdentity) {
  EXPECT_EQ(ways(graph(1, "")), "");
  EXPECT_EQ(ways(graph(2, "AB")), "B:B1");
  EXPECT_EQ(ways(graph(3, "AB BC")), "B:B1 C:B2");
  EXPECT_EQ(ways(graph(3, "AB9 AC1 BC1")), "B:B1 C:C1") << "hops before round trip";
  EXPECT_EQ(ways(graph(4, "AB5 AC1 BD1 CD1")), "B:B1 C:C1 D:C2") << "round trip between equals";
  EXPECT_EQ(ways(graph(4, "AB1 AC1 BD1 CD1")), "B:B1 C:C1 D:B2") << "else the lowest identity";
  EXPECT_EQ(ways(graph(4, "AB CD")), "B:B1") << "what is apart is not reached";
}

TEST(Routes, AnEdgeCountsOnlyIfBothEndsListIt) {
  EXPECT_EQ(ways(graph(2, "AB>")), "");
  EXPECT_EQ(ways(graph(2, "BA>")), "");
  EXPECT_EQ(ways(graph(3, "AB BC>")), "B:B1");
  EXPECT_EQ(ways(graph(3, "AB CB>")), "B:B1");
}

TEST(Routes, ADampedLinkIsTheLastResort) {
  EXPECT_EQ(ways(graph(3, "AB! AC BC")), "B:C2 C:C1");
  EXPECT_EQ(ways(graph(2, "AB!")), "B:B1");
  EXPECT_EQ(ways(graph(4, "AB! BD AC! CD!")), "B:B1 C:C1 D:B2") << "one is better than two";
}

TEST(Routes, BulkTakesOnlyLinksThatCarryIt) {
  const auto states = graph(3, "AB* AC BC");
  EXPECT_EQ(ways(states, EdgesFor::control), "B:B1 C:C1");
  EXPECT_EQ(ways(states, EdgesFor::bulk), "B:C2 C:C1");
}

// The oracle: breadth first by hand.
size_t distance(const std::vector<LinkState>& states, size_t from, size_t to) {
  std::vector<size_t> seen(states.size(), SIZE_MAX);
  std::deque<size_t> queue = {from};
  seen[from] = 0;
  while (!queue.empty()) {
    const size_t at = queue.front();
    queue.pop_front();
    for (const Neighbour& n : states[at].neighbours) {
      const auto next = static_cast<size_t>(n.identity.view()[9] - 'A');
      if (seen[next] != SIZE_MAX) continue;
      seen[next] = seen[at] + 1;
      queue.push_back(next);
    }
  }
  return seen[to];
}

TEST(Routes, EveryHopOfRandomGraphsComesNearerByTheRoutesOfWhoPassesOn) {
  Rng rng(7);
  for (int round = 0; round < 200; ++round) {
    const size_t count = 2 + rng.below(8);
    std::string edges;
    for (size_t a = 0; a < count; ++a) {
      for (size_t b = a + 1; b < count; ++b) {
        if (!rng.chance(2, 5)) continue;
        edges += {static_cast<char>('A' + a), static_cast<char>('A' + b),
                  static_cast<char>('0' + rng.below(10)), ' '};
      }
    }
    const auto states = graph(count, edges);
    for (size_t from = 0; from < count; ++from) {
      const auto own = routes(states, from);
      for (size_t to = 0; to < count; ++to) {
        if (to == from) continue;
        const size_t wanted = distance(states, from, to);
        const auto way = own.find(id(to));
        ASSERT_EQ(way != own.end(), wanted != SIZE_MAX) << edges;
        if (way == own.end()) continue;
        EXPECT_EQ(way->second.hops, wanted) << edges;
        if (wanted == 1) continue;
        const auto next = static_cast<size_t>(way->second.next.view()[9] - 'A');
        EXPECT_EQ(routes(states, next).at(id(to)).hops, wanted - 1) << edges;
      }
    }
  }
}

LinkState record(size_t who, uint64_t incarnation, uint64_t sequence) {
  LinkState state;
  state.identity = id(who);
  state.incarnation = Incarnation(incarnation);
  state.sequence = sequence;
  return state;
}

TEST(LinkStates, NewerLivesAndSequencesCountAndEqualOnesAreStale) {
  using Verdict = LinkStateTable::Verdict;
  LinkStateTable table;
  EXPECT_EQ(table.take(record(0, 2, 5), 0), Verdict::changed);
  EXPECT_EQ(table.take(record(0, 2, 5), 0), Verdict::stale);
  EXPECT_EQ(table.take(record(0, 2, 4), 0), Verdict::stale);
  EXPECT_EQ(table.take(record(0, 1, 9), 0), Verdict::stale);
  EXPECT_EQ(table.take(record(0, 2, 6), 0), Verdict::refreshed);
  EXPECT_EQ(table.take(record(0, 3, 1), 0), Verdict::changed);
  LinkState more = record(0, 3, 2);
  more.neighbours = {{id(1), 3, false, true}};
  EXPECT_EQ(table.take(more, 0), Verdict::changed);
}

TEST(LinkStates, ExpireByTheReceiversClock) {
  LinkStateTable table;
  table.take(record(0, 1, 1), 1'000);
  table.take(record(1, 1, 1), 500'000);
  EXPECT_FALSE(table.expire(1'000 + kLinkStateExpiresUs));
  EXPECT_TRUE(table.expire(1'001 + kLinkStateExpiresUs));
  EXPECT_EQ(table.find(id(0)), nullptr);
  EXPECT_NE(table.find(id(1)), nullptr);
}

TEST(LinkStates, AreBounded) {
  LinkStateTable table;
  LinkState state;
  for (size_t i = 0; i < kServersMax; ++i) {
    std::string text = "many------";
    text[8] = static_cast<char>('A' + i);
    state.identity = Identity::from_bytes(text);
    EXPECT_EQ(table.take(state, 0), LinkStateTable::Verdict::changed);
  }
  EXPECT_EQ(table.take(record(0, 1, 1), 0), LinkStateTable::Verdict::full);
}

}  // namespace
}  // namespace doozer::transport
