// The tree: nodes by path, both indexes, the rules by which directories appear and vanish, and what
// is summed over all live files (digest, counts). It knows revisions but neither history nor
// commands: whoever changes it remembers what may be forgotten later (core/history.h).
//
// A node may hold a value and entries at once; "a file or a directory" is a rule of procedures.cc.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string_view>
#include <unordered_map>

#include "base/budget.h"
#include "base/hash.h"
#include "base/types.h"
#include "core/directory.h"
#include "core/node.h"
#include "core/ordered.h"
#include "core/path_table.h"

namespace doozer::core {

/// Sums over all live files and directories.
struct TreeTotals {
  uint64_t files = 0;
  uint64_t directories = 0;   ///< "/" not counted
  uint64_t live_bytes = 0;    ///< paths and values of live files
  uint64_t filled_slots = 0;  ///< files directly in /ctl/cal with a value that is not empty
  Hash128 digest;
};

/// A change that was made; the version is the node's newest.
struct Change {
  Node* node = nullptr;
  Version* version = nullptr;
};

/// True for /ctl/cal/NAME.
bool is_slot_path(std::string_view path);

/// Of the names of slots: numbers first, by value, then the others in byte order.
struct SlotOrder {
  bool operator()(std::string_view a, std::string_view b) const;
};

class Tree {
 public:
  Tree();
  ~Tree();
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  Node* find(std::string_view path) const { return table_.find(path); }
  Node& root() const { return *root_; }

  /// Puts a value at `path`, which has no version of `revision` yet. `node`: what find(path) gave.
  Change put(Node* node, std::string_view path, std::string_view value, Revision revision);
  /// Deletes the live file at `node`, which has no version of `revision` yet.
  Change remove(Node& node, Revision revision);
  /// Takes back the newest change of `node`, made at `revision`, the newest, and not yet in any
  /// history. Changes must be taken back in reverse order.
  void undo(Node& node, Revision revision);

  /// Once no read asks for a revision before that of this change: frees the version that it
  /// replaced, unless it is to be held, and whatever the change made dead. `held`: how many
  /// versions of the node, its oldest, are held already. The node is gone afterwards if nothing is
  /// held of it and nothing else keeps it. True: the change deleted the file, and only what is held
  /// keeps the node, which release_held() then has to free.
  bool retire(const Change& change, size_t held = 0, bool hold = false);
  /// Frees the `held` oldest versions of the node; and the node too, if its newest is still the
  /// tombstone `dead` that retire() left, if any.
  void release_held(Node& node, size_t held, const Version* dead);

  /// The version of `node` at `at`, which is kept; null if there was none or a tombstone.
  const Version* version_at(const Node& node, Revision at) const;
  /// Whether the node is an entry of its parent at `at`.
  bool listed_at(const Node& node, Revision at) const;

  const Ordered& files() const { return files_; }
  /// Changes whenever a place in any Ordered of the tree may have become invalid.
  uint64_t shape() const { return shape_; }
  const TreeTotals& totals() const { return totals_; }
  /// The live files directly in /ctl/cal, by name.
  const std::map<std::string_view, const Node*, SlotOrder>& slots() const { return slots_; }

  /// For loading an image into an empty tree: no change of directories is recorded for history.
  void begin_load(size_t files);
  /// REQUIRES a path after all those loaded before and a draft that is no tombstone.
  Change load(std::string_view path, const VersionDraft& draft);
  /// A file that was deleted at the image's revision, which history still tells of.
  Change load_deleted(std::string_view path, Revision revision);
  void end_load() { recording_ = true; }

  /// Frees everything in slices. True if work remains. Only destruction may follow.
  bool release(Budget& budget);
  /// Checks both indexes against each other. For tests.
  void check() const;

 private:
  void push_version(Node& node, Version* version);
  void account(const Node& node, const Version& version, bool add);
  void link_to_parent(Node& child);
  void become_listed(Node& node, Revision revision);
  void become_unlisted(Node& node, Revision revision);
  void note(Directory& directory, Revision revision, uint32_t old_count);
  void forget_counts(Node* directory, Revision passed);
  void free_older(Node& node, Version& version, size_t held);
  void bury(Node& node);
  void remove_if_unused(Node* node);

  PathTable table_;
  Ordered files_{0, Ordered::Counts::no};  // every node with a version, tombstones too
  Node* root_;
  // Versions, oldest first, of the few nodes with very many of them, so that finding one by
  // revision is no walk. Never iterated.
  std::unordered_map<const Node*, std::deque<Version*>> hot_;
  TreeTotals totals_;
  std::map<std::string_view, const Node*, SlotOrder> slots_;
  uint64_t shape_ = 0;
  bool recording_ = true;
  bool released_ = false;
};

}  // namespace doozer::core
