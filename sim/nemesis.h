// Does to a world what its plan says, undoes it when the step's time is over, and heals everything
// at the end. What is done to one thing by several steps adds up.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/cluster_world.h"
#include "sim/raw_client.h"

namespace doozer::sim {

/// Whom a step means by `leader` and `follower`.
struct Roles {
  std::function<uint64_t()> leader;  ///< its number; 0: nobody leads
  std::function<uint64_t()> follower;
};

class Nemesis {
 public:
  /// `added` is told of each server that a step adds.
  Nemesis(ClusterWorld& world, Roles roles, std::function<void(uint64_t)> added);
  Nemesis(const Nemesis&) = delete;
  Nemesis& operator=(const Nemesis&) = delete;

  /// Puts the steps of the plan on the agenda; their times count from now.
  void schedule();
  /// Ends whatever lasts. Machines whose disk must not come back get an empty one.
  void heal();
  /// What a person does once it is over: a server that says that its disk must not be used starts
  /// with an empty one.
  void tend();

  /// Nothing was done to the ways between two hosts since then.
  bool untouched_since(const std::string& a, const std::string& b, uint64_t since_us) const;

  /// What may come of servers: the first two concern it until the heal.
  bool full(uint64_t number) const { return full_.contains(number); }
  /// Its disk is not its own any more, or another has the same: peers are right to refuse it.
  bool outcast(uint64_t number) const { return outcasts_.contains(number); }

 private:
  using PathKey = std::pair<std::string, std::string>;
  struct PathStep {
    std::set<PathKey> paths;
    PathFaults faults;
  };
  void run(const Step& step);
  void begin(const Step& step, uint64_t end_us);
  void begin_path(const Step& step, uint64_t end_us);
  void begin_process(const Step& step, uint64_t number, uint64_t end_us);
  void crash(uint64_t number, CrashKind kind);
  void begin_disk(const Step& step, uint64_t number, uint64_t end_us);
  void swap_disk(const Step& step, uint64_t number, uint64_t end_us);
  void take_copy(const std::vector<uint64_t>& sources, uint64_t number);
  void write_slot(const Step& step);
  void burst(uint64_t number, uint64_t writes);
  void flap(uint64_t id, const PathStep& cut, uint64_t period_us, uint64_t end_us);
  RawClient& admin(uint64_t number);

  /// Runs `then` at `end_us`, or at the heal if that comes before.
  void until(uint64_t end_us, std::function<void()> then);
  void set_path_step(uint64_t id, PathStep step);
  void drop_path_step(uint64_t id);
  void refresh(const std::set<PathKey>& paths);
  std::vector<std::string> hosts_of(const Who& who) const;
  std::vector<uint64_t> servers_of(const Who& who) const;
  void start_empty(uint64_t number);
  bool must_be_wiped(uint64_t number);
  uint64_t starts(uint64_t number);
  bool barred(uint64_t number);

  ClusterWorld& world_;
  Roles roles_;
  std::function<void(uint64_t)> added_;
  uint64_t faults_end_us_ = 0;
  uint64_t next_id_ = 1;
  std::map<uint64_t, std::function<void()>> open_;  ///< what has to be undone
  std::map<uint64_t, PathStep> path_steps_;
  std::map<PathKey, uint64_t> touched_us_;  ///< when faults were last put there or taken away
  std::set<uint64_t> full_;
  std::set<uint64_t> outcasts_;
  std::set<uint64_t> lost_;              ///< outcasts whose disk must not stay
  std::map<uint64_t, uint64_t> copies_;  ///< whose disk is a copy of whose
  std::vector<std::unique_ptr<RawClient>> admins_;
};

}  // namespace doozer::sim
