// The log's tail as the core wants it in memory after recovery.
#pragma once

#include <cstddef>
#include <vector>

#include "base/result.h"
#include "env/disk.h"
#include "raft/types.h"
#include "storage/log_shape.h"

namespace doozer::storage {

struct RetainRule {
  Index last;            ///< of the log
  Index needed_from;     ///< from here on all, whatever its size
  size_t bytes_max = 0;  ///< of the rest, so much: the newest
};

/// Entries up to rule.last, contiguous; none if the log holds none. Errors: corrupt, io_error.
Result<std::vector<raft::Entry>> read_retained(env::Disk& disk,
                                               const std::vector<SegmentInfo>& segments,
                                               const RetainRule& rule);

}  // namespace doozer::storage
