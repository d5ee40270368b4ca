#include "io/socket_stream.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "io/os_error.h"

namespace doozer::io {
namespace {

constexpr size_t kPartsPerSend = 64;
// Of one stream; the rest of its queue waits for the next turn. A send may take a mebibyte, which
// is half a millisecond and more.
constexpr int kSendsPerTurn = 1;

// send() that is not disturbed by signals: bytes taken, or -errno.
ssize_t send_parts(int fd, iovec* parts, size_t count) {
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = count;
  for (;;) {
    const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return sent;
    if (errno != EINTR) return -errno;
  }
}

bool would_block(ssize_t result) { return result == -EAGAIN || result == -EWOULDBLOCK; }

}  // namespace

SocketStream::SocketStream(Loop& loop, env::StreamClass stream_class, UniqueFd fd, std::string peer,
                           env::StreamEvents& events)
    : Watch(loop.poller()),
      loop_(loop),
      peer_(std::move(peer)),
      events_(&events),
      stream_class_(stream_class) {
  if (Result<void> opened = open(std::move(fd)); !opened) {
    failure_ = std::make_unique<Error>(std::move(opened).error());
    enqueue();
    return;
  }
  arm_read();
}

SocketStream::SocketStream(Loop& loop, const env::DialOptions& options, env::StreamEvents& events)
    : Watch(loop.poller()),
      loop_(loop),
      peer_(options.address),
      events_(&events),
      connector_(std::make_unique<Connector>(loop, options, static_cast<Ready&>(*this))),
      stream_class_(options.stream_class) {}

SocketStream::~SocketStream() = default;

void SocketStream::write(std::string bytes) {
  if (bytes.empty() || dead_ || ending_ || failure_ != nullptr) return;
  if (connector_ != nullptr || !queue_.empty()) {
    queue_.push(std::move(bytes), 0);
    return;
  }
  iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
  const ssize_t sent = send_parts(fd(), &part, 1);
  if (sent < 0 && !would_block(sent)) {
    fail_later(static_cast<int>(-sent), "send");
    return;
  }
  const size_t taken = sent < 0 ? 0 : static_cast<size_t>(sent);
  if (taken == bytes.size()) return;
  queue_.push(std::move(bytes), taken);
  arm_write();
}

void SocketStream::shutdown() {
  if (ending_ || dead_) return;
  ending_ = true;
  if (connector_ == nullptr && queue_.empty() && failure_ == nullptr) send_end();
}

void SocketStream::pause_reading() { paused_ = true; }

void SocketStream::resume_reading() {
  if (!paused_) return;
  paused_ = false;
  if (connector_ != nullptr || read_ended_ || dead_) return;
  if (readable_) {
    enqueue();
  } else {
    arm_read();
  }
}

void SocketStream::on_readable() {
  readable_ = true;
  if (!paused_) enqueue();
}

void SocketStream::on_writable() {
  writable_ = true;
  enqueue();
}

void SocketStream::on_ready() {
  if (connector_ != nullptr && !connected()) return;
  if (failure_ != nullptr && !is_open()) {
    fail_now(std::move(*failure_));
    return;
  }
  if (writable_ && failure_ == nullptr && !flush()) return;
  // A failed send does not make unread what the peer had said before.
  if (failure_ != nullptr) readable_ = true;
  if (readable_ && !paused_ && !read_ended_ && !read_once()) return;
  if (failure_ == nullptr) return;
  if (readable_ && !paused_ && !read_ended_) {
    enqueue();
  } else {
    fail_now(std::move(*failure_));
  }
}

bool SocketStream::connected() {
  if (!connector_->done()) return true;
  Result<UniqueFd> outcome = connector_->take();
  if (outcome) peer_ = connector_->peer();
  connector_.reset();
  if (!outcome) return fail_now(std::move(outcome).error());
  if (Result<void> opened = open(std::move(*outcome)); !opened) {
    return fail_now(std::move(opened).error());
  }
  const AliveGuard guard(alive_);
  events_->on_connected();
  if (guard.gone()) return false;
  if (!paused_) arm_read();
  if (!queue_.empty()) {
    writable_ = true;
  } else if (ending_) {
    send_end();
  }
  return true;
}

bool SocketStream::flush() {
  writable_ = false;
  size_t taken = 0;
  for (int i = 0; i < kSendsPerTurn && !queue_.empty(); ++i) {
    iovec parts[kPartsPerSend];
    const ssize_t sent = send_parts(fd(), parts, queue_.gather(parts, kPartsPerSend));
    if (would_block(sent)) {
      arm_write();
      break;
    }
    if (sent < 0) {
      fail_later(static_cast<int>(-sent), "send");
      return true;
    }
    queue_.consume(static_cast<size_t>(sent));
    taken += static_cast<size_t>(sent);
    if (i + 1 == kSendsPerTurn && !queue_.empty()) arm_write();
  }
  if (queue_.empty() && ending_) send_end();
  if (taken == 0) return true;
  const AliveGuard guard(alive_);
  events_->on_progress();
  return !guard.gone();
}

bool SocketStream::read_once() {
  const std::span<char> buffer = loop_.read_buffer();
  ssize_t count = 0;
  do {
    count = ::recv(fd(), buffer.data(), buffer.size(), 0);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
    return fail_now(errno_error(errno, "connection to " + peer_ + ": receive"));
  }
  readable_ = count == static_cast<ssize_t>(buffer.size());
  const AliveGuard guard(alive_);
  if (count > 0) {
    events_->on_bytes({buffer.data(), static_cast<size_t>(count)});
  } else if (count == 0) {
    read_ended_ = true;
    events_->on_end();
  }
  if (guard.gone()) return false;
  if (read_ended_ || paused_) return true;
  if (readable_) {
    enqueue();
  } else {
    arm_read();
  }
  return true;
}

// After this nothing is sent any more; the peer may go on.
void SocketStream::send_end() {
  if (::shutdown(fd(), SHUT_WR) != 0) fail_later(errno, "shutdown");
}

void SocketStream::fail_later(int error, std::string_view doing) {
  failure_ = std::make_unique<Error>(
      errno_error(error, "connection to " + peer_ + ": " + std::string(doing)));
  enqueue();
}

bool SocketStream::fail_now(Error error) {
  dead_ = true;
  failure_.reset();
  close();
  unlink();
  queue_ = {};
  events_->on_failed(error);
  return false;
}

}  // namespace doozer::io
