#include "io/listener.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "io/address.h"
#include "io/descriptors.h"
#include "io/os_error.h"
#include "io/socket_options.h"
#include "io/socket_stream.h"

namespace doozer::io {
namespace {

// After a failure of accept that trying again at once would only repeat.
constexpr uint64_t kRestUs = 100'000;

class AcceptedSocket final : public env::AcceptedStream {
 public:
  AcceptedSocket(Loop& loop, env::StreamClass stream_class, UniqueFd fd, std::string peer)
      : loop_(loop), stream_class_(stream_class), fd_(std::move(fd)), peer_(std::move(peer)) {}
  const std::string& peer() const override { return peer_; }
  std::unique_ptr<env::Stream> attach(env::StreamEvents& events) override {
    CHECK(static_cast<bool>(fd_));
    return std::make_unique<SocketStream>(loop_, stream_class_, std::move(fd_), peer_, events);
  }

 private:
  Loop& loop_;
  env::StreamClass stream_class_;
  UniqueFd fd_;
  std::string peer_;
};

UniqueFd open_spare() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

Result<UniqueFd> listen_on(const SocketAddress& address) {
  const auto failed = [&] { return fail(errno_error(errno, "listen on " + address.to_string())); };
  UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return failed();
  const int on = 1;
  const int off = 0;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return failed();
  if (address.family() == AF_INET6) {
    static_cast<void>(::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off));
  }
  set_stream_options(fd.get());
  if (::bind(fd.get(), address.get(), address.size) != 0) return failed();
  if (::listen(fd.get(), SOMAXCONN) != 0) return failed();
  return fd;
}

}  // namespace

Result<std::unique_ptr<SocketListener>> SocketListener::open(Loop& loop,
                                                             const env::ListenOptions& options,
                                                             const TlsServer* tls,
                                                             env::AcceptEvents& events) {
  TRY_ASSIGN(const HostPort where, parse_host_port(options.address));
  TRY_ASSIGN(const std::vector<SocketAddress> addresses, resolve_blocking(where));
  Result<UniqueFd> socket;
  for (const SocketAddress& address : addresses) {
    socket = listen_on(address);
    if (socket || socket.error().code == Code::conflict) break;
  }
  TRY(socket);
  auto listener = std::unique_ptr<SocketListener>(new SocketListener(loop, options, tls, events));
  listener->address_ = local_address_of(socket->get());
  TRY(listener->Watch::open(std::move(*socket)));
  listener->arm_read();
  return listener;
}

SocketListener::SocketListener(Loop& loop, const env::ListenOptions& options, const TlsServer* tls,
                               env::AcceptEvents& events)
    : Watch(loop.poller()),
      loop_(loop),
      events_(events),
      stream_class_(options.stream_class),
      tls_(tls),
      spare_(open_spare()),
      refusals_(loop, events),
      handshakes_(loop, options.stream_class, *this) {}

SocketListener::~SocketListener() {
  if (rest_timer_ != 0) loop_.cancel(rest_timer_);
  if (place_timer_ != 0) loop_.cancel(place_timer_);
}

void SocketListener::on_ready() {
  const AliveGuard guard(alive_);
  bool more = true;
  for (size_t i = 0; i < kAcceptsPerTurn && more && handshakes_.has_place(); ++i) {
    more = accept_one();
    if (guard.gone()) return;
  }
  if (rest_timer_ != 0) return;
  if (!handshakes_.has_place()) {
    wait_for_place();
    return;
  }
  if (more) {
    loop_.enqueue(stream_class_, *this);
  } else {
    arm_read();
  }
}

void SocketListener::on_handshake(std::unique_ptr<env::AcceptedStream> stream) {
  go_on();
  events_.on_accept(std::move(stream));
}

void SocketListener::on_handshake_failed(const Error& error) {
  go_on();
  refusals_.note("tls " + std::string(code_name(error.code)), error);
}

// One handshake less is under way: if they were too many, the backlog is looked at again.
void SocketListener::go_on() {
  if (place_timer_ == 0) return;
  loop_.cancel(std::exchange(place_timer_, 0));
  loop_.enqueue(stream_class_, *this);
}

void SocketListener::wait_for_place() {
  if (place_timer_ != 0) return;
  // One that waits for its turn now may begin to wait for its peer.
  const uint64_t look_again_us = loop_.now_us() + kHandshakePatienceUs;
  place_timer_ = loop_.at(std::min(handshakes_.place_us(), look_again_us), [this] {
    place_timer_ = 0;
    loop_.enqueue(stream_class_, *this);
  });
}

// False if nobody waits any more or the listener must rest. It may be destroyed by the call.
bool SocketListener::accept_one() {
  SocketAddress from;
  UniqueFd fd(::accept4(this->fd(), from.get(), &from.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd && is_reserved_descriptor(fd.get())) {
    fd.reset();
    note_no_descriptors(EMFILE);
    return true;
  }
  if (fd && tls_ != nullptr) {
    handshakes_.begin(std::move(fd), from.to_string(), tls_->context());
    return true;
  }
  if (fd) {
    events_.on_accept(
        std::make_unique<AcceptedSocket>(loop_, stream_class_, std::move(fd), from.to_string()));
    return true;
  }
  const int error = errno;
  switch (error) {
    case EAGAIN: return false;
    case EMFILE:
    case ENFILE: return refuse_one(error);
    case EBADF:
    case EINVAL:
    case ENOBUFS:
    case ENOMEM:
      rest_a_while();
      refusals_.note(errno_text(error), errno_error(error, "accept on " + address_));
      return false;
    // The peer is gone already, or one connection of it failed: the next one may be good.
    default: return true;
  }
}

bool SocketListener::refuse_one(int error) {
  spare_.reset();
  UniqueFd refused(::accept4(fd(), nullptr, nullptr, SOCK_CLOEXEC));
  const int again = errno;
  const bool done = static_cast<bool>(refused);
  refused.reset();
  spare_ = open_spare();
  if (!done) {
    // Linux looks for a free descriptor first, so that only now we know whether anybody waits. If
    // another thread took the one that we gave up, the peers have to wait.
    if (again != EAGAIN) rest_a_while();
    return false;
  }
  note_no_descriptors(error);
  return true;
}

void SocketListener::note_no_descriptors(int error) {
  refusals_.note(errno_text(error), errno_error(error, "accept on " + address_));
}

void SocketListener::rest_a_while() {
  if (rest_timer_ != 0) return;
  rest_timer_ = loop_.at(loop_.now_us() + kRestUs, [this] {
    rest_timer_ = 0;
    arm_read();
  });
}

}  // namespace doozer::io
