// What a crash leaves of a medium.
#include <cstring>

#include "base/check.h"
#include "sim/medium.h"

namespace doozer::sim {
namespace {

/// Which of `count` unsynced states, oldest first, a crash leaves; 0 is the durable one.
size_t surviving_state(size_t count, Survival survival, Rng& rng) {
  switch (survival) {
    case Survival::lost: return 0;
    case Survival::kept: return count;
    case Survival::torn:
    case Survival::mixed:
      // Old and new in most cases; what lay between more rarely.
      return rng.chance(3, 4) ? (rng.chance(1, 2) ? count : 0) : rng.below(count + 1);
  }
  UNREACHABLE();
}

}  // namespace

void Medium::process_crash() {
  for (auto& [id, entry] : nodes_) {
    entry.handles = 0;
    drop_if_unused(id);
  }
  forget_unreachable();
}

void Medium::machine_crash(Survival survival, Rng& rng) {
  crash_names(survival, rng);
  for (auto& [id, entry] : nodes_) {
    entry.handles = 0;
    entry.named = false;
  }
  for (const auto& [path, id] : names_) node(id).named = true;
  forget_unreachable();
  used_sectors_ = 0;
  for (auto& [id, entry] : nodes_) {
    crash_content(entry, survival, rng);
    used_sectors_ += entry.allocated_sectors;
    entry.scattered_sectors = 0;
    count_sectors(entry);
  }
}

void Medium::crash_names(Survival survival, Rng& rng) {
  Names left = durable_names_;
  for (const NameChange& change : changes_) {
    if (change.doomed) continue;
    if (surviving_state(1, survival, rng) == 0) continue;
    make_change(change, left);
    // The two halves of a rename are two names; the old one may be there too.
    if (change.kind == NameChange::Kind::move && survival == Survival::mixed && rng.chance(1, 8)) {
      left.try_emplace(change.from, change.node);
    }
  }
  // A name whose directory did not survive is out of reach. Parents sort before their children.
  names_.clear();
  for (const auto& [path, id] : left) {
    if (is_directory(directory_of(path))) names_.emplace(path, id);
  }
  durable_names_ = names_;
  changes_.clear();
}

void Medium::crash_content(Node& node, Survival survival, Rng& rng) {
  Content& left = node.durable;
  for (const auto& [number, dirty] : node.dirty) {
    const size_t states = dirty.between.size() + 1;
    const size_t state = surviving_state(states, survival, rng);
    if (state > 0) {
      left.sectors[number] =
          state == states ? sector_of(node.now, number) : dirty.between[state - 1];
    }
    if (survival == Survival::mixed && rng.chance(1, 4)) {
      Sector& trashed = left.sectors[number];
      for (size_t i = dirty.first; i < dirty.end; ++i) trashed[i] = static_cast<char>(rng.next());
    }
  }
  const size_t size_state = surviving_state(node.sizes.size(), survival, rng);
  if (size_state > 0) left.size = node.sizes[size_state - 1];
  // What lies behind the end is gone for good: growing later shows zeros.
  const uint64_t sectors = (left.size + kSectorBytes - 1) / kSectorBytes;
  left.sectors.erase(left.sectors.lower_bound(sectors), left.sectors.end());
  if (left.size % kSectorBytes != 0) {
    const auto last = left.sectors.find(sectors - 1);
    if (last != left.sectors.end()) {
      const size_t end = left.size % kSectorBytes;
      std::memset(last->second.data() + end, 0, kSectorBytes - end);
    }
  }
  node.now = left;
  node.dirty.clear();
  node.doomed.clear();
  node.sizes.clear();
  node.allocated_sectors = std::min(node.allocated_sectors, sectors);
}

void Medium::forget_unreachable() {
  std::set<NodeId> reachable;
  for (const auto& [path, id] : names_) reachable.insert(id);
  for (const auto& [path, id] : durable_names_) reachable.insert(id);
  for (const NameChange& change : changes_) reachable.insert(change.node);
  std::erase_if(nodes_, [&](const auto& entry) { return !reachable.contains(entry.first); });
}

}  // namespace doozer::sim
