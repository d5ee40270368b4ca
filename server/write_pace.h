// How fast writes are applied while many wait, and so how many may wait: as many as half a second
// does. More would only make all of them late, and in the end unknown; they are refused at once,
// so that whoever sends more than a cluster can do hears of it, and the others are served in time.
// Pure: no clock.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/limits.h"

namespace doozer::server {

constexpr uint64_t kWriteWaitUs = 500'000;   ///< a write that waits longer behind others is late
constexpr size_t kWritesWaitingMin = 4'096;  ///< so many may always wait
constexpr size_t kPaceWrites = 1'024;        ///< while fewer wait, the pace is that of the clients
constexpr uint64_t kPaceWindowUs = 100'000;  ///< of one measurement

class WritePace {
 public:
  /// `count` were applied in this turn, `left` wait.
  void applied(uint64_t now_us, uint64_t count, size_t left);
  /// So many may wait.
  size_t waiting_max() const;

 private:
  uint64_t per_second_ = kProposedEntriesMax * (1'000'000 / kWriteWaitUs);
  uint64_t since_us_ = 0;  ///< 0: nothing is being measured
  uint64_t last_us_ = 0;
  uint64_t count_ = 0;
};

static_assert(kWriteWaitUs < kUnknownAfterUs / 2);
static_assert(kPaceWrites < kWritesWaitingMin);

}  // namespace doozer::server
