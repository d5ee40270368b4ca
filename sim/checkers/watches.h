// Watches hear every event that matches, in order, once: over reconnects and servers, by (revision,
// sub). Only TOO_LATE, told as a gap, excuses what was not heard.
#pragma once

#include "sim/checkers/model.h"
#include "sim/checkers/report.h"
#include "sim/history.h"

namespace doozer::sim {

void check_watches(const History& history, const Model& model, Report& report);

}  // namespace doozer::sim
