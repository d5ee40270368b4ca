// The bounds of a connection's requests that no other room needs; those that operators or other
// rooms know are in base/limits.h.
#pragma once

#include "base/limits.h"

namespace doozer::door {

/// A larger frame is not kept for a client that has not shown that it may write: its beginning is
/// answered, the rest read and forgotten. Every request that such a client may make is smaller.
constexpr size_t kStrangerFrameBytesMax = 16 * kKiB;

// What waits (WAITs, and reads of a future revision) hold for their globs and paths: of a
// connection, and of all together. Beyond the last each connection may still hold a little.
constexpr size_t kWaitBytesMax = 16 * kMiB;
constexpr size_t kWaitBytesAllMax = 256 * kMiB;
constexpr size_t kWaitBytesAlways = 16 * kKiB;

static_assert(kStrangerFrameBytesMax > kPathBytesMax + kSecretBytesMax + kFrameOverheadBytes / 2);
static_assert(kWaitBytesMax / kWaitsPerConnectionMax >= 512,
              "who may have so many waits may have them on globs of a usual size");
static_assert(kConnectionsMax * kWaitBytesAlways <= 2 * kWaitBytesAllMax);

}  // namespace doozer::door
