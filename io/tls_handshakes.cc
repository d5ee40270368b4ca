#include "io/tls_handshakes.h"

#include <utility>

#include "base/check.h"
#include "io/tls_stream.h"

namespace doozer::io {
namespace {

class AcceptedTls final : public env::AcceptedStream {
 public:
  explicit AcceptedTls(std::unique_ptr<TlsStream> stream) : stream_(std::move(stream)) {}
  const std::string& peer() const override { return stream_->peer(); }
  std::unique_ptr<env::Stream> attach(env::StreamEvents& events) override {
    CHECK(stream_ != nullptr);
    stream_->attach(events);
    return std::move(stream_);
  }

 private:
  std::unique_ptr<TlsStream> stream_;
};

}  // namespace

// Owns the stream until its handshake is over.
class TlsHandshakes::One final : public env::StreamEvents {
 public:
  One(TlsHandshakes& all, UniqueFd fd, std::string peer, const TlsContext& context)
      : all_(all),
        stream_(std::make_unique<TlsStream>(all.loop_, all.stream_class_, std::move(fd),
                                            std::move(peer), context, *this)) {}

  void on_connected() override {
    Events& events = all_.events_;
    auto stream = std::make_unique<AcceptedTls>(std::move(stream_));
    all_.pending_.erase(place);  // destroys us
    events.on_handshake(std::move(stream));
  }
  void on_bytes(std::string_view) override { UNREACHABLE(); }
  void on_end() override { UNREACHABLE(); }
  void on_failed(const Error& error) override {
    Events& events = all_.events_;
    all_.pending_.erase(place);
    events.on_handshake_failed(error);
  }

  std::list<std::unique_ptr<One>>::iterator place;

 private:
  TlsHandshakes& all_;
  std::unique_ptr<TlsStream> stream_;
};

TlsHandshakes::TlsHandshakes(Loop& loop, env::StreamClass stream_class, Events& events)
    : loop_(loop), stream_class_(stream_class), events_(events) {}

TlsHandshakes::~TlsHandshakes() = default;

void TlsHandshakes::begin(UniqueFd fd, std::string peer, const TlsContext& context) {
  pending_.push_back(std::make_unique<One>(*this, std::move(fd), std::move(peer), context));
  pending_.back()->place = std::prev(pending_.end());
}

}  // namespace doozer::io
