// Globs: `?` one code point of a name, `*` zero or more of a name, `**` zero or more across names.
// Compiled once; matching takes O(pattern * path) time at most, no recursion, no allocation.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace doozer::core {

class Glob {
 public:
  /// Errors: bad_glob, message `invalid glob pattern: ` + the bytes as given; over kPathBytesMax
  /// too.
  static Result<Glob> compile(std::string_view pattern);

  /// `path` is a good path or "/" (a nop's event has that path; `/*`, `/**` and `/` match it).
  bool matches(std::string_view path) const;

  /// No wildcard: it matches just the path that it is.
  bool literal() const { return literal_; }
  const std::string& pattern() const { return pattern_; }
  /// Every path that matches begins with these bytes: where a walk starts and may stop.
  std::string_view literal_prefix() const {
    return std::string_view(pattern_).substr(0, literal_prefix_size_);
  }

 private:
  std::string pattern_;
  size_t literal_prefix_size_ = 0;
  bool literal_ = false;
  struct Token {
    enum class Kind : uint8_t { byte, any_one, any_in_name, any } kind;
    char byte = 0;
  };
  std::vector<Token> tokens_;
};

}  // namespace doozer::core
