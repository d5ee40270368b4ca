// All waiters of one glob.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

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

/// Searches of one group by the number of the first event that they look at.
struct WatchSearch {
  std::map<uint64_t, Link> round;       ///< the sweep under way
  std::map<uint64_t, Link> next_round;  ///< began behind it
  uint64_t at = 0;                      ///< the next event of the sweep
};

struct WatchGroup {
  explicit WatchGroup(const std::shared_ptr<const Glob>& glob)
      : pattern(glob->pattern()), glob(glob->literal() ? nullptr : glob) {}
  bool literal() const { return glob == nullptr; }
  int64_t steps(size_t path_bytes) const { return literal() ? 1 : glob->steps(path_bytes); }
  bool matches(std::string_view path) const {
    return literal() ? path == pattern : glob->matches(path);
  }

  std::string pattern;
  std::shared_ptr<const Glob> glob;  ///< null if literal: the pattern is the path
  uint64_t users = 0;                ///< records and batches that refer to it
  Link waiting;
  std::unique_ptr<WatchSearch> search;  ///< null if nobody searches
};

}  // namespace doozer::core
