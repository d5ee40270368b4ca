// The timers of a loop: a binary heap that knows where each timer stands, so that cancelling one
// leaves nothing behind (most time-outs are cancelled).
#pragma once

#include <cstdint>
#include <vector>

#include "base/function.h"
#include "env/clock.h"

namespace doozer::io {

/// Timers that fall due at one moment run in the order in which they were added.
class TimerHeap {
 public:
  env::TimerId add(uint64_t when_us, UniqueFunction<void()> then);
  /// A timer that is no longer there is ignored.
  void cancel(env::TimerId timer);
  bool empty() const { return heap_.empty(); }
  size_t size() const { return heap_.size(); }
  /// When the first is due; not to be called on an empty heap.
  uint64_t first_us() const;
  /// Takes out the first timer that is due at `now_us`; empty if none is.
  UniqueFunction<void()> take_due(uint64_t now_us);

 private:
  struct Slot {
    uint64_t when_us = 0;
    uint64_t order = 0;
    uint32_t generation = 1;
    uint32_t position = 0;  // in heap_
    UniqueFunction<void()> then;
  };
  bool before(uint32_t a, uint32_t b) const;
  void place(uint32_t position, uint32_t slot);
  void sift_up(uint32_t position);
  void sift_down(uint32_t position);
  UniqueFunction<void()> remove(uint32_t position);

  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> heap_;  // numbers of slots
  uint64_t next_order_ = 0;
};

}  // namespace doozer::io
