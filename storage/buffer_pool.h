// Buffers for batches that were used before: their memory is mapped already, which costs ten times
// what copying into it does. Bounded; what is too much is freed by whoever asks keep().
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"

namespace doozer::storage {

constexpr size_t kSpareBytesMax = 2 * (kLogBatchBytesMax + kValueBytesMax);
constexpr size_t kSpareBuffersMax = 8;

class BufferPool {
 public:
  /// An empty buffer; one of at least `bytes` if there is such a one.
  std::string take(size_t bytes) {
    for (std::string& spare : spares_) {
      if (spare.capacity() >= bytes) std::swap(spare, spares_.back());
    }
    if (spares_.empty()) return {};
    std::string buffer = std::move(spares_.back());
    spares_.pop_back();
    bytes_ -= buffer.capacity();
    buffer.clear();
    return buffer;
  }

  bool has_room_for(size_t bytes) const {
    return spares_.size() < kSpareBuffersMax && bytes_ + bytes <= kSpareBytesMax;
  }

  void give(std::string buffer) {
    if (!has_room_for(buffer.capacity())) return;
    bytes_ += buffer.capacity();
    spares_.push_back(std::move(buffer));
  }

 private:
  std::vector<std::string> spares_;
  size_t bytes_ = 0;  ///< capacities
};

}  // namespace doozer::storage
