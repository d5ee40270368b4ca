// One path of the tree and the versions of its value: the two things of which there are millions,
// so each is one allocation with its bytes inline. A file of a 32-byte path and a 256-byte value
// costs 64 + 304 bytes of heap here and about 30 in the indexes (docs/data-model.md).
//
//   Node:    body | parent | kept | key size | flags | key bytes
//   Version: older | modified | created | lease | count, tombstone, size | value bytes
//
// A node's body is its newest Version, or, when the node is or was a directory, a Directory that
// holds that pointer among others. These types own nothing by themselves: core/tree.cc alone makes
// and frees them.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/types.h"

namespace doozer::core {

struct Directory;

/// What a path held from `modified` on: a value, or (tombstone) nothing.
struct Version {
  Version* older;
  Revision modified;
  Revision created;     ///< of the first version since the path was last missing
  uint64_t lease;       ///< reserved, 0
  uint64_t count : 38;  ///< changes since created, from 1
  uint64_t tombstone : 1;
  uint64_t size : 25;  ///< bytes of value

  std::string_view value() const {
    return {reinterpret_cast<const char*>(this + 1), static_cast<size_t>(size)};
  }
  bool live() const { return tombstone == 0; }
};
static_assert(sizeof(Version) == 40);

struct VersionDraft {
  Revision modified;
  Revision created;
  uint64_t lease = 0;
  uint64_t count = 1;
  bool tombstone = false;
  std::string_view value = {};
};
/// The caller frees it with free_version().
Version* make_version(const VersionDraft& draft);
void free_version(Version* version);
/// What the heap gives for a version with a value of `size` bytes, its own header included.
size_t version_bytes(size_t size);

class Node {
  void* body_ = nullptr;  // Directory or Version; first, so that the header has no holes

 public:
  /// The caller frees it with free().
  static Node* make(std::string_view key);
  static void free(Node* node);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_size_}; }
  std::string_view name() const { return key().substr(key().rfind('/') + 1); }
  Version* newest() const;
  void set_newest(Version* version);
  Directory* directory() const { return has_directory_ ? static_cast<Directory*>(body_) : nullptr; }
  /// Makes the directory part if there is none.
  Directory& make_directory();
  void drop_directory();

  /// The newest version, if it is not a tombstone.
  const Version* file() const {
    const Version* version = newest();
    return version != nullptr && version->live() ? version : nullptr;
  }

  Node* parent = nullptr;  ///< null: root, or not in the indexes yet
  uint32_t kept = 0;       ///< versions in the chain

  /// Counted as an entry of its parent: it has a value or entries of its own.
  bool listed() const { return listed_; }
  void set_listed(bool listed) { listed_ = listed; }

 private:
  explicit Node(size_t key_size) : key_size_(static_cast<uint16_t>(key_size)) {}
  uint16_t key_size_;
  bool has_directory_ = false;
  bool listed_ = false;
};
static_assert(sizeof(Node) == 24);

}  // namespace doozer::core
