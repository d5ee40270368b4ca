#include "io/tls_handshakes.h"

#include <optional>
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

std::string address_of(const std::string& peer) { return peer.substr(0, peer.rfind(':')); }

}  // namespace

// Owns the stream until its handshake is over.
class TlsHandshakes::One final : public env::StreamEvents {
 public:
  One(TlsHandshakes& all, UniqueFd fd, const std::string& peer, const TlsContext& context)
      : of_address(all.per_address_.try_emplace(address_of(peer), 0).first),
        all_(all),
        stream_(std::make_unique<TlsStream>(all.loop_, all.stream_class_, std::move(fd), peer,
                                            context, *this)) {
    ++of_address->second;
  }

  void on_connected() override {
    Events& events = all_.events_;
    auto stream = std::make_unique<AcceptedTls>(std::move(stream_));
    all_.erase(place);  // destroys us
    events.on_handshake(std::move(stream));
  }
  void on_bytes(std::string_view) override { UNREACHABLE(); }
  void on_end() override { UNREACHABLE(); }
  void on_failed(const Error& error) override {
    Events& events = all_.events_;
    all_.erase(place);
    events.on_handshake_failed(error);
  }
  uint64_t gives_place_us() const { return stream_->waits_since_us() + kHandshakePatienceUs; }
  const std::string& peer() const { return stream_->peer(); }

  const std::map<std::string, size_t>::iterator of_address;
  List::iterator place;

 private:
  TlsHandshakes& all_;
  std::unique_ptr<TlsStream> stream_;
};

TlsHandshakes::TlsHandshakes(Loop& loop, env::StreamClass stream_class, Events& events)
    : loop_(loop), stream_class_(stream_class), events_(events) {}

TlsHandshakes::~TlsHandshakes() = default;

void TlsHandshakes::begin(UniqueFd fd, std::string peer, const TlsContext& context) {
  CHECK(has_place());
  std::optional<Error> dropped;
  if (full()) {
    const auto place = next_out();
    dropped = Error{Code::timed_out, "TLS handshake with " + (*place)->peer() +
                                         ": gave its place up to a new connection"};
    erase(place);
  }
  pending_.push_back(std::make_unique<One>(*this, std::move(fd), peer, context));
  pending_.back()->place = std::prev(pending_.end());
  if (dropped) events_.on_handshake_failed(*dropped);
}

uint64_t TlsHandshakes::place_us() const { return full() ? (*next_out())->gives_place_us() : 0; }

// The oldest of the address, or of the addresses, with the most.
TlsHandshakes::List::const_iterator TlsHandshakes::next_out() const {
  auto found = pending_.begin();
  for (auto place = pending_.begin(); place != pending_.end(); ++place) {
    const size_t count = (*place)->of_address->second;
    const size_t found_count = (*found)->of_address->second;
    const bool longer = (*place)->gives_place_us() < (*found)->gives_place_us();
    if (count > found_count || (count == found_count && longer)) found = place;
  }
  return found;
}

void TlsHandshakes::erase(List::const_iterator place) {
  const auto of_address = (*place)->of_address;
  if (--of_address->second == 0) per_address_.erase(of_address);
  pending_.erase(place);
}

}  // namespace doozer::io
