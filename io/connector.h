// From "HOST:PORT" to a connected socket: resolution away from the loop's thread, then each address
// in turn. Inside io/ only.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "env/clock.h"
#include "env/net.h"
#include "io/fd.h"
#include "io/loop.h"
#include "io/poller.h"
#include "io/ready.h"

namespace doozer::io {

/// Enqueues its owner once it is done, one way or the other; take() then gives the outcome.
/// Destroying it gives up.
class Connector final : private Ready, private Watch {
 public:
  Connector(Loop& loop, const env::DialOptions& options, Ready& owner);
  ~Connector() override;
  bool done() const { return done_; }
  /// The socket, and whom it is connected to. Codes: bad_argument (the address), not_found (the
  /// name), refused, timed_out, io_error. If several addresses failed, the last one's, with all in
  /// the message.
  Result<UniqueFd> take();
  const std::string& peer() const { return peer_; }

 private:
  struct Resolving;
  void on_ready() override;
  void on_readable() override {}
  void on_writable() override;
  void start();
  void resolve(const std::string& host, uint16_t port);
  void try_next();
  void attempt_failed(int error);
  void finish(Result<UniqueFd> outcome);

  // Fixed after construction.
  Loop& loop_;
  Ready& owner_;
  const std::string address_;
  const env::StreamClass stream_class_;
  const uint64_t end_us_;

  std::shared_ptr<Resolving> resolving_;  // shared with the resolver, which may outlive us
  size_t next_ = 0;                       // of the addresses
  std::string peer_;
  env::TimerId timer_ = 0;
  env::TimerId attempt_timer_ = 0;  // of one address among several
  std::string failures_;
  Code failure_code_ = Code::io_error;
  Result<UniqueFd> outcome_{UniqueFd()};
  bool done_ = false;
  bool asked_ = false;      // for the addresses
  bool started_ = false;    // the addresses are known
  bool connected_ = false;  // the current attempt has an outcome
};

}  // namespace doozer::io
