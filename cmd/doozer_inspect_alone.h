// The state of a cluster that has lost its other members, made that of a new cluster of one: what
// salvage and --recover-alone have in common. Only ordinary commands of the state machine are used.
#pragma once

#include <optional>

#include "base/result.h"
#include "base/types.h"
#include "core/machine.h"

namespace doozer::inspect {

/// No revision that the lost entries had may ever be given to something else.
constexpr int64_t kRevisionRaise = 1'000'000;

/// Raises the revision by kRevisionRaise; then gives one slot of /ctl/cal to `now` (that of
/// `before`, else the first) and empties the others, and deletes what the old servers told of
/// themselves below /ctl/node and the cluster's own /ctl/ns. Nothing else is touched, and files
/// keep their revisions. Errors: as Machine::apply().
Result<void> make_alone(core::Machine& machine, const std::optional<Identity>& before,
                        const Identity& now);

}  // namespace doozer::inspect
