#include "server/write_pace.h"

#include <algorithm>

namespace doozer::server {

// A pause (a leader that is elected, a disk that hangs) says nothing of what comes after it.
void WritePace::applied(uint64_t now_us, uint64_t count, size_t left) {
  if (count == 0) return;
  const bool crowded = left >= kPaceWrites;
  if (!crowded || since_us_ == 0 || now_us - last_us_ > kPaceWindowUs) {
    since_us_ = crowded ? now_us : 0;
    count_ = 0;
  } else {
    count_ += count;
  }
  last_us_ = now_us;
  if (since_us_ == 0 || now_us - since_us_ < kPaceWindowUs) return;
  per_second_ = (3 * per_second_ + count_ * 1'000'000 / (now_us - since_us_)) / 4;
  since_us_ = now_us;
  count_ = 0;
}

size_t WritePace::waiting_max() const {
  return std::clamp<size_t>(per_second_ * kWriteWaitUs / 1'000'000, kWritesWaitingMin,
                            kProposedEntriesMax);
}

}  // namespace doozer::server
