// How long did nobody get through? Of the writes at each server and of the times in which they had
// to succeed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/history.h"

namespace doozer::sim {

/// From `from_us` to `to_us` writes at `server` had to succeed.
struct Duty {
  std::string server;  ///< address
  uint64_t from_us = 0;
  uint64_t to_us = 0;
};

/// The longest time within the duties in which no write at that server succeeded.
struct Silence {
  std::string server;
  uint64_t from_us = 0;
  uint64_t to_us = 0;
  uint64_t length_us() const { return to_us - from_us; }
};

/// Successes count when they are answered, and only those that began within the duty: an answer
/// that was late already says nothing. nullopt: no duties.
std::optional<Silence> longest_silence(const History& history, const std::vector<Duty>& duties);

}  // namespace doozer::sim
