#include "core/path_table.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "core/node.h"

namespace doozer::core {

namespace {

constexpr uint64_t kPointerMask = (uint64_t{1} << 48U) - 1;
constexpr uint32_t kCapacityMin = 8;

Node* node_of(uint64_t slot) { return reinterpret_cast<Node*>(slot & kPointerMask); }
// The hash serves three times: its top bits choose the shard, the middle the slot, the lowest are
// the tag.
uint64_t tag_of(uint64_t hash) { return hash << 48U; }
uint64_t make_slot(const Node* node, uint64_t hash) {
  const auto pointer = reinterpret_cast<uint64_t>(node);
  CHECK((pointer & ~kPointerMask) == 0);
  return pointer | tag_of(hash);
}
/// Shards grow when fuller than 13/16.
bool full(uint32_t count, uint32_t capacity) { return count * 16 >= capacity * 13; }

}  // namespace

PathTable::PathTable() : shards_(std::make_unique<std::array<Shard, kShards>>()) {}
PathTable::~PathTable() = default;

size_t PathTable::home(uint64_t hash, uint32_t capacity) {
  const uint64_t middle = (hash >> 16U) & 0xFFFFFFFFU;
  return (middle * capacity) >> 32U;
}

Node* PathTable::find(std::string_view path) const {
  const uint64_t hash = hash64(path);
  const Shard& shard = (*shards_)[hash >> (64 - kShardBits)];
  if (shard.count == 0) {
    return nullptr;
  }
  const uint64_t tag = tag_of(hash);
  for (size_t at = home(hash, shard.capacity); shard.slots[at] != 0;) {
    const uint64_t slot = shard.slots[at];
    if ((slot & ~kPointerMask) == tag && node_of(slot)->key() == path) {
      return node_of(slot);
    }
    at = at + 1 == shard.capacity ? 0 : at + 1;
  }
  return nullptr;
}

void PathTable::place(Shard& shard, uint64_t slot, uint64_t hash) {
  size_t at = home(hash, shard.capacity);
  while (shard.slots[at] != 0) {
    at = at + 1 == shard.capacity ? 0 : at + 1;
  }
  shard.slots[at] = slot;
}

void PathTable::resize(Shard& shard, uint32_t capacity) {
  Shard bigger{
      .slots = std::make_unique<uint64_t[]>(capacity), .capacity = capacity, .count = shard.count};
  for (uint32_t i = 0; i < shard.capacity; ++i) {
    if (shard.slots[i] != 0) {
      place(bigger, shard.slots[i], hash64(node_of(shard.slots[i])->key()));
    }
  }
  shard = std::move(bigger);
}

void PathTable::insert(Node* node) {
  const uint64_t hash = hash64(node->key());
  Shard& shard = (*shards_)[hash >> (64 - kShardBits)];
  if (full(shard.count + 1, shard.capacity)) {
    resize(shard, std::max(kCapacityMin, shard.capacity + shard.capacity / 2));
  }
  place(shard, make_slot(node, hash), hash);
  ++shard.count;
  ++size_;
}

void PathTable::erase(const Node* node) {
  const uint64_t hash = hash64(node->key());
  Shard& shard = (*shards_)[hash >> (64 - kShardBits)];
  CHECK(shard.count > 0);
  const uint64_t wanted = make_slot(node, hash);
  size_t hole = home(hash, shard.capacity);
  while (shard.slots[hole] != wanted) {
    CHECK(shard.slots[hole] != 0);
    hole = hole + 1 == shard.capacity ? 0 : hole + 1;
  }
  // Closes the hole: a later slot of the run moves into it if its home is not behind the hole.
  const auto distance = [&](size_t from, size_t to) {
    return to >= from ? to - from : to + shard.capacity - from;
  };
  shard.slots[hole] = 0;
  for (size_t at = hole;;) {
    at = at + 1 == shard.capacity ? 0 : at + 1;
    const uint64_t slot = shard.slots[at];
    if (slot == 0) {
      break;
    }
    const size_t its_home = home(hash64(node_of(slot)->key()), shard.capacity);
    if (distance(its_home, at) >= distance(hole, at)) {
      shard.slots[hole] = slot;
      shard.slots[at] = 0;
      hole = at;
    }
  }
  --shard.count;
  --size_;
}

void PathTable::reserve(size_t nodes) {
  const size_t each = nodes / kShards;
  // A little over the mean, so that most shards never grow while loading.
  const size_t capacity = std::min<size_t>((each + each / 8) * 5 / 4 + kCapacityMin, 1U << 24U);
  for (Shard& shard : *shards_) {
    if (shard.capacity < capacity) {
      resize(shard, static_cast<uint32_t>(capacity));
    }
  }
}

Node* PathTable::take_any() {
  for (; take_from_ < kShards; ++take_from_) {
    Shard& shard = (*shards_)[take_from_];
    while (shard.count > 0) {
      // Slots are emptied from the back; runs are broken, which nobody asks about any more.
      const uint64_t slot = shard.slots[--shard.capacity];
      if (slot != 0) {
        --shard.count;
        --size_;
        return node_of(slot);
      }
    }
    shard.slots.reset();
  }
  return nullptr;
}

}  // namespace doozer::core
