// JSON as the command line writes and reads it. Values are bytes: those that are UTF-8 stand as
// "value", all others as "value_base64", so that nothing is lost either way.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace doozer::cli {

/// True if `bytes` is valid UTF-8 throughout (no surrogates, nothing overlong).
bool is_utf8(std::string_view bytes);
/// A JSON string with its quotes; what is not UTF-8 becomes U+FFFD.
std::string json_string(std::string_view text);

std::string base64_encode(std::string_view bytes);
/// With padding, no white space. Errors: bad_argument.
Result<std::string> base64_decode(std::string_view text);

/// Writes one object on one line, members in the order of the calls.
class JsonObject {
 public:
  JsonObject& text(std::string_view key, std::string_view value);
  JsonObject& number(std::string_view key, int64_t value);
  JsonObject& boolean(std::string_view key, bool value);
  /// `value` or `value_base64`.
  JsonObject& bytes(std::string_view value);
  /// `json` is JSON already.
  JsonObject& raw(std::string_view key, std::string_view json);
  /// The object, without a newline.
  std::string str() const { return out_ + '}'; }

 private:
  void key(std::string_view name);
  std::string out_ = "{";
};

}  // namespace doozer::cli
