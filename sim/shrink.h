// Makes a failing plan smaller while it goes on failing: fewer steps, fewer clients and servers,
// less time, no drift. The answer is not the least, but every single part of it was tried.
#pragma once

#include <functional>

#include "sim/plan.h"

namespace doozer::sim {

/// `fails` runs a plan; it is asked at most `tries` times. REQUIRES that the plan given fails.
Plan shrink_plan(Plan plan, const std::function<bool(const Plan&)>& fails, uint64_t tries);

}  // namespace doozer::sim
