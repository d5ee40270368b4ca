// How fast writes are applied while many wait, and so how many may wait: as many as half a second
// does, by count and by bytes. More would only make all of them late, and in the end unknown; they
// are refused at once, so that whoever sends more than a cluster can do hears of it, and the others
// are served in time. Pure: no clock.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/limits.h"

namespace doozer::server {

constexpr uint64_t kWriteWaitUs = 500'000;   ///< a write that waits longer behind others is late
constexpr uint64_t kPaceWindowUs = 100'000;  ///< of one measurement

// Writes. So many may always wait, if they are small.
constexpr size_t kWritesWaitingMin = 4'096;
constexpr size_t kPaceWrites = 1'024;  ///< while fewer wait, the pace is that of the clients

// Their bytes. So many may always wait, however small the pace.
constexpr size_t kWriteBytesWaitingMin = 2 * kMiB;
constexpr size_t kPaceWriteBytes = kMiB;  ///< while fewer wait, the pace is that of the clients
/// Before anything was measured: what a slow disk does in time. A faster one shows soon that it is.
constexpr size_t kWriteBytesWaitingAtFirst = 8 * kMiB;
/// Large writes are applied batch by batch, and a batch of them may take a disk so long.
constexpr uint64_t kPaceBytesPauseUs = 1'000'000;

struct WriteAmount {
  uint64_t writes = 0;
  uint64_t bytes = 0;
};

/// The pace of one quantity. It counts while enough of it waits, from one window to the next.
class PaceMeter {
 public:
  PaceMeter(uint64_t per_second, uint64_t crowded_from, uint64_t pause_us)
      : per_second_(per_second), crowded_from_(crowded_from), pause_us_(pause_us) {}
  /// `done` in this turn, `left` waits. After `pause_us` of nothing done it begins anew: a pause (a
  /// leader that is elected, a disk that hangs) says nothing of what comes after it.
  void applied(uint64_t now_us, uint64_t done, uint64_t left);
  /// As much as kWriteWaitUs does.
  uint64_t in_time() const { return per_second_ * kWriteWaitUs / 1'000'000; }

 private:
  uint64_t per_second_;
  uint64_t crowded_from_;
  uint64_t pause_us_;
  uint64_t since_us_ = 0;  ///< 0: nothing is being measured
  uint64_t last_us_ = 0;
  uint64_t sum_ = 0;
};

class WritePace {
 public:
  /// `done` was applied in this turn, `left` waits.
  void applied(uint64_t now_us, const WriteAmount& done, const WriteAmount& left);
  /// So many may wait.
  size_t writes_max() const;
  /// So many of their bytes.
  size_t bytes_max() const;
  /// Whether `bytes` more may wait behind `waiting`. Whatever its size, one that comes alone may.
  bool has_place(const WriteAmount& waiting, size_t bytes) const;

 private:
  PaceMeter writes_{kProposedEntriesMax * (1'000'000 / kWriteWaitUs), kPaceWrites, kPaceWindowUs};
  PaceMeter bytes_{kWriteBytesWaitingAtFirst * (1'000'000 / kWriteWaitUs), kPaceWriteBytes,
                   kPaceBytesPauseUs};
};

static_assert(kWriteWaitUs < kUnknownAfterUs / 2);
static_assert(kPaceWrites < kWritesWaitingMin);
static_assert(kPaceWriteBytes < kWriteBytesWaitingMin);
static_assert(kWriteBytesWaitingAtFirst <= kProposedBytesMax);
static_assert(kPaceBytesPauseUs >= kPaceWindowUs);

}  // namespace doozer::server
