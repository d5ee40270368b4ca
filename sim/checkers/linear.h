// Linearizability of each file by search, without a look at the order of revisions: Wing and Gong's
// algorithm with Lowe's memory of configurations seen ("Testing for linearizability", 2016). A
// second opinion on order.h, which trusts the revisions that servers tell; here they only say which
// compare-and-set may pass.
//
// Judged are SET, DEL and linearizable GET and STAT of one path. Unknown writes may take effect at
// any time after they were invoked, or never.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/checkers/report.h"
#include "sim/history.h"

namespace doozer::sim {

constexpr uint64_t kLinearStepsMax = 2'000'000;  ///< for one file; then the answer is "unknown"

enum class Linear : uint8_t { ok, illegal, unknown };

struct LinearFile {
  std::string path;
  Linear verdict = Linear::ok;
  uint64_t steps = 0;
  size_t operations = 0;
  /// illegal: the operation that could not be placed when the search had come furthest.
  size_t stuck_at = 0;
};

/// One for each path, in byte order.
std::vector<LinearFile> search_linear(const History& history, uint64_t steps_max = kLinearStepsMax);

/// Reports the illegal ones; returns how many are unknown.
uint64_t check_linear(const History& history, Report& report, uint64_t steps_max = kLinearStepsMax);

}  // namespace doozer::sim
