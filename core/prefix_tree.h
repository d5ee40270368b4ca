// Groups of waiters by their globs, so that an event finds those that match it without looking at
// the others: a literal glob by its path; any other by the components of its literal prefix, and
// within the last directory by the literal beginning of the next name. "/a/b*/c" lies at directory
// "/a", beginning "b"; "/**" at the top, beginning "". Groups that lie at one place are a family.
// Of a long prefix only the first kLiteralDirectories components are directories; the rest is
// beginning.
//
// Matching an event must not take long, whatever clients wait for. So it is given an allowance of
// work, and a family that needs more than is left is *left behind*: all its waiters must search for
// the event in the history, in slices. If even finding the families takes too much, all are.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/glob.h"
#include "core/sharded_table.h"
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
  /// Appends the groups whose glob matches `path`, the path of event `number`, but for those of
  /// families left behind, by this event or before. Takes what it costs off `work`, in operations
  /// of a nanosecond or so; literal globs cost nothing.
  void match(std::string_view path, uint64_t number, int64_t& work,
             std::vector<WatchGroup*>& matched);

  /// True: waiters of the group must search, nobody may join those who have seen every event.
  bool behind(const WatchGroup& group) const;
  bool any_behind() const { return !behind_.empty(); }
  /// The next group of a family left behind, whose waiters have seen no event from `number` on. May
  /// come more than once. None when all have come; then no family is behind any more.
  struct Behind {
    WatchGroup* group;
    uint64_t number;
  };
  std::optional<Behind> next_behind();

  size_t size() const { return by_pattern_.size(); }

  /// What a group of this glob holds in proportion to its pattern: at most so much.
  static size_t bytes_of(const Glob& glob);

 private:
  struct Level;
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
  struct PatternHash {
    uint64_t operator()(const WatchGroup& group) const;
  };
  struct LevelHash {
    uint64_t operator()(const Level& level) const;
  };
  struct FamilyHash {
    uint64_t operator()(const WatchFamily& family) const;
  };
  struct Matching {
    std::string_view path;
    uint64_t number;
    int64_t& work;
    std::vector<WatchGroup*>& matched;
  };
  static Split split(std::string_view literal_prefix);
  Level* make_level(std::string_view directory);
  Level* find_level(std::string_view directory) const;
  Level* below(const Level& level, std::string_view name) const;
  WatchFamily* family_at(const Level& level, std::string_view beginning) const;
  void drop_empty(Level* level);
  void join(WatchGroup& group, WatchFamily& family);
  void leave(WatchGroup& group);
  void match_here(const Level& level, std::string_view rest, const Matching& matching);
  void match_family(WatchFamily& family, const Matching& matching);
  void leave_all_behind(uint64_t number);

  // Tables of what they own.
  ShardedTable<WatchGroup, PatternHash> by_pattern_;
  size_t literals_ = 0;
  std::unique_ptr<Level> top_;
  ShardedTable<Level, LevelHash> levels_;  // but for the top
  ShardedTable<WatchFamily, FamilyHash> families_;
  Link up_to_date_;                  // families
  std::map<uint64_t, Link> behind_;  // families, by the first event that they have not seen
  bool all_behind_ = false;          // until behind_ is empty
};

}  // namespace doozer::core
