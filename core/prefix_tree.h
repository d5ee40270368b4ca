// Groups of waiters by their globs, so that an event finds those that match it without looking at
// the others: a literal glob by its path; any other by the components of its literal prefix, and
// within the last directory by the literal beginning of the next name. "/a/b*/c" lies at directory
// "/a", beginning "b"; "/**" at the top, beginning "".
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/glob.h"
#include "core/watch_group.h"

namespace doozer::core {

class PrefixTree {
 public:
  PrefixTree();
  ~PrefixTree();
  /// The group of the glob, made if there is none.
  WatchGroup& group(const std::shared_ptr<const Glob>& glob);
  /// Takes the group out and frees it.
  void erase(WatchGroup& group);
  /// Appends the groups whose glob matches `path`.
  void match(std::string_view path, std::vector<WatchGroup*>& matched) const;
  size_t size() const { return by_pattern_.size(); }

 private:
  struct Level;
  struct Below {  // what a name leads to, from one level
    const Level* level;
    std::string_view name;
    bool operator==(const Below&) const = default;
  };
  struct BelowHash {
    size_t operator()(const Below& key) const;
  };
  /// One directory of literal prefixes.
  struct Level {
    Level* parent = nullptr;
    std::string name;
    size_t levels = 0;                     // directly below
    std::map<size_t, size_t> begin_sizes;  // sizes of beginnings here -> how many groups
  };
  struct Split {
    std::string_view directory;  // "" or "/a/b"
    std::string_view beginning;
  };
  static Split split(std::string_view literal_prefix);
  Level* make_level(std::string_view directory);
  Level* find_level(std::string_view directory) const;
  void match_here(const Level& level, std::string_view rest, std::string_view path,
                  std::vector<WatchGroup*>& matched) const;

  std::unordered_map<std::string_view, std::unique_ptr<WatchGroup>> by_pattern_;
  size_t literals_ = 0;
  std::unique_ptr<Level> top_;
  std::unordered_map<Below, std::unique_ptr<Level>, BelowHash> levels_;
  // Beginnings are borrowed from the patterns of their groups.
  std::unordered_map<Below, std::vector<WatchGroup*>, BelowHash> beginnings_;
};

}  // namespace doozer::core
