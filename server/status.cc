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

}  // namespace

std::string Server::status() {
  const uint64_t now = world_.clock.now_us();
  if (status_.empty() || machine_->applied() != status_index_ || now - status_us_ > kStatusUs) {
    status_ = make_status();
    status_us_ = now;
    status_index_ = machine_->applied();
  }
  return status_;
}

std::string Server::make_status() {
  const storage::StorageStats disk = storage_->stats();
  const core::Digests digests = machine_->digests();
  const raft::Core& core = replica_->core();
  Json status = {
      {"identity", identity().to_string()},
      {"cluster", cluster().to_string()},
      {"version", options_.version},
      {"address", address_},
      {"role", role_name(core.role())},
      {"leader", core.leader().to_string()},
      {"term", core.term().value()},
      {"incarnation", storage_->recovered().incarnation.value()},
      {"revision", machine_->revision().value()},
      {"oldest_revision", machine_->oldest().value()},
      {"applied_index", machine_->applied().value()},
      {"commit_index", core.commit().value()},
      {"last_index", core.last_index().value()},
      {"writable", writable()},
      {"uptime_ms", (world_.clock.now_us() - started_us_) / 1000},
  };
  status["tree"] = tree_status(*machine_);
  status["log"] = log_status(disk);
  status["snapshots"] = {{"count", disk.snapshots},
                         {"bytes", disk.snapshot_bytes},
                         {"taken", snapshotter_->taken()},
                         {"failed", snapshotter_->failed()},
                         {"running", snapshotter_->running()}};
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
