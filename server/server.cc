#include "server/server.h"

#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "server/recovery.h"

namespace doozer::server {
namespace {

constexpr uint64_t kStopTickUs = 20'000;
constexpr std::string_view kSystem = "system";

raft::Configuration alone(const Identity& identity) {
  return {.voters = {identity}, .old_voters = {}};
}

}  // namespace

Server::Server(const World& world, ServerOptions options)
    : world_(world),
      options_(std::move(options)),
      logger_(world_.log_sink, context_, options_.config.log_level),
      secrets_{.read_write = options_.secrets.read_write, .read_only = options_.secrets.read_only},
      limits_{.value_bytes_max = options_.config.value_bytes_max,
              .outstanding_max = options_.config.outstanding_requests_max,
              .waits_max = options_.config.waits_per_connection_max,
              .unsent_soft = kUnsentBytesSoft} {}

Server::~Server() {
  if (stop_timer_ != 0) world_.clock.cancel(stop_timer_);
}

Result<void> Server::start(UniqueFunction<void()> serving,
                           UniqueFunction<void(const Result<void>&)> stopped) {
  serving_ = std::move(serving);
  stopped_ = std::move(stopped);
  started_us_ = world_.clock.now_us();
  TRY(open_storage());
  TRY(build());
  TRY(listen());
  world_.clock.at_turn_end([this] { turn_end(); });
  replica_->start([this] { on_leading(); });
  replica_->turn_end();  // the vote is on its way to the disk before the first turn
  return {};
}

Result<void> Server::open_storage() {
  const Config& config = options_.config;
  TRY(world_.disk.lock("lock"));
  TRY_ASSIGN(const auto report, storage::inspect_directory(world_.disk));
  const storage::StorageOptions storage_options{.segment_bytes = config.segment_bytes,
                                                .disk_reserve_bytes = config.disk_reserve_bytes};
  switch (report.state) {
    case storage::DirectoryState::broken: return fail(Code::corrupt, report.detail);
    case storage::DirectoryState::empty: {
      TRY(may_boot({.listen = config.listen,
                    .boot = config.boot,
                    .attach = config.attach,
                    .boot_uri = config.boot_uri}));
      TRY(storage::Storage::create(
          world_.disk, {.cluster = options_.fresh_cluster, .identity = options_.fresh_identity},
          {.voters = {options_.fresh_identity}, .old_voters = {}}, storage_options));
      logger_.info("booted", {{"cluster", options_.fresh_cluster.to_string()},
                              {"identity", options_.fresh_identity.to_string()}});
      break;
    }
    case storage::DirectoryState::initialized:
      if (!config.attach.empty() || !config.boot_uri.empty()) {
        logger_.warn("attach_ignored", {{"why", "the data directory holds a cluster of one"}});
      }
      break;
  }
  TRY_ASSIGN(storage_, storage::Storage::open(world_.disk, world_.lanes, world_.clock, logger_,
                                              storage_options));
  context_.node = storage_->recovered().owner.identity.to_string().substr(0, 4);
  return {};
}

Result<void> Server::build() {
  const storage::Recovered& recovered = storage_->recovered();
  const Config& config = options_.config;
  TRY_ASSIGN(machine_, rebuild_machine(*storage_,
                                       {.history_revisions = static_cast<int64_t>(config.history),
                                        .history_bytes = static_cast<size_t>(config.history_bytes)},
                                       logger_));
  if (recovered.configuration != alone(recovered.owner.identity)) {
    return fail(Code::unsupported,
                "this server's configuration has " +
                    std::to_string(recovered.configuration.voters.size()) +
                    " voters; this version runs a cluster of one, which must be itself, " +
                    recovered.owner.identity.to_string());
  }
  raft::Core core = raft::Core::make(
      {.self = recovered.owner.identity,
       .incarnation = recovered.incarnation,
       .configurations = {{.index = Index(1), .configuration = recovered.configuration}},
       .hard_state = recovered.hard_state,
       .entries = {},
       .below = {},
       .last_index = recovered.last_index,
       .last_term = recovered.last_term,
       .applied = machine_->applied(),
       .trust = raft::LogTrust::sound,
       .doubtful_to = Index(),
       .snapshot = std::nullopt,
       .now_us = world_.clock.now_us()});
  replica_ =
      std::make_unique<Replica>(world_.clock, *storage_, *machine_, std::move(core), logger_);
  replica_->on_fatal([this](const Error& error) { die(error); });
  snapshotter_ = std::make_unique<Snapshotter>(world_.clock, *storage_, *machine_, *replica_,
                                               options_.snapshots, logger_);
  connections_ = std::make_unique<Connections>(
      world_.clock, *this,
      ConnectionsOptions{.connections_max = config.connections_max,
                         .per_address_max = config.connections_per_address_max,
                         .limits = {.frame_complete_us = config.frame_complete_us_max,
                                    .unsent_stall_us = config.unsent_stall_us_max,
                                    .linger_us = kGracefulLingerUs}},
      logger_);
  context_.term = recovered.hard_state.term;
  context_.revision = machine_->revision();
  const core::MachineStats stats = machine_->stats();
  logger_.info("recovered", {{"incarnation", recovered.incarnation},
                             {"index", recovered.last_index},
                             {"files", stats.files},
                             {"oldest_revision", machine_->oldest()},
                             {"doubtful", recovered.trust == raft::LogTrust::doubtful},
                             {"ms", (world_.clock.now_us() - started_us_) / 1000}});
  return {};
}

Result<void> Server::listen() {
  const Config& config = options_.config;
  TRY_ASSIGN(listener_, world_.net.listen({.address = config.listen,
                                           .stream_class = env::StreamClass::client,
                                           .tls = config.tls()},
                                          *connections_));
  address_ = listener_->address();
  return {};
}

void Server::on_leading() {
  if (phase_ != Phase::booting) return;  // asked to stop before it began
  const std::string& advertised =
      options_.config.advertise.empty() ? address() : options_.config.advertise;
  boot_writes_ = boot_writes({.identity = identity(),
                              .cluster_name = options_.config.cluster,
                              .address = advertised,
                              .hostname = options_.hostname,
                              .version = options_.version,
                              .slots = options_.config.slots},
                             *machine_);
  write_next_boot_file();
}

void Server::write_next_boot_file() {
  if (boot_write_ == boot_writes_.size()) {
    begin_serving();
    return;
  }
  const BootWrite& write = boot_writes_[boot_write_];
  replica_->submit(core::SetView{.path = write.path, .revision = -1, .value = write.value}, kSystem,
                   *this, boot_write_);
  world_.clock.post([] {});
}

void Server::on_written(uint64_t cookie, const door::WriteOutcome& outcome) {
  CHECK(cookie == boot_write_);
  if (outcome.kind != door::WriteOutcome::Kind::applied || outcome.applied.refused) {
    // A full disk, or a client's file in the way: the cluster works without these files.
    logger_.warn(
        "boot_file_not_written",
        {{"path", std::string_view(boot_writes_[boot_write_].path)},
         {"why", outcome.applied.refused ? std::string_view(outcome.applied.refused->message)
                                         : std::string_view(outcome.error.message)}});
  }
  ++boot_write_;
  if (phase_ == Phase::booting) write_next_boot_file();
}

void Server::begin_serving() {
  phase_ = Phase::serving;
  connections_->resume();
  logger_.info("serving", {{"listen", std::string_view(address())},
                           {"tls", options_.config.tls()},
                           {"cluster", cluster().to_string()},
                           {"identity", identity().to_string()},
                           {"ms", (world_.clock.now_us() - started_us_) / 1000}});
  if (serving_) serving_();
}

void Server::submit(const core::BodyView& body, door::WriteCompletion& completion,
                    uint64_t cookie) {
  replica_->submit(body, {}, completion, cookie);
}

void Server::read_index(door::ReadCompletion& completion, uint64_t cookie) {
  replica_->read_index(completion, cookie);
}

bool Server::writable() const {
  return replica_->leading() && (phase_ == Phase::serving || phase_ == Phase::stopping);
}

// Proposals go to the disk first, so that it works while the rest of the turn is done.
void Server::turn_end() {
  if (phase_ == Phase::stopped) return;
  replica_->turn_end();
  Budget budget(kSliceSteps);
  const bool more = machine_->run(budget);
  snapshotter_->turn_end();
  connections_->turn_end();
  context_.term = replica_->core().term();
  context_.revision = machine_->revision();
  if (more || replica_->has_new()) world_.clock.post([] {});
}

void Server::stop() {
  if (phase_ >= Phase::stopping) return;
  CHECK(connections_ != nullptr);
  logger_.info("stopping", {{"connections", connections_->count()}});
  phase_ = Phase::stopping;
  phase_since_us_ = world_.clock.now_us();
  listener_.reset();
  snapshotter_->stop();
  continue_stop();
}

// Writes are taken for kGracefulForwardUs more, then the log is waited for, then all is closed.
void Server::continue_stop() {
  const uint64_t now = world_.clock.now_us();
  if (phase_ == Phase::stopping &&
      (connections_->count() == 0 || now - phase_since_us_ >= kGracefulForwardUs)) {
    phase_ = Phase::read_only;
    phase_since_us_ = now;
  }
  if (phase_ == Phase::read_only &&
      (replica_->idle() || now - phase_since_us_ >= kUnknownAfterUs)) {
    phase_ = Phase::closing;
    connections_->close_all([this] {
      // The log's end is vouched for, so that damage found later is never taken for a torn tail. A
      // log that is stuck or waits for room is not waited for: its writers were told "unknown".
      stop_timer_ = world_.clock.at(world_.clock.now_us() + kUnknownAfterUs, [this] {
        stop_timer_ = 0;
        logger_.warn("stopped_without_log", {{"why", "the log does not come to rest"}});
        end({});
      });
      storage_->quiesce([this] { end({}); });
    });
    world_.clock.post([] {});
    return;
  }
  if (phase_ == Phase::stopping || phase_ == Phase::read_only) {
    stop_timer_ = world_.clock.at(now + kStopTickUs, [this] {
      stop_timer_ = 0;
      continue_stop();
    });
  }
}

void Server::die(const Error& error) {
  if (phase_ == Phase::stopped) return;
  // The doors have just been told that their writes are unknown: that goes out before the end.
  connections_->turn_end();
  end(fail(error));
}

void Server::end(const Result<void>& outcome) {
  if (phase_ == Phase::stopped) return;
  phase_ = Phase::stopped;
  listener_.reset();
  snapshotter_->stop();
  if (outcome) {
    logger_.info("stopped", {{"revision_last", machine_->revision()}});
  } else {
    logger_.error("stopped", {{"error", std::string_view(outcome.error().message)}});
  }
  if (stopped_) {
    UniqueFunction<void(const Result<void>&)> stopped = std::move(stopped_);
    stopped_ = {};
    stopped(outcome);
  }
}

}  // namespace doozer::server
