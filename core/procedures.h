// What each command does to the state: Doozer's rules of revisions, files and directories
// (semantics, "Verbs"), transactions, and who may write what below /ctl/cal (design section 7).
// A refused command changes nothing.
#pragma once

#include <vector>

#include "base/result.h"
#include "core/command.h"
#include "core/membership.h"
#include "core/state.h"

namespace doozer::core {

/// Runs one command, at the revision and the log index after the state's. Appends what it changed
/// to `changes` (a nop: a Change without a node); nothing appended means that it took no revision.
/// Errors: refusals.
Result<void> run_procedure(State& state, const CommandView& command, std::vector<Change>& changes);

}  // namespace doozer::core
