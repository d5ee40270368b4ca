// Runs of plans in processes of their own, so that a failed CHECK is one failed run among many.
// Part of the program doozer-sim; the simulator itself knows nothing of processes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/run.h"

namespace doozer::sim {

/// What came of a plan.
struct ChildVerdict {
  RunResult result = {};
  std::vector<std::string> failures = {};  ///< of the run, or how its process ended
  std::map<std::string, uint64_t> probes = {};
  bool ok() const { return failures.empty(); }
};

/// One run under way.
class ChildRun {
 public:
  /// `twice`: runs it again, and fails if anything differs.
  ChildRun(const Plan& plan, bool twice);
  ~ChildRun();
  ChildRun(const ChildRun&) = delete;
  ChildRun& operator=(const ChildRun&) = delete;
  /// To be polled for reading.
  int descriptor() const { return read_end_; }
  /// Reads what is there; the verdict once it is over.
  std::optional<ChildVerdict> advance();

 private:
  int read_end_ = -1;
  pid_t pid_ = -1;
  std::string said_;
};

ChildVerdict run_child(const Plan& plan, bool twice);

/// Runs `count` plans, at most `jobs` at a time; `done` hears them in the order of their numbers
/// and answers false to end it early.
void run_batch(uint64_t count, unsigned jobs, const std::function<Plan(uint64_t)>& plan_of,
               const std::function<bool(uint64_t)>& twice,
               const std::function<bool(uint64_t, const ChildVerdict&)>& done);

}  // namespace doozer::sim
