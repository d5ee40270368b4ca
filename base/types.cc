#include "base/types.h"

#include <algorithm>

#include "base/check.h"

namespace doozer {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr size_t kTextSize = 16;

}  // namespace

Identity Identity::from_bytes(std::string_view bytes) {
  CHECK(bytes.size() == kSize);
  Identity identity;
  std::copy(bytes.begin(), bytes.end(), identity.bytes_.begin());
  return identity;
}

Result<Identity> Identity::parse(std::string_view text) {
  if (text.size() != kTextSize) {
    return fail(Code::bad_argument,
                "identity \"" + std::string(text) + "\": must have 16 characters");
  }
  Identity identity;
  uint32_t bits = 0;
  uint32_t held = 0;
  size_t out = 0;
  for (const char c : text) {
    const size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) {
      return fail(Code::bad_argument,
                  "identity \"" + std::string(text) + "\": only A-Z and 2-7 are allowed");
    }
    bits = (bits << 5U) | static_cast<uint32_t>(digit);
    held += 5;
    if (held >= 8) {
      held -= 8;
      identity.bytes_[out++] = static_cast<uint8_t>(bits >> held);
    }
  }
  CHECK(out == kSize);
  return identity;
}

std::string Identity::to_string() const {
  std::string text;
  text.reserve(kTextSize);
  uint32_t bits = 0;
  uint32_t held = 0;
  for (const uint8_t byte : bytes_) {
    bits = (bits << 8U) | byte;
    held += 8;
    while (held >= 5) {
      held -= 5;
      text.push_back(kAlphabet[(bits >> held) & 31U]);
    }
  }
  CHECK(text.size() == kTextSize);
  return text;
}

}  // namespace doozer
