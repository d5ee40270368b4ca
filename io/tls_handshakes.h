// The handshakes of a listener that are under way, and which of them must go when all places are
// taken. Inside io/ only.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "base/limits.h"
#include "env/net.h"
#include "io/fd.h"
#include "io/loop.h"
#include "io/tls_context.h"

namespace doozer::io {

/// At most kHandshakesPendingMax. When all places are taken, one of the address that has the most
/// of them is given up to a newcomer: the one that has waited for its peer for the longest time,
/// once that is kHandshakePatienceUs. So a crowd that connects and then says nothing, or a byte now
/// and then, delays the others by that time and no more.
class TlsHandshakes {
 public:
  /// Heard once for each handshake, in a turn; may destroy us.
  class Events {
   public:
    virtual ~Events() = default;
    virtual void on_handshake(std::unique_ptr<env::AcceptedStream> stream) = 0;
    virtual void on_handshake_failed(const Error& error) = 0;
  };
  TlsHandshakes(Loop& loop, env::StreamClass stream_class, Events& events);
  ~TlsHandshakes();
  TlsHandshakes(const TlsHandshakes&) = delete;
  TlsHandshakes& operator=(const TlsHandshakes&) = delete;
  /// REQUIRES has_place(). Told to the events: its end, and that of another that gave its place up.
  void begin(UniqueFd fd, std::string peer, const TlsContext& context);
  /// False: all are taken and none is given up yet; see place_us().
  bool has_place() const { return !full() || place_us() <= loop_.now_us(); }
  bool full() const { return pending_.size() >= kHandshakesPendingMax; }
  /// When a place may be had, if nothing happens before.
  uint64_t place_us() const;

 private:
  class One;
  using List = std::list<std::unique_ptr<One>>;
  List::const_iterator next_out() const;
  void erase(List::const_iterator place);

  Loop& loop_;
  const env::StreamClass stream_class_;
  Events& events_;
  List pending_;                               ///< in the order in which they began
  std::map<std::string, size_t> per_address_;  ///< how many of pending_
};

}  // namespace doozer::io
