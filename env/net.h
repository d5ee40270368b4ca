// Byte streams. TLS, name resolution and sockets are behind this; the server sees bytes in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/function.h"
#include "base/result.h"

namespace doozer::env {

/// In which part of a turn the events of a stream are handled (env/clock.h).
enum class StreamClass : uint8_t { control, bulk, client };

/// What the owner of a stream hears, on the loop's thread. A stream may be destroyed from inside
/// any of these calls; nothing is heard afterwards.
class StreamEvents {
 public:
  virtual ~StreamEvents() = default;
  /// A dialled stream is connected (and has proved its certificate, with TLS). Not for accepted
  /// ones.
  virtual void on_connected() {}
  /// At most kReadChunkBytes, borrowed for the call. Not heard while reading is paused.
  virtual void on_bytes(std::string_view bytes) = 0;
  /// Some of what was unsent has been taken by the operating system.
  virtual void on_progress() {}
  /// The peer shut its sending side: no more bytes will come; writing still works.
  virtual void on_end() = 0;
  /// The stream is dead: reset, time-out, handshake or dial (whose address is told). The last call.
  /// Codes: refused (nobody listens there), timed_out, permission_denied (certificate), closed,
  /// io_error; of a dial also bad_argument (the address, the files of the options) and not_found
  /// (the host's name).
  virtual void on_failed(const Error& error) = 0;
};

/// One connection. Destroying it closes it; what is unsent is then lost, and a peer that still
/// sends gets a reset.
class Stream {
 public:
  virtual ~Stream() = default;
  /// Takes the bytes to send in order: given to the operating system at once as far as it takes
  /// them.
  virtual void write(std::string bytes) = 0;
  /// Bytes given to write() that the operating system has not taken.
  virtual size_t unsent() const = 0;
  /// After what is unsent, tells the peer that no more comes.
  virtual void shutdown() = 0;
  /// From now on `events` hears instead of the owner so far. May be called inside a call from the
  /// stream. A stream that is dead stays silent.
  virtual void redirect(StreamEvents& events) = 0;
  /// From now on its events are handled in that part of a turn; one that is due may still come in
  /// the old part.
  virtual void set_class(StreamClass stream_class) = 0;
  virtual void pause_reading() = 0;
  virtual void resume_reading() = 0;
  /// "127.0.0.1:40312" or "[::1]:40312".
  virtual const std::string& peer() const = 0;
  /// The peer has shown a certificate of an authority that this side trusts for it: a dialled
  /// stream after on_connected, if TLS verifies; an accepted one if its listener asks for them.
  virtual bool certified() const { return false; }
};

/// Stops listening when destroyed; accepted streams live on.
class Listener {
 public:
  virtual ~Listener() = default;
  /// The address really bound, with the port chosen if 0 was asked for.
  virtual const std::string& address() const = 0;
};

class AcceptEvents {
 public:
  virtual ~AcceptEvents() = default;
  /// A new stream, reading. Give it its owner with `attach` before returning, or destroy it.
  /// With TLS it comes only after a good handshake.
  virtual void on_accept(std::unique_ptr<class AcceptedStream> stream) = 0;
  /// A connection was refused before it became a stream: no file descriptors, failed handshake.
  /// Told at most once a second for one reason, with how many since the last time.
  virtual void on_refused(const Error& why, uint64_t count) = 0;
};

/// A stream that waits for its owner.
class AcceptedStream {
 public:
  virtual ~AcceptedStream() = default;
  virtual const std::string& peer() const = 0;
  /// Hands the stream over; `events` hears from the next turn on and must outlive the stream.
  virtual std::unique_ptr<Stream> attach(StreamEvents& events) = 0;
};

struct ListenOptions {
  std::string address;  ///< "HOST:PORT", "[V6]:PORT"; port 0 lets the system choose
  StreamClass stream_class = StreamClass::client;
  bool tls = false;  ///< with the certificate that the Net was made with
};

struct DialOptions {
  std::string address;  ///< "HOST:PORT"; the host is resolved anew each time
  StreamClass stream_class = StreamClass::client;
  uint64_t timeout_us = 5'000'000;  ///< for resolution, connection and handshake together
  bool tls = false;
  std::string tls_ca_file{};      ///< PEM; empty: the system's trust store
  std::string tls_server_name{};  ///< empty: the host of `address`
  std::string tls_cert_file{};    ///< PEM, with tls_key_file: this side's own certificate
  std::string tls_key_file{};
  bool tls_insecure = false;  ///< accept any certificate
};

class Net {
 public:
  virtual ~Net() = default;
  /// Errors: bad_argument (the address), conflict (in use), io_error. `events` must outlive the
  /// listener.
  virtual Result<std::unique_ptr<Listener>> listen(const ListenOptions& options,
                                                   AcceptEvents& events) = 0;
  /// Never fails at once: what goes wrong is heard by on_failed in a later turn.
  virtual std::unique_ptr<Stream> dial(const DialOptions& options, StreamEvents& events) = 0;
};

}  // namespace doozer::env
