// A hash table of pointers: 1,024 open-addressing tables, each made and grown by itself, so that no
// growth moves more than a thousandth of what is in. A slot is 8 bytes: 48 bits of pointer, 16 of
// hash. It owns nothing and knows no key: who asks brings the hash, and says what is the same.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/check.h"

namespace doozer::core {

/// `Hash` is called with a const T& and gives its 64-bit hash, always the same while it is in.
template <typename T, typename Hash>
class ShardedTable {
 public:
  ShardedTable() : shards_(std::make_unique<std::array<Shard, kShards>>()) {}

  /// The one of this hash for which `same` is true; null if there is none.
  template <typename Same>
  T* find(uint64_t hash, const Same& same) const {
    const Shard& shard = (*shards_)[hash >> (64 - kShardBits)];
    if (shard.count == 0) {
      return nullptr;
    }
    const uint64_t tag = tag_of(hash);
    for (size_t at = home(hash, shard.capacity); shard.slots[at] != 0;) {
      const uint64_t slot = shard.slots[at];
      if ((slot & ~kPointerMask) == tag && same(*item_of(slot))) {
        return item_of(slot);
      }
      at = at + 1 == shard.capacity ? 0 : at + 1;
    }
    return nullptr;
  }
  /// REQUIRES that none that is the same is in.
  void insert(T* item) {
    const uint64_t hash = Hash()(*item);
    Shard& shard = (*shards_)[hash >> (64 - kShardBits)];
    if (full(shard.count + 1, shard.capacity)) {
      resize(shard, std::max(kCapacityMin, shard.capacity + shard.capacity / 2));
    }
    place(shard, make_slot(item, hash), hash);
    ++shard.count;
    ++size_;
  }
  /// REQUIRES that it is in.
  void erase(const T* item);
  /// Makes room for so many in all, evenly hashed.
  void reserve(size_t items);
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  /// Takes out some item, in no order that means anything; null when empty. For the end of life.
  T* take_any();

 private:
  static constexpr size_t kShardBits = 10;
  static constexpr size_t kShards = size_t{1} << kShardBits;
  static constexpr uint64_t kPointerMask = (uint64_t{1} << 48U) - 1;
  static constexpr uint32_t kCapacityMin = 8;
  struct Shard {
    std::unique_ptr<uint64_t[]> slots;
    uint32_t capacity = 0;
    uint32_t count = 0;
  };
  static T* item_of(uint64_t slot) { return reinterpret_cast<T*>(slot & kPointerMask); }
  // The hash serves three times: its top bits choose the shard, the middle the slot, the lowest are
  // the tag.
  static uint64_t tag_of(uint64_t hash) { return hash << 48U; }
  static uint64_t make_slot(const T* item, uint64_t hash) {
    const auto pointer = reinterpret_cast<uint64_t>(item);
    CHECK((pointer & ~kPointerMask) == 0);
    return pointer | tag_of(hash);
  }
  static size_t home(uint64_t hash, uint32_t capacity) {
    const uint64_t middle = (hash >> 16U) & 0xFFFFFFFFU;
    return (middle * capacity) >> 32U;
  }
  /// Shards grow when fuller than 13/16.
  static bool full(uint32_t count, uint32_t capacity) { return count * 16 >= capacity * 13; }
  static void place(Shard& shard, uint64_t slot, uint64_t hash) {
    size_t at = home(hash, shard.capacity);
    while (shard.slots[at] != 0) {
      at = at + 1 == shard.capacity ? 0 : at + 1;
    }
    shard.slots[at] = slot;
  }
  static void resize(Shard& shard, uint32_t capacity);

  std::unique_ptr<std::array<Shard, kShards>> shards_;
  size_t size_ = 0;
  size_t take_from_ = 0;
};

template <typename T, typename Hash>
void ShardedTable<T, Hash>::resize(Shard& shard, uint32_t capacity) {
  Shard bigger{
      .slots = std::make_unique<uint64_t[]>(capacity), .capacity = capacity, .count = shard.count};
  for (uint32_t i = 0; i < shard.capacity; ++i) {
    if (shard.slots[i] != 0) {
      place(bigger, shard.slots[i], Hash()(*item_of(shard.slots[i])));
    }
  }
  shard = std::move(bigger);
}

template <typename T, typename Hash>
void ShardedTable<T, Hash>::erase(const T* item) {
  const uint64_t hash = Hash()(*item);
  Shard& shard = (*shards_)[hash >> (64 - kShardBits)];
  CHECK(shard.count > 0);
  const uint64_t wanted = make_slot(item, hash);
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
    const size_t its_home = home(Hash()(*item_of(slot)), shard.capacity);
    if (distance(its_home, at) >= distance(hole, at)) {
      shard.slots[hole] = slot;
      shard.slots[at] = 0;
      hole = at;
    }
  }
  --shard.count;
  --size_;
  // What a crowd had needed is not kept for ever.
  if (shard.count == 0 && shard.capacity > kCapacityMin) {
    shard = Shard();
  }
}

template <typename T, typename Hash>
void ShardedTable<T, Hash>::reserve(size_t items) {
  const size_t each = items / kShards;
  // A little over the mean, so that most shards never grow while loading.
  const size_t capacity = std::min<size_t>((each + each / 8) * 5 / 4 + kCapacityMin, 1U << 24U);
  for (Shard& shard : *shards_) {
    if (shard.capacity < capacity) {
      resize(shard, static_cast<uint32_t>(capacity));
    }
  }
}

template <typename T, typename Hash>
T* ShardedTable<T, Hash>::take_any() {
  for (; take_from_ < kShards; ++take_from_) {
    Shard& shard = (*shards_)[take_from_];
    while (shard.count > 0) {
      // Slots are emptied from the back; runs are broken, which nobody asks about any more.
      const uint64_t slot = shard.slots[--shard.capacity];
      if (slot != 0) {
        --shard.count;
        --size_;
        return item_of(slot);
      }
    }
    shard.slots.reset();
  }
  return nullptr;
}

}  // namespace doozer::core
