// The one table of doozerd's options: flags, environment, file, --help, the man page, completion
// and --print-config are all made from it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "server/config.h"

namespace doozer::server {

/// What the text of a value means.
enum class OptionKind : uint8_t {
  flag,      ///< on or off
  text,      ///< any, not empty: a file, a directory
  address,   ///< HOST:PORT
  uri,       ///< doozer:?ca=...
  name,      ///< one name of a path
  count,     ///< a whole number
  size,      ///< bytes, with units
  duration,  ///< microseconds, with units; a bare number is seconds
  choice,    ///< one of `choices`
};

/// Who may set an option.
enum class OptionSetting : uint8_t {
  everywhere,   ///< flag, environment, file
  flag_or_env,  ///< not the file: --config itself
  flag_only,    ///< asks for an action; nothing that should stay in a file
};

/// Which member of Config holds the value; nothing for actions and for what is only accepted.
using OptionTarget =
    std::variant<std::monostate, bool Config::*, uint64_t Config::*, std::string Config::*,
                 std::vector<std::string> Config::*, LogFormat Config::*, LogLevel Config::*>;

struct Option {
  std::string_view name = {};  ///< "data-dir": --data-dir, DOOZERD_DATA_DIR, data-dir = in the file
  char letter = '\0';          ///< 'l' for -l
  std::string_view original = {};  ///< the original's one-dash word, if it is another: "hist"
  OptionKind kind = OptionKind::flag;
  std::string_view value_name = {};  ///< "HOST:PORT", for people; empty for flags
  std::string_view help = {};        ///< one sentence, without a full stop
  OptionTarget target = {};
  uint64_t least = 0;  ///< of count, size and duration
  uint64_t most = 0;
  std::string_view choices = {};  ///< "auto|json|text"
  OptionSetting setting = OptionSetting::everywhere;
  bool without_effect = false;  ///< accepted with a warning
  bool hidden = false;          ///< not in --help and the man page
};

/// All options in the order of --help.
std::span<const Option> options();

/// The option with this long name; nullopt if there is none.
std::optional<size_t> find_option(std::string_view name);

/// `did you mean "data-dir"?`, or nothing if no option has a name like this.
std::string suggest_option(std::string_view name, std::string_view dashes = "");

/// "data-dir" -> "DOOZERD_DATA_DIR".
std::string environment_name(std::string_view option_name);

/// Reads `text` for `option` into `config`; a list grows. Errors: bad_argument, saying only what is
/// wrong with the value ("must be at least 10s"), for the caller to put the name before it.
Result<void> assign(const Option& option, std::string_view text, Config& config);

/// Empties a list, for a source that wins over the one which filled it.
void clear_list(const Option& option, Config& config);

/// `text` as it may be shown: the secret of a URI (sk=) is left out.
std::string shown_value(const Option& option, std::string_view text);

/// The value in `config` as TOML: `"60s"`, `5`, `true`, `["a:1"]`. Empty without a target.
std::string value_text(const Option& option, const Config& config);

/// The default for people: `60s`; empty if it is off or nothing.
std::string default_text(const Option& option);

}  // namespace doozer::server
