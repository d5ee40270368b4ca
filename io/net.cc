#include "io/net.h"

#include <utility>

#include "io/listener.h"
#include "io/ready.h"
#include "io/socket_stream.h"
#include "io/tls_stream.h"

namespace doozer::io {
namespace {

// A dial that was doomed from the start, so that its failure too is heard in a later turn.
class DoomedStream final : public env::Stream, private Ready {
 public:
  DoomedStream(Loop& loop, const env::DialOptions& options, Error error, env::StreamEvents& events)
      : peer_(options.address), error_(std::move(error)), events_(&events) {
    loop.enqueue(options.stream_class, *this);
  }
  void write(std::string) override {}
  size_t unsent() const override { return 0; }
  void shutdown() override {}
  void redirect(env::StreamEvents& events) override { events_ = &events; }
  void set_class(env::StreamClass /*stream_class*/) override {}
  void pause_reading() override {}
  void resume_reading() override {}
  const std::string& peer() const override { return peer_; }

 private:
  void on_ready() override {
    const Error error = std::move(error_);
    events_->on_failed(error);
  }
  const std::string peer_;
  Error error_;
  env::StreamEvents* events_;
};

}  // namespace

Result<std::unique_ptr<env::Listener>> RealNet::listen(const env::ListenOptions& options,
                                                       env::AcceptEvents& events) {
  if (options.tls && tls_ == nullptr) {
    return fail(Code::bad_argument, "listen on " + options.address + ": no TLS certificate given");
  }
  TRY_ASSIGN(std::unique_ptr<env::Listener> listener,
             SocketListener::open(loop_, options, options.tls ? tls_ : nullptr, events));
  return listener;
}

std::unique_ptr<env::Stream> RealNet::dial(const env::DialOptions& options,
                                           env::StreamEvents& events) {
  if (!options.tls) return std::make_unique<SocketStream>(loop_, options, events);
  Result<TlsContext> context = clients_.context(options);
  if (!context) {
    return std::make_unique<DoomedStream>(
        loop_, options, with_context(std::move(context).error(), options.address), events);
  }
  return std::make_unique<TlsStream>(loop_, options, *context, events);
}

}  // namespace doozer::io
