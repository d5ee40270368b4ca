#include "core/prefix_tree.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/probe.h"

namespace doozer::core {

namespace {

// What matching costs, in the operations of one word that globs are matched by.
constexpr int64_t kLookupWork = 64;
constexpr size_t kHashedBytesPerWork = 8;
constexpr int64_t kGroupWork = 48;

}  // namespace

PrefixTree::PrefixTree() : top_(std::make_unique<Level>()) {}
PrefixTree::~PrefixTree() = default;

size_t PrefixTree::BelowHash::operator()(const Below& key) const {
  return hash64(key.name, reinterpret_cast<uintptr_t>(key.level));
}

/// "/a/b" -> directory "/a", beginning "b"; "/" -> "" and "".
PrefixTree::Split PrefixTree::split(std::string_view literal_prefix) {
  const size_t slash = literal_prefix.rfind('/');
  CHECK(slash != std::string_view::npos);
  return {.directory = literal_prefix.substr(0, slash),
          .beginning = literal_prefix.substr(slash + 1)};
}

PrefixTree::Level* PrefixTree::make_level(std::string_view directory) {
  Level* level = top_.get();
  while (!directory.empty()) {
    const std::string_view rest = directory.substr(1);
    const std::string_view name = rest.substr(0, rest.find('/'));
    directory.remove_prefix(1 + name.size());
    const auto found = levels_.find({.level = level, .name = name});
    if (found != levels_.end()) {
      level = found->second.get();
      continue;
    }
    auto made = std::make_unique<Level>();
    made->parent = level;
    made->name = std::string(name);
    ++level->levels;
    Level* below = made.get();
    const Below key{.level = level, .name = below->name};
    levels_.emplace(key, std::move(made));
    level = below;
  }
  return level;
}

PrefixTree::Level* PrefixTree::find_level(std::string_view directory) const {
  Level* level = top_.get();
  while (!directory.empty()) {
    const std::string_view rest = directory.substr(1);
    const std::string_view name = rest.substr(0, rest.find('/'));
    directory.remove_prefix(1 + name.size());
    const auto found = levels_.find({.level = level, .name = name});
    CHECK(found != levels_.end());
    level = found->second.get();
  }
  return level;
}

WatchGroup& PrefixTree::group(const std::shared_ptr<const Glob>& glob) {
  const auto found = by_pattern_.find(glob->pattern());
  if (found != by_pattern_.end()) {
    return *found->second;
  }
  auto made = std::make_unique<WatchGroup>(glob);
  WatchGroup& group = *made;
  by_pattern_.emplace(group.pattern, std::move(made));
  if (group.literal()) {
    ++literals_;
    return group;
  }
  const std::string_view prefix =
      std::string_view(group.pattern).substr(0, glob->literal_prefix().size());
  const Split where = split(prefix);
  Level* level = make_level(where.directory);
  ++level->begin_sizes[where.beginning.size()];
  std::unique_ptr<WatchFamily>& family = families_[{.level = level, .name = where.beginning}];
  if (family == nullptr) {
    family = std::make_unique<WatchFamily>();
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
  if (group.literal()) {
    --literals_;
    by_pattern_.erase(group.pattern);
    return;
  }
  const Split where = split(group.glob->literal_prefix());
  Level* level = find_level(where.directory);
  const auto size = level->begin_sizes.find(where.beginning.size());
  if (--size->second == 0) {
    level->begin_sizes.erase(size);
  }
  const Below key{.level = level, .name = where.beginning};
  auto here = families_.extract(key);
  CHECK(!here.empty());
  leave(group);
  WatchFamily& family = *here.mapped();
  if (family.groups.empty()) {
    family.unlink();
  } else {
    // The key must be borrowed from a group that stays.
    here.key().name = std::string_view(family.groups.front()->pattern)
                          .substr(where.directory.size() + 1, where.beginning.size());
    families_.insert(std::move(here));
  }
  while (level->parent != nullptr && level->levels == 0 && level->begin_sizes.empty()) {
    Level* parent = level->parent;
    --parent->levels;
    levels_.erase(Below{.level = parent, .name = level->name});
    level = parent;
  }
  by_pattern_.erase(group.pattern);
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
    const auto found = families_.find({.level = &level, .name = rest.substr(0, size)});
    if (found != families_.end() && !found->second->behind) {
      match_family(*found->second, matching);
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
    const auto found = by_pattern_.find(path);
    if (found != by_pattern_.end() && found->second->literal()) {
      matched.push_back(found->second.get());
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
    const auto below = levels_.find({.level = level, .name = rest.substr(0, slash)});
    if (below == levels_.end()) {
      break;
    }
    level = below->second.get();
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
