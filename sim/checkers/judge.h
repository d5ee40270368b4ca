// All checkers at once.
#pragma once

#include <cstdint>
#include <string>

#include "sim/checkers/linear.h"
#include "sim/checkers/patterns.h"
#include "sim/checkers/report.h"
#include "sim/history.h"

namespace doozer::sim {

struct Verdict {
  Report report = {};
  Overlap overlap = {};
  uint64_t linear_unknown = 0;  ///< files of which the search knows no answer within its steps
  int64_t revisions = 0;        ///< the highest one known
  uint64_t operations = 0;
  uint64_t events = 0;  ///< that watches heard

  bool ok() const { return report.ok(); }
  /// For people: the violations, then the figures in a line.
  std::string to_string() const;
};

/// The order of revisions, the search per file, watches, replicas, and the patterns at the paths
/// where sim/workload.h has them ("/set/", "/counter", "/lock").
Verdict judge(const History& history, uint64_t linear_steps_max = kLinearStepsMax);

}  // namespace doozer::sim
