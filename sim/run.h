// One plan from the first boot to the last judgement: boot, workload, faults, heal, audit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/history.h"
#include "sim/plan.h"
#include "sim/timeline.h"

namespace doozer::sim {

struct RunResult {
  std::vector<std::string> failures = {};  ///< empty: all that was promised held
  uint64_t last_draw = 0;                  ///< of the world's random numbers
  uint64_t digest = 0;                     ///< over every message and every write to a disk
  uint64_t virtual_us = 0;
  uint64_t turns = 0;
  uint64_t pieces = 0;  ///< sent over the network
  uint64_t ok = 0;
  uint64_t refused = 0;
  uint64_t unknown = 0;
  uint64_t owed = 0;             ///< how often service was owed and looked for
  uint64_t on_shared_files = 0;  ///< operations on files that several clients use
  uint64_t overlapped = 0;       ///< of those, while another of the same file was under way
  uint64_t linear_unknown = 0;   ///< files of which the search came to no end
  bool operator==(const RunResult&) const = default;
};

/// `keep`: gets the history.
RunResult run_plan(const Plan& plan, Timeline& timeline, History* keep = nullptr);

}  // namespace doozer::sim
