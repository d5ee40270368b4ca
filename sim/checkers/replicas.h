// What servers say of their logs: a committed entry is the same everywhere and for ever, an index
// is applied once and in order, and equal indexes have equal digests.
#pragma once

#include "sim/checkers/report.h"
#include "sim/history.h"

namespace doozer::sim {

void check_replicas(const History& history, Report& report);

}  // namespace doozer::sim
