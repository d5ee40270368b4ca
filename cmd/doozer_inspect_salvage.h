// doozer-inspect salvage: a fresh data directory from a damaged one. The source is only read.
//
// What is kept is the state at the highest index that can be proved: a good snapshot and the
// unbroken run of log entries behind it. The new directory is a cluster of one with an identity of
// its own; its revision is raised by kRevisionRaise, so that no revision which the lost entries had
// is ever given to something else.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cmd/doozer_inspect_alone.h"
#include "cmd/doozer_inspect_read.h"
#include "core/machine.h"
#include "env/disk.h"
#include "storage/salvage.h"
#include "storage/storage.h"

namespace doozer::inspect {

struct SalvagePlan {
  Source source;
  std::optional<Identity> before;          ///< the server's old identity, if it could be read
  std::unique_ptr<core::Machine> machine;  ///< the state that is kept
  Term term;                               ///< above every term that was seen
  std::vector<std::string> kept;           ///< what is used, one line each
  std::vector<std::string> lost;           ///< what is missing: index ranges, files
};

/// Decides what can be kept. `found` must outlive the plan. Errors: corrupt (nothing can be kept),
/// io_error.
Result<SalvagePlan> plan_salvage(env::Disk& source, const DirectoryFinding& found);

/// What the plan comes to, for people or as one JSON object. REQUIRES: alone_state() or
/// write_plan() has made the machine what a server starts from.
std::string print_plan(const SalvagePlan& plan, bool json, bool written);

/// Makes the plan's machine that of a new cluster of one (make_alone()) and its bytes; the plan
/// must outlive them. Errors: as Machine::apply().
Result<storage::SalvagedState> alone_state(SalvagePlan& plan, const storage::Ownership& owner);

/// Does so and writes the new directory. The plan's machine is changed. Errors:
/// conflict (the directory is not empty), no_space, io_error.
Result<void> write_plan(SalvagePlan& plan, env::Disk& target, const storage::Ownership& owner);

}  // namespace doozer::inspect
