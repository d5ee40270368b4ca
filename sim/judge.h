// What servers did, taken down for the checkers, and the checkers over a whole history.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sim/cluster_world.h"
#include "sim/history.h"

namespace doozer::sim {

/// Writes the digests of every server into a history, after each turn in which they changed.
class ReplicaWatch {
 public:
  /// Both outlive it.
  ReplicaWatch(ClusterWorld& world, History& history) : world_(world), history_(history) {}
  void on_turn(uint64_t number);
  void on_life(uint64_t number, bool alive);

 private:
  ClusterWorld& world_;
  History& history_;
  std::map<uint64_t, uint64_t> applied_;  ///< by number, of the running process
};

/// Everything that the history does not bear out; empty: nothing.
std::vector<std::string> judge(const History& history);

}  // namespace doozer::sim
