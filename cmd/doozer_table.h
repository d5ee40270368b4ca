// The one table of the command line `doozer`: what its parser accepts, its help, its man page and
// its completions are all read from here. Data only.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace doozer::cli {

/// An option, written --NAME or -LETTER, also -NAME (the original knew one dash only).
struct FlagRow {
  char letter;                ///< 0: none
  std::string_view name;      ///< without dashes
  std::string_view argument;  ///< what help calls its value; empty: a switch
  std::string_view choices;   ///< words that completion offers for the value, "FILE" for files
  std::string_view help;
};

struct CommandRow {
  std::string_view name;
  std::string_view arguments;  ///< as help shows them: "PATH REV [VALUE]"
  std::string_view summary;
  size_t arguments_min;
  size_t arguments_max;
  std::string_view flags;    ///< names of its own options, separated by a space
  bool at_revision;          ///< --rev has a meaning for it
  std::string_view details;  ///< paragraphs; a line that begins with two spaces stands as it is
};

struct ExitRow {
  int status;
  std::string_view meaning;
};

/// A name and what it is for: environment variables and examples.
struct NoteRow {
  std::string_view name;
  std::string_view text;
};

/// Exit statuses; the table exit_rows() explains them.
enum ExitStatus : int {
  kExitOk = 0,
  kExitRefused = 1,
  kExitUsage = 2,
  kExitNoConnection = 3,
  kExitUnknown = 4,
  kExitInterrupted = 130,
};

std::span<const FlagRow> global_flags();
/// Options of single commands; CommandRow::flags says of which.
std::span<const FlagRow> command_flags();
std::span<const CommandRow> command_rows();
std::span<const ExitRow> exit_rows();
std::span<const NoteRow> environment_rows();
std::span<const NoteRow> example_rows();

/// What the program is.
std::string_view about_text();
/// What stands under every command that takes a glob, or a revision to compare with.
std::string_view glob_text();
std::string_view revision_text();

/// Null if there is none of that name.
const CommandRow* find_command(std::string_view name);
/// By name or by letter, among the global ones and those of `command` (which may be null). Null if
/// there is none.
const FlagRow* find_flag(std::string_view word, const CommandRow* command);
/// True if `name` is a word of `flags`.
bool has_flag(const CommandRow& command, std::string_view name);

}  // namespace doozer::cli
