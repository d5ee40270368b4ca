// Everything that a damaged directory still tells about its server, in front of the damage and
// behind it: how high its term, whom it voted for, which configuration, how far its log reached.
#pragma once

#include <optional>

#include "base/result.h"
#include "base/types.h"
#include "env/disk.h"
#include "raft/types.h"
#include "storage/snapshots.h"
#include "storage/storage.h"

namespace doozer::storage {

struct Evidence {
  Term term;  ///< the highest that anything names
  /// The newest hard state that reads.
  raft::HardState hard_state;
  /// Nothing is unreadable behind it, so it is the newest that there was.
  bool hard_state_sure = false;
  Index reached;                                     ///< the highest index that anything names
  std::optional<raft::Configuration> configuration;  ///< the newest that reads
};

/// Reads all segments to their ends. Errors: io_error, unsupported.
Result<Evidence> gather_evidence(env::Disk& disk, const Ownership& owner,
                                 const FoundSnapshots& snapshots);

}  // namespace doozer::storage
