// Waiting for events and for revisions. One-shot: a waiter hears one event, the first at or after
// its position whose path matches, from history or the future. Waiters are cursors on the shared
// history: a slow one costs its cursor and no queue. Matching a new event looks only at globs whose
// literal prefix leads to its path; all waiters of one glob are one group.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/budget.h"
#include "base/result.h"
#include "base/types.h"
#include "core/event.h"
#include "core/glob.h"

namespace doozer::core {

/// What new events may cost to match at once between two calls of run(), as core/prefix_tree.h
/// counts it: two thirds of a millisecond. What costs more is found by searches.
constexpr int64_t kMatchWork = 512 * 1024;

/// What a wait for this glob may hold in proportion to it, beside the few hundred bytes of any
/// wait.
size_t wait_bytes(const Glob& glob);

using WatchId = Strong<struct WatchIdTag, uint64_t>;  ///< 0: none

/// Hears the end of its wait, once, from within Watches::run() or Machine::run(). It may add and
/// cancel waits from inside; it must outlive them.
class Waiter {
 public:
  virtual ~Waiter() = default;
  /// `more`: how many later events of the same revision match the same glob.
  virtual void on_event(WatchId id, uint64_t cookie, const EventView& event, uint32_t more) = 0;
  /// The machine has applied the awaited revision and still holds it.
  virtual void on_revision(WatchId id, uint64_t cookie) = 0;
  /// What was waited for has left the history, whose oldest revision is `oldest`.
  virtual void on_too_late(WatchId id, uint64_t cookie, Revision oldest) = 0;
};

class Watches {
 public:
  virtual ~Watches() = default;
  /// Waits for the first event at or after `from` (revision <= 1 means 1) whose path matches, after
  /// skipping `skip` matching events of exactly that revision. Never calls back at once.
  /// The caller has checked that from.revision is not too late. `cookie` is the waiter's own.
  virtual WatchId wait_event(std::shared_ptr<const Glob> glob, Position from, uint32_t skip,
                             Waiter& waiter, uint64_t cookie) = 0;
  /// Waits until the machine's revision is at least `revision`. Never calls back at once.
  virtual WatchId wait_revision(Revision revision, Waiter& waiter, uint64_t cookie) = 0;
  /// Afterwards the waiter hears nothing of `id`. An id that is over is ignored.
  virtual void cancel(WatchId id) = 0;
  /// Goes on with searches and fan-out within the budget; true if work remains.
  virtual bool run(Budget& budget) = 0;
  virtual size_t count() const = 0;
};

}  // namespace doozer::core
