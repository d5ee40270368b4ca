// What the commands of membership do to the state (design section 7): the register of identities,
// the slots that only the cluster itself fills, the cluster version. All are the server's own: a
// client's are refused. A refused command changes nothing.
#pragma once

#include <vector>

#include "base/result.h"
#include "core/command.h"
#include "core/state.h"

namespace doozer::core {

/// Commands of this principal, the server itself, may write anything below /ctl/cal.
constexpr std::string_view kSystemPrincipal = "system";

/// Enters the server into the register, or brings its entry up to date, at log index `index`. When
/// the register is full, the entry that is in no slot and attached longest ago goes. Errors: other
/// (not the system, an incarnation lower than the one that is known).
Result<void> do_attach(State& state, const AttachView& attach, bool system, Index index);

/// Writes slots at `revision`, in the order of the list, and appends the changes. Errors:
/// revision_mismatch (a slot was changed), other (anything else).
Result<void> do_reconcile(State& state, const ReconcileView& reconcile, bool system,
                          Revision revision, std::vector<Change>& changes);

/// REQUIRES a version that this build knows (Machine::apply() stops at others). Errors: other.
Result<void> do_raise_version(State& state, const RaiseVersionView& raise, bool system);

/// After a client's command made `changes`: who lost a slot by them is marked as removed.
void mark_removed(State& state, const std::vector<Change>& changes);

}  // namespace doozer::core
