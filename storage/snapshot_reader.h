// Reads and checks one snapshot file, chunk by chunk.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "env/disk.h"
#include "storage/segment.h"
#include "storage/snapshot_format.h"
#include "storage/storage.h"

namespace doozer::storage {

class SnapshotFileReader final : public SnapshotReader {
 public:
  /// For open() alone.
  SnapshotFileReader(std::unique_ptr<env::File> file, std::string path)
      : window_(std::move(file)), path_(std::move(path)) {}
  /// Errors: not_found, io_error, corrupt, unsupported.
  static Result<std::unique_ptr<SnapshotFileReader>> open(env::Disk& disk, std::string path);

  const SnapshotHeader& header() const override { return header_; }
  Result<std::optional<std::string>> next() override;
  /// Like next(), but only checks the stored bytes: true for a chunk, false at the good end.
  Result<bool> check_next();
  uint64_t file_bytes() const { return file_bytes_; }
  const SnapshotTotals& totals() const { return totals_; }

 private:
  struct Stored {
    SnapshotRecordHead head;
    std::string_view bytes;
  };
  Result<std::optional<Stored>> next_stored();
  Result<void> read_header();
  tl::unexpected<Error> corrupt(const std::string& why) const;

  FileWindow window_;
  const std::string path_;
  SnapshotHeader header_;
  uint64_t file_bytes_ = 0;
  uint64_t offset_ = 0;
  uint32_t chain_ = 0;
  SnapshotTotals totals_;
  bool ended_ = false;
};

/// Reads the whole file and checks everything but the compression. Errors: as open() and next().
Result<SnapshotHeader> verify_snapshot(env::Disk& disk, const std::string& path);

}  // namespace doozer::storage
