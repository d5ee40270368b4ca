#include "base/bytes.h"

namespace doozer {

std::string quote(std::string_view text) {
  constexpr size_t kShownMax = 200;
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text.substr(0, kShownMax)) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7F) {
      out += "\\x";
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    } else {
      out += c;
    }
  }
  out += text.size() > kShownMax ? "\"..." : "\"";
  return out;
}

}  // namespace doozer
