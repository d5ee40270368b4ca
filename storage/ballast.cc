#include "storage/ballast.h"

#include "base/bytes.h"
#include "base/probe.h"
#include "storage/wal_format.h"

namespace doozer::storage {
namespace {

/// Of the reserve: one part in so many.
constexpr uint64_t kBallastShare = 4;

}  // namespace

uint64_t ballast_bytes(const StorageOptions& options) {
  const uint64_t bytes = align_sector(options.disk_reserve_bytes / kBallastShare);
  // Half of it must do for a segment.
  return bytes < 2 * kSegmentBytesMin ? 0 : bytes;
}

Result<Space> look_at_space(env::Disk& disk) {
  Space space;
  TRY_ASSIGN(const bool stands, disk.exists(kBallastFile));
  if (stands) {
    TRY_ASSIGN(const auto file, disk.open(kBallastFile, env::OpenMode::read));
    TRY_ASSIGN(space.ballast_bytes, file->size());
  }
  TRY_ASSIGN(space.free_bytes, disk.free_bytes());
  return space;
}

Result<void> make_ballast(env::Disk& disk, uint64_t bytes) {
  TRY(cut_ballast(disk, 0));
  TRY_ASSIGN(const auto file, disk.open(kBallastFile, env::OpenMode::create));
  auto made = file->allocate(bytes);
  if (made) made = file->sync();
  if (!made) {
    (void)disk.remove(kBallastFile);
    return made;
  }
  PROBE("ballast: made");
  return disk.sync_directory("");
}

Result<void> cut_ballast(env::Disk& disk, uint64_t bytes) {
  TRY_ASSIGN(const bool stands, disk.exists(kBallastFile));
  if (!stands) return {};
  if (bytes == 0) return disk.remove(kBallastFile);
  TRY_ASSIGN(const auto file, disk.open(kBallastFile, env::OpenMode::read_write));
  TRY_ASSIGN(const uint64_t size, file->size());
  if (size <= bytes) return {};
  TRY(file->resize(bytes));
  return file->sync();
}

}  // namespace doozer::storage
