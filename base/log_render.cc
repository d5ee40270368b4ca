// Log records as text: JSON lines for machines, aligned lines for people. Any byte may stand in a
// field; what comes out is always one line of valid UTF-8.

#include <fmt/format.h>

#include <ctime>
#include <iterator>

#include "base/check.h"
#include "base/log.h"

namespace doozer {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Bytes of the well-formed UTF-8 sequence at the start of `text`, 0 if there is none.
size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const auto continues = [&](size_t i) { return i < text.size() && (byte(i) & 0xC0U) == 0x80; };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if (!continues(1) || !continues(2)) return 0;
    if (lead == 0xE0 && byte(1) < 0xA0) return 0;
    if (lead == 0xED && byte(1) > 0x9F) return 0;
    return 3;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    if (lead == 0xF0 && byte(1) < 0x90) return 0;
    if (lead == 0xF4 && byte(1) > 0x8F) return 0;
    return 4;
  }
  return 0;
}

// The inside of a JSON string. C1 controls and the line separators are escaped too, so that no
// terminal or viewer breaks a record in two.
void append_escaped(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const size_t size = utf8_sequence(text);
    if (size == 0) {
      out += kReplacement;
      text.remove_prefix(1);
      continue;
    }
    const std::string_view sequence = text.substr(0, size);
    text.remove_prefix(size);
    const auto byte = static_cast<uint8_t>(sequence[0]);
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += sequence;
    } else if (byte == '\n') {
      out += "\\n";
    } else if (byte == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
    } else if (byte == 0xC2 && static_cast<uint8_t>(sequence[1]) < 0xA0) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<uint8_t>(sequence[1]));
    } else if (sequence == "\xE2\x80\xA8") {
      out += "\\u2028";
    } else if (sequence == "\xE2\x80\xA9") {
      out += "\\u2029";
    } else {
      out += sequence;
    }
  }
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  append_escaped(out, text);
  out += '"';
}

bool plain_word(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte <= 0x20 || byte >= 0x7F || c == '"' || c == '=' || c == '\\') return false;
  }
  return true;
}

void append_value(std::string& out, const LogField& field, bool json) {
  std::visit(
      [&](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, std::string_view>) {
          if (!json && plain_word(value)) {
            out += value;
          } else {
            append_json_string(out, value);
          }
        } else if constexpr (std::is_same_v<T, double>) {
          // JSON has no infinities; a figure that is none is told as null.
          if (value - value != 0) {
            out += "null";
          } else {
            fmt::format_to(std::back_inserter(out), "{:.6g}", value);
          }
        } else {
          fmt::format_to(std::back_inserter(out), "{}", value);
        }
      },
      field.value);
}

void append_time(std::string& out, int64_t wall_us) {
  int64_t seconds = wall_us / 1'000'000;
  int64_t micros = wall_us % 1'000'000;
  if (micros < 0) {
    micros += 1'000'000;
    seconds -= 1;
  }
  const auto time = static_cast<std::time_t>(seconds);
  std::tm utc{};
  gmtime_r(&time, &utc);
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
                 utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                 utc.tm_sec, micros);
}

std::string_view colour_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return "\x1b[2m";
    case LogLevel::info: return "\x1b[32m";
    case LogLevel::warn: return "\x1b[33m";
    case LogLevel::error: return "\x1b[1;31m";
  }
  UNREACHABLE();
}

}  // namespace

std::string render_log_json(const LogRecord& record, const LogStamp& stamp) {
  std::string out = "{\"time\":\"";
  append_time(out, stamp.wall_us);
  fmt::format_to(std::back_inserter(out),
                 "\",\"mono_us\":{},\"level\":\"{}\",\"event\":", stamp.monotonic_us,
                 log_level_name(record.level));
  append_json_string(out, record.event);
  out += ",\"node\":";
  append_json_string(out, record.context.node);
  fmt::format_to(std::back_inserter(out), ",\"term\":{},\"revision\":{}",
                 record.context.term.value(), record.context.revision.value());
  for (const LogField& field : record.fields) {
    out += ',';
    append_json_string(out, field.key);
    out += ':';
    append_value(out, field, true);
  }
  out += "}\n";
  return out;
}

std::string render_log_text(const LogRecord& record, const LogStamp& stamp, bool colour) {
  constexpr std::string_view kReset = "\x1b[0m";
  constexpr std::string_view kDim = "\x1b[2m";
  constexpr size_t kEventColumn = 20;
  std::string out;
  append_time(out, stamp.wall_us);
  out += ' ';
  if (colour) out += colour_of(record.level);
  fmt::format_to(std::back_inserter(out), "{:<5}", log_level_name(record.level));
  if (colour) out += kReset;
  out += ' ';
  std::string event;
  append_escaped(event, record.event);
  fmt::format_to(std::back_inserter(out), "{:<{}}", event, kEventColumn);
  for (const LogField& field : record.fields) {
    out += ' ';
    if (colour) out += kDim;
    append_escaped(out, field.key);
    out += '=';
    if (colour) out += kReset;
    append_value(out, field, false);
  }
  if (colour) out += kDim;
  fmt::format_to(std::back_inserter(out), " node={} term={} rev={} mono={}.{:06}",
                 record.context.node.empty() ? "-" : record.context.node,
                 record.context.term.value(), record.context.revision.value(),
                 stamp.monotonic_us / 1'000'000, stamp.monotonic_us % 1'000'000);
  if (colour) out += kReset;
  out += '\n';
  return out;
}

}  // namespace doozer
