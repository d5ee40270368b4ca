// The promise of service, watched while everything else goes on: who is transitively connected to
// a majority of the voters, all of it unharmed for some time, has had a write succeed in that time.
//
// Harmed is what is cut, held, slow or lossy beyond a little; a server that is down, stopped, has a
// bad or full disk, or whose disk is not its own. What was harmed a moment ago counts as harmed, so
// nothing is promised of a path that flaps.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/facts.h"
#include "sim/nemesis.h"

namespace doozer::sim {

/// Ten of the longest election time-outs.
constexpr uint64_t kServiceBoundUs = 10 * kElectionTimeoutMaxUs;

/// For nodes 0 .. count-1, the number of the component of each; -1: `node` is false.
std::vector<int> components(size_t count, const std::function<bool(size_t)>& node,
                            const std::function<bool(size_t, size_t)>& edge);

class Liveness {
 public:
  /// `succeeded(number, since_us)`: a write that began at that server since then has succeeded.
  Liveness(ClusterWorld& world, const Nemesis& nemesis,
           std::function<bool(uint64_t, uint64_t)> succeeded);

  /// Looks at the world; to be called often, and whenever something was done to it.
  void observe();
  /// The process of this server ended or began.
  void disturb(uint64_t number) {
    harmed_us_[number] = world_.now_us();
    identities_.erase(number);
  }
  /// This server has served since then, and nothing was the matter with it.
  bool served_well_since(uint64_t number, uint64_t since_us) const {
    const auto harmed = harmed_us_.find(number);
    const auto idle = idle_us_.find(number);
    return harmed != harmed_us_.end() && harmed->second < since_us &&
           (idle == idle_us_.end() || idle->second < since_us);
  }
  /// What was promised and does not hold; empty: nothing.
  std::string judge();
  /// How often a server was found to be owed service, to tell a watch from a blind eye.
  uint64_t judged() const { return judged_; }

 private:
  bool healthy(uint64_t number);
  bool path_clear(const std::string& from, const std::string& to) const;
  bool is_majority(const std::vector<int>& component, int which) const;

  ClusterWorld& world_;
  const Nemesis& nemesis_;
  std::function<bool(uint64_t, uint64_t)> succeeded_;
  std::map<uint64_t, uint64_t> harmed_us_;  ///< of servers: the last time
  std::map<uint64_t, uint64_t> idle_us_;    ///< when it was last seen not to serve (yet)
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> path_harmed_us_;  ///< lower number first
  std::map<uint64_t, std::string> identities_;
  Voters configuration_;
  uint64_t configuration_applied_ = 0;
  uint64_t configuration_us_ = 0;  ///< when it was seen to change
  uint64_t judged_ = 0;
};

}  // namespace doozer::sim
