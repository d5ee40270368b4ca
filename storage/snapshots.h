// The snapshot files of a directory, as found at start.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "env/disk.h"
#include "storage/storage.h"

namespace doozer::storage {

struct FoundSnapshot {
  SnapshotHeader header;
  uint64_t file_bytes = 0;
};

struct FoundSnapshots {
  std::vector<FoundSnapshot> good;   ///< oldest first; the newest was read to its end
  std::vector<std::string> garbage;  ///< paths of temporary files
  struct Damaged {
    std::string path;
    std::string why;
    std::optional<SnapshotHeader> header;  ///< if that reads
  };
  std::vector<Damaged> damaged;
  /// Of other servers: whole files for which the log may or may not have been made ready. Headers
  /// only.
  std::vector<FoundSnapshot> received;
};

/// Reads the headers of all and the whole of the newest good one (of the received ones the
/// headers). Errors: corrupt (of another
/// owner), unsupported, io_error.
Result<FoundSnapshots> find_snapshots(env::Disk& disk, const Ownership& owner);

}  // namespace doozer::storage
