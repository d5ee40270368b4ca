// The original's command line was Go's: one dash or two before any word, `-hist 5` or `-hist=5`.
#include "cmd/doozerd_flags.h"
#include "server/options_table.h"

namespace doozer::cmd {
namespace {

using server::Option;
using server::OptionKind;

// "l", "hist" or "history" -> the row of --listen, --history.
const Option* find_word(std::string_view word) {
  for (const Option& option : server::options()) {
    if (word == option.name) return &option;
    if (!option.original.empty() && word == option.original) return &option;
    if (option.letter != '\0' && word == std::string_view(&option.letter, 1)) return &option;
  }
  return nullptr;
}

}  // namespace

RewrittenArguments rewrite_arguments(const std::vector<std::string>& arguments) {
  RewrittenArguments out;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--") {
      out.arguments.insert(out.arguments.end(), arguments.begin() + static_cast<ptrdiff_t>(i),
                           arguments.end());
      break;
    }
    const size_t dashes = argument.starts_with("--") ? 2 : (argument.starts_with('-') ? 1 : 0);
    const size_t equals = std::min(argument.find('='), argument.size());
    const Option* const option =
        dashes == 0 ? nullptr : find_word(argument.substr(dashes, equals - dashes));
    if (option == nullptr) {
      out.arguments.emplace_back(argument);
      continue;
    }
    std::string flag = "--" + std::string(option->name);
    const bool has_value = equals < argument.size();
    const bool takes_value = option->kind != OptionKind::flag;
    if (!has_value && !takes_value) {
      out.arguments.push_back(std::move(flag));
      continue;
    }
    if (!has_value && i + 1 == arguments.size()) {
      out.problems.push_back(flag + ": needs a value, " + std::string(option->value_name));
      continue;
    }
    const std::string_view value = has_value ? argument.substr(equals + 1) : arguments[++i];
    if (value.empty()) {
      out.problems.push_back(flag + " \"\": must not be empty");
    } else {
      out.arguments.push_back(flag + "=" + std::string(value));
    }
  }
  return out;
}

}  // namespace doozer::cmd
