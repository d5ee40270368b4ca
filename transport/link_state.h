// What each server tells all others of its links, and the table of what all have told.
//
// A record counts if its life is newer, or its sequence in the same life. It is flooded when it
// changes and every kLinkStateRefreshUs, and forgotten kLinkStateExpiresUs after it came, by the
// receiver's clock alone.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace doozer::transport {

struct Neighbour {
  Identity identity;
  uint8_t rtt_log2 = 0;  ///< the round trip is below 2^rtt_log2 us
  bool damped = false;   ///< the link has flapped: only if there is no other way
  bool bulk = false;     ///< its bulk connection is good

  bool operator==(const Neighbour&) const = default;
};

struct LinkState {
  Identity cluster;
  Identity identity;
  Incarnation incarnation;
  uint64_t life = 0;
  uint64_t sequence = 0;
  std::string address;
  uint32_t version = 0;
  bool never_lead = false;
  std::vector<Neighbour> neighbours;  ///< sorted, without repeats, without itself

  bool operator==(const LinkState&) const = default;
};

std::string encode_link_state(const LinkState& state);
/// Errors: corrupt (lengths, order, repeats, itself, over kServersMax).
Result<LinkState> decode_link_state(std::string_view body);

class LinkStateTable {
 public:
  struct Held {
    LinkState state;
    uint64_t received_us = 0;
    bool changed = false;  ///< against the record before: neighbours, address, life, flags
  };
  enum class Verdict : uint8_t {
    stale,      ///< known already, or older
    refreshed,  ///< newer, but says the same: pass it on
    changed,    ///< newer, and other routes or addresses may follow
    full,       ///< one server too many
  };
  Verdict take(LinkState state, uint64_t now_us);
  /// Drops what has expired; true if something has.
  bool expire(uint64_t now_us);
  void erase(const Identity& identity) { held_.erase(identity); }
  const LinkState* find(const Identity& identity) const;
  const std::map<Identity, Held>& all() const { return held_; }

 private:
  std::map<Identity, Held> held_;
};

}  // namespace doozer::transport
