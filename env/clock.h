// Time, timers and turns. The whole server hangs on this: io/ has the real one, sim/ the virtual
// one.
//
// A turn of the loop does, in this order: due timers, control links, disk and work completions,
// bulk links, clients (for at most kClientsPerTurnUs), posted slices, then the turn-end hooks.
// Everything runs on the one thread of the loop and never inside a call from the server into env/.
#pragma once

#include <cstdint>

#include "base/function.h"

namespace doozer::env {

/// Names a timer; 0 is none.
using TimerId = uint64_t;

class Clock {
 public:
  virtual ~Clock() = default;
  /// Monotonic microseconds; fixed within a callback is not promised.
  virtual uint64_t now_us() const = 0;
  /// Microseconds since 1970, for people and for cluster_time. Never for time-outs.
  virtual int64_t wall_us() const = 0;
  /// Calls `then` once, in a turn at or after `when_us` of now_us().
  virtual TimerId at(uint64_t when_us, UniqueFunction<void()> then) = 0;
  /// A timer that has run or was cancelled is ignored. Afterwards `then` will not run.
  virtual void cancel(TimerId timer) = 0;
  /// Runs `slice` in the next turn, after clients: the way to go on with a cursor.
  virtual void post(UniqueFunction<void()> slice) = 0;
  /// Adds a hook that runs at the end of every turn in which anything else ran, for as long as the
  /// clock lives. Hooks run in the order in which they were added.
  virtual void at_turn_end(UniqueFunction<void()> hook) = 0;
};

}  // namespace doozer::env
