// What servers did, taken down for the checkers.
#pragma once

#include <cstdint>
#include <map>
#include <string>

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
  struct Life {
    std::string server;  ///< its identity
    uint64_t incarnation = 0;
    uint64_t applied = 0;
  };
  void note(ReplicaNote::Kind kind, const Life& life, const core::Digests& digests);

  ClusterWorld& world_;
  History& history_;
  std::map<uint64_t, Life> lives_;  ///< by number, of the process that serves
};

}  // namespace doozer::sim
