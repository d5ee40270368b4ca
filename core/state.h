// Everything that a machine holds, in one place for the parts that work on it: procedures change
// it, cursors, watches and images read it.
#pragma once

#include <cstdint>

#include "base/hash.h"
#include "base/types.h"
#include "core/client_table.h"
#include "core/digest.h"
#include "core/history.h"
#include "core/machine.h"
#include "core/register.h"
#include "core/tree.h"

namespace doozer::core {

struct State {
  explicit State(const MachineOptions& options)
      : history(tree, options.history_revisions, options.history_bytes) {}

  Tree tree;
  History history;
  ClientTable clients;
  Register members;
  Revision revision;
  Index applied;
  Hash128 chain;
  uint64_t cluster_time_us = 0;
  uint32_t cluster_version = 1;
};

/// Over all live files and the register.
inline Hash128 state_digest(const State& state) {
  Hash128 digest = state.tree.totals().digest;
  add_to(digest, state.members.digest());
  return digest;
}

inline FileView view_of(const Node& node, const Version& version) {
  return {.path = node.key(),
          .value = version.value(),
          .revision = version.modified,
          .create_revision = version.created,
          .version = version.count};
}

}  // namespace doozer::core
