// From argv and the environment to what shall be done. Pure: nothing is opened, nobody is asked.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cmd/doozer_table.h"
#include "doozer/types.h"

namespace doozer::cli {

/// What the command line says, checked and with the environment worked in.
struct Invocation {
  const CommandRow* command = nullptr;  ///< null only with `help` or `version`
  std::vector<std::string> arguments;   ///< as many as the command's row admits
  Options client;

  std::optional<int64_t> revision;  ///< --rev; the original's default -1 counts as none
  bool local = false;
  std::optional<Duration> timeout;
  bool json = false;
  bool help = false;
  bool version = false;

  std::string file;  ///< --file; empty: none was given
  std::string exec;
  int64_t count = 0;  ///< 0: no limit
  bool long_listing = false;
  bool watch = false;
  std::string below = "/";
  bool overwrite = false;
  bool dry_run = false;
  std::optional<uint64_t> value_bytes_max;  ///< for `client` too, once that is settled
};

/// The value of an environment variable; empty if it is not set.
using Environment = std::function<std::string(const char* name)>;

/// Reads the words after the program's name. Options may stand before and after the command, with
/// one dash or two, their value after `=` or in the next word; after `--` there are none; a word
/// such as -1 is a revision and no option. Errors: bad_argument, saying what to do instead.
Result<Invocation> parse_command_line(const std::vector<std::string>& words,
                                      const Environment& environment);

/// Whether --output json is among the words, which may be wrong otherwise: how to tell that.
bool asks_for_json(const std::vector<std::string>& words);

/// The library's options for "doozer:?ca=...", "HOST", "HOST:PORT" or several of the latter
/// separated by commas. Errors: bad_argument.
Result<Options> parse_cluster(std::string_view text);

}  // namespace doozer::cli
