#include "server/write_pace.h"

#include <algorithm>

namespace doozer::server {

void PaceMeter::applied(uint64_t now_us, uint64_t done, uint64_t left) {
  if (done == 0) return;
  const bool crowded = left >= crowded_from_;
  if (!crowded || since_us_ == 0 || now_us - last_us_ > pause_us_) {
    since_us_ = crowded ? now_us : 0;
    sum_ = 0;
  } else {
    sum_ += done;
  }
  last_us_ = now_us;
  if (since_us_ == 0 || now_us - since_us_ < kPaceWindowUs) return;
  per_second_ = (3 * per_second_ + sum_ * 1'000'000 / (now_us - since_us_)) / 4;
  since_us_ = now_us;
  sum_ = 0;
}

void WritePace::applied(uint64_t now_us, const WriteAmount& done, const WriteAmount& left) {
  writes_.applied(now_us, done.writes, left.writes);
  bytes_.applied(now_us, done.bytes, left.bytes);
}

size_t WritePace::writes_max() const {
  return std::clamp<size_t>(writes_.in_time(), kWritesWaitingMin, kProposedEntriesMax);
}

size_t WritePace::bytes_max() const {
  return std::clamp<size_t>(bytes_.in_time(), kWriteBytesWaitingMin, kProposedBytesMax);
}

bool WritePace::has_place(const WriteAmount& waiting, size_t bytes) const {
  if (waiting.writes >= writes_max()) return false;
  return waiting.bytes == 0 || waiting.bytes + bytes <= bytes_max();
}

}  // namespace doozer::server
