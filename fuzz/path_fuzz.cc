// Paths: the quick check and the one that explains agree with the rule told name by name.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/limits.h"
#include "core/path.h"

namespace doozer {
namespace {

bool good_name(std::string_view name) {
  if (name.empty()) return false;
  while (!name.empty()) {
    const core::DecodedCodePoint decoded = core::decode_utf8(name);
    if (decoded.bytes == 0 || core::is_forbidden_in_name(decoded.value)) return false;
    name.remove_prefix(decoded.bytes);
  }
  return true;
}

bool good_path(std::string_view path) {
  if (path.size() > kPathBytesMax || !path.starts_with('/')) return false;
  for (;;) {
    path.remove_prefix(1);
    const size_t end = path.find('/');
    if (!good_name(path.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    path.remove_prefix(end);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view path(reinterpret_cast<const char*>(data), size);
  const bool good = core::is_file_path(path);
  CHECK(good == good_path(path));
  const Result<void> checked = core::check_path(path);
  CHECK(checked.has_value() == good);
  if (!good) {
    CHECK(checked.error().code == Code::bad_path);
    return 0;
  }
  const std::string_view parent = core::parent_path(path);
  CHECK(parent == "/" || core::is_file_path(parent));
  CHECK(std::string(parent == "/" ? "" : parent) + "/" + std::string(core::base_name(path)) ==
        path);
  return 0;
}

}  // namespace doozer
