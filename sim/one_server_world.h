// A world of one server and its clients, for tests: who runs next is decided by virtual time alone.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sim/raw_client.h"
#include "sim/server_process.h"

namespace doozer::sim {

class OneServerWorld {
 public:
  OneServerWorld(const SimDiskOptions& disk, ServerProcessOptions server);
  ~OneServerWorld();

  SimDisk& disk() { return disk_; }
  SimClock& client_clock() { return client_clock_; }
  /// REQUIRES a running process.
  ServerProcess& process() { return *process_; }
  bool running() const { return process_ != nullptr; }

  /// Starts a process on what the disk holds (SimDisk::restart() but for the first). The error of
  /// Server::start(); the process is then gone.
  Result<void> start();
  /// For the next start: --history.
  void set_history(uint64_t revisions) { options_.config.history = revisions; }
  /// For the next start: the address that it has then.
  void set_own_host(std::string host) { options_.own_host = std::move(host); }
  /// The process ends without a word; sockets are reset. The disk stays as it is.
  void kill();
  std::unique_ptr<RawClient> connect() {
    return std::make_unique<RawClient>(client_net_, options_.address);
  }

  /// Runs whatever is next; false if nothing ever is. A process whose disk crashed, or that has
  /// stopped, is killed.
  bool step();
  /// Steps until `done`; false after `steps_max` or when nothing is left to run.
  bool run(const std::function<bool()>& done, uint64_t steps_max = 1'000'000);
  /// Steps until the time is `us` later.
  void run_for(uint64_t us);
  uint64_t now_us() const;

 private:
  SimNetwork network_;
  SimDisk disk_;
  ServerProcessOptions options_;
  SimClock client_clock_;
  SimNet client_net_;
  std::unique_ptr<ServerProcess> process_;
  uint64_t lives_ = 0;
  uint64_t died_us_ = 0;  ///< when the last process ended
};

}  // namespace doozer::sim
