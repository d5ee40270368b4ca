// The events of the last revisions, oldest first. Each is a node and the version that the command
// made; reads at an old revision find their versions through the nodes, waits search the events.
//
// Two ends are kept apart. What may be *asked* ends exactly at oldest(): the last
// `history_revisions` revisions, fewer if their bytes exceed the limit. What is *held* trails
// behind it: trimming frees a bounded number of events at a time, and a pin (a snapshot being
// written) stops it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "base/budget.h"
#include "base/types.h"
#include "core/event.h"
#include "core/tree.h"

namespace doozer::core {

/// One change of one file, or (null node) a nop.
struct Event {
  Change change;
  Revision revision;
  uint32_t sub : 31;
  uint32_t last : 1;  ///< of its revision
  uint32_t cost = 0;  ///< bytes that only the history holds for it
};
static_assert(sizeof(Event) == 32);

/// Holds the trimming back at a revision as long as it is referred to.
struct Pin {
  Revision revision;
  bool lost = false;  ///< given up: it held back too much
};

class History {
 public:
  History(Tree& tree, int64_t revisions, size_t bytes)
      : tree_(tree), revisions_max_(revisions), bytes_max_(bytes) {}

  /// Adds the events of one command: all of one revision, after the last.
  void add(Revision revision, const std::vector<Change>& changes);
  /// After loading an image: what is older than `revision` was never seen.
  void begin_at(Revision revision) { oldest_ = revision; }

  Revision oldest() const { return oldest_; }
  /// Events are numbered through; those from begin() to end() - 1 are held.
  uint64_t begin() const { return first_; }
  uint64_t end() const { return first_ + events_.size(); }
  /// The first that may be asked for.
  uint64_t kept_begin() const { return kept_first_; }
  const Event& at(uint64_t number) const { return events_[number - first_]; }
  EventView view(uint64_t number) const;
  /// The number of the first held event at or after `position`; end() if there is none.
  uint64_t find(Position position) const;

  /// Frees up to `events` events that nobody may ask for; true if more wait for it.
  bool trim(size_t events);
  bool trim(Budget& budget);
  std::shared_ptr<Pin> pin(Revision revision);

  size_t event_count() const { return events_.size(); }
  size_t bytes() const { return bytes_; }
  /// Forgets everything without touching the tree, in slices. True if work remains.
  bool release(Budget& budget);

 private:
  bool trim_one();
  void advance();
  Revision trim_to();

  Tree& tree_;
  const int64_t revisions_max_;
  const size_t bytes_max_;
  std::deque<Event> events_;
  uint64_t first_ = 0;
  uint64_t kept_first_ = 0;
  Revision newest_;
  Revision oldest_{1};
  size_t bytes_ = 0;       // of all held events
  size_t kept_bytes_ = 0;  // of those that may be asked for
  std::vector<std::shared_ptr<Pin>> pins_;
};

}  // namespace doozer::core
