// The directory part of a node: its entries in byte order of their names, and how many of them
// were alive at each kept revision. Only changes inside the history are recorded, so a directory
// at rest keeps nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "base/types.h"
#include "core/ordered.h"

namespace doozer::core {

struct Version;

struct Directory {
  /// `prefix`: bytes that the keys of all entries share (the directory's path and a slash).
  explicit Directory(size_t prefix) : children(prefix, Ordered::Counts::yes) {}

  /// Entries alive now.
  uint32_t count() const { return children.live(); }
  /// Entries alive at `at`, which is kept.
  uint32_t count_at(Revision at) const;
  /// Records that the count, which was `old_count`, has just changed at `revision`, the newest.
  /// Changes of one revision are one; if they come to nothing, none is recorded.
  void note(Revision revision, uint32_t old_count);
  /// Forgets what only revisions before `passed` + 1 could ask. True if the directory came to life
  /// or died there, which its own parent has recorded too.
  bool forget(Revision passed);

  struct Change {
    Revision revision;
    uint32_t count = 0;
  };
  Version* newest = nullptr;  ///< the node's own value
  Ordered children;           ///< every node with this parent, alive or kept for the history
  uint32_t before = 0;        ///< the count before the first recorded change
  std::unique_ptr<std::deque<Change>> changes;  ///< null if there is none
};

}  // namespace doozer::core
