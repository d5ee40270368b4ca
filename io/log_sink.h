// Log records to a file descriptor: standard error, a file, a pipe or the journal's socket.
#pragma once

#include <cstdint>
#include <mutex>
#include <string_view>

#include "base/log.h"

namespace doozer::io {

enum class LogFormat : uint8_t {
  automatic,  ///< text on a terminal, else JSON lines
  text,
  json,
};

/// "auto", "text" or "json". Errors: bad_argument.
Result<LogFormat> parse_log_format(std::string_view text);

/// One write for each record. A reader that does not read delays us for a moment once, then
/// records are dropped until it reads again; the first one that gets through is preceded by
/// `log_dropped count=N`. From any thread.
class FdLogSink final : public LogSink {
 public:
  /// Borrows `fd` and leaves its flags alone (they may be shared with other processes). Colours
  /// only on a terminal, and not if NO_COLOR is set or TERM is "dumb".
  FdLogSink(int fd, LogFormat format);
  void write(const LogRecord& record) override;
  /// All records that were dropped so far.
  uint64_t dropped() const;

 private:
  bool deliver(std::string_view text);
  bool wait_writable();

  // Fixed after construction.
  const int fd_;
  bool json_ = false;
  bool colour_ = false;
  bool never_blocks_ = false;  // a regular file
  bool socket_ = false;

  mutable std::mutex mutex_;
  bool stuck_ = false;
  bool torn_ = false;  // the last byte that got through is inside a record
  uint64_t dropped_ = 0;
  uint64_t dropped_untold_ = 0;
};

}  // namespace doozer::io
