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
  /// Errors: bad_glob, message `invalid glob pattern: ` + the bytes as given, but over
  /// kPathBytesMax only their begin, and the limit.
  static Result<Glob> compile(std::string_view pattern);

  /// `path` is a good path or "/" (a nop's event has that path; `/*`, `/**` and `/` match it).
  bool matches(std::string_view path) const;

  /// What matches() costs at most against a path of so many bytes, in steps (base/budget.h).
  int64_t steps(size_t path_bytes) const;

  /// Operations of matches() for each byte of the path behind the prefix; 0: none to speak of.
  size_t words() const { return one_.size(); }

  /// No wildcard: it matches just the path that it is.
  bool literal() const { return literal_; }
  const std::string& pattern() const { return pattern_; }
  /// Every path that matches begins with these bytes: where a walk starts and may stop.
  std::string_view literal_prefix() const {
    return std::string_view(pattern_).substr(0, literal_prefix_size_);
  }

 private:
  // The part behind the literal prefix is an automaton that reads bytes: state i has matched the
  // first i consuming tokens (literal bytes and `?`); stars are loops on a state. A set of states
  // is a bit set of words(), so that a step costs at most pattern / 64 word operations.
  enum class Shape : uint8_t {
    literal,  ///< nothing follows the prefix
    name,     ///< `*` alone follows: the rest of a name
    any,      ///< `**` alone follows: whatever comes
    general,
  };
  bool matches_general(std::string_view rest) const;

  std::string pattern_;
  size_t literal_prefix_size_ = 0;
  bool literal_ = false;
  Shape shape_ = Shape::literal;
  size_t consuming_ = 0;             ///< tokens that consume: the accepting state
  std::string bytes_;                ///< byte of token i, padded to whole words
  std::vector<uint64_t> one_;        ///< bit i: token i is `?`
  std::vector<uint64_t> stay_name_;  ///< bit i: state i has a loop on all but `/`
  std::vector<uint64_t> stay_any_;   ///< bit i: state i has a loop on every byte
};

}  // namespace doozer::core
