// One server process in the simulator: the server that ships, over a clock, disk and network of
// sim/. Destroying it is how the process dies; the SimDisk lives on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "server/server.h"
#include "sim/disk.h"
#include "sim/loop.h"
#include "sim/net.h"

namespace doozer::sim {

/// Keeps rendered lines, for tests that look at them and for failures that print them.
class SimLog final : public LogSink {
 public:
  explicit SimLog(const SimClock& clock) : clock_(clock) {}
  void write(const LogRecord& record) override;
  /// Hears of every record instead of its line being kept.
  void hand_to(LogSink* listener) { listener_ = listener; }
  const std::vector<std::string>& lines() const { return lines_; }
  /// True if some line holds the text.
  bool has(std::string_view text) const;

 private:
  const SimClock& clock_;
  LogSink* listener_ = nullptr;
  std::vector<std::string> lines_;
};

struct ServerProcessOptions {
  std::string address = "127.0.0.1:8046";
  std::string own_host;  ///< told to others if `address` is of every interface
  uint64_t seed = 1;     ///< of identities, if the disk is empty
  uint64_t start_us = 1'000'000;
  server::Config config;  ///< `listen` is set from `address`
  server::StartSecrets secrets;
  server::SnapshotPolicy snapshots;
  uint64_t digest_every = 64;  ///< often, so that short runs compare digests too
  SimClockOptions clock = {.wall_start_us = 1'750'000'000'000'000};  ///< `start_us` is set
  LogLevel log_level = LogLevel::debug;
  raft::Retention retention;
  server::ReplicaObserver* observer = nullptr;
  /// Makes the name service of --boot-uri; empty: none.
  std::function<std::unique_ptr<server::NameService>(env::Clock&, env::Net&, const Logger&)> names =
      {};
  LogSink* log_listener = nullptr;  ///< gets the records; otherwise log() keeps lines
};

class ServerProcess {
 public:
  ServerProcess(SimNetwork& network, SimDisk& disk, const ServerProcessOptions& options);
  ~ServerProcess();
  /// The machine is off: nobody hears anything of it any more. Only its destruction may follow.
  void vanish() { net_.die(true); }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  /// Server::start(); the clock must run afterwards.
  Result<void> start();
  SimClock& clock() { return clock_; }
  SimLanes& lanes() { return lanes_; }
  server::Server& server() { return *server_; }
  const SimLog& log() const { return log_; }
  bool serving() const { return serving_; }
  /// How the server stopped; nullopt while it runs.
  const std::optional<Result<void>>& stopped() const { return stopped_; }

 private:
  SimClock clock_;
  SimLog log_;
  LogContext context_;
  SimLanes lanes_;
  SimNet net_;
  std::unique_ptr<server::Server> server_;
  bool serving_ = false;
  std::optional<Result<void>> stopped_;
};

}  // namespace doozer::sim
