#include "core/prefix_tree.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"

namespace doozer::core {

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
  std::vector<WatchGroup*>& here = beginnings_[{.level = level, .name = where.beginning}];
  here.push_back(&group);
  return group;
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
  auto here = beginnings_.extract(key);
  CHECK(!here.empty());
  std::erase(here.mapped(), &group);
  if (!here.mapped().empty()) {
    // The key must be borrowed from a group that stays.
    here.key().name = std::string_view(here.mapped().front()->pattern)
                          .substr(where.directory.size() + 1, where.beginning.size());
    beginnings_.insert(std::move(here));
  }
  while (level->parent != nullptr && level->levels == 0 && level->begin_sizes.empty()) {
    Level* parent = level->parent;
    --parent->levels;
    levels_.erase(Below{.level = parent, .name = level->name});
    level = parent;
  }
  by_pattern_.erase(group.pattern);
}

void PrefixTree::match_here(const Level& level, std::string_view rest, std::string_view path,
                            std::vector<WatchGroup*>& matched) const {
  for (const auto& [size, groups] : level.begin_sizes) {
    if (size > rest.size()) {
      return;
    }
    const auto found = beginnings_.find({.level = &level, .name = rest.substr(0, size)});
    if (found == beginnings_.end()) {
      continue;
    }
    for (WatchGroup* group : found->second) {
      if (group->matches(path)) {
        matched.push_back(group);
      }
    }
  }
}

void PrefixTree::match(std::string_view path, std::vector<WatchGroup*>& matched) const {
  if (literals_ > 0) {
    const auto found = by_pattern_.find(path);
    if (found != by_pattern_.end() && found->second->literal()) {
      matched.push_back(found->second.get());
    }
  }
  if (beginnings_.empty()) {
    return;
  }
  const Level* level = top_.get();
  std::string_view rest = path.substr(1);
  for (;;) {
    match_here(*level, rest, path, matched);
    const size_t slash = rest.find('/');
    if (slash == std::string_view::npos || level->levels == 0) {
      return;
    }
    const auto below = levels_.find({.level = level, .name = rest.substr(0, slash)});
    if (below == levels_.end()) {
      return;
    }
    level = below->second.get();
    rest.remove_prefix(slash + 1);
  }
}

}  // namespace doozer::core
