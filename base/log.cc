#include "base/log.h"

#include "base/bytes.h"
#include "base/check.h"

namespace doozer {

std::string_view log_level_name(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::warn: return "warn";
    case LogLevel::error: return "error";
  }
  UNREACHABLE();
}

Result<LogLevel> parse_log_level(std::string_view text) {
  for (const LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warn, LogLevel::error}) {
    if (text == log_level_name(level)) return level;
  }
  return fail(Code::bad_argument,
              "log level " + quote(text) + ": must be debug, info, warn or error");
}

}  // namespace doozer
