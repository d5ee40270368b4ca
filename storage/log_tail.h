// The end of the log as the log lane sees it: the open segment and the state of its chain. Made
// before serving, afterwards touched by jobs of the log lane alone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "env/disk.h"
#include "storage/wal_format.h"

namespace doozer::storage {

class LogTail {
 public:
  LogTail(std::unique_ptr<env::File> file, const SegmentHeader& header, uint32_t header_crc,
          const SegmentLink& end);

  /// Seals `batch`, writes it at the end and syncs. After an error the log is dead: nothing is
  /// known of what the file holds, and nothing may be called again. Errors: io_error, no_space.
  Result<void> write(std::string& batch, Index last_index);

  /// The same, but first goes on to `file`, a prepared segment, whose header this fills in
  /// (previous) and writes.
  Result<void> write_in_next(std::unique_ptr<env::File> file, SegmentHeader header,
                             std::string& batch, Index last_index);

  /// Makes the segment of `header` (of file_bytes, fewer if there is no room) and goes on there;
  /// nothing links it to what was before. no_space: nothing has changed and the log goes on. After
  /// any other error the log is dead.
  Result<void> restart(env::Disk& disk, SegmentHeader& header);

 private:
  Result<void> put(std::string& batch, Index last_index, bool header_synced);

  std::unique_ptr<env::File> file_;
  uint64_t number_ = 0;
  uint32_t header_crc_ = 0;
  uint32_t seed_ = 0;
  uint64_t offset_ = 0;
  uint32_t chain_ = 0;
};

}  // namespace doozer::storage
