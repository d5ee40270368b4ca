// Linearizability by the total order of revisions, in time O(n log n): each answered operation gets
// the lowest point (a revision) at which its answer was right and which is not below what real time
// demands; if there is none, that is a violation. Nothing is searched: the revisions are the order.
//
// What is demanded: a write lies above, and a linearizable read not below, whatever anybody had
// been told before it was invoked; a local read shows some state, not older than its session has
// seen or than its min_rev; a read at a revision shows that state; a compare-and-set passed, or was
// refused, for a reason.
#pragma once

#include "sim/checkers/model.h"
#include "sim/checkers/report.h"
#include "sim/history.h"

namespace doozer::sim {

void check_order(const History& history, const Model& model, Report& report);

}  // namespace doozer::sim
