#include "core/prefix_tree.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "base/probe.h"

namespace doozer::core {

namespace {

// What matching costs, in the operations of one word that globs are matched by.
constexpr int64_t kLookupWork = 64;
constexpr size_t kHashedBytesPerWork = 8;
constexpr int64_t kGroupWork = 48;
/// Of a literal prefix, that are directories of the tree: a glob of thousands of names would make
/// thousands.
constexpr size_t kLiteralDirectories = 16;

/// What lies at a name, or a beginning, below a directory.
uint64_t hash_below(const void* directory, std::string_view name) {
  return hash64(name, reinterpret_cast<uintptr_t>(directory));
}

/// Frees all that the table owns.
template <typename T, typename Hash>
void free_all(ShardedTable<T, Hash>& table) {
  while (T* item = table.take_any()) {
    const std::unique_ptr<T> owned(item);
  }
}

}  // namespace

uint64_t PrefixTree::PatternHash::operator()(const WatchGroup& group) const {
  return hash64(group.pattern);
}
uint64_t PrefixTree::LevelHash::operator()(const Level& level) const {
  return hash_below(level.parent, level.name);
}
uint64_t PrefixTree::FamilyHash::operator()(const WatchFamily& family) const {
  return hash_below(family.directory, family.beginning);
}

PrefixTree::PrefixTree() : top_(std::make_unique<Level>()) {}

PrefixTree::~PrefixTree() {
  free_all(families_);
  free_all(levels_);
  free_all(by_pattern_);
}

/// "/a/b" -> directory "/a", beginning "b"; "/" -> "" and "".
PrefixTree::Split PrefixTree::split(std::string_view literal_prefix) {
  size_t slash = 0;
  CHECK(literal_prefix.starts_with('/'));
  for (size_t i = 0; i < kLiteralDirectories; ++i) {
    const size_t next = literal_prefix.find('/', slash + 1);
    if (next == std::string_view::npos) break;
    slash = next;
  }
  return {.directory = literal_prefix.substr(0, slash),
          .beginning = literal_prefix.substr(slash + 1)};
}

size_t PrefixTree::bytes_of(const Glob& glob) {
  size_t bytes = glob.pattern().size();  // the group's copy
  if (glob.literal()) return bytes;
  const std::string_view directory = split(glob.literal_prefix()).directory;
  const auto levels = static_cast<size_t>(std::count(directory.begin(), directory.end(), '/'));
  return bytes + directory.size() + levels * sizeof(Level);
}

PrefixTree::Level* PrefixTree::below(const Level& level, std::string_view name) const {
  return levels_.find(hash_below(&level, name), [&](const Level& found) {
    return found.parent == &level && found.name == name;
  });
}

WatchFamily* PrefixTree::family_at(const Level& level, std::string_view beginning) const {
  return families_.find(hash_below(&level, beginning), [&](const WatchFamily& found) {
    return found.directory == &level && found.beginning == beginning;
  });
}

PrefixTree::Level* PrefixTree::make_level(std::string_view directory) {
  Level* level = top_.get();
  while (!directory.empty()) {
    const std::string_view rest = directory.substr(1);
    const std::string_view name = rest.substr(0, rest.find('/'));
    directory.remove_prefix(1 + name.size());
    if (Level* found = below(*level, name)) {
      level = found;
      continue;
    }
    auto made = std::make_unique<Level>();
    made->parent = level;
    made->name = std::string(name);
    ++level->levels;
    level = made.release();
    levels_.insert(level);
  }
  return level;
}

PrefixTree::Level* PrefixTree::find_level(std::string_view directory) const {
  Level* level = top_.get();
  while (!directory.empty()) {
    const std::string_view rest = directory.substr(1);
    const std::string_view name = rest.substr(0, rest.find('/'));
    directory.remove_prefix(1 + name.size());
    level = below(*level, name);
    CHECK(level != nullptr);
  }
  return level;
}

/// Frees the directory, and those above it, if nothing is left in it.
void PrefixTree::drop_empty(Level* level) {
  while (level->parent != nullptr && level->levels == 0 && level->begin_sizes.empty()) {
    Level* parent = level->parent;
    --parent->levels;
    levels_.erase(level);
    const std::unique_ptr<Level> owned(level);
    level = parent;
  }
}

WatchGroup& PrefixTree::group(const std::shared_ptr<const Glob>& glob) {
  const std::string& pattern = glob->pattern();
  WatchGroup* known = by_pattern_.find(
      hash64(pattern), [&](const WatchGroup& group) { return group.pattern == pattern; });
  if (known != nullptr) {
    return *known;
  }
  WatchGroup& group = *std::make_unique<WatchGroup>(glob).release();
  by_pattern_.insert(&group);
  if (group.literal()) {
    ++literals_;
    return group;
  }
  const std::string_view prefix =
      std::string_view(group.pattern).substr(0, glob->literal_prefix().size());
  const Split where = split(prefix);
  Level* level = make_level(where.directory);
  ++level->begin_sizes[where.beginning.size()];
  WatchFamily* family = family_at(*level, where.beginning);
  if (family == nullptr) {
    family = std::make_unique<WatchFamily>().release();
    family->directory = level;
    family->beginning = where.beginning;
    families_.insert(family);
    up_to_date_.push_back(*family);
  }
  join(group, *family);
  return group;
}

void PrefixTree::join(WatchGroup& group, WatchFamily& family) {
  group.family = &family;
  group.place = static_cast<uint32_t>(family.groups.size());
  family.groups.push_back(&group);
  family.words += group.glob->words();
}

/// The last group takes the place: it is one that next_behind() need not give again, or none is.
void PrefixTree::leave(WatchGroup& group) {
  WatchFamily& family = *group.family;
  WatchGroup* last = family.groups.back();
  family.groups[group.place] = last;
  last->place = group.place;
  family.groups.pop_back();
  family.words -= group.glob->words();
  if (family.done > 0) {
    --family.done;
  }
}

void PrefixTree::erase(WatchGroup& group) {
  by_pattern_.erase(&group);
  const std::unique_ptr<WatchGroup> owned(&group);
  if (group.literal()) {
    --literals_;
    return;
  }
  const Split where = split(group.glob->literal_prefix());
  Level* level = find_level(where.directory);
  const auto size = level->begin_sizes.find(where.beginning.size());
  if (--size->second == 0) {
    level->begin_sizes.erase(size);
  }
  leave(group);
  WatchFamily& family = *group.family;
  if (family.groups.empty()) {
    families_.erase(&family);
    const std::unique_ptr<WatchFamily> owned_family(&family);
    family.unlink();
  } else {
    // It must be borrowed from a group that stays.
    family.beginning = std::string_view(family.groups.front()->pattern)
                           .substr(where.directory.size() + 1, where.beginning.size());
  }
  drop_empty(level);
}

void PrefixTree::match_here(const Level& level, std::string_view rest, const Matching& matching) {
  for (const auto& [size, groups] : level.begin_sizes) {
    if (size > rest.size()) {
      return;
    }
    matching.work -= kLookupWork + static_cast<int64_t>(size / kHashedBytesPerWork);
    if (matching.work < 0) {
      return;
    }
    WatchFamily* family = family_at(level, rest.substr(0, size));
    if (family != nullptr && !family->behind) {
      match_family(*family, matching);
    }
  }
}

void PrefixTree::match_family(WatchFamily& family, const Matching& matching) {
  const int64_t needed = static_cast<int64_t>(family.groups.size()) * kGroupWork +
                         static_cast<int64_t>(family.words * matching.path.size());
  if (needed > matching.work) {
    PROBE("core_family_left_behind");
    family.behind = true;
    family.unlink();
    behind_[matching.number].push_back(family);
    return;
  }
  matching.work -= needed;
  for (WatchGroup* group : family.groups) {
    if (group->matches(matching.path)) {
      matching.matched.push_back(group);
    }
  }
}

void PrefixTree::match(std::string_view path, uint64_t number, int64_t& work,
                       std::vector<WatchGroup*>& matched) {
  if (literals_ > 0) {
    WatchGroup* found = by_pattern_.find(
        hash64(path), [&](const WatchGroup& group) { return group.pattern == path; });
    if (found != nullptr && found->literal()) {
      matched.push_back(found);
    }
  }
  if (families_.empty() || all_behind_) {
    return;
  }
  const Matching matching{.path = path, .number = number, .work = work, .matched = matched};
  const Level* level = top_.get();
  std::string_view rest = path.substr(1);
  for (;;) {
    match_here(*level, rest, matching);
    const size_t slash = rest.find('/');
    if (work < 0 || slash == std::string_view::npos || level->levels == 0) {
      break;
    }
    work -= kLookupWork + static_cast<int64_t>(slash / kHashedBytesPerWork);
    level = below(*level, rest.substr(0, slash));
    if (level == nullptr) {
      break;
    }
    rest.remove_prefix(slash + 1);
  }
  if (work < 0) {
    leave_all_behind(number);
  }
}

/// One step, whatever their number. Those that saw the event already look at it once more, in vain.
void PrefixTree::leave_all_behind(uint64_t number) {
  PROBE("core_all_left_behind");
  if (!up_to_date_.empty()) {
    behind_[number].take(up_to_date_);
  }
  all_behind_ = !behind_.empty();
}

bool PrefixTree::behind(const WatchGroup& group) const {
  return !group.literal() && (all_behind_ || group.family->behind);
}

std::optional<PrefixTree::Behind> PrefixTree::next_behind() {
  while (!behind_.empty()) {
    const uint64_t number = behind_.begin()->first;
    Link& families = behind_.begin()->second;
    if (families.empty()) {
      behind_.erase(behind_.begin());
      continue;
    }
    auto& family = static_cast<WatchFamily&>(*families.next);
    if (family.done < family.groups.size()) {
      ++family.done;
      return Behind{.group = family.groups[family.groups.size() - family.done], .number = number};
    }
    family.done = 0;
    family.behind = false;
    family.unlink();
    up_to_date_.push_back(family);
  }
  all_behind_ = false;
  return {};
}

}  // namespace doozer::core
