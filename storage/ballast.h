// Room that nobody else can take: a file of nothing, a quarter of the reserve. The rest of the
// reserve is only kept free, and somebody else who shares the disk may fill that up to the last
// byte; then one half of the ballast becomes a log segment for what other servers have decided, and
// the other half is what the next start writes with. Made again once there is room.
// Everything here blocks; for the bulk lane, and for a start.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "env/disk.h"
#include "storage/storage.h"

namespace doozer::storage {

constexpr std::string_view kBallastFile = "ballast";

/// How large it is when it is whole; 0: a reserve so small has none.
uint64_t ballast_bytes(const StorageOptions& options);

/// What the disk has: free for everybody, and in the ballast.
struct Space {
  uint64_t free_bytes = 0;
  uint64_t ballast_bytes = 0;
};
/// Errors: io_error.
Result<Space> look_at_space(env::Disk& disk);

/// Makes it whole. Errors: no_space (there is none then), io_error.
Result<void> make_ballast(env::Disk& disk, uint64_t bytes);
/// Cuts it to `bytes` if there is more of it; 0: it goes. Errors: io_error.
Result<void> cut_ballast(env::Disk& disk, uint64_t bytes);

}  // namespace doozer::storage
