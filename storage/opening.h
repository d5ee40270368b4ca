// From a directory to a log that can be written: reads everything, judges it, makes it durable.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "env/disk.h"
#include "storage/ballast.h"
#include "storage/evidence.h"
#include "storage/repair_file.h"
#include "storage/snapshots.h"
#include "storage/storage.h"
#include "storage/wal_recovery.h"

namespace doozer::storage {

struct Opened {
  Recovered recovered;
  LogScan scan;
  FoundSnapshots snapshots;
  std::optional<RepairNote> note;    ///< under repair
  std::optional<Evidence> evidence;  ///< the damage was found now, not at an earlier start
  std::optional<Index> publish;      ///< a received snapshot that the log stands behind already
  std::unique_ptr<env::File> file;   ///< the segment to be written
  std::vector<raft::Entry> retained;
  Space space;
};

/// Errors: those of Storage::open().
Result<Opened> open_directory(env::Disk& disk, const Logger& logger, const StorageOptions& options);

}  // namespace doozer::storage
