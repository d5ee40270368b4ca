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

/// Ctrl-C first removes this file; empty: none.
void unlink_if_interrupted(std::string_view name);

/// Writes all of it to a descriptor; errno is set if it is false.
bool write_all(int fd, std::string_view bytes);
/// Writes all of it. When the reader of a pipe has gone, ends the program as SIGPIPE would: nobody
/// is left to tell. Errors: io_error.
Result<> write_output(std::string_view bytes);
/// As far as it goes; nobody could be told of a failure.
void write_error(std::string_view bytes);

/// Everything up to its end. `name` "-" is standard input; at a terminal, the user is told how to
/// end it. Errors: io_error, too_large (more than `limit` bytes).
Result<std::string> read_input(const std::string& name, size_t limit);

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
