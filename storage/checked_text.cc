#include "storage/checked_text.h"

#include <cstdio>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace doozer::storage {

std::string with_crc(std::string text) {
  char line[16];
  std::snprintf(line, sizeof line, "crc %08x\n", crc32c(text));
  return text + line;
}

Result<std::string_view> checked(std::string_view text, std::string_view file) {
  constexpr size_t kCrcLineBytes = 13;
  const auto bad = [&] {
    return fail(Code::corrupt, "file " + quote(file) + " does not check: " + quote(text));
  };
  if (text.size() < kCrcLineBytes) return bad();
  const std::string_view above = text.substr(0, text.size() - kCrcLineBytes);
  if (with_crc(std::string(above)) != text) return bad();
  return above;
}

std::optional<std::string_view> take_line(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return std::nullopt;
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view value = text.substr(word.size(), end - word.size());
  text.remove_prefix(end + 1);
  return value;
}

}  // namespace doozer::storage
