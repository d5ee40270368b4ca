// What the loop and the log lane hand to each other; private to WalWriter.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "storage/wal_writer.h"

namespace doozer::storage {

/// A batch on its way. The job of the log lane touches all of it until it has landed.
struct WalWriter::Flight {
  std::string bytes;
  Index last_index;
  uint64_t size = 0;  ///< padded
  uint64_t started_us = 0;
  uint64_t tag = 0;
  bool marker_only = false;
  bool promises = false;
  bool reuse = false;       ///< the buffer; else the lane frees it, which costs more than it seems
  bool turns_over = false;  ///< into the next segment:
  std::unique_ptr<env::File> file;
  SegmentHeader header;
  bool restarts = false;  ///< in a new segment that nothing links to what was: `header`
};

/// The log is to begin anew behind a received snapshot.
struct WalWriter::Restart {
  raft::SnapshotPoint point;
  UniqueFunction<void(Result<void>)> done;
  std::optional<DurableState> state;  ///< asked for meanwhile
  uint64_t tag = 0;                   ///< asked for meanwhile
};

}  // namespace doozer::storage
