// Numbered places for what is outstanding: a place is reused as soon as it is free, and the memory
// is given back when the last one is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"

namespace doozer::door {

template <typename T>
class Slab {
 public:
  /// The number of the place that now holds `value`.
  uint32_t put(T value) {
    ++live_;
    if (free_ != kNone) {
      const uint32_t id = free_;
      free_ = places_[id].next_free;
      places_[id] = Place{std::move(value), kTaken};
      return id;
    }
    CHECK(places_.size() < kTaken);
    places_.push_back(Place{std::move(value), kTaken});
    return static_cast<uint32_t>(places_.size() - 1);
  }
  /// REQUIRES that `id` is taken. The reference is good until the next put() or take().
  T& at(uint64_t id) {
    CHECK(holds(id));
    return places_[id].value;
  }
  bool holds(uint64_t id) const { return id < places_.size() && places_[id].next_free == kTaken; }
  T take(uint64_t id) {
    T value = std::move(at(id));
    places_[id].value = T();
    places_[id].next_free = free_;
    free_ = static_cast<uint32_t>(id);
    --live_;
    if (live_ == 0 && places_.capacity() > kKept) {
      places_ = {};
      free_ = kNone;
    }
    return value;
  }
  size_t live() const { return live_; }
  /// The first taken place at or after `from`; nothing if there is none.
  std::optional<uint32_t> first_from(uint32_t from) const {
    for (uint32_t id = from; id < places_.size(); ++id) {
      if (places_[id].next_free == kTaken) return id;
    }
    return std::nullopt;
  }
  /// Numbers of the places that are taken, rising.
  std::vector<uint32_t> ids() const {
    std::vector<uint32_t> ids;
    for (uint32_t id = 0; id < places_.size(); ++id) {
      if (places_[id].next_free == kTaken) ids.push_back(id);
    }
    return ids;
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kTaken = UINT32_MAX - 1;
  static constexpr size_t kKept = 64;  ///< so many places are kept when idle
  struct Place {
    T value;
    uint32_t next_free = kNone;
  };
  std::vector<Place> places_;
  uint32_t free_ = kNone;
  size_t live_ = 0;
};

}  // namespace doozer::door
