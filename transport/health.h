// Whether a link is up: pure, from heartbeats and times of one clock.
//
// Every kBeatUs each side sends a stamp of its own clock and echoes the newest stamp of the other,
// with how long it has held it. A link is up while echoes of ever newer stamps come at least every
// kLinkDownUs, each after at most kEchoAgeUsMax: so a stall of either direction takes it down, on
// both sides. Clocks are never compared: a stamp is read only by who made it. Time in which this
// server's own loop did not run is no silence of the peer (away()).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace doozer::transport {

struct Beat {
  uint64_t stamp_us = 0;  ///< of the sender's clock; rises
  uint64_t echo_us = 0;   ///< the newest stamp that the sender has heard of the other; 0: none
  uint64_t held_us = 0;   ///< how long ago it heard that
  uint64_t bulk_tag = 0;  ///< which bulk connection the sender has (Connection::tag()); 0: none
  uint64_t bulk_received = 0;  ///< bytes that came on it: a stall of bulk shows
};

std::string encode_beat(const Beat& beat);
/// Errors: corrupt.
Result<Beat> decode_beat(std::string_view body);

class LinkHealth {
 public:
  /// The control connection is new.
  void connect(uint64_t now_us);
  /// It is gone; true if the link was up. Only what nobody planned is a flap.
  bool disconnect(bool planned);
  void on_beat(const Beat& beat, uint64_t now_us);
  /// The loop has just come back from so long a rest that nobody wanted.
  void away(uint64_t us, uint64_t now_us);
  Beat make_beat(uint64_t now_us);
  /// Echoes are fresh.
  bool fresh(uint64_t now_us) const;
  /// Takes note of the state; `stalled`: bytes are queued without progress. True if up() changed.
  bool update(uint64_t now_us, bool stalled);
  bool up() const { return up_; }
  /// Up, but it has flapped and has not yet stayed up long enough.
  bool damped(uint64_t now_us) const { return up_ && now_us < damped_until_us_; }
  /// When damped() ends by itself; 0: it is not damped.
  uint64_t damped_until_us() const { return damped_until_us_; }
  /// The peer is another process now: its flaps are not this one's.
  void forgive() { damp_us_ = damped_until_us_ = 0; }
  /// True a few times after each connect(): beats may then be answered at once.
  bool take_quick_answer() { return quick_answers_ > 0 && quick_answers_-- > 0; }
  uint64_t rtt_us() const { return rtt_us_; }
  uint64_t heard_us() const { return heard_us_; }
  /// Since when it is down although connected; 0 while up or not connected.
  uint64_t down_since_us() const { return down_since_us_; }

 private:
  bool connected_ = false;
  bool up_ = false;
  int quick_answers_ = 0;
  uint64_t last_stamp_us_ = 0;    ///< sent
  uint64_t echoed_stamp_us_ = 0;  ///< the newest of ours that came back
  uint64_t echo_us_ = 0;          ///< when it came back; 0: none has
  uint64_t their_stamp_us_ = 0;
  uint64_t heard_us_ = 0;
  uint64_t rtt_us_ = 0;
  uint64_t up_since_us_ = 0;
  uint64_t down_since_us_ = 0;
  uint64_t damp_us_ = 0;
  uint64_t damped_until_us_ = 0;
};

}  // namespace doozer::transport
