// The table behind all that is found by hash: right, and no insertion moves much at once.
#include "core/sharded_table.h"

#include <gtest/gtest.h>

#include <deque>
#include <set>
#include <vector>

#include "base/hash.h"
#include "base/rng.h"

namespace doozer::core {
namespace {

struct Item {
  uint64_t key = 0;
};

uint64_t hash_of(uint64_t key) { return hash64({reinterpret_cast<const char*>(&key), sizeof key}); }

/// Counts how often the table asks: once for what is put in, and once for each that it moves.
uint64_t asked = 0;
struct CountingHash {
  uint64_t operator()(const Item& item) const {
    ++asked;
    return hash_of(item.key);
  }
};
using Table = ShardedTable<Item, CountingHash>;

Item* find(const Table& table, uint64_t key) {
  return table.find(hash_of(key), [&](const Item& item) { return item.key == key; });
}

TEST(ShardedTable, NoInsertionMovesMoreThanAThousandthOrSo) {
  constexpr uint64_t kItems = 300'000;
  std::deque<Item> items;
  Table table;
  uint64_t longest = 0;
  for (uint64_t key = 0; key < kItems; ++key) {
    items.push_back({key});
    asked = 0;
    table.insert(&items.back());
    longest = std::max(longest, asked);
  }
  EXPECT_EQ(table.size(), kItems);
  EXPECT_GT(longest, kItems / 1024 / 2) << "nothing was ever moved?";
  EXPECT_LT(longest, kItems / 1024 * 2);
}

TEST(ShardedTable, HoldsWhatWasPutInAndNotTakenOut) {
  constexpr uint64_t kKeys = 20'000;
  Rng rng(7);
  std::vector<Item> items(kKeys);
  for (uint64_t key = 0; key < kKeys; ++key) items[key].key = key;
  std::set<uint64_t> in;
  Table table;
  for (int step = 0; step < 200'000; ++step) {
    const uint64_t key = rng.below(kKeys);
    if (in.insert(key).second) {
      table.insert(&items[key]);
    } else {
      in.erase(key);
      table.erase(&items[key]);
    }
    const uint64_t other = rng.below(kKeys);
    ASSERT_EQ(find(table, other), in.contains(other) ? &items[other] : nullptr) << step;
  }
  ASSERT_EQ(table.size(), in.size());
  while (const Item* item = table.take_any()) ASSERT_EQ(in.erase(item->key), 1U);
  EXPECT_TRUE(in.empty());
  EXPECT_TRUE(table.empty());
}

}  // namespace
}  // namespace doozer::core
