// A listening socket. Inside io/ only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "env/net.h"
#include "io/alive.h"
#include "io/loop.h"
#include "io/poller.h"
#include "io/ready.h"
#include "io/refusals.h"
#include "io/tls_context.h"
#include "io/tls_handshakes.h"

namespace doozer::io {

/// Accepts up to kAcceptsPerTurn connections a turn, and with TLS only while there is a place for
/// one more handshake (TlsHandshakes); the others wait in the backlog. The last descriptors are the
/// disk's: who would get one of them is refused. When the process is out of descriptors, a spare
/// one is given up for a moment to accept and close: the peer sees its connection refused instead
/// of waiting, and the backlog does not wake us for ever.
class SocketListener final : public env::Listener,
                             private Ready,
                             private Watch,
                             private TlsHandshakes::Events {
 public:
  /// Errors: bad_argument, conflict (in use), not_found (the name), io_error.
  static Result<std::unique_ptr<SocketListener>> open(Loop& loop, const env::ListenOptions& options,
                                                      const TlsServer* tls,
                                                      env::AcceptEvents& events);
  ~SocketListener() override;
  const std::string& address() const override { return address_; }

 private:
  SocketListener(Loop& loop, const env::ListenOptions& options, const TlsServer* tls,
                 env::AcceptEvents& events);
  void on_ready() override;
  void on_readable() override { loop_.enqueue(stream_class_, *this); }
  void on_writable() override {}
  void on_handshake(std::unique_ptr<env::AcceptedStream> stream) override;
  void on_handshake_failed(const Error& error) override;
  void go_on();
  void wait_for_place();
  bool accept_one();
  bool refuse_one(int error);
  void note_no_descriptors(int error);
  void rest_a_while();

  // Fixed after construction.
  Loop& loop_;
  env::AcceptEvents& events_;
  const env::StreamClass stream_class_;
  const TlsServer* const tls_;
  std::string address_;

  UniqueFd spare_;
  Refusals refusals_;
  TlsHandshakes handshakes_;
  env::TimerId rest_timer_ = 0;
  env::TimerId place_timer_ =
      0;  ///< not 0: nobody is accepted before it, or before a place is free
  Alive alive_;
};

}  // namespace doozer::io
