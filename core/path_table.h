// Nodes by path, in a table whose growth is never long.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/sharded_table.h"

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
  size_t size() const { return nodes_.size(); }

  /// Takes out some node, in no order that means anything; null when empty. For the end of life.
  Node* take_any();

 private:
  struct Hash {
    uint64_t operator()(const Node& node) const;
  };
  ShardedTable<Node, Hash> nodes_;
};

}  // namespace doozer::core
