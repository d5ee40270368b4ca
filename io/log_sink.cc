#include "io/log_sink.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string>

#include "base/bytes.h"

namespace doozer::io {
namespace {

// A pipe that poll() calls writable takes PIPE_BUF bytes without blocking, so records of up to
// that size are one write.
constexpr size_t kPieceBytes = PIPE_BUF;
constexpr int kPatienceMs = 5;

int64_t clock_us(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000;
}

bool wants_colour() {
  const char* const no_colour = std::getenv("NO_COLOR");
  const char* const term = std::getenv("TERM");
  if (no_colour != nullptr && no_colour[0] != '\0') return false;
  return term == nullptr || std::string_view(term) != "dumb";
}

}  // namespace

Result<LogFormat> parse_log_format(std::string_view text) {
  if (text == "auto") return LogFormat::automatic;
  if (text == "text") return LogFormat::text;
  if (text == "json") return LogFormat::json;
  return fail(Code::bad_argument, "log format " + quote(text) + ": must be auto, text or json");
}

FdLogSink::FdLogSink(int fd, LogFormat format) : fd_(fd) {
  const bool terminal = ::isatty(fd) == 1;
  json_ = format == LogFormat::json || (format == LogFormat::automatic && !terminal);
  colour_ = terminal && wants_colour();
  struct stat status{};
  if (::fstat(fd, &status) == 0) {
    never_blocks_ = S_ISREG(status.st_mode);
    socket_ = S_ISSOCK(status.st_mode);
  }
}

void FdLogSink::write(const LogRecord& record) {
  const LogStamp stamp{.wall_us = clock_us(CLOCK_REALTIME),
                       .monotonic_us = static_cast<uint64_t>(clock_us(CLOCK_MONOTONIC))};
  const auto render = [&](const LogRecord& one) {
    return json_ ? render_log_json(one, stamp) : render_log_text(one, stamp, colour_);
  };
  const std::lock_guard lock(mutex_);
  std::string text;
  // What was cut off in its middle must not swallow the next record.
  if (torn_) text = "\n";
  if (dropped_untold_ > 0) {
    text += render({.level = LogLevel::warn,
                    .event = "log_dropped",
                    .context = record.context,
                    .fields = {{"count", dropped_untold_}}});
  }
  text += render(record);
  if (deliver(text)) {
    dropped_untold_ = 0;
    return;
  }
  ++dropped_;
  ++dropped_untold_;
}

uint64_t FdLogSink::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

bool FdLogSink::deliver(std::string_view text) {
  while (!text.empty()) {
    if (!never_blocks_ && !wait_writable()) return false;
    const size_t size = never_blocks_ ? text.size() : std::min(text.size(), kPieceBytes);
    const ssize_t count = socket_ ? ::send(fd_, text.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL)
                                  : ::write(fd_, text.data(), size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    torn_ = static_cast<size_t>(count) < text.size();
    text.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

// Once somebody was found not to read, nobody waits for him again until he does.
bool FdLogSink::wait_writable() {
  pollfd entry{.fd = fd_, .events = POLLOUT, .revents = 0};
  const int ready = ::poll(&entry, 1, stuck_ ? 0 : kPatienceMs);
  stuck_ = ready <= 0;
  return !stuck_;
}

}  // namespace doozer::io
