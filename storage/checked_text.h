// Small text files of lines `word value`, the last of which is a checksum of those above.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace doozer::storage {

/// `text` with its checksum line.
std::string with_crc(std::string text);
/// The text above a good checksum line. Errors: corrupt, naming `file`.
Result<std::string_view> checked(std::string_view text, std::string_view file);
/// Takes `word`, a value and a newline off the front of `text`; nullopt if they are not there.
std::optional<std::string_view> take_line(std::string_view& text, std::string_view word);

}  // namespace doozer::storage
