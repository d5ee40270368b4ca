#include "sim/replica_watch.h"

#include "sim/facts.h"

namespace doozer::sim {
namespace {

uint64_t folded(const Hash128& hash) { return hash.low ^ (hash.high * 0x9E3779B97F4A7C15); }

}  // namespace

void ReplicaWatch::on_life(uint64_t number, bool alive) {
  if (!alive) lives_.erase(number);
}

void ReplicaWatch::on_turn(uint64_t number) {
  Host& host = world_.host(number);
  if (!host.serving() || host.foreign()) return;
  const core::Digests digests = host.process().server().machine().digests();
  const uint64_t index = digests.index.value();
  auto life = lives_.find(number);
  if (life == lives_.end()) {
    const auto facts = facts_of(host);
    if (!facts) return;
    // With the machine's name: a disk may have been copied or rolled back.
    const std::string server = facts->identity + '@' + host.name();
    life = lives_.emplace(number, Life{.server = server, .incarnation = host.lives()}).first;
    note(ReplicaNote::Kind::started, life->second, digests);
  } else if (life->second.applied == index) {
    return;
  } else {
    // A turn applies many entries; that none was left out or changed is what the chain tells.
    note(ReplicaNote::Kind::snapshot, life->second, digests);
  }
  life->second.applied = index;
  note(ReplicaNote::Kind::digest, life->second, digests);
}

void ReplicaWatch::note(ReplicaNote::Kind kind, const Life& life, const core::Digests& digests) {
  history_.replicas.push_back({.kind = kind,
                               .server = life.server,
                               .incarnation = life.incarnation,
                               .index = digests.index.value(),
                               .chain = folded(digests.chain),
                               .state = folded(digests.state)});
}

}  // namespace doozer::sim
