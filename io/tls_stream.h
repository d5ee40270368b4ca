// TLS over a plain stream. Inside io/ only.
//
// OpenSSL never sees the socket: it reads from what the plain stream heard and writes into a
// string that the plain stream is given, one send for each write(). So readiness, classes and turns
// are those of SocketStream.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "env/net.h"
#include "io/alive.h"
#include "io/loop.h"
#include "io/ready.h"
#include "io/socket_stream.h"
#include "io/tls_context.h"

struct ssl_st;
struct bio_st;

namespace doozer::io {

class TlsStream final : public env::Stream, private env::StreamEvents, private Ready {
 public:
  /// Dials, then proves the peer's certificate; `events` hears on_connected after both.
  TlsStream(Loop& loop, const env::DialOptions& options, const TlsContext& context,
            env::StreamEvents& events);
  /// The server's side of an accepted connection. `handshake` hears on_connected or on_failed, and
  /// nothing else before attach().
  TlsStream(Loop& loop, env::StreamClass stream_class, UniqueFd fd, std::string peer,
            const TlsContext& context, env::StreamEvents& handshake);
  ~TlsStream() override;
  /// Gives an accepted stream its owner, who hears from the next turn on.
  void attach(env::StreamEvents& events);

  void write(std::string bytes) override;
  size_t unsent() const override;
  void shutdown() override;
  void redirect(env::StreamEvents& events) override { events_ = &events; }
  void set_class(env::StreamClass stream_class) override;
  void pause_reading() override;
  void resume_reading() override;
  const std::string& peer() const override { return peer_; }
  bool certified() const override;
  /// Of a server's handshake: since when it waits for the peer: from its beginning until the hello
  /// is there, and again from the answer to it. Far in the future while the peer waits for a turn.
  uint64_t waits_since_us() const { return waits_for_turn_ ? kWaitsForUs : waits_since_us_; }

 private:
  static constexpr uint64_t kWaitsForUs = UINT64_MAX / 2;
  struct Bio;
  // Of the plain stream.
  void on_connected() override;
  void on_bytes(std::string_view bytes) override;
  void on_progress() override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_ready() override;

  void make_ssl(const TlsContext& context, bool server);
  void limit_handshake(uint64_t us);
  void run(std::string_view fresh);
  // These answer false when the stream is dead or destroyed, or nothing more can be done now. They
  // run under the guard of run().
  bool handshake(const AliveGuard& guard);
  bool read_all(const AliveGuard& guard);
  void ended_short();
  bool fail_now(Error error);
  bool fail_by(std::string_view doing);  // by OpenSSL's queue of errors
  void encrypt(std::string_view bytes);
  void end_now();
  void flush();
  bool hears() const { return established_ && attached_ && !paused_ && !read_ended_; }

  // Fixed after construction (the peer: after connecting).
  Loop& loop_;
  env::StreamClass stream_class_;  // but for set_class()
  env::StreamEvents* events_;      // but for attach() and redirect()
  std::string peer_;
  std::string server_name_;  // whose certificate must be shown; empty: anybody's
  struct SslFree {
    void operator()(ssl_st* ssl) const;
  };
  std::unique_ptr<ssl_st, SslFree> ssl_;
  std::unique_ptr<SocketStream> plain_;  // null once dead

  std::string_view in_;             // received and not yet given to OpenSSL; during run() only
  std::string kept_in_;             // the same, between calls
  std::string out_;                 // encrypted, for the plain stream
  std::string before_;              // written before the handshake was over
  std::unique_ptr<Error> failure_;  // to be told in the next turn
  env::TimerId timer_ = 0;          // of the handshake
  uint64_t waits_since_us_ = 0;
  Alive alive_;
  const bool server_;
  bool attached_;
  bool connected_ = false;       // the plain stream is
  bool established_ = false;     // the handshake is over
  bool waits_for_turn_ = false;  // the handshakes of this turn are used up
  bool paused_ = false;
  bool plain_ended_ = false;
  bool read_ended_ = false;
  bool ending_ = false;
};

}  // namespace doozer::io
