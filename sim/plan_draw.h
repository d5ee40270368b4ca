// Plans that nobody wrote: drawn from a seed, and those with a name, that each stand for a promise.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sim/plan.h"

namespace doozer::sim {

/// A swarm: each seed has a few families of faults of its own, each with its own rate. What must
/// not be done to a majority (a disk that is lost or rots) is done to one server at most.
Plan draw_plan(uint64_t seed);

/// The names that named_plan() knows.
std::vector<std::string_view> plan_names();
/// Errors: bad_argument. `servers`: 3, 5 or 7; plans that need one number ignore it.
Result<Plan> named_plan(std::string_view name, uint64_t servers, uint64_t seed);

}  // namespace doozer::sim
