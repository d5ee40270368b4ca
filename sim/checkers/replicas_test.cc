#include "sim/checkers/replicas.h"

#include <gtest/gtest.h>

#include "sim/checkers/history_testing.h"

namespace doozer::sim {
namespace {

using Kind = ReplicaNote::Kind;

ReplicaNote start(std::string server, uint64_t life, uint64_t index) {
  return {.kind = Kind::started, .server = std::move(server), .incarnation = life, .index = index};
}
ReplicaNote entry(std::string server, uint64_t index, uint64_t term, uint64_t command,
                  uint64_t life = 1) {
  return {.server = std::move(server),
          .incarnation = life,
          .index = index,
          .term = term,
          .command = command};
}
ReplicaNote snapshot(std::string server, uint64_t index, uint64_t life = 1) {
  return {.kind = Kind::snapshot, .server = std::move(server), .incarnation = life, .index = index};
}
ReplicaNote digest(std::string server, uint64_t index, uint64_t chain, uint64_t state) {
  return {.kind = Kind::digest,
          .server = std::move(server),
          .incarnation = 1,
          .index = index,
          .chain = chain,
          .state = state};
}

TEST(Replicas, ApplyTheSameEntriesInOrder) {
  const ReplicaNote a = start("A", 1, 0);
  const ReplicaNote b = start("B", 1, 0);
  const struct {
    std::string name;
    std::vector<ReplicaNote> notes;
    std::vector<std::string> rules = {};
  } kCases[] = {
      {"both",
       {a, b, entry("A", 1, 1, 7), entry("A", 2, 2, 8), entry("B", 1, 1, 7), entry("B", 2, 2, 8)}},
      {"another command",
       {a, b, entry("A", 1, 1, 7), entry("B", 1, 1, 8)},
       {"replica.entries_differ"}},
      {"another term",
       {a, b, entry("A", 1, 1, 7), entry("B", 1, 2, 7)},
       {"replica.entries_differ"}},
      {"another command in a later life",
       {a, entry("A", 1, 1, 7), start("A", 2, 0), entry("A", 1, 1, 8, 2)},
       {"replica.entries_differ"}},
      {"applied again after a start",
       {a, entry("A", 1, 1, 7), start("A", 2, 0), entry("A", 1, 1, 7, 2)}},
      {"from a snapshot of its own",
       {a, entry("A", 1, 1, 7), start("A", 2, 1), entry("A", 2, 1, 8, 2)}},
      {"one left out",
       {a, entry("A", 1, 1, 7), entry("A", 3, 1, 9)},
       {"replica.applied_out_of_order"}},
      {"one twice",
       {a, entry("A", 1, 1, 7), entry("A", 1, 1, 7)},
       {"replica.applied_out_of_order"}},
      {"back",
       {a, entry("A", 1, 1, 7), entry("A", 2, 1, 8), entry("A", 1, 1, 7)},
       {"replica.applied_out_of_order"}},
      {"a snapshot of others", {a, entry("A", 1, 1, 7), snapshot("A", 9), entry("A", 10, 2, 1)}},
      {"applied twice after a snapshot",
       {a, snapshot("A", 9), entry("A", 9, 2, 1)},
       {"replica.applied_out_of_order"}},
      {"one left out after a snapshot",
       {a, snapshot("A", 9), entry("A", 11, 2, 1)},
       {"replica.applied_out_of_order"}},
      {"a life used twice", {a, start("A", 1, 0)}, {"replica.life_used_twice"}},
      {"a life after its end",
       {a, start("A", 2, 0), entry("A", 1, 1, 7, 1)},
       {"replica.wrong_life"}},
      {"equal digests",
       {start("A", 1, 8), start("B", 1, 8), digest("A", 8, 1, 2), digest("B", 8, 1, 2)}},
      {"another chain",
       {start("A", 1, 8), start("B", 1, 8), digest("A", 8, 1, 2), digest("B", 8, 9, 2)},
       {"replica.digests_differ"}},
      {"another state",
       {start("A", 1, 8), start("B", 1, 8), digest("A", 8, 1, 2), digest("B", 8, 1, 9)},
       {"replica.digests_differ"}},
      {"digests of another index",
       {start("A", 1, 8), digest("A", 7, 1, 2)},
       {"replica.digest_elsewhere"}},
  };
  for (const auto& one : kCases) {
    Report report;
    check_replicas({.replicas = one.notes}, report);
    expect_rules({.name = one.name, .history = {}, .rules = one.rules}, report);
  }
}

}  // namespace
}  // namespace doozer::sim
