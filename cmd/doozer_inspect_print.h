// The words of doozer-inspect: what was found, as text or as one JSON object. Users' values are
// shown only where they were asked for.
#pragma once

#include <string>

#include "cmd/doozer_inspect_read.h"
#include "env/disk.h"
#include "storage/inspect.h"

namespace doozer::inspect {

struct PrintOptions {
  bool json = false;
  bool records = false;   ///< every record of every segment
  bool commands = false;  ///< and what its command does (implies records)
  bool values = false;    ///< with the values (implies commands)
};

/// One record, on one line without its end (text) or as one object.
std::string print_record(const storage::Record& record, const PrintOptions& options);

/// A segment by itself; reads it again for its records. Errors: io_error.
Result<std::string> print_segment(env::Disk& disk, const storage::SegmentInspection& segment,
                                  const std::optional<storage::Ownership>& owner,
                                  const PrintOptions& options);
std::string print_snapshot(const SnapshotFinding& snapshot, const PrintOptions& options);
/// Everything. Errors: io_error.
Result<std::string> print_directory(env::Disk& disk, const DirectoryFinding& found,
                                    const PrintOptions& options);

}  // namespace doozer::inspect
