// What befalls bytes on their way from one host to another. Each direction of a pair has its own
// path, shared by all streams that go that way.
//
// Streams are ordered and lose nothing, so loss, duplication and reordering of packets show as what
// TCP makes of them: delays, stalls and, now and then, a broken connection.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "base/rng.h"

namespace doozer::sim {

struct PathFaults {
  bool cut = false;      ///< nothing arrives and nobody is told; sent again after the heal
  bool reject = false;   ///< connecting is refused, what is sent resets its connection
  bool clogged = false;  ///< everything is held, and released at once at the end
  uint64_t delay_us = 0;
  uint64_t jitter_us = 0;         ///< and up to so much more for each piece
  uint64_t bytes_per_second = 0;  ///< 0: no bound
  uint64_t mtu_bytes = 0;         ///< pieces of more bytes vanish, the stream stalls; 0: no bound
  uint32_t loss_per_mille = 0;    ///< pieces that TCP must send again
  uint32_t resets_per_10k = 0;    ///< pieces that break their connection

  /// True if a piece of so many bytes does not go through now.
  bool holds(uint64_t bytes) const {
    return cut || clogged || (mtu_bytes != 0 && bytes > mtu_bytes);
  }
  /// False if anything at all is wrong.
  bool clear() const { return *this == PathFaults{}; }
  bool operator==(const PathFaults&) const = default;
};
/// "cut", "delay 20000us, loss 50 per mille"; "clear".
std::string to_string(const PathFaults& faults);

namespace net_detail {
struct End;

struct Path {
  PathFaults faults;
  uint64_t free_at_us = 0;                 ///< when the last bytes on a slow path have left
  std::deque<std::shared_ptr<End>> holds;  ///< streams that have something held back

  /// How long a piece that leaves at `now_us` is on its way, `latency_us` apart.
  uint64_t extra_us(uint64_t now_us, uint64_t bytes, Rng& rng);
};

/// TCP's first time-out before it sends again, and the most that it comes to here: real ones double
/// for minutes, but who waits so long has closed the connection.
constexpr uint64_t kResendFirstUs = 200'000;
constexpr uint64_t kResendMostUs = 1'000'000;
constexpr uint64_t kConnectAgainUs = 1'000'000;  ///< the second SYN; doubled for each later one

}  // namespace net_detail
}  // namespace doozer::sim
