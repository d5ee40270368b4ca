// Structured log: one record is an event and its fields. Whoever logs is given a Logger; nothing is
// global. Values of users' files are never logged.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace doozer {

enum class LogLevel : uint8_t { debug, info, warn, error };

std::string_view log_level_name(LogLevel level);
/// "debug", "info", "warn" or "error". Errors: bad_argument.
Result<LogLevel> parse_log_level(std::string_view text);

/// One `key=value`. The views live as long as the call that logs.
struct LogField {
  LogField(std::string_view key, std::string_view value) : key(key), value(value) {}
  LogField(std::string_view key, const std::string& value)
      : key(key), value(std::string_view(value)) {}
  LogField(std::string_view key, const char* value) : key(key), value(std::string_view(value)) {}
  LogField(std::string_view key, bool value) : key(key), value(value) {}
  LogField(std::string_view key, double value) : key(key), value(value) {}
  template <typename T>
    requires std::is_integral_v<T>
  LogField(std::string_view key, T value) : key(key), value(to_wide(value)) {}
  template <typename Tag, typename Rep>
  LogField(std::string_view key, Strong<Tag, Rep> value) : LogField(key, value.value()) {}

  std::string_view key;
  std::variant<std::string_view, int64_t, uint64_t, bool, double> value;

 private:
  template <typename T>
  static auto to_wide(T value) {
    if constexpr (std::is_signed_v<T>) {
      return std::variant<std::string_view, int64_t, uint64_t, bool, double>(int64_t{value});
    } else {
      return std::variant<std::string_view, int64_t, uint64_t, bool, double>(uint64_t{value});
    }
  }
};

/// What every record of one server carries; the server keeps it up to date.
struct LogContext {
  std::string node;  ///< short and human, such as "n2"; empty before it is known
  Term term;
  Revision revision;
};

struct LogRecord {
  LogLevel level = LogLevel::info;
  std::string_view event;  ///< snake_case, a word or a few: "serving", "slow_sync"
  const LogContext& context;
  std::initializer_list<LogField> fields;
};

/// Where records go; it stamps the time. io/ has one for files and terminals, sim/ its own.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void write(const LogRecord& record) = 0;
};

/// Hands records of at least `level_min` to the sink. Cheap to copy; borrows sink and context.
class Logger {
 public:
  Logger(LogSink& sink, const LogContext& context, LogLevel level_min)
      : sink_(&sink), context_(&context), level_min_(level_min) {}
  bool enabled(LogLevel level) const { return level >= level_min_; }
  void debug(std::string_view event, std::initializer_list<LogField> fields = {}) const {
    log(LogLevel::debug, event, fields);
  }
  void info(std::string_view event, std::initializer_list<LogField> fields = {}) const {
    log(LogLevel::info, event, fields);
  }
  void warn(std::string_view event, std::initializer_list<LogField> fields = {}) const {
    log(LogLevel::warn, event, fields);
  }
  void error(std::string_view event, std::initializer_list<LogField> fields = {}) const {
    log(LogLevel::error, event, fields);
  }

 private:
  void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) const {
    if (enabled(level)) {
      sink_->write({.level = level, .event = event, .context = *context_, .fields = fields});
    }
  }
  LogSink* sink_;
  const LogContext* context_;
  LogLevel level_min_;
};

struct LogStamp {
  int64_t wall_us = 0;        ///< since 1970, UTC
  uint64_t monotonic_us = 0;  ///< since some fixed moment of this machine
};

/// One JSON object and a newline; every string is escaped, bad UTF-8 becomes U+FFFD.
std::string render_log_json(const LogRecord& record, const LogStamp& stamp);
/// One aligned line for people and a newline; with ANSI colours if `colour`.
std::string render_log_text(const LogRecord& record, const LogStamp& stamp, bool colour);

}  // namespace doozer
