// The events of the last revisions, oldest first. Each is a node and the version that the command
// made; reads at an old revision find their versions through the nodes, waits search the events.
//
// Two ends are kept apart. What may be *asked* ends exactly at oldest(): the last
// `history_revisions` revisions, fewer if their bytes exceed the limit. The events that are *there*
// trail behind it: trimming frees a bounded number of them at a time.
//
// A pin (a snapshot being written) does not stop the trimming. But of the versions that it would
// free, those that files have at the pin's revision, and that the scan has not passed yet, are held
// for the pin: one a file at the most, however often it is written.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
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

/// As long as it is referred to, files behind `passed` can be read as they are at `revision`.
struct Pin {
  Revision revision;
  std::string passed;  ///< paths before it are done with
  bool lost = false;   ///< given up: too much was held for it
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
  /// Events are numbered through; those from begin() to end() - 1 are there.
  uint64_t begin() const { return first_; }
  uint64_t end() const { return first_ + events_.size(); }
  /// The first that may be asked for.
  uint64_t kept_begin() const { return kept_first_; }
  const Event& at(uint64_t number) const { return events_[number - first_]; }
  EventView view(uint64_t number) const;
  /// The number of the first event at or after `position`; end() if there is none.
  uint64_t find(Position position) const;

  /// Frees up to `events` events that nobody may ask for; true if more wait for it.
  bool trim(size_t events);
  bool trim(Budget& budget);
  /// At the newest revision.
  std::shared_ptr<Pin> pin();

  size_t event_count() const { return events_.size(); }
  /// All that is there, and all that is held for pins.
  size_t bytes() const { return bytes_ + held_bytes_; }
  size_t held_bytes() const { return held_bytes_; }
  /// Forgets everything without touching the tree, in slices. True if work remains.
  bool release(Budget& budget);

 private:
  /// Versions of one file that are held: its oldest ones.
  struct Held {
    uint64_t since = 0;  // pins that were made before this many were in use then
    uint32_t versions = 0;
    size_t bytes = 0;
    // What was left when its event was let go; gone itself no later than the next event of the
    // file.
    const Version* tombstone = nullptr;
  };
  struct HeldNode {
    Node* node = nullptr;
    uint64_t since = 0;
  };
  bool trim_one();
  bool trim_event();
  bool is_pinned(const Event& event) const;
  void retire(const Event& event);
  void hold(Node& node, size_t bytes);
  bool release_one();
  void release_held(Node& node);
  void look_at_pins();
  void advance();

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
  uint64_t pin_sets_ = 0;                       // times that a first pin was made
  std::unordered_map<const Node*, Held> held_;  // never iterated
  std::deque<HeldNode> held_order_;  // some of another `since` than in held_: these are over
  size_t held_bytes_ = 0;
};

}  // namespace doozer::core
