#include "sim/judge.h"

#include "sim/facts.h"

namespace doozer::sim {
namespace {

uint64_t folded(const Hash128& hash) { return hash.low ^ (hash.high * 0x9E3779B97F4A7C15); }

}  // namespace

void ReplicaWatch::on_life(uint64_t number, bool alive) {
  if (!alive) applied_.erase(number);
}

void ReplicaWatch::on_turn(uint64_t number) {
  Host& host = world_.host(number);
  if (!host.serving()) return;
  const core::Digests digests = host.process().server().machine().digests();
  uint64_t& applied = applied_[number];
  if (digests.index.value() == applied) return;
  applied = digests.index.value();
  history_.replicas.push_back({.kind = ReplicaNote::Kind::digest,
                               .server = host.process().server().identity().to_string(),
                               .incarnation = host.lives(),
                               .index = applied,
                               .chain = folded(digests.chain),
                               .state = folded(digests.state)});
}

std::vector<std::string> judge(const History& history) {
  std::vector<std::string> broken;
  std::map<uint64_t, const ReplicaNote*> first;
  for (const ReplicaNote& note : history.replicas) {
    if (note.kind != ReplicaNote::Kind::digest) continue;
    const auto [at, added] = first.emplace(note.index, &note);
    if (added || (at->second->chain == note.chain && at->second->state == note.state)) continue;
    broken.push_back("at index " + std::to_string(note.index) + " the servers " +
                     at->second->server + " and " + note.server + " have different states");
    break;
  }
  return broken;
}

}  // namespace doozer::sim
