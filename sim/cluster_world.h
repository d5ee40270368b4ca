// A world of several servers and their clients. Who runs next is decided by virtual time alone;
// what is to happen from outside is on the agenda. A process that ends is started again, as systemd
// would, unless somebody holds its machine down.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/host.h"
#include "sim/plan.h"
#include "sim/timeline.h"

namespace doozer::sim {

class ClusterWorld {
 public:
  /// Both outlive the world. Nothing runs yet.
  ClusterWorld(const Plan& plan, Timeline& timeline);
  ~ClusterWorld();
  ClusterWorld(const ClusterWorld&) = delete;
  ClusterWorld& operator=(const ClusterWorld&) = delete;

  const Plan& plan() const { return plan_; }
  Timeline& timeline() { return timeline_; }
  SimNetwork& network() { return network_; }
  SimClock& client_clock() { return client_clock_; }
  Rng& rng() { return rng_; }
  uint64_t now_us() const { return now_us_; }

  // --- Servers, s1 ... in the order of their making.
  /// Starts all servers of the plan: the first boots, the others attach.
  void boot();
  size_t size() const { return hosts_.size(); }
  /// REQUIRES 1 <= number <= size().
  Host& host(uint64_t number) { return *hosts_[number - 1]; }
  const Host& host(uint64_t number) const { return *hosts_[number - 1]; }
  /// One more, which attaches; its number.
  uint64_t add_server();
  /// Its machine does not run before as many release(). Holding does not end a process.
  void hold(uint64_t number) { ++holds_[number - 1]; }
  /// Starts its process if nobody holds it any more.
  void release(uint64_t number);
  /// Its process ended or is ended; a new one comes after a while unless it is held.
  void kill(uint64_t number);
  void crash(uint64_t number, CrashKind kind);

  // --- Clients.
  /// The net of the client with this number from 1, made at the first call.
  SimNet& client_net(uint64_t number);
  static std::string client_host(uint64_t number) { return "10.0.1." + std::to_string(number); }

  // --- Running.
  void at(uint64_t when_us, std::function<void()> then);
  /// Heard of every machine: now of those that there are, later of those that come.
  void on_host(std::function<void(Host&)> hook);
  /// Heard after each turn of a server.
  void on_turn(std::function<void(uint64_t number)> hook) { on_turn_ = std::move(hook); }
  /// Heard when a process begins (`alive`) or ends.
  void on_life(std::function<void(uint64_t number, bool alive)> hook) {
    on_life_ = std::move(hook);
  }
  /// Heard when a server gives up by itself with an error, or cannot start.
  void on_giving_up(std::function<void(uint64_t number, const std::string& why)> hook) {
    on_giving_up_ = std::move(hook);
  }
  void run_until(uint64_t until_us);
  /// Runs until `done` holds, looking every `look_us`; false if it does not before `until_us`.
  bool run_until(const std::function<bool()>& done, uint64_t until_us, uint64_t look_us = 10'000);

  uint64_t turns() const { return turns_; }
  /// Over every message and every write to a disk: equal for equal runs.
  uint64_t digest() const;

 private:
  class ServerLog;
  void make_host();
  void start(uint64_t number);
  void start_later(uint64_t number);
  void say(uint64_t number, const std::string& what) {
    timeline_.say(now_us_, host(number).name(), what);
  }
  bool step(uint64_t until_us);

  Plan plan_;
  Timeline& timeline_;
  Rng rng_;
  SimNetwork network_;
  SimClock client_clock_;
  std::map<uint64_t, std::unique_ptr<SimNet>> client_nets_;
  std::vector<std::unique_ptr<ServerLog>> logs_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<uint64_t> holds_;
  std::vector<uint64_t> starts_;  ///< how often a start was asked for: only the last one counts
  std::multimap<uint64_t, std::function<void()>> agenda_;
  std::function<void(Host&)> on_host_;
  std::function<void(uint64_t)> on_turn_;
  std::function<void(uint64_t, bool)> on_life_;
  std::function<void(uint64_t, const std::string&)> on_giving_up_;
  uint64_t now_us_ = 1'000'000;
  uint64_t turns_ = 0;
};

}  // namespace doozer::sim
