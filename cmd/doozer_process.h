// The process around a command: standard input and output, files, children, Ctrl-C. The only part
// of `doozer` that names file descriptors.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "doozer/types.h"

namespace doozer::cli {

/// Ctrl-C ends the program at once and without a word (kExitInterrupted); a closed pipe is an
/// error to writers, not a signal.
void prepare_process();

/// Writes all of it. When the reader of a pipe has gone, ends the program as SIGPIPE would: nobody
/// is left to tell. Errors: io_error.
Result<> write_output(std::string_view bytes);
/// As far as it goes; nobody could be told of a failure.
void write_error(std::string_view bytes);

/// Everything up to its end. `name` "-" is standard input; at a terminal, the user is told how to
/// end it. Errors: io_error, too_large (more than `limit` bytes).
Result<std::string> read_input(const std::string& name, size_t limit);

/// A file that is there whole or not at all: written beside its name, renamed by finish().
class OutputFile {
 public:
  /// "-" or empty: standard output. Errors: io_error.
  static Result<OutputFile> create(const std::string& name);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  /// Without finish(), nothing is left of the file.
  ~OutputFile();
  Result<> write(std::string_view bytes);
  /// Syncs and renames. Nothing may be written afterwards.
  Result<> finish();

 private:
  OutputFile(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  std::string temporary() const { return name_ + ".part"; }
  int fd_;            ///< -1: finished or moved from
  std::string name_;  ///< empty: standard output
};

/// Runs `command` by /bin/sh with the event's value on its standard input and its path, revision
/// and kind in the environment; gives its exit status (128 + signal if it was killed). Errors:
/// io_error.
Result<int> run_for_event(const std::string& command, const Event& event);

/// True if results go to a terminal.
bool output_is_terminal();
/// True if results, or errors, go to a terminal that shows colours.
bool output_takes_colour();
bool error_takes_colour();

}  // namespace doozer::cli
