// What all clients together hold of requests that the door has not taken, mostly because they are
// not whole yet, and whose connection gives way when that is too much:
//
//   - one that has not shown that it may write, as long as there is any; then
//   - of the address that holds the most, so that a crowd cannot take the place of others;
//   - of these the one that has been silent for the longest: who sends a large request over a slow
//     line is heard of again and again.
//
// It must never: know a socket, or choose by anything but what it was told, in that order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/limits.h"

namespace doozer::server {

/// Of all connections together; then connections are cut.
constexpr size_t kHalfFrameBytesAllMax = 256 * kMiB;
/// So many in one turn in any case, more only while clients' part of the turn lasts: closing
/// sockets takes its time, about as much as reading what they held.
constexpr size_t kHalfFramesCutPerTurn = 32;

static_assert(kHalfFrameBytesAllMax >= 8 * (kValueBytesCeiling + kFrameOverheadBytes),
              "some of the largest requests may be under way at once");

class HalfFrames {
 public:
  /// Connection `id` now holds so many bytes; 0: it is forgotten. Who is told anew has been heard.
  void note(uint64_t id, std::string_view address, bool trusted, size_t bytes);
  /// Of all.
  size_t bytes() const { return bytes_; }
  /// Who gives way first; none if nobody holds anything.
  std::optional<uint64_t> first_to_go() const;

 private:
  /// The connections of one address that are trusted, or that are not.
  struct Crowd {
    bool trusted = false;
    std::string address;
    size_t bytes = 0;
    std::set<std::pair<uint64_t, uint64_t>> by_silence;  ///< (heard, id)
  };
  struct FirstToGo {
    bool operator()(const Crowd* a, const Crowd* b) const;
  };
  struct Holder {
    Crowd* crowd = nullptr;
    size_t bytes = 0;
    uint64_t heard = 0;  ///< in the order of note(): rising
  };
  Crowd& crowd_of(std::string_view address, bool trusted);
  void leave(uint64_t id, const Holder& holder);

  std::map<uint64_t, Holder> holders_;
  std::map<std::pair<bool, std::string>, Crowd> crowds_;
  std::set<Crowd*, FirstToGo> order_;  ///< of the crowds
  size_t bytes_ = 0;
  uint64_t heard_ = 0;
};

}  // namespace doozer::server
