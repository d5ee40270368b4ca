#include "cmd/doozer_json.h"

#include <fmt/format.h>

#include <array>

namespace doozer::cli {
namespace {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// How many bytes the UTF-8 character at the start of `text` has; 0 if there is none.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(text[at]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  }
  const uint8_t second = byte(1);
  if (lead == 0xE0 && second < 0xA0) return 0;  // overlong
  if (lead == 0xED && second > 0x9F) return 0;  // surrogate
  if (lead == 0xF0 && second < 0x90) return 0;  // overlong
  if (lead == 0xF4 && second > 0x8F) return 0;  // past U+10FFFF
  return length;
}

}  // namespace

bool is_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t length = utf8_length(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const char c = text[0];
    if (length == 0) {
      out += "\xEF\xBF\xBD";
    } else if (length > 1) {
      out += text.substr(0, length);
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out + '"';
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t group = 0;
    const size_t count = std::min<size_t>(3, bytes.size() - at);
    for (size_t i = 0; i < 3; ++i) {
      group = group << 8U | (i < count ? static_cast<uint8_t>(bytes[at + i]) : 0U);
    }
    for (size_t i = 0; i < 4; ++i) {
      out += i <= count ? kBase64[group >> (18 - 6 * i) & 0x3FU] : '=';
    }
  }
  return out;
}

Result<std::string> base64_decode(std::string_view text) {
  static const auto kDigits = [] {
    std::array<int8_t, 256> digits{};
    digits.fill(-1);
    for (size_t i = 0; i < kBase64.size(); ++i) {
      digits[static_cast<uint8_t>(kBase64[i])] = static_cast<int8_t>(i);
    }
    return digits;
  }();
  if (text.size() % 4 != 0) return fail(Code::bad_argument, "base64 is cut short");
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (size_t at = 0; at < text.size(); at += 4) {
    const bool last = at + 4 == text.size();
    const size_t padding = !last ? 0 : text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    uint32_t group = 0;
    for (size_t i = 0; i < 4; ++i) {
      const int8_t digit =
          i >= 4 - padding ? int8_t{0} : kDigits[static_cast<uint8_t>(text[at + i])];
      if (digit < 0) return fail(Code::bad_argument, fmt::format("no base64 at byte {}", at + i));
      group = group << 6U | static_cast<uint32_t>(digit);
    }
    for (size_t i = 0; i < 3 - padding; ++i) {
      out += static_cast<char>(group >> (16 - 8 * i) & 0xFFU);
    }
    // Bits that no byte takes must be zero, lest two texts stand for the same bytes.
    if ((padding == 1 && (group & 0xFFU) != 0) || (padding == 2 && (group & 0xFFFFU) != 0)) {
      return fail(Code::bad_argument, "base64 ends in stray bits");
    }
  }
  return out;
}

void JsonObject::key(std::string_view name) {
  if (out_.size() > 1) out_ += ',';
  out_ += json_string(name);
  out_ += ':';
}

JsonObject& JsonObject::text(std::string_view name, std::string_view value) {
  return raw(name, json_string(value));
}
JsonObject& JsonObject::number(std::string_view name, int64_t value) {
  return raw(name, std::to_string(value));
}
JsonObject& JsonObject::boolean(std::string_view name, bool value) {
  return raw(name, value ? "true" : "false");
}
JsonObject& JsonObject::bytes(std::string_view value) {
  return is_utf8(value) ? text("value", value) : text("value_base64", base64_encode(value));
}
JsonObject& JsonObject::raw(std::string_view name, std::string_view json) {
  key(name);
  out_ += json;
  return *this;
}

}  // namespace doozer::cli
