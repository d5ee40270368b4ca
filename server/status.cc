// What STATUS answers: one JSON object, for people and for `doozer status`. Keys are added, never
// changed in meaning (docs/protocol-doozer.md).

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "server/server.h"

namespace doozer::server {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kStatusUs = 1'000;

std::string hex(const Hash128& hash) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const uint64_t word : {hash.high, hash.low}) {
    for (unsigned shift = 64; shift > 0; shift -= 4) {
      out += kHex[(word >> (shift - 4)) & 15U];
    }
  }
  return out;
}

std::string_view role_name(raft::Role role) {
  switch (role) {
    case raft::Role::follower: return "follower";
    case raft::Role::candidate: return "candidate";
    case raft::Role::leader: return "leader";
  }
  UNREACHABLE();
}

Json tree_status(const core::Machine& machine) {
  const core::MachineStats stats = machine.stats();
  return {{"files", stats.files},
          {"directories", stats.directories},
          {"bytes", stats.live_bytes},
          {"waits", stats.waits},
          {"history_events", stats.history_events},
          {"history_bytes", stats.history_bytes}};
}

Json log_status(const storage::StorageStats& stats) {
  return {{"segments", stats.segments},
          {"bytes", stats.log_bytes},
          {"syncs", stats.syncs},
          {"sync_us_last", stats.sync_us_last},
          {"sync_us_max", stats.sync_us_max},
          {"batches", stats.batches},
          {"disk_free_bytes", stats.free_bytes}};
}

Json memory_status(const MemoryFigures& memory) {
  return {{"rss_bytes", memory.rss_bytes}, {"rss_bytes_max", memory.rss_bytes_max}};
}

Json loop_status(const LoopFigures& loop) {
  return {{"turns", loop.turns},
          {"wake_ups", loop.wake_ups},
          {"turn_cpu_us_max", loop.turn_cpu_us_max},
          {"turns_over_limit", loop.turns_over_limit}};
}

/// What a server is for the cluster, in one word.
std::string_view state_name(const Cluster::ServerStatus& server, const raft::Core& core) {
  if (!server.fact.reachable) return "unreachable";
  if (server.health && server.health->quarantined) return "quarantined";
  if (server.health && !server.health->sound) return "repairing";
  if (server.fact.identity == core.leader()) return "leader";
  if (server.health && server.health->slow) return "slow disk";
  if (!server.voter) return "standby";
  return server.self ? role_name(core.role()) : "follower";
}

/// A file below /ctl/node, as that server wrote it, or any client: no more than this of it.
constexpr size_t kNodeTextBytesMax = 128;

/// Empty if there is none.
std::string node_file(const core::Machine& machine, const Identity& identity,
                      std::string_view name) {
  const std::string path = "/ctl/node/" + identity.to_string() + "/" + std::string(name);
  const core::Found found = machine.find(path, std::nullopt);
  if (found.kind != core::Found::Kind::file) return {};
  return std::string(found.file.value.substr(0, kNodeTextBytesMax));
}

std::string_view link_name(const transport::PeerInfo& peer) {
  if (peer.direct) return peer.damped ? "flapping" : "direct";
  return peer.up ? "relayed" : "down";
}

void add_link(const Cluster::ServerStatus& server, uint64_t now_us, Json& json) {
  json["incarnation"] = server.peer.incarnation.value();
  json["link"] = link_name(server.peer);
  json["hops"] = server.peer.hops;
  json["rtt_us"] = server.peer.rtt_us;
  if (server.peer.last_heard_us != 0) {
    json["heard_ms"] = (now_us - std::min(now_us, server.peer.last_heard_us)) / 1000;
  }
  json["cluster_version"] = server.peer.version;
  json["never_lead"] = server.peer.never_lead;
}

/// How far the server is, of what this one knows: of itself always, of others while it leads.
void add_progress(const Cluster::ServerStatus& server, const Replica& replica, Json& json) {
  const raft::Core& core = replica.core();
  if (server.self || !replica.leading()) {
    if (!server.self) return;
    const uint64_t applied = replica.machine().applied().value();
    json["lag_entries"] = std::max(core.commit().value(), applied) - applied;
  } else {
    json["match_index"] = server.match.value();
    json["lag_entries"] =
        core.last_index().value() - std::min(core.last_index(), server.match).value();
    json["silent_ms"] = server.fact.silent_us / 1000;
  }
  if (!server.health) return;
  const int64_t revision = server.health->revision.value();
  json["applied_index"] = server.health->applied.value();
  json["revision"] = revision;
  json["lag_revisions"] = std::max<int64_t>(replica.machine().revision().value() - revision, 0);
  if (!server.self) json["told_ms"] = server.health_age_us / 1000;
}

Json server_status(const Cluster::ServerStatus& server, const Replica& replica, uint64_t now_us) {
  const core::Machine& machine = replica.machine();
  Json json = {{"identity", server.fact.identity.to_string()},
               {"address", server.address},
               {"hostname", node_file(machine, server.fact.identity, "hostname")},
               {"version", node_file(machine, server.fact.identity, "version")},
               {"role", server.voter ? "member" : "standby"},
               {"state", state_name(server, replica.core())},
               {"self", server.self},
               {"reachable", server.fact.reachable}};
  if (!server.self) add_link(server, now_us, json);
  if (replica.leading()) {
    json["caught_up"] = server.fact.caught_up;
    json["sound"] = server.fact.sound;
    json["full"] = server.fact.full;
  }
  add_progress(server, replica, json);
  return json;
}

Json configuration_status(const raft::Core& core) {
  const raft::Configuration& configuration = core.configuration();
  Json json = {{"joint", configuration.joint()}, {"changing", core.changing()}};
  json["voters"] = Json::array();
  for (const Identity& voter : configuration.voters) json["voters"].push_back(voter.to_string());
  json["old_voters"] = Json::array();
  for (const Identity& voter : configuration.old_voters) {
    json["old_voters"].push_back(voter.to_string());
  }
  return json;
}

Json slots_status(const Cluster& cluster) {
  const raft::Core& core = cluster.replica().core();
  Json slots = Json::array();
  for (const SlotFact& slot : cluster.slots()) {
    slots.push_back(
        {{"path", slot.path},
         {"holder", slot.holder.none() ? "" : slot.holder.to_string()},
         {"voting", !slot.holder.none() && raft::is_voter(core.configuration(), slot.holder)},
         {"garbage", slot.garbage}});
  }
  return slots;
}

Json mesh_status(const transport::MeshStats& stats) {
  return {
      {"sent", stats.messages_sent},
      {"received", stats.messages_received},
      {"relayed", stats.frames_relayed},
      {"bytes_sent", stats.bytes_sent},
      {"bytes_received", stats.bytes_received},
      {"dropped", stats.dropped_unreachable + stats.dropped_queue_full + stats.dropped_relay_full +
                      stats.dropped_hops + stats.dropped_incarnation + stats.dropped_reassembly +
                      stats.dropped_too_large},
      {"links_up", stats.links_up},
      {"links_down", stats.links_down}};
}

}  // namespace

std::string Server::status() {
  CHECK(cluster_ != nullptr);
  const uint64_t now = world_.clock.now_us();
  if (status_.empty() || machine().applied() != status_index_ || now - status_us_ > kStatusUs) {
    status_ = make_status();
    status_us_ = now;
    status_index_ = machine().applied();
  }
  return status_;
}

std::string Server::make_status() {
  const uint64_t now = world_.clock.now_us();
  const storage::StorageStats disk = storage_->stats();
  const core::Digests digests = machine().digests();
  const raft::Core& core = cluster_->replica().core();
  Json status = {
      {"identity", identity().to_string()},
      {"cluster", cluster().to_string()},
      {"version", options_.version},
      {"address", address_},
      {"role", role_name(core.role())},
      {"leader", core.leader().none() ? "" : core.leader().to_string()},
      {"term", core.term().value()},
      {"incarnation", storage_->recovered().incarnation.value()},
      {"revision", machine().revision().value()},
      {"oldest_revision", machine().oldest().value()},
      {"applied_index", machine().applied().value()},
      {"commit_index", core.commit().value()},
      {"last_index", core.last_index().value()},
      {"writable", writable()},
      {"read_only_why", writable() ? std::string() : why_read_only().message},
      {"uptime_ms", (now - started_us_) / 1000},
  };
  status["trusted"] = cluster_->trusted();
  status["servers"] = Json::array();
  for (const Cluster::ServerStatus& server : cluster_->servers()) {
    Json told = server_status(server, cluster_->replica(), now);
    if (server.self) {
      told["never_lead"] = options_.config.never_lead;
      status["state"] = told["state"];
      status["lag_entries"] = told["lag_entries"];
    }
    status["servers"].push_back(std::move(told));
  }
  status["slots"] = slots_status(*cluster_);
  status["configuration"] = configuration_status(core);
  status["mesh"] = mesh_status(cluster_->mesh().stats());
  status["writes_unknown"] = cluster_->replica().unknown_writes();
  status["tree"] = tree_status(machine());
  status["log"] = log_status(disk);
  status["snapshots"] = {{"count", disk.snapshots},
                         {"bytes", disk.snapshot_bytes},
                         {"taken", cluster_->snapshotter().taken()},
                         {"failed", cluster_->snapshotter().failed()},
                         {"running", cluster_->snapshotter().running()}};
  status["connections"] = {{"open", connections_->count()},
                           {"accepted", connections_->accepted()},
                           {"refused", connections_->refused()},
                           {"cut", connections_->cut()}};
  status["disk"] = {{"free_bytes", disk.free_bytes},
                    {"log_bytes", disk.log_bytes},
                    {"snapshot_bytes", disk.snapshot_bytes},
                    {"full", cluster_->full()}};
  if (options_.memory_figures) status["memory"] = memory_status(options_.memory_figures());
  if (options_.loop_figures) status["loop"] = loop_status(options_.loop_figures());
  status["digest"] = {{"index", digests.index.value()},
                      {"chain", hex(digests.chain)},
                      {"state", hex(digests.state)}};
  return status.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace doozer::server
