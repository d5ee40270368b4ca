// How many lines of one kind of trouble may be logged a second; the rest are counted and told with
// the next line.
#pragma once

#include <cstdint>
#include <utility>

#include "transport/limits.h"

namespace doozer::transport {

class LogPace {
 public:
  /// True if a line may be logged now.
  bool may(uint64_t now_us) {
    const uint64_t second = now_us / 1'000'000;
    if (second != second_) {
      second_ = second;
      lines_ = 0;
    }
    if (lines_ >= kLogLinesPerSecond) {
      ++hidden_;
      return false;
    }
    ++lines_;
    return true;
  }
  /// Lines that were not logged since this was asked last.
  uint64_t take_hidden() { return std::exchange(hidden_, 0); }

 private:
  uint64_t second_ = 0;
  size_t lines_ = 0;
  uint64_t hidden_ = 0;
};

}  // namespace doozer::transport
