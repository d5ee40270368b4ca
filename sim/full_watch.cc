#include "sim/full_watch.h"

#include "base/probe.h"

namespace doozer::sim {
namespace {

bool without_room(Host& host, uint64_t now_us) {
  if (!host.serving() || host.paused(now_us) || host.foreign()) return false;
  if (host.trouble() != DiskTrouble{} || host.disk_crashed()) return false;
  const server::Cluster* const cluster = host.process().server().cluster_part();
  if (cluster == nullptr || cluster->alone()) return false;
  const auto free = host.disk().free_bytes();
  return free && *free < kNoRoomBytes;
}

}  // namespace

std::string FullWatch::judge() {
  const uint64_t now_us = world_.now_us();
  for (uint64_t number = 1; number <= world_.size(); ++number) {
    Host& host = world_.host(number);
    if (!without_room(host, now_us)) {
      full_.erase(number);
      continue;
    }
    const Since since =
        full_.try_emplace(number, Since{.life = host.lives(), .us = now_us}).first->second;
    if (since.life != host.lives()) {
      full_[number] = {.life = host.lives(), .us = now_us};
      continue;
    }
    if (now_us - since.us < kFullToldWithinUs) continue;
    PROBE("sim: a server was owed to say that its disk is full");
    if (host.process().server().cluster_part()->full()) continue;
    return "the disk of " + host.name() + " has been full for " + time_text(kFullToldWithinUs) +
           ", and it does not say so";
  }
  return {};
}

}  // namespace doozer::sim
