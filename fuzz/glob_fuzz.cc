// "pattern\npath": the automaton agrees with the rule, worked out as a table of all its parts.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "core/glob.h"
#include "core/path.h"

namespace doozer {
namespace {

using core::decode_utf8;

/// Whether `path` from byte `at` on can be what `pattern` from byte `from` on stands for.
bool matches_by_table(std::string_view pattern, std::string_view path) {
  const size_t width = path.size() + 1;
  std::vector<char> table((pattern.size() + 1) * width, 0);
  table[pattern.size() * width + path.size()] = 1;
  for (size_t from = pattern.size(); from-- > 0;) {
    const bool star = pattern[from] == '*';
    const bool across = star && from + 1 < pattern.size() && pattern[from + 1] == '*';
    for (size_t at = width; at-- > 0;) {
      const size_t left = path.size() - at;
      bool good = false;
      if (star) {
        good = table[(from + (across ? 2 : 1)) * width + at] != 0;
        if (left > 0 && (across || path[at] != '/')) good |= table[from * width + at + 1] != 0;
      } else if (left > 0 && pattern[from] == '?') {
        const size_t bytes = decode_utf8(path.substr(at)).bytes;
        good = path[at] != '/' && bytes > 0 && table[(from + 1) * width + at + bytes] != 0;
      } else if (left > 0 && pattern[from] == path[at]) {
        good = table[(from + 1) * width + at + 1] != 0;
      }
      table[from * width + at] = good ? 1 : 0;
    }
  }
  return table[0] != 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kFuzzedBytesMax = 512;
  if (size > kFuzzedBytesMax) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = text.find('\n');
  const std::string_view pattern = text.substr(0, end);
  const std::string_view path =
      end == std::string_view::npos ? std::string_view("/") : text.substr(end + 1);
  const Result<core::Glob> glob = core::Glob::compile(pattern);
  if (!glob) {
    CHECK(glob.error().message == "invalid glob pattern: " + std::string(pattern));
    return 0;
  }
  if (path != "/" && !core::is_file_path(path)) return 0;
  const bool matched = glob->matches(path);
  CHECK(matched == matches_by_table(pattern, path));
  if (matched) CHECK(path.starts_with(glob->literal_prefix()));
  if (glob->literal()) CHECK(matched == (path == pattern));
  return 0;
}

}  // namespace doozer
