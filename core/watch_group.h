// All waiters of one glob, and families of such groups.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/glob.h"

namespace doozer::core {

/// A member of a doubly linked ring; alone it is linked to itself.
struct Link {
  Link* next = this;
  Link* previous = this;
  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  bool empty() const { return next == this; }
  void unlink() {
    next->previous = previous;
    previous->next = next;
    next = previous = this;
  }
  void push_back(Link& link) {
    link.previous = previous;
    link.next = this;
    previous->next = &link;
    previous = &link;
  }
  /// Takes all members of `other`, whatever their number, in one step.
  void take(Link& other) {
    if (other.empty()) {
      return;
    }
    other.next->previous = previous;
    previous->next = other.next;
    other.previous->next = this;
    previous = other.previous;
    other.next = other.previous = &other;
  }
};

/// Searches of one group that look at the same event first.
struct WatchSearches {
  Link plain;     ///< the first match is theirs: handed on whole
  Link skipping;  ///< they pass over some matches of their first revision: looked at one by one
  bool empty() const { return plain.empty() && skipping.empty(); }
};

/// The sweep of one group through the history: all its searches, by the number of the first event
/// that they look at. A list may be left empty when its last search is cancelled.
struct WatchSweep {
  std::map<uint64_t, WatchSearches> round;       ///< the round under way
  std::map<uint64_t, WatchSearches> next_round;  ///< began behind it
  uint64_t at = 0;                               ///< the next event to look at

  /// Where a search belongs that begins at event `start`.
  WatchSearches& searches_from(uint64_t start) {
    if (round.empty()) {
      at = start;
    }
    return (start < at ? next_round : round)[start];
  }
};

struct WatchFamily;

struct WatchGroup {
  explicit WatchGroup(const std::shared_ptr<const Glob>& glob)
      : pattern(glob->pattern()), glob(glob->literal() ? nullptr : glob) {}
  bool literal() const { return glob == nullptr; }
  int64_t steps(size_t path_bytes) const { return literal() ? 1 : glob->steps(path_bytes); }
  bool matches(std::string_view path) const {
    return literal() ? path == pattern : glob->matches(path);
  }

  std::string pattern;
  std::shared_ptr<const Glob> glob;   ///< null if literal: the pattern is the path
  uint32_t users = 0;                 ///< records, batches and a sweep that refer to it
  uint32_t place = 0;                 ///< in the family
  Link waiting;                       ///< seen every event, unless the family was left behind
  std::unique_ptr<WatchSweep> sweep;  ///< null if nobody searches
  WatchFamily* family = nullptr;      ///< null if literal
};

/// The groups with one literal beginning. A member of the ring of families that are up to date, or
/// of one of those left behind.
struct WatchFamily : Link {
  std::vector<WatchGroup*> groups;
  uint64_t words = 0;   ///< of all their globs
  bool behind = false;  ///< left behind by an event of its own
  size_t done = 0;      ///< so many groups, the last ones, were looked at since
  /// What it is found by: a directory of PrefixTree, and the beginning of what follows, borrowed
  /// from the pattern of one of its groups.
  const void* directory = nullptr;
  std::string_view beginning;
};

}  // namespace doozer::core
