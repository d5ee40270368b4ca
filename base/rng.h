// Random numbers that a seed decides: xoshiro256** (Blackman and Vigna, 2018), seeded by
// splitmix64. Never for secrets or identities: those come from the operating system, through io/.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/check.h"

namespace doozer {

class Rng {
 public:
  explicit Rng(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9E3779B97F4A7C15;
      uint64_t z = seed;
      z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9;
      z = (z ^ (z >> 27U)) * 0x94D049BB133111EB;
      word = z ^ (z >> 31U);
    }
  }
  uint64_t next() {
    const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const uint64_t shifted = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  /// Even over 0 .. bound - 1; bound > 0. (Multiply-shift; the bias is below 2^-32 for bounds below
  /// 2^32.)
  uint64_t below(uint64_t bound) {
    CHECK(bound > 0);
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64U);
  }
  /// Even over first .. last, both included.
  int64_t between(int64_t first, int64_t last) {
    CHECK(first <= last);
    return first + static_cast<int64_t>(below(static_cast<uint64_t>(last - first) + 1));
  }
  /// True in `numerator` of `denominator` cases.
  bool chance(uint64_t numerator, uint64_t denominator) { return below(denominator) < numerator; }
  /// An independent stream.
  Rng fork() { return Rng(next()); }

 private:
  std::array<uint64_t, 4> state_{};
};

}  // namespace doozer
