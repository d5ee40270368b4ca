// One machine of a cluster in the simulator: a disk that lives for ever, a clock that drifts, and
// now and then a server process. What is done to it is done from outside, between turns.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "sim/server_process.h"

namespace doozer::sim {

struct HostOptions {
  uint64_t number = 1;  ///< from 1; also its name, s1
  std::string address;
  uint64_t seed = 1;  ///< of the disk's crashes and of the identities that it makes
  int64_t drift_ppm = 0;
  uint64_t sync_us = 80;
  server::Config config;
  server::SnapshotPolicy snapshots;
  raft::Retention retention;
  LogSink* log_listener = nullptr;
  server::ReplicaObserver* observer = nullptr;
};

/// What its disk suffers from, from now on.
struct DiskTrouble {
  uint64_t sync_extra_us = 0;
  uint64_t log_sync_extra_us = 0;  ///< of the log alone
  uint64_t stuck_until_us = 0;     ///< no sync returns before
  uint32_t read_fails_per_mille = 0;
  bool fail_next_sync = false;
  bool operator==(const DiskTrouble&) const = default;
};

class Host {
 public:
  Host(SimNetwork& network, const HostOptions& options);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // --- Its process. Times are the world's.
  bool up() const { return process_ != nullptr; }
  bool serving() const { return up() && process_->serving() && !process_->stopped(); }
  /// REQUIRES up().
  ServerProcess& process() { return *process_; }
  /// A new process on what the disk holds. The error of Server::start(); it is then gone again.
  Result<void> start(uint64_t now_us);
  /// Ends it, if there is one; peers hear resets.
  void kill(uint64_t now_us);
  /// The machine is off.
  void crash(CrashKind kind, uint64_t now_us);
  /// The power goes in the middle of the next write or sync, where most can be torn.
  void arm_crash(CrashKind kind) { armed_ = kind; }
  bool armed() const { return armed_.has_value(); }
  void pause(uint64_t until_us);
  void stall(uint64_t until_us);
  /// What works on the disk beside the log gets no time, in this life and those that follow.
  void stick_bulk(uint64_t until_us);
  bool stuck(uint64_t now_us) const { return now_us < bulk_stuck_us_; }
  bool paused(uint64_t now_us) const { return now_us < paused_until_us_; }
  /// The process has ended by itself, or the disk has crashed under it.
  bool is_done();
  void jump_wall(int64_t by_us);
  /// When its process has something to do; nullopt: never.
  std::optional<uint64_t> next_us() const;

  // --- Its disk. Whoever gives it another content has killed the process before.
  SimDisk& disk() { return *disk_; }
  bool disk_crashed() const { return disk_->crashed(); }
  DiskTrouble& trouble() { return trouble_; }
  void wipe();
  void save();
  /// Something was done to its disk for which its server may give up, or call it damaged.
  void harm_disk() { disk_harmed_ = true; }
  bool disk_harmed() const { return disk_harmed_; }
  /// How often it was cut off from the power.
  uint64_t crashes() const { return crashes_; }
  /// False if nothing was saved.
  bool restore_saved();
  /// REQUIRES that the other's disk has not crashed.
  void take_copy(const Host& other);
  /// While `foreign`, starts a server of another cluster, on a disk that is forgotten afterwards.
  void set_foreign(bool foreign);
  bool foreign() const { return native_ != nullptr; }

  const HostOptions& options() const { return options_; }
  /// For the processes that begin from now on.
  void set_observer(server::ReplicaObserver* observer) { options_.observer = observer; }
  /// False: the disk is a copy, an older one, or a stranger's.
  bool own_disk() const { return own_disk_; }
  server::Config& config() { return options_.config; }
  std::string name() const { return "s" + std::to_string(options_.number); }
  /// Without the port.
  std::string host() const { return options_.address.substr(0, options_.address.rfind(':')); }
  uint64_t lives() const { return lives_; }
  /// Of all operations of all its disks.
  uint64_t disk_digest() const;

 private:
  std::unique_ptr<SimDisk> new_disk();
  void adopt(std::unique_ptr<SimDisk> disk);
  Fate judge(const Operation& operation);
  void stall_lanes();

  SimNetwork& network_;
  HostOptions options_;
  Rng rng_;
  DiskTrouble trouble_;
  std::unique_ptr<SimDisk> disk_;
  std::unique_ptr<SimDisk> saved_;
  std::unique_ptr<SimDisk> native_;  ///< the own disk, while a foreign server runs here
  std::unique_ptr<ServerProcess> process_;
  uint64_t lives_ = 0;
  bool own_disk_ = true;
  std::optional<CrashKind> armed_;
  bool disk_harmed_ = false;
  uint64_t crashes_ = 0;
  uint64_t paused_until_us_ = 0;
  uint64_t bulk_stuck_us_ = 0;  ///< until then
  int64_t wall_ahead_us_ = 0;
  uint64_t past_disks_digest_ = 0;
};

}  // namespace doozer::sim
