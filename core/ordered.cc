#include "core/ordered.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"
#include "core/node.h"

namespace doozer::core {

namespace {

constexpr uint32_t kLeafMin = 4;  // first capacity of a tree's only leaf
constexpr uint32_t kFan = 64;
constexpr uint32_t kUnderfull = kFan / 4;
constexpr uint32_t kMergeMax = kFan * 3 / 4;

template <typename T>
void insert_at(T* items, uint32_t count, uint32_t at, T item) {
  std::copy_backward(items + at, items + count, items + count + 1);
  items[at] = item;
}

template <typename T>
void remove_at(T* items, uint32_t count, uint32_t at) {
  std::copy(items + at + 1, items + count, items + at);
}

}  // namespace

struct Ordered::Leaf {
  uint32_t count = 0;
  uint32_t capacity = 0;
  Leaf* next = nullptr;
  Leaf* previous = nullptr;

  Node** items() { return reinterpret_cast<Node**>(this + 1); }
  Node* const* items() const { return reinterpret_cast<Node* const*>(this + 1); }
  uint32_t live() const {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; ++i) {
      sum += items()[i]->listed() ? 1 : 0;
    }
    return sum;
  }
  /// `old`, if given, is moved and freed.
  static Leaf* make(uint32_t capacity, Leaf* old = nullptr) {
    void* memory = std::realloc(old, sizeof(Leaf) + capacity * sizeof(Node*));
    CHECK(memory != nullptr);
    auto* leaf = old == nullptr ? new (memory) Leaf{} : static_cast<Leaf*>(memory);
    leaf->capacity = capacity;
    return leaf;
  }
};

struct Ordered::Inner {
  uint32_t count = 0;
  Node* separators[kFan];
  void* children[kFan];
  uint32_t live[kFan];

  static Inner* make() {
    void* memory = std::malloc(sizeof(Inner));
    CHECK(memory != nullptr);
    auto* inner = static_cast<Inner*>(memory);
    inner->count = 0;
    return inner;
  }
  uint32_t live_sum() const {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; ++i) {
      sum += live[i];
    }
    return sum;
  }
  void insert(uint32_t at, Node* separator, void* child, uint32_t child_live) {
    insert_at(separators, count, at, separator);
    insert_at(children, count, at, child);
    insert_at(live, count, at, child_live);
    ++count;
  }
  void remove(uint32_t at) {
    remove_at(separators, count, at);
    remove_at(children, count, at);
    remove_at(live, count, at);
    --count;
  }
  /// Moves the children from `from` on to the end of `other`.
  void move_tail(uint32_t from, Inner& other) {
    const uint32_t moved = count - from;
    std::memcpy(other.separators + other.count, separators + from, moved * sizeof(Node*));
    std::memcpy(other.children + other.count, children + from, moved * sizeof(void*));
    std::memcpy(other.live + other.count, live + from, moved * sizeof(uint32_t));
    other.count += moved;
    count = from;
  }
};

int Ordered::compare(const Node* node, std::string_view key) const {
  const std::string_view mine = node->key();
  const size_t skip = std::min({static_cast<size_t>(prefix_), mine.size(), key.size()});
  return mine.substr(skip).compare(key.substr(skip));
}

/// The last child whose first node is not after `key`, or 0.
uint32_t Ordered::child_of(const Inner& inner, std::string_view key) const {
  if (compare(inner.separators[inner.count - 1], key) <= 0) {
    return inner.count - 1;  // inserting in order needs one comparison a level
  }
  uint32_t low = 0;
  uint32_t high = inner.count - 1;
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    if (compare(inner.separators[middle], key) <= 0) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

/// The first position whose key is not before `key`.
uint32_t Ordered::position_in(const Leaf& leaf, std::string_view key) const {
  if (leaf.count == 0 || compare(leaf.items()[leaf.count - 1], key) < 0) {
    return leaf.count;
  }
  uint32_t low = 0;
  uint32_t high = leaf.count - 1;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    if (compare(leaf.items()[middle], key) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

Ordered::Leaf* Ordered::descend(std::string_view key, Path& path) const {
  void* child = root_;
  for (int level = 0; level < height_; ++level) {
    auto* inner = static_cast<Inner*>(child);
    path[level] = {.inner = inner, .at = child_of(*inner, key)};
    child = inner->children[path[level].at];
  }
  return static_cast<Leaf*>(child);
}

/// After the first node of the leaf at the end of `path` became `first`.
void Ordered::fix_separators(Path& path, Node* first) {
  for (int level = height_ - 1; level >= 0; --level) {
    path[level].inner->separators[path[level].at] = first;
    if (path[level].at != 0) {
      return;
    }
  }
}

void Ordered::insert(Node* node) {
  const uint32_t live = counts_ && node->listed() ? 1 : 0;
  ++size_;
  live_ += live;
  if (root_ == nullptr) {
    Leaf* leaf = Leaf::make(kLeafMin);
    leaf->items()[0] = node;
    leaf->count = 1;
    root_ = leaf;
    return;
  }
  Path path;
  Leaf* leaf = descend(node->key(), path);
  const uint32_t at = position_in(*leaf, node->key());
  DCHECK(at == leaf->count || compare(leaf->items()[at], node->key()) != 0);
  for (int level = 0; level < height_; ++level) {
    path[level].inner->live[path[level].at] += live;
  }
  if (leaf->count == leaf->capacity && leaf->capacity < kFan) {
    CHECK(height_ == 0);
    leaf = Leaf::make(leaf->capacity * 2, leaf);
    root_ = leaf;
  }
  if (leaf->count < leaf->capacity) {
    insert_at(leaf->items(), leaf->count, at, node);
    ++leaf->count;
    if (at == 0) {
      fix_separators(path, node);
    }
    return;
  }
  const Split split = split_leaf(leaf, at, node);
  if (at == 0) {
    fix_separators(path, node);
  }
  add_child(path, split);
}

/// Inserts at the end of a full leaf by beginning a new one (so that runs in order leave full
/// leaves behind), else halves it.
Ordered::Split Ordered::split_leaf(Leaf* leaf, uint32_t at, Node* node) {
  Leaf* right = Leaf::make(kFan);
  right->next = leaf->next;
  right->previous = leaf;
  leaf->next = right;
  if (right->next != nullptr) {
    right->next->previous = right;
  }
  const uint32_t cut = at == leaf->count ? leaf->count : leaf->count / 2;
  right->count = leaf->count - cut;
  std::memcpy(right->items(), leaf->items() + cut, right->count * sizeof(Node*));
  leaf->count = cut;
  Leaf* target = at <= cut && cut != leaf->capacity ? leaf : right;
  const uint32_t position = target == leaf ? at : at - cut;
  insert_at(target->items(), target->count, position, node);
  ++target->count;
  return {.right = right, .first = right->items()[0], .live = counts_ ? right->live() : 0};
}

/// Hangs a new right sibling of what `path` leads to into the tree, splitting upwards.
void Ordered::add_child(Path& path, Split split) {
  for (int level = height_ - 1; level >= 0; --level) {
    Inner* inner = path[level].inner;
    const uint32_t at = path[level].at + 1;
    inner->live[at - 1] -= split.live;
    if (inner->count < kFan) {
      inner->insert(at, split.first, split.right, split.live);
      return;
    }
    Inner* right = Inner::make();
    const uint32_t cut = at == kFan ? kFan : kFan / 2;
    inner->move_tail(cut, *right);
    if (at <= cut && cut != kFan) {
      inner->insert(at, split.first, split.right, split.live);
    } else {
      right->insert(at - cut, split.first, split.right, split.live);
    }
    split = {.right = right, .first = right->separators[0], .live = right->live_sum()};
  }
  CHECK(height_ + 1 < kHeightMax);
  Node* first = height_ == 0 ? static_cast<Leaf*>(root_)->items()[0]
                             : static_cast<Inner*>(root_)->separators[0];
  Inner* root = Inner::make();
  root->insert(0, first, root_, live_ - split.live);
  root->insert(1, split.first, split.right, split.live);
  root_ = root;
  ++height_;
}

void Ordered::add_live(Node* node, int delta) {
  CHECK(counts_);
  Path path;
  descend(node->key(), path);
  const auto change = static_cast<uint32_t>(delta);  // wraps around to subtract
  for (int level = 0; level < height_; ++level) {
    path[level].inner->live[path[level].at] += change;
  }
  live_ += change;
}

void Ordered::erase(Node* node) {
  CHECK(root_ != nullptr);
  CHECK(!counts_ || !node->listed());
  Path path;
  Leaf* leaf = descend(node->key(), path);
  const uint32_t at = position_in(*leaf, node->key());
  CHECK(at < leaf->count);
  CHECK(leaf->items()[at] == node);
  remove_at(leaf->items(), leaf->count, at);
  --leaf->count;
  --size_;
  if (leaf->count > 0) {
    if (at == 0) {
      fix_separators(path, leaf->items()[0]);
    }
    if (leaf->count < kUnderfull && height_ > 0) {
      merge_leaves(path);
    }
    return;
  }
  if (leaf->previous != nullptr) {
    leaf->previous->next = leaf->next;
  }
  if (leaf->next != nullptr) {
    leaf->next->previous = leaf->previous;
  }
  std::free(leaf);
  if (height_ == 0) {
    root_ = nullptr;
    return;
  }
  remove_child(path, height_ - 1);
}

/// Takes the child that `path` leads to at `level` out of its parent; the child is freed already.
void Ordered::remove_child(Path& path, int level) {
  for (; level >= 0; --level) {
    Inner* inner = path[level].inner;
    inner->remove(path[level].at);
    if (inner->count > 0) {
      break;
    }
    std::free(inner);
  }
  if (level < 0) {
    root_ = nullptr;
    height_ = 0;
    return;
  }
  if (path[level].at == 0) {  // the first node below has changed
    Node* first = path[level].inner->separators[0];
    for (int above = level - 1; above >= 0; --above) {
      path[above].inner->separators[path[above].at] = first;
      if (path[above].at != 0) {
        break;
      }
    }
  }
  merge_inners(path, level);
}

void Ordered::merge_leaves(Path& path) {
  Inner* parent = path[height_ - 1].inner;
  const uint32_t at = path[height_ - 1].at;
  for (const uint32_t left_at : {at, at - 1}) {  // at - 1 wraps to "none" for the first
    if (left_at >= parent->count || left_at + 1 >= parent->count) {
      continue;
    }
    auto* left = static_cast<Leaf*>(parent->children[left_at]);
    auto* right = static_cast<Leaf*>(parent->children[left_at + 1]);
    if (left->count + right->count > kMergeMax) {
      continue;
    }
    if (left->capacity < kFan) {
      continue;  // only the first leaf of a tree is ever small, and it grew before it split
    }
    std::memcpy(left->items() + left->count, right->items(), right->count * sizeof(Node*));
    left->count += right->count;
    left->next = right->next;
    if (right->next != nullptr) {
      right->next->previous = left;
    }
    std::free(right);
    parent->live[left_at] += parent->live[left_at + 1];
    parent->remove(left_at + 1);
    merge_inners(path, height_ - 1);
    return;
  }
}

/// Joins the inner node at `level` with a neighbour while both are sparse, upwards.
void Ordered::merge_inners(Path& path, int level) {
  for (; level > 0; --level) {
    if (path[level].inner->count >= kUnderfull) {
      break;
    }
    Inner* parent = path[level - 1].inner;
    const uint32_t at = path[level - 1].at;
    bool merged = false;
    for (const uint32_t left_at : {at, at - 1}) {
      if (left_at >= parent->count || left_at + 1 >= parent->count) {
        continue;
      }
      auto* left = static_cast<Inner*>(parent->children[left_at]);
      auto* right = static_cast<Inner*>(parent->children[left_at + 1]);
      if (left->count + right->count > kMergeMax) {
        continue;
      }
      right->move_tail(0, *left);
      std::free(right);
      parent->live[left_at] += parent->live[left_at + 1];
      parent->remove(left_at + 1);
      merged = true;
      break;
    }
    if (!merged) {
      break;
    }
  }
  collapse_root();
}

void Ordered::collapse_root() {
  while (height_ > 0 && static_cast<Inner*>(root_)->count == 1) {
    auto* inner = static_cast<Inner*>(root_);
    root_ = inner->children[0];
    std::free(inner);
    --height_;
  }
}

Ordered::Place Ordered::first() const {
  void* child = root_;
  for (int level = 0; level < height_; ++level) {
    child = static_cast<Inner*>(child)->children[0];
  }
  return {.leaf = static_cast<Leaf*>(child), .at = 0};
}

Ordered::Place Ordered::lower_bound(std::string_view key) const {
  if (root_ == nullptr) {
    return {};
  }
  Path path;
  Leaf* leaf = descend(key, path);
  Place place{.leaf = leaf, .at = position_in(*leaf, key)};
  if (place.at == leaf->count) {
    place = {.leaf = leaf->next, .at = 0};
  }
  return place;
}

Ordered::Place Ordered::select(uint32_t index) const {
  CHECK(counts_);
  if (index >= live_) {
    return {};
  }
  void* child = root_;
  for (int level = 0; level < height_; ++level) {
    const auto* inner = static_cast<const Inner*>(child);
    uint32_t at = 0;
    while (index >= inner->live[at]) {
      index -= inner->live[at];
      ++at;
      CHECK(at < inner->count);
    }
    child = inner->children[at];
  }
  auto* leaf = static_cast<Leaf*>(child);
  for (uint32_t at = 0; at < leaf->count; ++at) {
    if (leaf->items()[at]->listed()) {
      if (index == 0) {
        return {.leaf = leaf, .at = at};
      }
      --index;
    }
  }
  UNREACHABLE();
}

Node* Ordered::get(const Place& place) { return place.leaf->items()[place.at]; }

void Ordered::next(Place& place) {
  if (++place.at == place.leaf->count) {
    place = {.leaf = place.leaf->next, .at = 0};
  }
}

void Ordered::previous(Place& place) const {
  if (place.leaf != nullptr && place.at > 0) {
    --place.at;
    return;
  }
  Leaf* leaf = nullptr;
  if (place.leaf != nullptr) {
    leaf = place.leaf->previous;
  } else if (root_ != nullptr) {
    void* child = root_;
    for (int level = 0; level < height_; ++level) {
      const auto* inner = static_cast<const Inner*>(child);
      child = inner->children[inner->count - 1];
    }
    leaf = static_cast<Leaf*>(child);
  }
  place = leaf == nullptr ? Place{} : Place{.leaf = leaf, .at = leaf->count - 1};
}

Ordered::~Ordered() {
  Budget unlimited(INT64_MAX);
  release(unlimited);
}

bool Ordered::release(Budget& budget) {
  while (root_ != nullptr) {
    if (budget.empty()) {
      return true;
    }
    budget.spend();
    Path path;
    void* child = root_;
    for (int level = 0; level < height_; ++level) {
      auto* inner = static_cast<Inner*>(child);
      path[level].inner = inner;
      child = inner->children[inner->count - 1];
    }
    std::free(child);
    int level = height_ - 1;
    while (level >= 0 && --path[level].inner->count == 0) {
      std::free(path[level].inner);
      --level;
    }
    if (level < 0) {
      root_ = nullptr;
      height_ = 0;
    }
  }
  size_ = 0;
  live_ = 0;
  return false;
}

void Ordered::check_below(const void* child, int height, const Leaf*& leaf, uint32_t& live) const {
  if (height == 0) {
    const auto* here = static_cast<const Leaf*>(child);
    CHECK(here->count > 0);
    CHECK(here->count <= here->capacity);
    CHECK(here->previous == leaf);
    CHECK(leaf == nullptr || leaf->next == here);
    leaf = here;
    live = counts_ ? here->live() : 0;
    return;
  }
  const auto* inner = static_cast<const Inner*>(child);
  CHECK(inner->count > 0);
  live = 0;
  for (uint32_t i = 0; i < inner->count; ++i) {
    const void* below = inner->children[i];
    for (int level = height - 1; level > 0; --level) {
      below = static_cast<const Inner*>(below)->children[0];
    }
    CHECK(static_cast<const Leaf*>(below)->items()[0] == inner->separators[i]);
    uint32_t child_live = 0;
    check_below(inner->children[i], height - 1, leaf, child_live);
    CHECK(child_live == inner->live[i]);
    live += child_live;
  }
}

void Ordered::check() const {
  if (root_ == nullptr) {
    CHECK(size_ == 0);
    CHECK(live_ == 0);
    return;
  }
  const Leaf* last = nullptr;
  uint32_t live = 0;
  check_below(root_, height_, last, live);
  CHECK(last->next == nullptr);
  CHECK(live == live_);
  uint32_t count = 0;
  const Node* before = nullptr;
  for (Place place = first(); !place.end(); next(place)) {
    CHECK(before == nullptr || before->key() < get(place)->key());
    before = get(place);
    ++count;
  }
  CHECK(count == size_);
}

}  // namespace doozer::core
