#include "core/tree.h"

#include <algorithm>

#include "base/probe.h"
#include "core/digest.h"
#include "core/path.h"

namespace doozer::core {

namespace {

constexpr std::string_view kSlotPrefix = "/ctl/cal/";
constexpr uint32_t kHotAbove = 64;  // kept versions from which a node gets a list of them
constexpr uint32_t kHotBelow = 32;  // and loses it again

}  // namespace

bool is_slot_path(std::string_view path) {
  return path.starts_with(kSlotPrefix) && path.size() > kSlotPrefix.size() &&
         path.find('/', kSlotPrefix.size()) == std::string_view::npos;
}

bool SlotOrder::operator()(std::string_view a, std::string_view b) const {
  const auto is_number = [](std::string_view name) {
    return name.find_first_not_of("0123456789") == std::string_view::npos;
  };
  const auto digits = [](std::string_view name) {
    return name.substr(std::min(name.find_first_not_of('0'), name.size()));
  };
  if (is_number(a) != is_number(b)) {
    return is_number(a);
  }
  if (is_number(a) && digits(a) != digits(b)) {
    const std::string_view left = digits(a);
    const std::string_view right = digits(b);
    return left.size() != right.size() ? left.size() < right.size() : left < right;
  }
  return a < b;
}

Tree::Tree() : root_(Node::make("/")) {
  root_->make_directory();
  root_->set_listed(true);
  table_.insert(root_);
}

Tree::~Tree() {
  Budget unlimited(INT64_MAX);
  release(unlimited);
}

void Tree::account(const Node& node, const Version& version, bool add) {
  const Hash128 digest = file_digest(node.key(), version);
  const uint64_t bytes = node.key().size() + version.size;
  const bool slot = is_slot_path(node.key());
  const uint64_t filled = slot && version.size > 0 ? 1 : 0;
  if (add) {
    add_to(totals_.digest, digest);
    ++totals_.files;
    totals_.live_bytes += bytes;
    totals_.filled_slots += filled;
    if (slot) slots_.emplace(node.name(), &node);
  } else {
    take_from(totals_.digest, digest);
    --totals_.files;
    totals_.live_bytes -= bytes;
    totals_.filled_slots -= filled;
    if (slot) slots_.erase(node.name());
  }
}

void Tree::push_version(Node& node, Version* version) {
  version->older = node.newest();
  node.set_newest(version);
  ++node.kept;
  if (node.kept <= kHotBelow) {
    return;
  }
  if (const auto hot = hot_.find(&node); hot != hot_.end()) {
    hot->second.push_back(version);
    return;
  }
  if (node.kept <= kHotAbove) {
    return;
  }
  PROBE("core_hot_file");
  std::deque<Version*>& list = hot_[&node];
  for (Version* each = version; each != nullptr; each = each->older) {
    list.push_front(each);
  }
}

Change Tree::put(Node* node, std::string_view path, std::string_view value, Revision revision) {
  const Version* old = node == nullptr ? nullptr : node->file();
  Version* version = make_version({.modified = revision,
                                   .created = old == nullptr ? revision : old->created,
                                   .count = old == nullptr ? 1 : old->count + 1,
                                   .value = value});
  if (node == nullptr) {
    node = Node::make(path);
    table_.insert(node);
  }
  const bool first = node->newest() == nullptr;
  if (old != nullptr) {
    account(*node, *old, false);
  }
  push_version(*node, version);
  account(*node, *version, true);
  if (first) {
    files_.insert(node);
    ++shape_;
  }
  if (!node->listed()) {
    become_listed(*node, revision);
  }
  return {.node = node, .version = version};
}

Change Tree::remove(Node& node, Revision revision) {
  const Version* old = node.file();
  CHECK(old != nullptr);
  account(node, *old, false);
  Version* version =
      make_version({.modified = revision, .created = old->created, .tombstone = true});
  push_version(node, version);
  if (node.directory() == nullptr || node.directory()->count() == 0) {
    become_unlisted(node, revision);
  }
  return {.node = &node, .version = version};
}

void Tree::undo(Node& node, Revision revision) {
  Version* version = node.newest();
  CHECK(version->modified == revision);
  if (version->live()) {
    account(node, *version, false);
  }
  node.set_newest(version->older);
  if (node.kept > kHotBelow) {
    if (const auto hot = hot_.find(&node); hot != hot_.end()) {
      hot->second.pop_back();
    }
  }
  if (--node.kept == kHotBelow) {
    hot_.erase(&node);
  }
  free_version(version);
  if (node.file() != nullptr) {
    account(node, *node.file(), true);
  }
  const bool has_entries = node.directory() != nullptr && node.directory()->count() > 0;
  const bool listed = node.file() != nullptr || has_entries;
  if (listed && !node.listed()) {
    become_listed(node, revision);
  } else if (!listed && node.listed()) {
    become_unlisted(node, revision);
  }
  if (node.newest() == nullptr) {
    files_.erase(&node);
    ++shape_;
    remove_if_unused(&node);
  }
}

void Tree::note(Directory& directory, Revision revision, uint32_t old_count) {
  if (recording_) {
    directory.note(revision, old_count);
  }
}

/// Gives a new node its parent, made if need be, and hangs it into the parent's entries.
void Tree::link_to_parent(Node& child) {
  const std::string_view path = parent_path(child.key());
  Node* parent = table_.find(path);
  if (parent == nullptr) {
    parent = Node::make(path);
    table_.insert(parent);
  }
  child.parent = parent;
  parent->make_directory().children.insert(&child);
}

/// The node came to life: counts it in its parent, and so on upwards as far as parents come to
/// life by it.
void Tree::become_listed(Node& node, Revision revision) {
  ++shape_;
  for (Node* child = &node;;) {
    child->set_listed(true);
    uint32_t old_count = 0;
    if (child->parent == nullptr) {
      link_to_parent(*child);
      old_count = child->parent->directory()->count() - 1;
    } else {
      Directory& directory = child->parent->make_directory();
      old_count = directory.count();
      directory.children.add_live(child, 1);
    }
    Node* parent = child->parent;
    note(*parent->directory(), revision, old_count);
    if (old_count == 0 && parent != root_) {
      ++totals_.directories;
    }
    if (parent->listed()) {
      return;
    }
    child = parent;
  }
}

void Tree::become_unlisted(Node& node, Revision revision) {
  ++shape_;
  for (Node* child = &node;;) {
    Node* parent = child->parent;
    Directory& directory = *parent->directory();
    child->set_listed(false);
    directory.children.add_live(child, -1);
    note(directory, revision, directory.count() + 1);
    if (directory.count() > 0 || parent == root_) {
      return;
    }
    --totals_.directories;
    if (parent->file() != nullptr) {
      return;
    }
    child = parent;
  }
}

void Tree::forget_counts(Node* directory, Revision passed) {
  while (directory != nullptr && directory->directory() != nullptr &&
         directory->directory()->forget(passed)) {
    directory = directory->parent;
  }
}

/// Takes out the version behind `version`, which has `held` more behind it.
void Tree::free_older(Node& node, Version& version, size_t held) {
  Version* old = version.older;
  CHECK((old->older == nullptr) == (held == 0));
  if (const auto hot = node.kept > kHotBelow ? hot_.find(&node) : hot_.end(); hot != hot_.end()) {
    hot->second.erase(hot->second.begin() + static_cast<int64_t>(held));
    if (node.kept - 1 == kHotBelow) {
      hot_.erase(hot);
    }
  }
  version.older = old->older;
  free_version(old);
  --node.kept;
}

/// Forgets the tombstone that is all that is left of a file.
void Tree::bury(Node& node) {
  Version* tombstone = node.newest();
  CHECK(!tombstone->live() && tombstone->older == nullptr);
  node.set_newest(nullptr);
  node.kept = 0;
  free_version(tombstone);
  files_.erase(&node);
  ++shape_;
}

bool Tree::retire(const Change& change, size_t held, bool hold) {
  Node& node = *change.node;
  Version* version = change.version;
  const bool entry_changed =
      !version->live() || version->older == nullptr || !version->older->live();
  if (version->older != nullptr && !hold) {
    free_older(node, *version, held);
  }
  if (entry_changed) {
    forget_counts(node.parent, version->modified);
  }
  const bool dead = !version->live() && node.newest() == version;
  if (dead && version->older == nullptr) {
    bury(node);
    remove_if_unused(&node);
    return false;
  }
  if (entry_changed) {
    remove_if_unused(&node);
  }
  return dead;
}

void Tree::release_held(Node& node, size_t held, const Version* dead) {
  CHECK(held < node.kept);
  Version* above = node.newest();
  if (const auto hot = node.kept > kHotBelow ? hot_.find(&node) : hot_.end(); hot != hot_.end()) {
    above = hot->second[held];
  } else {
    for (size_t newer = node.kept - held; newer > 1; --newer) {
      above = above->older;
    }
  }
  for (; held > 0; --held) {
    free_older(node, *above, held - 1);
  }
  if (dead != nullptr && node.newest() == dead) {
    bury(node);
    remove_if_unused(&node);
  }
}

/// Frees a node without versions and entries, and its parents as far as they were kept by it.
void Tree::remove_if_unused(Node* node) {
  while (node != root_) {
    if (const Directory* directory = node->directory(); directory != nullptr) {
      if (directory->children.size() > 0 || directory->changes != nullptr) {
        return;
      }
      node->drop_directory();
    }
    if (node->newest() != nullptr) {
      return;
    }
    CHECK(!node->listed());
    Node* parent = node->parent;
    parent->directory()->children.erase(node);
    ++shape_;
    table_.erase(node);
    Node::free(node);
    node = parent;
  }
}

const Version* Tree::version_at(const Node& node, Revision at) const {
  const Version* version = node.newest();
  if (node.kept > kHotBelow && version->modified > at) {
    if (const auto hot = hot_.find(&node); hot != hot_.end()) {
      const std::deque<Version*>& list = hot->second;
      const auto after = std::upper_bound(
          list.begin(), list.end(), at,
          [](Revision wanted, const Version* each) { return wanted < each->modified; });
      version = after == list.begin() ? nullptr : *std::prev(after);
    }
  }
  while (version != nullptr && version->modified > at) {
    version = version->older;
  }
  return version != nullptr && version->live() ? version : nullptr;
}

bool Tree::listed_at(const Node& node, Revision at) const {
  if (&node == root_ || version_at(node, at) != nullptr) {
    return true;
  }
  return node.directory() != nullptr && node.directory()->count_at(at) > 0;
}

void Tree::begin_load(size_t files) {
  CHECK(table_.size() == 1);
  recording_ = false;
  table_.reserve(files);
}

Change Tree::load(std::string_view path, const VersionDraft& draft) {
  Node* node = table_.find(path);  // a directory of its own name may stand there already
  if (node == nullptr) {
    node = Node::make(path);
    table_.insert(node);
  }
  CHECK(node->newest() == nullptr);
  Version* version = make_version(draft);
  push_version(*node, version);
  account(*node, *version, true);
  files_.insert(node);
  if (!node->listed()) {
    become_listed(*node, draft.modified);
  }
  return {.node = node, .version = version};
}

Change Tree::load_deleted(std::string_view path, Revision revision) {
  Node* node = table_.find(path);
  if (node == nullptr) {
    node = Node::make(path);
    table_.insert(node);
  }
  CHECK(node->newest() == nullptr);
  Version* version = make_version({.modified = revision, .created = revision, .tombstone = true});
  push_version(*node, version);
  files_.insert(node);
  for (Node* child = node; child->parent == nullptr && child != root_; child = child->parent) {
    link_to_parent(*child);  // parents that are dead too are kept for the history
  }
  ++shape_;
  return {.node = node, .version = version};
}

bool Tree::release(Budget& budget) {
  if (!released_) {
    hot_.clear();
    released_ = true;
  }
  if (files_.release(budget)) {
    return true;
  }
  while (!budget.empty()) {
    Node* node = table_.take_any();
    if (node == nullptr) {
      return false;
    }
    budget.spend();
    for (Version* version = node->newest(); version != nullptr;) {
      Version* older = version->older;
      free_version(version);
      version = older;
      budget.spend();
    }
    node->set_newest(nullptr);
    Node::free(node);
  }
  return true;
}

void Tree::check() const {
  files_.check();
  uint64_t files = 0;
  for (Ordered::Place place = files_.first(); !place.end(); Ordered::next(place)) {
    const Node* node = Ordered::get(place);
    CHECK(node->newest() != nullptr);
    CHECK(table_.find(node->key()) == node);
    files += node->file() != nullptr ? 1 : 0;
    for (const Node* each = node; each != root_; each = each->parent) {
      CHECK(each->parent != nullptr);
      CHECK(each->parent->key() == parent_path(each->key()));
      const bool entries = each->directory() != nullptr && each->directory()->count() > 0;
      CHECK(each->listed() == (each->file() != nullptr || entries));
    }
    if (node->parent->directory()->children.first().leaf != nullptr) {
      node->parent->directory()->children.check();
    }
  }
  CHECK(files == totals_.files);
}

}  // namespace doozer::core
