// A plain TCP connection as a stream. Inside io/ only.
//
// One turn: Asio's readiness puts the stream into the loop's list for its class; in that part of
// the turn it flushes what is unsent, then reads once, at most kReadChunkBytes, into the loop's
// buffer. Idle it costs no buffer at all.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "env/net.h"
#include "io/alive.h"
#include "io/connector.h"
#include "io/loop.h"
#include "io/poller.h"
#include "io/ready.h"
#include "io/send_queue.h"

namespace doozer::io {

class SocketStream final : public env::Stream, private Ready, private Watch {
 public:
  /// An accepted connection; hears from the next turn on.
  SocketStream(Loop& loop, env::StreamClass stream_class, UniqueFd fd, std::string peer,
               env::StreamEvents& events);
  /// A connection to be made; until then what is written waits.
  SocketStream(Loop& loop, const env::DialOptions& options, env::StreamEvents& events);
  ~SocketStream() override;

  void write(std::string bytes) override;
  size_t unsent() const override { return queue_.bytes(); }
  void shutdown() override;
  void redirect(env::StreamEvents& events) override { events_ = &events; }
  void set_class(env::StreamClass stream_class) override { stream_class_ = stream_class; }
  void pause_reading() override;
  void resume_reading() override;
  const std::string& peer() const override { return peer_; }

 private:
  void on_ready() override;
  void on_readable() override;
  void on_writable() override;

  // Those that answer bool call the owner: false means that the stream is dead or destroyed.
  bool connected();
  bool flush();
  bool read_once();
  bool fail_now(Error error);
  void send_end();
  void enqueue() { loop_.enqueue(stream_class_, *this); }
  void fail_later(int error, std::string_view doing);

  // Fixed after construction (the peer: after connecting).
  Loop& loop_;
  std::string peer_;

  env::StreamEvents* events_;
  std::unique_ptr<Connector> connector_;  // until connected
  std::unique_ptr<Error> failure_;        // to be told in the next turn
  SendQueue queue_;
  Alive alive_;
  env::StreamClass stream_class_;
  bool readable_ = false;
  bool writable_ = false;
  bool paused_ = false;
  bool read_ended_ = false;
  bool ending_ = false;  // shutdown() was called
  bool dead_ = false;    // on_failed was or will be heard
};

}  // namespace doozer::io
