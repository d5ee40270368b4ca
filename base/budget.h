// The allowance of one slice of work, so that no turn of the loop takes long.
#pragma once

#include <cstdint>

namespace doozer {

/// Counts down steps; about a microsecond each at the most. Cursors take a Budget, do what it
/// allows and say whether they are done.
class Budget {
 public:
  explicit Budget(int64_t steps) : left_(steps) {}
  /// Takes `steps`; false when nothing is left (what was begun may still be finished).
  bool spend(int64_t steps = 1) {
    left_ -= steps;
    return left_ > 0;
  }
  bool empty() const { return left_ <= 0; }
  int64_t left() const { return left_; }

 private:
  int64_t left_;
};

}  // namespace doozer
