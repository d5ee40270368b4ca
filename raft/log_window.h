// The newest part of the log in memory: what may still be applied, truncated or sent.
//
// It must never: forget an entry above what the machine applied, or have a gap.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "base/check.h"
#include "base/types.h"
#include "raft/types.h"

namespace doozer::raft {

class LogWindow {
 public:
  LogWindow() = default;
  /// An empty window above `below`.
  explicit LogWindow(const LogPosition& below) : below_(below), last_(below) {}

  /// The position right below the first entry that is kept.
  const LogPosition& below() const { return below_; }
  Index first() const { return below_.index + 1; }
  const LogPosition& last() const { return last_; }
  size_t size() const { return slots_.size(); }
  /// Of all entries kept, as kEntryOverheadBytes counts them.
  uint64_t bytes() const { return end_bytes_ - begin_bytes_; }
  /// Of entries first .. last, both kept, or first = last + 1.
  uint64_t bytes_between(Index first, Index last) const;

  const Entry& entry(Index index) const {
    CHECK(index > below_.index);
    CHECK(index <= last_.index);
    return slots_[index - below_.index - 1].entry;
  }
  /// nullopt if it was forgotten or is not there yet.
  std::optional<Term> term_of(Index index) const;
  /// The highest position at or below `index` whose term is at most `term`, as far as the window
  /// reaches; nullopt if it would be below().
  std::optional<LogPosition> highest_at_most(Index index, Term term) const;

  /// `entry.index` must be last().index + 1, its term not below the last one's.
  void append(Entry entry);
  /// Drops `index` and what follows; `index` > below().
  void truncate_from(Index index);
  /// Drops entries up to `index`, which is kept as below().
  void forget_to(Index index);

 private:
  struct Slot {
    Entry entry;
    uint64_t bytes_to = 0;  ///< of all entries ever appended up to this one
  };

  std::deque<Slot> slots_;
  LogPosition below_;
  LogPosition last_;
  uint64_t begin_bytes_ = 0;
  uint64_t end_bytes_ = 0;
};

}  // namespace doozer::raft
