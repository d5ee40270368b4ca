#include "io/connector.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/units.h"
#include "io/address.h"
#include "io/os_error.h"
#include "io/socket_options.h"

namespace doozer::io {

// What the resolver's thread and the connector share; the connector may go first.
struct Connector::Resolving {
  explicit Resolving(asio::io_context& context) : resolver(context) {}
  Connector* connector = nullptr;
  asio::ip::tcp::resolver resolver;
  std::vector<SocketAddress> addresses;
  std::string error;
};

Connector::Connector(Loop& loop, const env::DialOptions& options, Ready& owner)
    : Watch(loop.poller()),
      loop_(loop),
      owner_(owner),
      address_(options.address),
      stream_class_(options.stream_class),
      end_us_(loop.now_us() + options.timeout_us),
      resolving_(std::make_shared<Resolving>(loop.poller().context())) {
  resolving_->connector = this;
  timer_ = loop_.at(end_us_, [this] {
    timer_ = 0;
    if (attempt_timer_ != 0) loop_.cancel(std::exchange(attempt_timer_, 0));
    std::string doing = "resolving the name";
    if (started_) {
      if (!failures_.empty()) failures_ += "; ";
      doing = failures_ + (peer_ == address_ ? "" : peer_ + ": ") + "no answer";
    }
    finish(fail(Code::timed_out, address_ + ": timed out (" + doing + ")"));
  });
  // Never at once: the caller has not got its stream yet.
  loop_.enqueue(stream_class_, *this);
}

Connector::~Connector() {
  resolving_->connector = nullptr;
  loop_.cancel(timer_);
  loop_.cancel(attempt_timer_);
}

Result<UniqueFd> Connector::take() {
  CHECK(done_);
  return std::move(outcome_);
}

void Connector::on_ready() {
  if (done_) return;
  if (!asked_) {
    asked_ = true;
    start();
    return;
  }
  if (connected_) {
    connected_ = false;
    if (!is_open()) return;
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error == 0) {
      finish(release());
      return;
    }
    close();
    loop_.cancel(std::exchange(attempt_timer_, 0));
    attempt_failed(error);
    try_next();
    return;
  }
  // The resolver has answered.
  if (started_) return;
  if (resolving_->addresses.empty()) {
    finish(fail(Code::not_found, address_ + ": " + resolving_->error));
    return;
  }
  started_ = true;
  try_next();
}

void Connector::start() {
  Result<HostPort> where = parse_host_port(address_);
  if (where && where->host.empty()) {
    where = fail(Code::bad_argument, "address " + quote(address_) + ": no host");
  }
  if (!where) {
    finish(fail(std::move(where).error()));
    return;
  }
  if (const auto address = numeric_address(where->host, where->port)) {
    resolving_->addresses.push_back(*address);
    started_ = true;
    try_next();
    return;
  }
  resolve(where->host, where->port);
}

void Connector::resolve(const std::string& host, uint16_t port) {
  try {
    resolving_->resolver.async_resolve(
        host, std::to_string(port),
        [state = resolving_](const asio::error_code& error,
                             const asio::ip::tcp::resolver::results_type& results) {
          if (error) state->error = error.message();
          for (const auto& entry : results) {
            SocketAddress address;
            const asio::ip::tcp::endpoint endpoint = entry.endpoint();
            std::memcpy(&address.storage, endpoint.data(), endpoint.size());
            address.size = static_cast<socklen_t>(endpoint.size());
            state->addresses.push_back(address);
          }
          Connector* const connector = state->connector;
          if (connector != nullptr) connector->loop_.enqueue(connector->stream_class_, *connector);
        });
  } catch (const std::exception& thrown) {
    // The resolver could not start its thread.
    finish(fail(Code::io_error, address_ + ": " + thrown.what()));
  }
}

// Each address gets an even share of the time that is left, so that one that swallows packets does
// not cost the others their chance.
void Connector::try_next() {
  const std::vector<SocketAddress>& addresses = resolving_->addresses;
  while (next_ < addresses.size()) {
    const SocketAddress& address = addresses[next_++];
    peer_ = address.to_string();
    UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) {
      attempt_failed(errno);
      continue;
    }
    set_stream_options(fd.get());
    const int error = ::connect(fd.get(), address.get(), address.size) == 0 ? 0 : errno;
    if (error == 0) {
      finish(std::move(fd));
      return;
    }
    if (error != EINPROGRESS && error != EINTR) {
      attempt_failed(error);
      continue;
    }
    if (Result<void> opened = open(std::move(fd)); !opened) {
      finish(fail(std::move(opened).error()));
      return;
    }
    arm_write();
    const uint64_t now = loop_.now_us();
    const uint64_t left_us = end_us_ > now ? end_us_ - now : 0;
    const uint64_t rest = addresses.size() - next_ + 1;
    if (rest > 1) {
      attempt_timer_ = loop_.at(now + left_us / rest, [this] {
        attempt_timer_ = 0;
        close();
        connected_ = false;
        attempt_failed(ETIMEDOUT);
        try_next();
      });
    }
    return;
  }
  // A name is told with each address that it stands for; an address is told once.
  finish(fail(failure_code_, peer_ == address_ ? failures_ : address_ + ": " + failures_));
}

void Connector::on_writable() {
  // Only notes: the work is done in the turn.
  connected_ = true;
  loop_.enqueue(stream_class_, *this);
}

void Connector::attempt_failed(int error) {
  const Error told = errno_error(error, peer_);
  failure_code_ = told.code;
  if (!failures_.empty()) failures_ += "; ";
  failures_ += told.message;
}

void Connector::finish(Result<UniqueFd> outcome) {
  close();
  if (timer_ != 0) loop_.cancel(std::exchange(timer_, 0));
  if (attempt_timer_ != 0) loop_.cancel(std::exchange(attempt_timer_, 0));
  outcome_ = std::move(outcome);
  done_ = true;
  loop_.enqueue(stream_class_, owner_);
}

}  // namespace doozer::io
