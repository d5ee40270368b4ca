#include "core/path.h"

#include <array>
#include <string>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"

namespace doozer::core {
namespace {

enum class ByteClass : uint8_t { forbidden, name, slash, wide };

/// What each byte may be where a path is read byte by byte; `wide` begins (or is inside) a code
/// point above U+007F.
constexpr std::array<ByteClass, 256> kByteClasses = [] {
  std::array<ByteClass, 256> classes{};
  for (size_t byte = 0; byte < classes.size(); ++byte) {
    ByteClass byte_class = ByteClass::name;
    if (byte <= 0x20 || byte == 0x7F) {
      byte_class = ByteClass::forbidden;
    } else if (byte >= 0x80) {
      byte_class = ByteClass::wide;
    } else if (byte == '/') {
      byte_class = ByteClass::slash;
    } else if (std::string_view("*?[]{}\\").find(static_cast<char>(byte)) !=
               std::string_view::npos) {
      byte_class = ByteClass::forbidden;
    }
    classes[byte] = byte_class;
  }
  return classes;
}();

enum class Flaw : uint8_t { none, not_rooted, root, too_long, empty_name, forbidden, not_utf8 };

struct Judgement {
  Flaw flaw = Flaw::none;
  size_t byte = 0;  ///< where it stands, from 0
};

/// The one walk over a path that both public checks share.
Judgement judge(std::string_view path) {
  if (path.empty() || path.front() != '/') return {Flaw::not_rooted, 0};
  if (path.size() == 1) return {Flaw::root, 0};
  if (path.size() > kPathBytesMax) return {Flaw::too_long, kPathBytesMax};
  bool after_slash = true;
  for (size_t at = 1; at < path.size();) {
    switch (kByteClasses[static_cast<uint8_t>(path[at])]) {
      case ByteClass::name:
        after_slash = false;
        ++at;
        break;
      case ByteClass::slash:
        if (after_slash) return {Flaw::empty_name, at};
        after_slash = true;
        ++at;
        break;
      case ByteClass::forbidden: return {Flaw::forbidden, at};
      case ByteClass::wide: {
        const DecodedCodePoint decoded = decode_utf8(path.substr(at));
        if (decoded.bytes == 0) return {Flaw::not_utf8, at};
        if (is_forbidden_in_name(decoded.value)) return {Flaw::forbidden, at};
        after_slash = false;
        at += decoded.bytes;
        break;
      }
    }
  }
  if (after_slash) return {Flaw::empty_name, path.size()};
  return {};
}

std::string_view flaw_text(Flaw flaw) {
  switch (flaw) {
    case Flaw::none: break;
    case Flaw::not_rooted: return "does not begin with \"/\"";
    case Flaw::root: return "is the root directory, not a file";
    case Flaw::too_long: return "is too long";
    case Flaw::empty_name: return "empty name";
    case Flaw::forbidden: return "forbidden character";
    case Flaw::not_utf8: return "invalid UTF-8";
  }
  UNREACHABLE();
}

}  // namespace

DecodedCodePoint decode_utf8(std::string_view text) {
  // RFC 3629, table of section 4: what the second byte may be depends on the first.
  if (text.empty()) return {};
  const auto first = static_cast<uint8_t>(text[0]);
  if (first < 0x80) return {first, 1};
  size_t size = 0;
  uint8_t second_min = 0x80;
  uint8_t second_max = 0xBF;
  char32_t value = 0;
  if (first >= 0xC2 && first <= 0xDF) {
    size = 2;
    value = first & 0x1FU;
  } else if (first >= 0xE0 && first <= 0xEF) {
    size = 3;
    value = first & 0x0FU;
    if (first == 0xE0) second_min = 0xA0;  // overlong
    if (first == 0xED) second_max = 0x9F;  // surrogates
  } else if (first >= 0xF0 && first <= 0xF4) {
    size = 4;
    value = first & 0x07U;
    if (first == 0xF0) second_min = 0x90;  // overlong
    if (first == 0xF4) second_max = 0x8F;  // over U+10FFFF
  }
  if (size == 0 || text.size() < size) return {};
  for (size_t i = 1; i < size; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (byte < second_min || byte > second_max) return {};
    second_min = 0x80;
    second_max = 0xBF;
    value = (value << 6U) | (byte & 0x3FU);
  }
  return {value, size};
}

bool is_forbidden_in_name(char32_t code_point) {
  if (code_point < 0x80) {
    const ByteClass byte_class = kByteClasses[code_point];
    return byte_class == ByteClass::forbidden || byte_class == ByteClass::slash;
  }
  if (code_point <= 0xA0) return true;
  // The rest of Unicode's property White_Space.
  return code_point == 0x1680 || (code_point >= 0x2000 && code_point <= 0x200A) ||
         code_point == 0x2028 || code_point == 0x2029 || code_point == 0x202F ||
         code_point == 0x205F || code_point == 0x3000;
}

bool is_file_path(std::string_view path) { return judge(path).flaw == Flaw::none; }

Result<void> check_path(std::string_view path) {
  const Judgement judgement = judge(path);
  if (judgement.flaw == Flaw::none) return {};
  std::string message = "path " + quote(path) + ": ";
  message += flaw_text(judgement.flaw);
  switch (judgement.flaw) {
    case Flaw::none:
    case Flaw::not_rooted:
    case Flaw::root: break;
    case Flaw::too_long:
      message += ": " + std::to_string(path.size()) + " bytes, the limit is " +
                 std::to_string(kPathBytesMax);
      break;
    case Flaw::empty_name:
    case Flaw::forbidden:
    case Flaw::not_utf8: message += " at byte " + std::to_string(judgement.byte); break;
  }
  return fail(Code::bad_path, std::move(message));
}

std::string_view parent_path(std::string_view path) {
  const size_t slash = path.rfind('/');
  CHECK(slash != std::string_view::npos);
  CHECK(path.size() > 1);
  return slash == 0 ? path.substr(0, 1) : path.substr(0, slash);
}

std::string_view base_name(std::string_view path) {
  const size_t slash = path.rfind('/');
  CHECK(slash != std::string_view::npos);
  return path.substr(slash + 1);
}

}  // namespace doozer::core
