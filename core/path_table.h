// Nodes by path: 1,024 open-addressing tables, each made and grown by itself, so that no growth
// moves more than a thousandth of the nodes. A slot is 8 bytes: 48 bits of pointer, 16 of hash.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/budget.h"

namespace doozer::core {

class Node;

class PathTable {
 public:
  PathTable();
  ~PathTable();
  PathTable(const PathTable&) = delete;
  PathTable& operator=(const PathTable&) = delete;

  /// Null if there is none.
  Node* find(std::string_view path) const;
  /// REQUIRES that no node of this key is in.
  void insert(Node* node);
  /// REQUIRES that it is in.
  void erase(const Node* node);
  /// Makes room for `nodes` in all, evenly hashed.
  void reserve(size_t nodes);
  size_t size() const { return size_; }

  /// Takes out some node, in no order that means anything; null when empty. For the end of life.
  Node* take_any();

 private:
  static constexpr size_t kShardBits = 10;
  static constexpr size_t kShards = size_t{1} << kShardBits;
  struct Shard {
    std::unique_ptr<uint64_t[]> slots;
    uint32_t capacity = 0;
    uint32_t count = 0;
  };
  static size_t home(uint64_t hash, uint32_t capacity);
  static void place(Shard& shard, uint64_t slot, uint64_t hash);
  static void resize(Shard& shard, uint32_t capacity);

  std::unique_ptr<std::array<Shard, kShards>> shards_;
  size_t size_ = 0;
  size_t take_from_ = 0;
};

}  // namespace doozer::core
