// Makes a data directory out of a state that was saved from elsewhere: one snapshot, a log that
// begins behind it, an identity of its own. For doozer-inspect salvage and --recover-alone;
// blocking.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/function.h"
#include "base/result.h"
#include "env/disk.h"
#include "storage/storage.h"

namespace doozer::storage {

struct SalvagedState {
  SnapshotHeader header;  ///< with the new cluster and identity; its configuration is in force
  uint64_t segment_number = 1;  ///< of the only log segment
  /// The next piece of the image (at most kSnapshotChunkBytes), nullopt at its end.
  UniqueFunction<Result<std::optional<std::string>>()> image;
};

/// Writes the directory, durably; the identity last, so that a crash before leaves one that no
/// server starts on. Errors: conflict (something of ours is there), no_space, io_error, and those
/// of `image`.
Result<void> write_salvaged(env::Disk& disk, SalvagedState state);

}  // namespace doozer::storage
