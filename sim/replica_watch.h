// What servers do, seen from inside: every step of every core goes through the invariants of the
// consensus, and what was applied is taken down for the checkers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "raft/witness.h"
#include "server/replica_observer.h"
#include "sim/cluster_world.h"
#include "sim/history.h"

namespace doozer::sim {

class ReplicaWatch {
 public:
  /// Both outlive it; no process of the world runs any more when it ends.
  ReplicaWatch(ClusterWorld& world, History& history);
  ~ReplicaWatch();
  ReplicaWatch(const ReplicaWatch&) = delete;
  ReplicaWatch& operator=(const ReplicaWatch&) = delete;

  void on_turn(uint64_t number);
  void on_end(uint64_t number) { lives_.erase(number); }
  /// The invariants that did not hold, since the last call.
  std::vector<std::string> take_complaints();

 private:
  class Observer;
  struct Life {
    std::string server;  ///< its identity and its machine's name
    uint64_t applied = 0;
    uint64_t told = 0;   ///< the index of the last digests
    bool begun = false;  ///< its `started` is noted
  };
  void begin(uint64_t number, const raft::Core& core);
  void note(ReplicaNote::Kind kind, uint64_t number, uint64_t index);
  void complain(uint64_t number, const std::string& what);

  ClusterWorld& world_;
  History& history_;
  raft::Witness witness_;
  std::vector<std::unique_ptr<Observer>> observers_;
  std::map<uint64_t, Life> lives_;  ///< by number, of the running process
  std::vector<std::string> complaints_;
};

}  // namespace doozer::sim
