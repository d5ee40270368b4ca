#include "server/cluster.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/probe.h"
#include "server/known_peers.h"
#include "server/recovery.h"

namespace doozer::server {

Cluster::Cluster(const ClusterParts& parts, ClusterOptions options, ClusterHost& host,
                 const Logger& logger)
    : parts_(parts),
      options_(std::move(options)),
      host_(host),
      logger_(logger),
      self_(parts.storage.recovered().owner.identity) {}

Cluster::~Cluster() {
  if (care_timer_ != 0) parts_.clock.cancel(care_timer_);
}

Result<std::unique_ptr<Cluster>> Cluster::open(const ClusterParts& parts, ClusterOptions options,
                                               ClusterHost& host, const Logger& logger) {
  std::unique_ptr<Cluster> cluster(new Cluster(parts, std::move(options), host, logger));
  TRY(cluster->build());
  return cluster;
}

Result<void> Cluster::build() {
  storage::Storage& storage = parts_.storage;
  const storage::Recovered& recovered = storage.recovered();
  TRY_ASSIGN(auto machine, rebuild_machine(storage, options_.machine, logger_));
  raft::CoreOptions core{.self = self_,
                         .incarnation = recovered.incarnation,
                         .seed = options_.seed,
                         .never_lead = options_.never_lead,
                         .configurations = {},
                         .hard_state = recovered.hard_state,
                         .entries = storage.take_retained(),
                         .below = {},
                         .last_index = recovered.last_index,
                         .last_term = recovered.last_term,
                         .applied = machine->applied(),
                         .trust = judged_trust(),
                         .doubtful_to = recovered.doubtful_to,
                         .snapshot = {},
                         .now_us = parts_.clock.now_us()};
  core.configurations = recovered.configurations;
  core.retention = options_.retention;
  if (!core.entries.empty()) {
    core.below = {.index = core.entries.front().index - 1, .term = recovered.term_before_retained};
  }
  if (!recovered.snapshots.empty()) core.snapshot = recovered.snapshots.back().point;
  replica_ =
      std::make_unique<Replica>(parts_.clock, storage, std::move(machine),
                                raft::Core::make(std::move(core)), static_cast<ReplicaHost&>(*this),
                                ReplicaOptions{.self = self_,
                                               .incarnation = recovered.incarnation,
                                               .digest_every = options_.digest_every,
                                               .observer = options_.observer},
                                logger_);
  snapshotter_ =
      std::make_unique<Snapshotter>(parts_.clock, storage, *replica_, options_.snapshots, logger_);
  source_ = std::make_unique<SnapshotSource>(
      storage, parts_.lanes,
      SnapshotSource::Hooks{
          .post = [this](const Identity& to,
                         std::string payload) { post(to, true, std::move(payload)); },
          .take_one = [this] { snapshotter_->want_one(); }},
      logger_);
  fetch_ = std::make_unique<SnapshotFetch>(
      parts_.clock, storage, options_.machine,
      SnapshotFetch::Hooks{
          .post = [this](const Identity& to,
                         std::string payload) { post(to, true, std::move(payload)); },
          .others = [this] { return reachable_others(); },
          .begin_install =
              [this](const raft::SnapshotPoint& point) { return begin_install(point); },
          .installed =
              [this](std::unique_ptr<core::Machine> fetched, const raft::SnapshotPoint& point) {
                installed(std::move(fetched), point);
              },
          .install_failed = [this] { replica_->abort_install(); },
          .discard =
              [this](std::unique_ptr<core::Machine> unwanted) {
                replica_->discard(std::move(unwanted));
              }},
      logger_);
  mesh_ = std::make_unique<transport::Mesh>(parts_.clock, parts_.net, mesh_options(),
                                            static_cast<transport::MeshEvents&>(*this), logger_);
  return {};
}

// The cache of addresses may be lost, or older than the register: a start that the register tells
// of was seen, and a lower one is a disk that was rolled back.
void Cluster::add_registered(std::vector<transport::KnownPeer>& known) const {
  for (const Identity& voter : raft::all_voters(replica_->core().configuration())) {
    const core::Member* const member = replica_->machine().members().find(voter);
    if (voter == self_ || member == nullptr) continue;
    const auto found = std::find_if(known.begin(), known.end(),
                                    [&](const auto& peer) { return peer.identity == voter; });
    if (found == known.end()) {
      // In front: there may be more of those that were standbys once than the mesh keeps.
      known.insert(known.begin(), {voter, member->address, member->incarnation});
    } else {
      found->incarnation = std::max(found->incarnation, member->incarnation);
    }
  }
}

transport::MeshOptions Cluster::mesh_options() {
  transport::MeshOptions mesh = options_.mesh;
  const storage::Recovered& recovered = parts_.storage.recovered();
  mesh.cluster = recovered.owner.cluster;
  mesh.self = self_;
  mesh.incarnation = recovered.incarnation;
  mesh.cluster_version_max = core::kClusterVersion;
  mesh.seed = options_.seed;
  mesh.never_lead = options_.never_lead;
  auto known = read_known_peers(parts_.disk);
  if (known) {
    mesh.known = std::move(*known);
  } else {
    // Only a cache: seeds and those who dial this server bring it back.
    logger_.warn("peers_file_skipped", {{"error", std::string_view(known.error().message)}});
  }
  const bool sole_voter =
      recovered.configuration.voters == std::vector<Identity>{self_} && mesh.known.empty();
  mesh.booted_alone = sole_voter && replica_->machine().members().size() <= 1;
  add_registered(mesh.known);
  return mesh;
}

void Cluster::start() {
  started_ = true;
  mesh_->start();
  replica_->start();
  on_peers_changed();
}

void Cluster::adopt(std::unique_ptr<env::Stream> stream, std::string first_bytes) {
  if (started_) mesh_->adopt(std::move(stream), std::move(first_bytes));
}

bool Cluster::alone() const {
  const raft::Configuration& configuration = replica_->core().configuration();
  return !configuration.joint() && configuration.voters == std::vector<Identity>{self_} &&
         standbys_.empty();
}

bool Cluster::turn_end() {
  const bool again = replica_->turn_end();
  if (trusted_from_ != Index()) mind_quarantine();
  if (started_ && (!alone() || full_) && parts_.storage.short_of_space() != full_) {
    // At once: until the leader knows, this server must store what it proposes.
    mind_disk();
    report_health();
    update_leadable();
  }
  fetch_->turn_end();
  snapshotter_->turn_end();
  Budget budget(kSliceSteps);
  const bool more = replica_->machine().run(budget);
  const bool releasing = replica_->release(budget);
  return again || more || releasing;
}

void Cluster::begin_stop() {
  stopping_ = true;
  snapshotter_->stop();
  fetch_->stop();
  if (replica_->leading() && !alone()) {
    if (auto handed = replica_->hand_over(std::nullopt); !handed) {
      logger_.warn("not_handed_over", {{"why", std::string_view(handed.error().message)}});
    }
  }
}

void Cluster::stop() {
  started_ = false;
  snapshotter_->stop();
  fetch_->stop();
  mesh_->stop();
}

// --- What others say.

void Cluster::post(const Identity& to, bool bulk, std::string payload) {
  mesh_->send(to, bulk ? transport::Channel::bulk : transport::Channel::control,
              std::move(payload));
}

void Cluster::on_message(const Identity& from, Incarnation incarnation,
                         transport::Channel /*channel*/, std::string_view payload) {
  auto message = decode_peer_message(payload);
  if (!message) {
    logger_.warn("peer_message_bad", {{"from", from.to_string()},
                                      {"error", std::string_view(message.error().message)}});
    return;
  }
  struct Visitor {
    Cluster& cluster;
    const Identity& from;
    Incarnation incarnation;
    void operator()(const RaftBytes& raft) const {
      cluster.replica_->on_raft(from, incarnation, raft.bytes);
    }
    void operator()(const Forward& forward) const {
      cluster.replica_->on_forward(from, incarnation, forward);
    }
    void operator()(const ForwardAck& ack) const { cluster.replica_->on_forward_ack(from, ack); }
    void operator()(const Health& health) const { cluster.on_health(from, health); }
    void operator()(const Quarantine& quarantine) const { cluster.on_quarantine(from, quarantine); }
    void operator()(const SnapshotAsk& ask) const {
      // A state that is not trusted is not handed on.
      if (!cluster.quarantined_) cluster.source_->on_ask(from, ask);
    }
    void operator()(const SnapshotChunk& chunk) const { cluster.fetch_->on_chunk(from, chunk); }
    void operator()(const SnapshotGone& gone) const { cluster.fetch_->on_gone(from, gone); }
  };
  std::visit(Visitor{.cluster = *this, .from = from, .incarnation = incarnation}, *message);
}

void Cluster::on_gone(const Identity& identity, Incarnation incarnation) {
  PROBE("cluster: a process was proven to be gone");
  logger_.info("server_gone", {{"server", identity.to_string()}, {"incarnation", incarnation}});
  replica_->on_gone(identity, incarnation);
}

// Started again, it might vote before a leader tells it what it has lost. The disk may hold the
// loop up here: this server ends.
void Cluster::on_fatal(const Error& error, bool rolled_back) {
  if (rolled_back) {
    if (auto barred = storage::bar_directory(parts_.disk, error.message); !barred) {
      logger_.error("directory_not_barred", {{"error", std::string_view(barred.error().message)}});
    }
  }
  host_.on_cluster_fatal(error);
}

void Cluster::on_peers_changed() {
  update_standbys();
  arm_care();
}

void Cluster::on_known_changed() {
  known_changed_ = true;
  write_known();
}

// The newest list is always the last that is written.
void Cluster::write_known() {
  if (writing_known_ || !known_changed_) return;
  writing_known_ = true;
  known_changed_ = false;
  parts_.lanes.submit(
      env::Lane::bulk,
      [&disk = parts_.disk, known = mesh_->known()] { return write_known_peers(disk, known); },
      [this, alive = std::weak_ptr<int>(alive_)](Result<void> written) {
        if (alive.expired()) return;
        writing_known_ = false;
        if (!written) {
          logger_.warn("peers_file_not_written",
                       {{"error", std::string_view(written.error().message)}});
        }
        write_known();
      });
}

// --- Snapshots of others.

void Cluster::on_fetch_snapshot(const raft::FetchSnapshot& wanted) {
  if (stopping_) return;
  if (state_only_) {
    PROBE("cluster: a quarantined server fell behind the log");
    state_only_ = false;
    fetch_->stop();
  }
  fetch_->want(wanted.from, wanted.point);
}

std::vector<Identity> Cluster::reachable_others() const {
  std::vector<Identity> others;
  for (const transport::PeerInfo& peer : mesh_->peers()) {
    if (peer.up) others.push_back(peer.identity);
  }
  return others;
}

void Cluster::on_snapshot_wanted() { snapshotter_->want_one(); }

bool Cluster::begin_install(const raft::SnapshotPoint& point) {
  const raft::Core& core = replica_->core();
  const raft::LogPosition position{.index = point.index, .term = point.term};
  if (state_only_) {
    // What comes after it is applied again, from what the core still has.
    if (point.index + 1 < core.first_kept() || core.term_of(point.index) != point.term)
      return false;
  } else if (!core.wants_snapshot(position)) {
    return false;
  }
  snapshotter_->abandon();
  replica_->begin_install();
  return true;
}

void Cluster::installed(std::unique_ptr<core::Machine> machine, const raft::SnapshotPoint& point) {
  PROBE("cluster: another server's snapshot was installed");
  ++fetches_;
  const bool whole = !std::exchange(state_only_, false);
  if (quarantined_) trusted_from_ = std::max(point.index, replica_->machine().applied());
  host_.on_machine_leaving();
  replica_->end_install(std::move(machine), point, whole);
  snapshotter_->on_installed();
  digests_.clear();
  mind_quarantine();
  update_leadable();
}

}  // namespace doozer::server
