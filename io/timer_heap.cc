#include "io/timer_heap.h"

#include <utility>

#include "base/check.h"

namespace doozer::io {

// A TimerId is the slot in the low half and the slot's generation in the high one, so that an
// outdated id names nothing. Generations begin at 1: 0 is no timer.
env::TimerId TimerHeap::add(uint64_t when_us, UniqueFunction<void()> then) {
  CHECK(static_cast<bool>(then));
  uint32_t number = 0;
  if (free_.empty()) {
    number = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    number = free_.back();
    free_.pop_back();
  }
  Slot& slot = slots_[number];
  slot.when_us = when_us;
  slot.order = next_order_++;
  slot.then = std::move(then);
  heap_.push_back(number);
  place(static_cast<uint32_t>(heap_.size() - 1), number);
  sift_up(slot.position);
  return uint64_t{slot.generation} << 32U | number;
}

void TimerHeap::cancel(env::TimerId timer) {
  const auto number = static_cast<uint32_t>(timer);
  const auto generation = static_cast<uint32_t>(timer >> 32U);
  if (number >= slots_.size() || slots_[number].generation != generation) return;
  // What the callable owns is freed here, outside the heap: its destructor may come back to us.
  const UniqueFunction<void()> dropped = remove(slots_[number].position);
}

uint64_t TimerHeap::first_us() const {
  CHECK(!heap_.empty());
  return slots_[heap_.front()].when_us;
}

UniqueFunction<void()> TimerHeap::take_due(uint64_t now_us) {
  if (heap_.empty() || first_us() > now_us) return {};
  return remove(0);
}

bool TimerHeap::before(uint32_t a, uint32_t b) const {
  const Slot& left = slots_[a];
  const Slot& right = slots_[b];
  return left.when_us != right.when_us ? left.when_us < right.when_us : left.order < right.order;
}

void TimerHeap::place(uint32_t position, uint32_t slot) {
  heap_[position] = slot;
  slots_[slot].position = position;
}

void TimerHeap::sift_up(uint32_t position) {
  const uint32_t moving = heap_[position];
  while (position > 0) {
    const uint32_t parent = (position - 1) / 2;
    if (!before(moving, heap_[parent])) break;
    place(position, heap_[parent]);
    position = parent;
  }
  place(position, moving);
}

void TimerHeap::sift_down(uint32_t position) {
  const uint32_t moving = heap_[position];
  const auto size = static_cast<uint32_t>(heap_.size());
  while (position * 2 + 1 < size) {
    uint32_t child = position * 2 + 1;
    if (child + 1 < size && before(heap_[child + 1], heap_[child])) ++child;
    if (!before(heap_[child], moving)) break;
    place(position, heap_[child]);
    position = child;
  }
  place(position, moving);
}

UniqueFunction<void()> TimerHeap::remove(uint32_t position) {
  const uint32_t number = heap_[position];
  const uint32_t last = heap_.back();
  heap_.pop_back();
  if (last != number) {
    place(position, last);
    sift_up(position);
    sift_down(slots_[last].position);
  }
  Slot& slot = slots_[number];
  UniqueFunction<void()> then = std::move(slot.then);
  if (++slot.generation == 0) slot.generation = 1;
  free_.push_back(number);
  return then;
}

}  // namespace doozer::io
