// The server: joins data directory, machine, replica and connections over env/, and knows how to
// start and how to stop. It does no I/O of its own; cmd/doozerd gives it the real world, sim/
// another.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/function.h"
#include "base/log.h"
#include "base/result.h"
#include "base/types.h"
#include "core/machine.h"
#include "door/door.h"
#include "env/clock.h"
#include "env/disk.h"
#include "env/net.h"
#include "server/boot.h"
#include "server/cluster.h"
#include "server/config.h"
#include "server/connections.h"
#include "server/name_service.h"
#include "storage/storage.h"
#include "transport/attacher.h"

namespace doozer::server {

/// The world around a server; all borrowed, all outlive it.
struct World {
  env::Clock& clock;
  env::Disk& disk;
  env::Lanes& lanes;
  env::Net& net;
  LogSink& log_sink;
};

/// What the loop tells of itself, for STATUS (io::LoopStats).
struct LoopFigures {
  uint64_t turns = 0;
  uint64_t wake_ups = 0;
  uint64_t turn_cpu_us_max = 0;
  uint64_t turns_over_limit = 0;
};

/// What the process tells of its memory, for STATUS (io::memory_use).
struct MemoryFigures {
  uint64_t rss_bytes = 0;      ///< resident now
  uint64_t rss_bytes_max = 0;  ///< and at most, since the start
};

struct ServerOptions {
  Config config;
  StartSecrets secrets;
  std::string hostname;
  std::string version;
  Identity fresh_cluster;   ///< random; used only if a new cluster is booted
  Identity fresh_identity;  ///< random; used only if the directory is empty
  uint64_t seed = 0;        ///< random: time-outs, nonces
  uint64_t digest_every = kDigestEveryIndexes;
  raft::Retention retention;
  ReplicaObserver* observer = nullptr;  ///< outlives the server; null: nobody looks on
  SnapshotPolicy snapshots;
  std::unique_ptr<NameService> names;  ///< null: --boot-uri was not given
  /// As io::own_host(), for a server that listens on every interface and was not told what to
  /// advertise; empty: the wildcard is told.
  UniqueFunction<std::string(std::vector<std::string> others, bool ipv4_only)> own_host;
  // Empty: STATUS has none (virtual time).
  UniqueFunction<LoopFigures()> loop_figures;
  UniqueFunction<MemoryFigures()> memory_figures;
};

class Server final : public door::Host,
                     private door::WriteCompletion,
                     private door::ReadCompletion,
                     private ClusterHost,
                     private transport::AttacherEvents {
 public:
  Server(const World& world, ServerOptions options);
  ~Server() override;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Takes the lock, listens, and recovers, boots or begins to attach. Blocking until then; it
  /// serves once the clock's loop runs. `serving` is called when clients are answered for the first
  /// time, `stopped` once after stop() or after a fatal error, which it is given.
  /// Errors: conflict (locked, address in use), bad_argument (boot rule), corrupt, io_error,
  /// no_space.
  Result<void> start(UniqueFunction<void()> serving,
                     UniqueFunction<void(const Result<void>&)> stopped);
  /// Stops gracefully (design section 8): no new connections, writes for a little longer, then
  /// READONLY; answers all that is under way; closes. Asking again changes nothing. REQUIRES that
  /// start() succeeded.
  void stop();

  /// Its records carry this server's node, term and revision.
  const Logger& logger() const { return logger_; }
  /// The address that clients reach, with the real port.
  const std::string& address() const { return address_; }

  /// Null while this server waits for a cluster to attach to.
  const Cluster* cluster_part() const { return cluster_.get(); }

  /// An empty one while this server waits for a cluster: nothing is read of it.
  core::Machine& machine() override {
    return cluster_ == nullptr ? *no_machine_ : cluster_->replica().machine();
  }
  void submit(const core::BodyView& body, door::WriteCompletion& completion,
              uint64_t cookie) override;
  void read_index(door::ReadCompletion& completion, uint64_t cookie) override;
  void forget(door::WriteCompletion& completion) override {
    if (cluster_ != nullptr) cluster_->replica().forget(completion);
  }
  void forget(door::ReadCompletion& completion) override {
    if (cluster_ != nullptr) cluster_->replica().forget(completion);
  }
  bool writable() const override;
  Error why_read_only() const override;
  Identity identity() const override;
  Identity cluster() const override;
  const door::Secrets& secrets() const override { return secrets_; }
  const door::DoorLimits& limits() const override { return limits_; }
  /// May be a millisecond old, but knows all that is applied: thousands may be asked at once.
  std::string status() override;

 private:
  enum class Phase : uint8_t {
    attaching,  ///< looks for a cluster
    joining,    ///< has one, and does not serve yet
    serving,
    stopping,
    read_only,
    closing,
    stopped,
  };
  Result<void> open_directory();
  Result<void> listen();
  void begin_attach(std::vector<std::string> addresses, bool may_boot);
  // server_address.cc
  void choose_advertised();
  void warn_if_moved();
  void warn_if_alone();
  // server_names.cc
  Result<void> begin_find();
  void on_found(const NameService::Finding& found);
  void mind_names();
  Result<void> create_storage(const Identity& cluster, bool voter);
  Result<void> open_cluster();
  env::DialOptions peer_dial() const;
  void ask_caught_up();
  void write_boot_files();
  void write_next_boot_file();
  void begin_serving();
  void turn_end();
  void continue_stop();
  void die(const Error& error);
  void end(const Result<void>& outcome);
  std::string make_status();

  // door completions: the boot files, and the first linearizable read.
  void on_written(uint64_t cookie, const door::WriteOutcome& outcome) override;
  void on_readable(uint64_t cookie, const Result<void>& outcome) override;
  // ClusterHost
  void on_cluster_fatal(const Error& error) override { die(error); }
  void on_machine_leaving() override;
  void on_trusted_changed() override;
  // AttacherEvents
  void on_attach(const transport::AttachAnswer& answer) override;
  void on_boot() override;

  // Fixed after construction.
  World world_;
  ServerOptions options_;
  LogContext context_;
  Logger logger_;
  door::Secrets secrets_;
  door::DoorLimits limits_;
  UniqueFunction<void()> serving_;
  UniqueFunction<void(const Result<void>&)> stopped_;

  // Made by start(), some of them later.
  std::unique_ptr<storage::Storage> storage_;
  std::unique_ptr<core::Machine> no_machine_;
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<transport::Attacher> attacher_;
  std::unique_ptr<Connections> connections_;
  std::unique_ptr<env::Listener> listener_;
  std::unique_ptr<env::Listener> peer_listener_;

  // Volatile.
  std::string address_;
  std::string advertised_;   ///< what others are told to reach this server at
  bool moved_ = false;       ///< the log says that it is not what they know
  bool told_alone_ = false;  ///< the log says that --attach names this server only
  Phase phase_ = Phase::attaching;
  bool attached_ = false;           ///< the attacher has had its last call and goes
  bool published_ = false;          ///< the name service is told that this server is a member
  std::vector<std::string> seeds_;  ///< addresses of the cluster: given, or found
  bool caught_up_ = false;          ///< has once answered a linearizable read in this life
  std::vector<BootWrite> boot_writes_;
  size_t boot_write_ = 0;
  uint64_t started_us_ = 0;
  uint64_t phase_since_us_ = 0;
  env::TimerId stop_timer_ = 0;
  std::string status_;  ///< as it was at status_us_ with status_index_ applied
  uint64_t status_us_ = 0;
  Index status_index_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace doozer::server
