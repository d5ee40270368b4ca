// Bounds of what servers of one cluster say to each other above Raft. An operator changes none.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/limits.h"

namespace doozer::server {

constexpr size_t kForwardBytesMax =
    64 * kKiB;                              ///< of one forward message, unless one write is more
constexpr size_t kForwardItemsMax = 1'024;  ///< of one forward message
constexpr size_t kForwardWindowBytes = 8 * kMiB;  ///< sent to a leader and not acknowledged by it
constexpr uint64_t kForwardRetryUs = 60'000;      ///< no acknowledgement: sent again, ...
constexpr uint64_t kForwardBytesPerUs = 20;       ///< ... but what is so slow is only slow, and
constexpr uint64_t kForwardRetriesDoubled = 3;    ///< ... this often after twice the time before
constexpr size_t kRefusedPerAckMax = 1'024;       ///< refusals told in one acknowledgement
constexpr size_t kErrorTextBytesMax = 512;        ///< of a reason sent to another server
constexpr uint64_t kHealthEveryUs = 100'000;      ///< each server tells the leader how it is
constexpr uint64_t kReconcileEveryUs = 100'000;   ///< the leader looks at the slots
constexpr size_t kDigestsKept = 8;     ///< the newest, of each kDigestEveryIndexes-th index
constexpr size_t kSnapshotWindow = 4;  ///< chunks asked for and not yet here
constexpr uint64_t kSnapshotRetryUs = 400'000;  ///< a chunk that does not come is asked for again
constexpr uint64_t kSnapshotSourceUs = 1'000'000;   ///< none came: another server is asked
constexpr uint64_t kSnapshotGiveUpUs = 5'000'000;   ///< none from anybody: a newer one is begun
constexpr uint64_t kSnapshotForgetUs = 60'000'000;  ///< nobody ever goes on: what came is dropped
constexpr size_t kSnapshotReadersMax = 4;           ///< other servers served at once

static_assert(kForwardRetryUs < kUnknownAfterUs / 10);
static_assert(kSnapshotRetryUs < kSnapshotSourceUs && kSnapshotSourceUs < kSnapshotGiveUpUs);
static_assert(kForwardWindowBytes >= 2 * kForwardBytesMax);
static_assert(kHealthEveryUs < kElectionTimeoutMinUs);

}  // namespace doozer::server
