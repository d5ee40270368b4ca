// Completion of commands, options and the few values that are words of a list or files. Paths in
// the store are not completed: pressing a key should not talk to a cluster.
#include <fmt/format.h>

#include "base/bytes.h"
#include "cmd/doozer_help.h"

namespace doozer::cli {
namespace {

void add_word(std::string& words, std::string_view word) {
  if (!words.empty()) words += ' ';
  words += word;
}

std::string command_words() {
  std::string words;
  for (const CommandRow& command : command_rows()) add_word(words, command.name);
  return words;
}

std::string flag_words(std::span<const FlagRow> flags, const CommandRow* of) {
  std::string words;
  for (const FlagRow& flag : flags) {
    if (of != nullptr && !has_flag(*of, flag.name)) continue;
    add_word(words, fmt::format("--{}", flag.name));
  }
  return words;
}

/// All flags, the global ones first.
std::vector<FlagRow> all_flags() {
  std::vector<FlagRow> all(global_flags().begin(), global_flags().end());
  all.insert(all.end(), command_flags().begin(), command_flags().end());
  return all;
}

/// "-o|--output": a pattern of a shell's `case`.
std::string flag_pattern(const FlagRow& flag) {
  return flag.letter != 0 ? fmt::format("-{}|--{}", flag.letter, flag.name)
                          : fmt::format("--{}", flag.name);
}

std::string bash_script() {
  std::string values;
  std::string skip;  // options whose value is the next word
  for (const FlagRow& flag : all_flags()) {
    if (flag.argument.empty()) continue;
    skip += (skip.empty() ? "" : "|") + flag_pattern(flag);
    const std::string reply = flag.choices == "FILE" ? "compgen -f -- \"$word\""
                              : flag.choices.empty()
                                  ? ":"
                                  : fmt::format("compgen -W \"{}\" -- \"$word\"", flag.choices);
    values +=
        fmt::format("    {}) mapfile -t COMPREPLY < <({}); return ;;\n", flag_pattern(flag), reply);
  }
  std::string own;
  for (const CommandRow& command : command_rows()) {
    if (!command.flags.empty()) {
      own += fmt::format("    {}) flags+=\" {}\" ;;\n", command.name,
                         flag_words(command_flags(), &command));
    }
  }
  std::string out = "# bash completion of doozer; made by `doozer completion bash`, do not edit.\n";
  out +=
      "_doozer() {\n  local word=\"${COMP_WORDS[COMP_CWORD]}\" "
      "before=\"${COMP_WORDS[COMP_CWORD-1]}\"\n";
  out += "  local command=\"\" i flags=\"" + flag_words(global_flags(), nullptr) + "\"\n";
  out += "  case \"$before\" in\n" + values + "  esac\n";
  out += "  for ((i = 1; i < COMP_CWORD; i++)); do\n    case \"${COMP_WORDS[i]}\" in\n";
  out += "      " + skip + ") ((i++)) || true ;;\n      -*) ;;\n";
  out += "      *) command=\"${COMP_WORDS[i]}\"; break ;;\n    esac\n  done\n";
  out += "  case \"$command\" in\n" + own + "  esac\n";
  out +=
      "  if [[ $word == -* ]]; then\n    mapfile -t COMPREPLY < <(compgen -W \"$flags\" -- "
      "\"$word\")\n";
  out += "  elif [[ -z $command || $command == help ]]; then\n";
  out += "    mapfile -t COMPREPLY < <(compgen -W \"" + command_words() + "\" -- \"$word\")\n";
  out += "  elif [[ $command == completion ]]; then\n";
  out += "    mapfile -t COMPREPLY < <(compgen -W \"bash zsh fish\" -- \"$word\")\n  fi\n}\n";
  return out + "complete -F _doozer doozer\n";
}

/// For a zsh specification within single quotes.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else if (c == '[' || c == ']' || c == ':') {
      out += '\\';
      out += c;
    } else {
      out += c;
    }
  }
  return out;
}

std::string zsh_flag(const FlagRow& flag) {
  std::string action;
  if (!flag.argument.empty()) {
    action = fmt::format(":{}:{}", flag.argument,
                         flag.choices == "FILE" ? std::string("_files")
                         : flag.choices.empty() ? std::string(" ")
                                                : fmt::format("({})", flag.choices));
  }
  std::string out;
  if (flag.letter != 0) {
    out += fmt::format("    '-{}[{}]{}'\n", flag.letter, zsh_text(flag.help), action);
  }
  return out + fmt::format("    '--{}[{}]{}'\n", flag.name, zsh_text(flag.help), action);
}

std::string zsh_script() {
  std::string out =
      "#compdef doozer\n# zsh completion; made by `doozer completion zsh`, do not edit.\n";
  out += "_doozer() {\n  local -a commands flags own\n  local command\n  commands=(\n";
  for (const CommandRow& command : command_rows()) {
    out += fmt::format("    '{}:{}'\n", command.name, zsh_text(command.summary));
  }
  out += "  )\n  flags=(\n";
  for (const FlagRow& flag : global_flags()) out += zsh_flag(flag);
  out += "  )\n  command=${words[(r)(";
  std::string choice;
  for (const CommandRow& command : command_rows()) {
    choice += (choice.empty() ? "" : "|") + std::string(command.name);
  }
  out += choice + ")]}\n  case $command in\n";
  for (const CommandRow& command : command_rows()) {
    if (command.flags.empty()) continue;
    out += fmt::format("    {}) own=(\n", command.name);
    for (const FlagRow& flag : command_flags()) {
      if (has_flag(command, flag.name)) out += zsh_flag(flag);
    }
    out += "    ) ;;\n";
  }
  out += "  esac\n  case $command in\n";
  out += "    '') _arguments $flags '1: :{_describe command commands}' ;;\n";
  out += "    help) _arguments $flags '1: :' '2: :{_describe command commands}' ;;\n";
  out += "    completion) _arguments $flags '1: :' '2:shell:(bash zsh fish)' ;;\n";
  out += "    *) _arguments $flags $own '*: :' ;;\n  esac\n}\n";
  return out +
         "if [[ $funcstack[1] == _doozer ]]; then _doozer \"$@\"; else compdef _doozer doozer; "
         "fi\n";
}

/// A fish string in single quotes.
std::string fish_text(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fish_flag(const FlagRow& flag, const std::string& condition) {
  std::string out = "complete -c doozer" + condition;
  if (flag.letter != 0) out += fmt::format(" -s {}", flag.letter);
  out += fmt::format(" -l {}", flag.name);
  if (flag.choices == "FILE") {
    out += " -r -F";
  } else if (!flag.choices.empty()) {
    out += fmt::format(" -x -a '{}'", flag.choices);
  } else if (!flag.argument.empty()) {
    out += " -x";
  }
  return out + fmt::format(" -d {}\n", fish_text(flag.help));
}

std::string fish_script() {
  std::string out = "# fish completion of doozer; made by `doozer completion fish`, do not edit.\n";
  out += "complete -c doozer -f\n";
  for (const CommandRow& command : command_rows()) {
    out += fmt::format("complete -c doozer -n __fish_use_subcommand -a {} -d {}\n", command.name,
                       fish_text(command.summary));
  }
  for (const FlagRow& flag : global_flags()) out += fish_flag(flag, "");
  for (const CommandRow& command : command_rows()) {
    const std::string condition = fmt::format(" -n '__fish_seen_subcommand_from {}'", command.name);
    for (const FlagRow& flag : command_flags()) {
      if (has_flag(command, flag.name)) out += fish_flag(flag, condition);
    }
  }
  out += "complete -c doozer -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n";
  out += fmt::format("complete -c doozer -n '__fish_seen_subcommand_from help' -a '{}'\n",
                     command_words());
  return out;
}

}  // namespace

Result<std::string> completion_script(std::string_view shell) {
  if (shell == "bash") return bash_script();
  if (shell == "zsh") return zsh_script();
  if (shell == "fish") return fish_script();
  return fail(Code::bad_argument,
              fmt::format("no completion for {}; there is bash, zsh, fish", quote(shell)));
}

}  // namespace doozer::cli
