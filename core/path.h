// Paths of files, and the one rule of what a name is (semantics, "Paths and globs").
#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"

namespace doozer::core {

/// Whether `path` may be a file: "/" + names joined by "/", each name one or more bytes of valid
/// UTF-8 without U+0000-0020, U+007F-00A0, Unicode white space and / * ? [ ] { } \. At most
/// kPathBytesMax bytes. "/" itself is a directory's path. Errors: bad_path naming path and byte.
Result<void> check_path(std::string_view path);

/// As check_path for every path but "/", without making a message: the hot path.
bool is_file_path(std::string_view path);

/// "/a/b" -> "/a", "/a" -> "/". REQUIRES a good path other than "/".
std::string_view parent_path(std::string_view path);
/// "/a/b" -> "b".
std::string_view base_name(std::string_view path);

/// True if `code_point` may not stand in a name (also used by glob.h).
bool is_forbidden_in_name(char32_t code_point);

/// Decodes one code point at the start of `text`; 0 bytes taken means invalid UTF-8 (overlong
/// forms, surrogates, over U+10FFFF, cut short) or empty.
struct DecodedCodePoint {
  char32_t value = 0;
  size_t bytes = 0;
};
DecodedCodePoint decode_utf8(std::string_view text);

}  // namespace doozer::core
