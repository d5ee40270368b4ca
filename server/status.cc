// What STATUS answers: one JSON object, for people and for `doozer status`. Keys are added, never
// changed in meaning (docs/protocol-doozer.md).

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

Json loop_status(const LoopFigures& loop) {
  return {{"turns", loop.turns},
          {"wake_ups", loop.wake_ups},
          {"turn_cpu_us_max", loop.turn_cpu_us_max},
          {"turns_over_limit", loop.turns_over_limit}};
}

Json server_status(const Cluster::ServerStatus& server, bool leading) {
  Json json = {{"identity", server.fact.identity.to_string()},
               {"address", server.address},
               {"role", server.voter ? "member" : "standby"},
               {"self", server.self},
               {"reachable", server.fact.reachable}};
  if (!server.self) {
    json["incarnation"] = server.peer.incarnation.value();
    json["link"] = server.peer.direct ? (server.peer.damped ? "flapping" : "direct")
                   : server.peer.up   ? "relayed"
                                      : "down";
    json["hops"] = server.peer.hops;
    json["rtt_us"] = server.peer.rtt_us;
    json["cluster_version"] = server.peer.version;
  }
  if (leading) {
    json["caught_up"] = server.fact.caught_up;
    json["sound"] = server.fact.sound;
    json["full"] = server.fact.full;
    if (!server.self) {
      json["match_index"] = server.match.value();
      json["silent_ms"] = server.fact.silent_us / 1000;
    }
  }
  return json;
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
  const storage::StorageStats disk = storage_->stats();
  const core::Digests digests = machine().digests();
  const raft::Core& core = cluster_->replica().core();
  Json status = {
      {"identity", identity().to_string()},
      {"cluster", cluster().to_string()},
      {"version", options_.version},
      {"address", address_},
      {"role", role_name(core.role())},
      {"leader", core.leader().to_string()},
      {"term", core.term().value()},
      {"incarnation", storage_->recovered().incarnation.value()},
      {"revision", machine().revision().value()},
      {"oldest_revision", machine().oldest().value()},
      {"applied_index", machine().applied().value()},
      {"commit_index", core.commit().value()},
      {"last_index", core.last_index().value()},
      {"writable", writable()},
      {"uptime_ms", (world_.clock.now_us() - started_us_) / 1000},
  };
  status["trusted"] = cluster_->trusted();
  status["servers"] = Json::array();
  for (const Cluster::ServerStatus& server : cluster_->servers()) {
    status["servers"].push_back(server_status(server, core.role() == raft::Role::leader));
  }
  status["slots"] = Json::array();
  for (const SlotFact& slot : cluster_->slots()) {
    status["slots"].push_back({{"path", slot.path},
                               {"holder", slot.holder.none() ? "" : slot.holder.to_string()},
                               {"voting", raft::is_voter(core.configuration(), slot.holder)}});
  }
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
  if (options_.loop_figures) status["loop"] = loop_status(options_.loop_figures());
  status["digest"] = {{"index", digests.index.value()},
                      {"chain", hex(digests.chain)},
                      {"state", hex(digests.state)}};
  return status.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace doozer::server
