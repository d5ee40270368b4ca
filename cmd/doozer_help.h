// The texts made from the table: help, the manual page, completion scripts. They are the same
// bytes each time, so that a test can compare the committed ones.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cmd/doozer_table.h"

namespace doozer::cli {

/// All commands and options.
std::string help_text();
/// One command.
std::string command_help_text(const CommandRow& command);
/// The manual page doozer(1), in man(7) macros.
std::string man_page();
/// For "bash", "zsh" or "fish". Errors: bad_argument.
Result<std::string> completion_script(std::string_view shell);

/// The paragraphs of a command's description: its own, and what goes for all commands that take a
/// glob or compare revisions.
std::vector<std::string_view> command_paragraphs(const CommandRow& command);
/// The lines of `text`, without their newlines.
std::vector<std::string_view> lines_of(std::string_view text);

/// `text` broken at spaces into lines of at most `width` (a longer word stands alone), each with
/// `indent` spaces before it. A line of `text` that begins with two spaces stands as it is.
std::string wrapped(std::string_view text, size_t indent, size_t width);

}  // namespace doozer::cli
