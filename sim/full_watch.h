// The promise of a full disk, watched while everything else goes on: a server whose disk has had no
// room for a while says so, whether it leads or follows, for the leader decides by that what it
// takes. Nothing is promised of one that is held up otherwise.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "sim/cluster_world.h"

namespace doozer::sim {

/// It looks each second; the rest is for a bulk lane that has something to do.
constexpr uint64_t kFullToldWithinUs = 3'000'000;
/// Less than this is free: no room, whatever the log has prepared. Of the reserve (kMiB in these
/// worlds) a quarter stands as the ballast.
constexpr uint64_t kNoRoomBytes = kMiB / 2;

class FullWatch {
 public:
  explicit FullWatch(ClusterWorld& world) : world_(world) {}
  /// What was promised and does not hold; empty: nothing. To be called often.
  std::string judge();

 private:
  struct Since {
    uint64_t life = 0;
    uint64_t us = 0;
  };
  ClusterWorld& world_;
  std::map<uint64_t, Since> full_;  ///< by number of the server
};

}  // namespace doozer::sim
