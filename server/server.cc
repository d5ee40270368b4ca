#include "server/server.h"

#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/probe.h"
#include "core/membership.h"

namespace doozer::server {
namespace {

constexpr uint64_t kStopTickUs = 20'000;
/// A client that writes without a pause hears READONLY for so long, and goes elsewhere; whoever
/// writes into a closed connection knows nothing of that write.
constexpr uint64_t kStopReadOnlyUs = 200'000;

}  // namespace

Server::Server(const World& world, ServerOptions options)
    : world_(world),
      options_(std::move(options)),
      logger_(world_.log_sink, context_, options_.config.log_level),
      secrets_{.read_write = options_.secrets.read_write, .read_only = options_.secrets.read_only},
      limits_{.value_bytes_max = options_.config.value_bytes_max,
              .outstanding_max = options_.config.outstanding_requests_max,
              .waits_max = options_.config.waits_per_connection_max,
              .unsent_soft = kUnsentBytesSoft},
      no_machine_(core::Machine::make({})),
      seeds_(options_.config.attach) {}

Server::~Server() {
  if (stop_timer_ != 0) world_.clock.cancel(stop_timer_);
}

// --- Starting.

Result<void> Server::start(UniqueFunction<void()> serving,
                           UniqueFunction<void(const Result<void>&)> stopped) {
  serving_ = std::move(serving);
  stopped_ = std::move(stopped);
  started_us_ = world_.clock.now_us();
  TRY(world_.disk.lock("lock"));
  TRY(open_directory());
  world_.clock.at_turn_end([this] { turn_end(); });
  if (cluster_ != nullptr) cluster_->send();
  return {};
}

Result<void> Server::open_directory() {
  const Config& config = options_.config;
  TRY_ASSIGN(const auto report, storage::inspect_directory(world_.disk));
  switch (report.state) {
    case storage::DirectoryState::broken: return fail(Code::corrupt, report.detail);
    case storage::DirectoryState::initialized:
      TRY(forget_candidate(world_.disk));
      TRY(listen());
      return open_cluster();
    case storage::DirectoryState::empty: break;
  }
  TRY_ASSIGN(const FirstStart first, first_start({.listen = config.listen,
                                                  .boot = config.boot,
                                                  .attach = config.attach,
                                                  .boot_uri = config.boot_uri}));
  TRY(listen());
  if (first == FirstStart::ask) return begin_find();
  if (first == FirstStart::attach) {
    begin_attach(config.attach, config.boot);
    return {};
  }
  TRY(create_storage(options_.fresh_cluster, true));
  return open_cluster();
}

Result<void> Server::listen() {
  const Config& config = options_.config;
  connections_ = std::make_unique<Connections>(
      world_.clock, *this,
      ConnectionsOptions{.connections_max = config.connections_max,
                         .per_address_max = config.connections_per_address_max,
                         .limits = {.frame_complete_us = config.frame_complete_us_max,
                                    .unsent_stall_us = config.unsent_stall_us_max,
                                    .linger_us = kGracefulLingerUs}},
      logger_);
  connections_->on_peer([this](std::unique_ptr<env::Stream> stream, std::string first_bytes) {
    if (cluster_ != nullptr) {
      cluster_->adopt(std::move(stream), std::move(first_bytes));
    } else if (attacher_ != nullptr && !attached_) {
      attacher_->adopt(std::move(stream), std::move(first_bytes));
    }
  });
  TRY_ASSIGN(listener_, world_.net.listen({.address = config.listen,
                                           .stream_class = env::StreamClass::client,
                                           .tls = config.tls()},
                                          *connections_));
  address_ = listener_->address();
  if (!config.peer_listen.empty()) {
    TRY_ASSIGN(peer_listener_, world_.net.listen({.address = config.peer_listen,
                                                  .stream_class = env::StreamClass::control,
                                                  .tls = config.tls()},
                                                 *connections_));
  }
  choose_advertised();
  return {};
}

// With an authority for peers both sides of a connection show a certificate of it, and whoever
// does not is no peer. TLS without one proves the server that is dialled and not the one that
// dials: beyond loopback peers then need the secret too.
env::DialOptions Server::peer_dial() const {
  const Config& config = options_.config;
  env::DialOptions dial;
  dial.tls = config.tls();
  dial.tls_ca_file = config.peer_ca;
  dial.tls_cert_file = config.tls_cert;
  dial.tls_key_file = config.tls_key;
  return dial;
}

void Server::begin_attach(std::vector<std::string> addresses, bool may_boot) {
  const Config& config = options_.config;
  const size_t count = addresses.size();
  attacher_ = std::make_unique<transport::Attacher>(
      world_.clock, world_.net,
      transport::AttacherOptions{.self = options_.fresh_identity,
                                 .advertise = advertised_,
                                 .addresses = std::move(addresses),
                                 .secret = secrets_.read_write,
                                 .insecure_peers = config.insecure_peers,
                                 .certificates = !config.peer_ca.empty(),
                                 .dial = peer_dial(),
                                 .seed = options_.seed,
                                 .boot = may_boot},
      static_cast<transport::AttacherEvents&>(*this), logger_);
  logger_.info("attaching", {{"listen", address()}, {"addresses", count}, {"may_boot", may_boot}});
  attacher_->start();
}

void Server::on_attach(const transport::AttachAnswer& answer) {
  attached_ = true;
  if (options_.names != nullptr) options_.names->settled();
  logger_.info("attached", {{"cluster", answer.cluster.to_string()},
                            {"to", answer.identity.to_string()},
                            {"address", answer.address}});
  // The attacher may not go in its own call.
  world_.clock.post([this, cluster = answer.cluster, alive = std::weak_ptr<int>(alive_)] {
    if (alive.expired() || phase_ != Phase::attaching) return;
    attacher_.reset();
    auto done = create_storage(cluster, false);
    if (done) done = open_cluster();
    if (!done) die(done.error());
  });
}

void Server::on_boot() {
  attached_ = true;
  if (options_.names != nullptr) options_.names->settled();
  world_.clock.post([this, alive = std::weak_ptr<int>(alive_)] {
    if (alive.expired() || phase_ != Phase::attaching) return;
    attacher_.reset();
    auto done = create_storage(options_.fresh_cluster, true);
    if (done) done = open_cluster();
    if (!done) die(done.error());
  });
}

Result<void> Server::create_storage(const Identity& cluster, bool voter) {
  raft::Configuration configuration;
  if (voter) configuration.voters = {options_.fresh_identity};
  TRY(storage::Storage::create(
      world_.disk, {.cluster = cluster, .identity = options_.fresh_identity}, configuration,
      {.segment_bytes = options_.config.segment_bytes,
       .disk_reserve_bytes = options_.config.disk_reserve_bytes}));
  TRY(forget_candidate(world_.disk));
  const std::string identity = options_.fresh_identity.to_string();
  if (voter) {
    logger_.info("booted", {{"cluster", cluster.to_string()}, {"identity", identity}});
  } else {
    logger_.info("joined", {{"cluster", cluster.to_string()}, {"identity", identity}});
  }
  return {};
}

Result<void> Server::open_cluster() {
  const Config& config = options_.config;
  TRY_ASSIGN(storage_, storage::Storage::open(world_.disk, world_.lanes, world_.clock, logger_,
                                              {.segment_bytes = config.segment_bytes,
                                               .disk_reserve_bytes = config.disk_reserve_bytes}));
  const storage::Recovered& recovered = storage_->recovered();
  context_.node = recovered.owner.identity.to_string().substr(0, 4);
  ClusterOptions options;
  options.mesh.advertise = advertised_;
  options.mesh.seeds = seeds_;
  options.mesh.secret = secrets_.read_write;
  options.mesh.insecure_peers = config.insecure_peers;
  options.mesh.certificates = !config.peer_ca.empty();
  options.mesh.dial = peer_dial();
  options.machine = {.history_revisions = static_cast<int64_t>(config.history),
                     .history_bytes = static_cast<size_t>(config.history_bytes)};
  options.snapshots = options_.snapshots;
  options.timeout_us = config.timeout_us;
  options.never_lead = config.never_lead;
  options.trust_log = config.trust_log;
  options.digest_every = options_.digest_every;
  options.retention = options_.retention;
  options.observer = options_.observer;
  options.seed = options_.seed;
  TRY_ASSIGN(cluster_, Cluster::open({.clock = world_.clock,
                                      .disk = world_.disk,
                                      .lanes = world_.lanes,
                                      .net = world_.net,
                                      .storage = *storage_},
                                     std::move(options), *this, logger_));
  phase_ = Phase::joining;
  context_.term = recovered.hard_state.term;
  context_.revision = machine().revision();
  logger_.info("recovered", {{"incarnation", recovered.incarnation},
                             {"index", recovered.last_index},
                             {"files", machine().stats().files},
                             {"oldest_revision", machine().oldest()},
                             {"doubtful", recovered.trust == raft::LogTrust::doubtful},
                             {"repairing", recovered.trust == raft::LogTrust::repairing},
                             {"ms", (world_.clock.now_us() - started_us_) / 1000}});
  warn_if_moved();
  // A member of many serves what it has: reads go on in a minority too.
  const bool member_of_many =
      recovered.configuration.voters != std::vector<Identity>{recovered.owner.identity};
  cluster_->start();
  ask_caught_up();
  if (member_of_many && machine().applied().value() > 0) begin_serving();
  return {};
}

// A server that was never at the end of the log serves once it was: until then it would tell of a
// world that is long past.
void Server::ask_caught_up() {
  cluster_->replica().read_index(*this, 0);
  world_.clock.post([] {});
}

void Server::on_readable(uint64_t /*cookie*/, const Result<void>& outcome) {
  if (phase_ != Phase::joining && phase_ != Phase::serving) return;
  if (!outcome) {
    ask_caught_up();
    return;
  }
  caught_up_ = true;
  warn_if_moved();
  write_boot_files();
}

void Server::write_boot_files() {
  const raft::Configuration founders{.voters = {identity()}, .old_voters = {}};
  boot_writes_ = boot_writes({.identity = identity(),
                              .cluster_name = options_.config.cluster,
                              .address = advertised_,
                              .hostname = options_.hostname,
                              .version = options_.version,
                              .slots = options_.config.slots,
                              .founder = cluster_->replica().core().configuration() == founders},
                             machine());
  boot_write_ = 0;
  // A cluster is served once it has its slots; one that others lead has them.
  if (!cluster_->alone()) begin_serving();
  write_next_boot_file();
}

void Server::write_next_boot_file() {
  if (boot_write_ == boot_writes_.size()) {
    begin_serving();
    return;
  }
  const BootWrite& write = boot_writes_[boot_write_];
  cluster_->replica().submit(
      core::SetView{.path = write.path, .revision = -1, .value = write.value},
      core::kSystemPrincipal, *this, boot_write_);
  world_.clock.post([] {});
}

void Server::on_written(uint64_t cookie, const door::WriteOutcome& outcome) {
  if (cookie != boot_write_ || boot_write_ >= boot_writes_.size()) return;
  if (outcome.kind != door::WriteOutcome::Kind::applied || outcome.applied.refused) {
    // A full disk, a leader that went, or a client's file in the way: the cluster works without
    // these files.
    logger_.warn(
        "boot_file_not_written",
        {{"path", std::string_view(boot_writes_[boot_write_].path)},
         {"why", outcome.applied.refused ? std::string_view(outcome.applied.refused->message)
                                         : std::string_view(outcome.error.message)}});
  }
  ++boot_write_;
  if (phase_ == Phase::joining || phase_ == Phase::serving) write_next_boot_file();
}

void Server::begin_serving() {
  if (phase_ != Phase::joining) return;
  phase_ = Phase::serving;
  if (cluster_->trusted()) connections_->resume();
  logger_.info("serving", {{"listen", std::string_view(address())},
                           {"tls", options_.config.tls()},
                           {"cluster", cluster().to_string()},
                           {"identity", identity().to_string()},
                           {"ms", (world_.clock.now_us() - started_us_) / 1000}});
  if (serving_) {
    UniqueFunction<void()> serving = std::move(serving_);
    serving_ = {};
    serving();
  }
}

// --- Serving.

Identity Server::identity() const { return storage_->recovered().owner.identity; }

Identity Server::cluster() const { return storage_->recovered().owner.cluster; }

void Server::submit(const core::BodyView& body, door::WriteCompletion& completion,
                    uint64_t cookie) {
  cluster_->replica().submit(body, {}, completion, cookie);
}

void Server::read_index(door::ReadCompletion& completion, uint64_t cookie) {
  cluster_->replica().read_index(completion, cookie);
}

bool Server::writable() const {
  return cluster_ != nullptr && cluster_->trusted() && cluster_->replica().may_write() &&
         (phase_ == Phase::serving || phase_ == Phase::stopping);
}

Error Server::why_read_only() const {
  if (cluster_ != nullptr && !cluster_->trusted()) {
    return {Code::read_only, "this server's state differed from that of a majority"};
  }
  if (phase_ >= Phase::stopping) return {Code::read_only, "the server is stopping"};
  return cluster_ == nullptr ? door::Host::why_read_only() : cluster_->replica().why_read_only();
}

void Server::on_machine_leaving() {
  PROBE("server: clients were cut for another state");
  connections_->suspend();
  if (phase_ == Phase::serving) {
    // After the machine is there.
    world_.clock.post([this, alive = std::weak_ptr<int>(alive_)] {
      if (!alive.expired() && phase_ == Phase::serving && cluster_->trusted()) {
        connections_->resume();
      }
    });
  }
}

void Server::on_trusted_changed() {
  if (phase_ != Phase::serving) return;
  if (cluster_->trusted()) {
    connections_->resume();
  } else {
    connections_->suspend();
  }
}

// Proposals go to the disk first, so that it works while the rest of the turn is done.
void Server::turn_end() {
  if (phase_ == Phase::stopped) return;
  if (cluster_ == nullptr) {
    warn_if_alone();
    connections_->turn_end();
    return;
  }
  const bool more = cluster_->turn_end();
  if (phase_ == Phase::stopped) return;
  connections_->turn_end();
  cluster_->send();
  mind_names();
  context_.term = cluster_->replica().core().term();
  context_.revision = machine().revision();
  if (more) world_.clock.post([] {});
}

// --- Stopping.

void Server::stop() {
  if (phase_ >= Phase::stopping) return;
  CHECK(connections_ != nullptr);
  logger_.info("stopping", {{"connections", connections_->count()}});
  listener_.reset();
  if (cluster_ == nullptr) {
    if (attacher_ != nullptr) attacher_->stop();
    end({});
    return;
  }
  phase_ = Phase::stopping;
  phase_since_us_ = world_.clock.now_us();
  cluster_->begin_stop();
  continue_stop();
}

// Writes are taken for kGracefulForwardUs more, refused for kStopReadOnlyUs while the log is waited
// for, then all is closed.
void Server::continue_stop() {
  const uint64_t now = world_.clock.now_us();
  const Replica& replica = cluster_->replica();
  // A leader stays until another one is there, or there is none to be had.
  const bool handing_over = replica.leading() && replica.core().transferring();
  if (phase_ == Phase::stopping && ((connections_->count() == 0 && !handing_over) ||
                                    now - phase_since_us_ >= kGracefulForwardUs)) {
    phase_ = Phase::read_only;
    phase_since_us_ = now;
  }
  const uint64_t refusing_us = connections_->count() == 0 ? 0 : kStopReadOnlyUs;
  const bool at_rest = replica.idle() && now - phase_since_us_ >= refusing_us;
  if (phase_ == Phase::read_only && (at_rest || now - phase_since_us_ >= kUnknownAfterUs)) {
    phase_ = Phase::closing;
    connections_->close_all([this] {
      cluster_->goodbye();
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
  peer_listener_.reset();
  if (options_.names != nullptr) options_.names->stop();
  if (cluster_ != nullptr) cluster_->stop();
  const Revision revision = cluster_ == nullptr ? Revision() : machine().revision();
  if (outcome) {
    logger_.info("stopped", {{"revision_last", revision}});
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
