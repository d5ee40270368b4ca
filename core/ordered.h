// A B+tree of nodes in byte order of their keys, optionally counting the listed ones so that the
// n-th is found in O(log n). It keeps pointers to nodes and no copies of keys; inserting in order
// leaves leaves full (8.5 bytes an entry). A tree of few entries is one small leaf.
//
// Invariants: separators[i] is the first node below children[i]; live[i] is the number of listed
// nodes there (only in counting trees); leaves are linked in order; no leaf is empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/budget.h"

namespace doozer::core {

class Node;

class Ordered {
 public:
  enum class Counts : uint8_t { no, yes };
  struct Leaf;
  struct Inner;
  /// Good until the tree changes its shape. A null leaf is the end.
  struct Place {
    Leaf* leaf = nullptr;
    uint32_t at = 0;
    bool end() const { return leaf == nullptr; }
  };

  /// `prefix`: bytes that all keys are known to share.
  Ordered(size_t prefix, Counts counts)
      : prefix_(static_cast<uint16_t>(prefix)), counts_(counts == Counts::yes) {}
  ~Ordered();
  Ordered(const Ordered&) = delete;
  Ordered& operator=(const Ordered&) = delete;

  uint32_t size() const { return size_; }
  uint32_t live() const { return live_; }  ///< listed nodes; 0 unless counting

  /// REQUIRES that no node of this key is in; counts it if it is listed.
  void insert(Node* node);
  /// REQUIRES that it is in, and (if counting) not listed.
  void erase(Node* node);
  /// Tells that a node of the tree became listed (+1) or ceased to be (-1).
  void add_live(Node* node, int delta);

  Place first() const;
  /// The first node whose key is not before `key`.
  Place lower_bound(std::string_view key) const;
  /// The `index`-th listed node, from 0. Only in a counting tree.
  Place select(uint32_t index) const;
  static Node* get(const Place& place);
  static void next(Place& place);
  /// The one before; of the end, the last. The end if there is none.
  void previous(Place& place) const;

  /// Frees leaves within the budget; true if some remain. Nodes are not touched.
  bool release(Budget& budget);
  /// Walks the whole tree and CHECKs the invariants above. For tests.
  void check() const;

 private:
  static constexpr int kHeightMax = 10;
  struct Step {
    Inner* inner = nullptr;
    uint32_t at = 0;
  };
  using Path = Step[kHeightMax];
  struct Split {
    void* right = nullptr;
    Node* first = nullptr;
    uint32_t live = 0;
  };

  int compare(const Node* node, std::string_view key) const;
  uint32_t child_of(const Inner& inner, std::string_view key) const;
  uint32_t position_in(const Leaf& leaf, std::string_view key) const;
  Leaf* descend(std::string_view key, Path& path) const;
  void fix_separators(Path& path, Node* first);
  Split split_leaf(Leaf* leaf, uint32_t at, Node* node);
  void add_child(Path& path, Split split);
  void remove_child(Path& path, int level);
  void merge_leaves(Path& path);
  void merge_inners(Path& path, int level);
  void collapse_root();
  void check_below(const void* child, int height, const Leaf*& leaf, uint32_t& live) const;

  void* root_ = nullptr;  // Leaf if height_ is 0, else Inner; null if empty
  uint32_t size_ = 0;
  uint32_t live_ = 0;
  uint16_t prefix_;
  uint8_t height_ = 0;
  bool counts_;
};

}  // namespace doozer::core
