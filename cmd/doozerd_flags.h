// The command line of doozerd: flags, with the original's one-dash words, environment and file to
// one checked configuration, and the texts made from the table of options.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/config.h"

namespace doozer::cmd {

/// Exit codes of doozerd; also in the manual page.
constexpr int kExitOk = 0;
constexpr int kExitRuntime = 1;  ///< it could not start, or had to stop
constexpr int kExitUsage = 2;    ///< a flag, the environment or the file is wrong

enum class Action : uint8_t {
  run,
  print_config,
  check_config,
  recover_alone,  ///< see Invocation::recover_for_real
  help,
  version,
  print_man,
};

/// What doozerd was asked to do.
struct Invocation {
  Action action = Action::run;
  bool recover_for_real = false;  ///< --recover-alone --yes; else only say what would be done
  server::Configured configured;  ///< defaults for help, version and print_man
};

/// The whole content of a file. Errors: not_found, io_error, too_large.
using FileReader = std::function<Result<std::string>(const std::string& path)>;
/// From the file system, at most 1 MiB.
Result<std::string> read_text_file(const std::string& path);

/// Understands everything that configures a start. `argv[0]` is the program's name. The warnings
/// of the result are for standard error and the log. Errors: bad_argument (exit with kExitUsage),
/// one line for each problem.
Result<Invocation> parse_command_line(int argc, const char* const* argv,
                                      const server::Environment& environment,
                                      const FileReader& read_file = read_text_file);

/// That the files which the configuration names can be read. Errors: bad_argument, naming the
/// setting as it was given, the file and the reason.
Result<void> check_files(const server::Configured& configured,
                         const FileReader& read_file = read_text_file);

/// The process's environment (`environ`) as pairs.
server::Environment read_environment(const char* const* environ_strings);

/// What is printed on standard output, and then the program ends with kExitOk, for every action but
/// run and recover_alone; for these nothing.
std::string action_output(const Invocation& invocation);

std::string help_text();
std::string version_text();
/// docs/man/doozerd.1 in troff.
std::string man_page();

/// argv with the original's words made long forms (`-hist 5` -> `--history=5`), and every value
/// joined to its flag. Words that are no flag of ours stay as they are.
struct RewrittenArguments {
  std::vector<std::string> arguments;
  std::vector<std::string> problems;  ///< a flag without its value
};
RewrittenArguments rewrite_arguments(const std::vector<std::string>& arguments);

}  // namespace doozer::cmd
