// The bounds of the client library. A server's own bounds are in base/limits.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/limits.h"

namespace doozer::client {

constexpr size_t kInFlightMax = 512;          ///< sent and unanswered, but for waits
constexpr size_t kWaitsInFlightMax = 8'192;   ///< sent and unanswered waits
constexpr size_t kQueuedMax = 65'536;         ///< operations of one client; more are `busy`
constexpr size_t kUnsentBytesMax = 1 * kMiB;  ///< above: no further request is given to the stream
constexpr size_t kAnswerBytesMax = kValueBytesCeiling + kFrameOverheadBytes;  ///< one frame
constexpr size_t kAbandonedMax = 1'024;  ///< unanswered requests given up; then a new connection
constexpr size_t kListWindowMin = 8;     ///< entries of a listing asked for at once, at first
constexpr size_t kListWindowMax = 64;    ///< and after it went well
constexpr size_t kListEntriesMax = 0x7FFFFFFF;  ///< offsets are 32-bit
constexpr size_t kStaleEventsMax =
    1'024;  ///< in a row: answers to a watch from before its position
constexpr uint64_t kStableUs = 1'000'000;  ///< a connection that lived so long was a good one
constexpr size_t kAddressesMax = 256;
constexpr size_t kUriBytesMax = 64 * kKiB;
constexpr size_t kWatchBufferedEvents = 64;       ///< read ahead of a Watch that is not asked
constexpr size_t kWatchBufferedBytes = 4 * kMiB;  ///< likewise; one event may pass it

static_assert(kInFlightMax < kOutstandingRequestsMax, "no server ever has to block this client");
static_assert(kWaitsInFlightMax + kAbandonedMax < kWaitsPerConnectionMax);
static_assert(kListWindowMax < kInFlightMax, "a listing leaves room for other requests");

}  // namespace doozer::client
