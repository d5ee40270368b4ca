// The handshakes of a listener that are under way. Inside io/ only.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "base/function.h"
#include "env/net.h"
#include "io/fd.h"
#include "io/loop.h"
#include "io/tls_context.h"

namespace doozer::io {

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
  void begin(UniqueFd fd, std::string peer, const TlsContext& context);
  size_t pending() const { return pending_.size(); }

 private:
  class One;
  Loop& loop_;
  const env::StreamClass stream_class_;
  Events& events_;
  std::list<std::unique_ptr<One>> pending_;
};

}  // namespace doozer::io
