// What each command does to the state: Doozer's rules of revisions, files and directories
// (semantics, "Verbs"), transactions, and who may write what below /ctl/cal (design section 7).
// A refused command changes nothing.
#pragma once

#include <vector>

#include "base/result.h"
#include "core/command.h"
#include "core/state.h"

namespace doozer::core {

/// Commands of this principal, the server itself, may write anything below /ctl/cal.
constexpr std::string_view kSystemPrincipal = "system";

/// Runs one command at `revision`, the state's + 1. Appends what it changed to `changes` (a nop: a
/// Change without a node); nothing appended means that it took no revision. Errors: refusals.
Result<void> run_procedure(State& state, const CommandView& command, Revision revision,
                           std::vector<Change>& changes);

}  // namespace doozer::core
