// What must always be true within one core, each with the sentence that it proves. Run after every
// step by the tests of this room and by the simulator; never by a server. raft/witness.h looks at
// all servers of a cluster at once.
#pragma once

#include <optional>
#include <string>

#include "raft/core.h"

namespace doozer::raft {

/// Within one core, between two steps. What is wrong, if something is.
std::optional<std::string> check(const Core& core);

}  // namespace doozer::raft
