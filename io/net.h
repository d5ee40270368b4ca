// Real sockets. A server's main makes one RealNet over its Loop; so does the client library.
//
// A plain connection that is idle costs under 1 KiB of ours. Streams and listeners must be
// destroyed before the loop; the RealNet itself may go first.
#pragma once

#include <memory>

#include "env/net.h"
#include "io/loop.h"
#include "io/tls_context.h"

namespace doozer::io {

class RealNet final : public env::Net {
 public:
  /// `tls` is the certificate for listeners with TLS and must outlive them; null: none can be made.
  explicit RealNet(Loop& loop, const TlsServer* tls = nullptr) : loop_(loop), tls_(tls) {}
  /// Besides "HOST:PORT", ":PORT" listens on all interfaces. A name is resolved at once, which may
  /// block: listen before serving begins.
  Result<std::unique_ptr<env::Listener>> listen(const env::ListenOptions& options,
                                                env::AcceptEvents& events) override;
  std::unique_ptr<env::Stream> dial(const env::DialOptions& options,
                                    env::StreamEvents& events) override;

 private:
  Loop& loop_;
  const TlsServer* const tls_;
  TlsClients clients_;
};

}  // namespace doozer::io
