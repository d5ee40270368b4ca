// The one file of doozerd that includes CLI11, which is slow to compile and throws.
#include "cmd/doozerd_flags.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/bytes.h"
#include "server/options_table.h"

namespace doozer::cmd {
namespace {

using server::ConfigSource;
using server::Option;
using server::OptionKind;

constexpr size_t kConfigFileBytesMax = 1 * kMiB;
constexpr std::string_view kConfigEnvironment = "DOOZERD_CONFIG";

struct Flag {
  const Option* option;
  CLI::Option* parsed;
};

// Every value of every flag, in the order of the table; what CLI11 does not know is a problem.
std::vector<Flag> declare(CLI::App& app) {
  std::vector<Flag> flags;
  for (const Option& option : server::options()) {
    std::string names = "--" + std::string(option.name);
    if (option.letter != '\0') names += std::string(",-") + option.letter;
    CLI::Option* const parsed =
        option.kind == OptionKind::flag ? app.add_flag(names) : app.add_option(names);
    parsed->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    if (option.kind != OptionKind::flag) parsed->allow_extra_args(false);
    flags.push_back({&option, parsed});
  }
  return flags;
}

std::string unexpected(const std::string& argument) {
  if (!argument.starts_with('-')) return quote(argument) + ": unexpected argument";
  const size_t start = argument.find_first_not_of('-');
  const size_t equals = argument.find('=');
  const std::string word = start == std::string::npos ? "" : argument.substr(start, equals - start);
  const std::string suggestion = server::suggest_option(word, "--");
  return argument.substr(0, equals) + ": unknown flag" +
         (suggestion.empty() ? "; see --help" : "; " + suggestion);
}

struct CommandLine {
  std::vector<std::pair<const Option*, std::string>> values;
  std::vector<std::string> problems;
};

CommandLine parse_flags(int argc, const char* const* argv) {
  CommandLine out;
  RewrittenArguments rewritten = rewrite_arguments({argv + std::min(argc, 1), argv + argc});
  out.problems = std::move(rewritten.problems);
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  const std::vector<Flag> flags = declare(app);
  // CLI11 takes them from the back.
  std::vector<std::string> reversed(rewritten.arguments.rbegin(), rewritten.arguments.rend());
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::Error& error) {
    out.problems.emplace_back(error.what());
    return out;
  }
  for (const std::string& extra : app.remaining()) {
    if (extra != "--") out.problems.push_back(unexpected(extra));
  }
  for (const Flag& flag : flags) {
    for (const std::string& value : flag.parsed->results()) {
      out.values.emplace_back(flag.option, value);
    }
  }
  return out;
}

// Whether the flag `name` stands there and is not switched off.
bool asked_for(const CommandLine& line, std::string_view name) {
  bool asked = false;
  for (const auto& [option, value] : line.values) {
    if (option->name == name)
      asked = value == "true" || value == "on" || value == "yes" || value == "1";
  }
  return asked;
}

Action action_of(const CommandLine& line) {
  constexpr std::pair<std::string_view, Action> kActions[] = {
      {"help", Action::help},
      {"version", Action::version},
      {"print-man", Action::print_man},
      {"print-config", Action::print_config},
      {"check-config", Action::check_config},
      {"recover-alone", Action::recover_alone}};
  for (const auto& [name, action] : kActions) {
    if (asked_for(line, name)) return action;
  }
  return Action::run;
}

// errno says why.
tl::unexpected<Error> unreadable(const std::string& path, std::string_view what) {
  return fail(
      errno == ENOENT ? Code::not_found : Code::io_error,
      "file " + quote(path) + ": cannot be " + std::string(what) + ": " + std::strerror(errno));
}

struct ConfigFile {
  std::string path;        ///< empty: there is none
  std::string_view given;  ///< by this flag or variable
};

// That of --config, else of the environment.
ConfigFile config_file(const CommandLine& line, const server::Environment& environment) {
  ConfigFile file;
  for (const auto& [name, value] : environment) {
    if (name == kConfigEnvironment) file = {value, kConfigEnvironment};
  }
  for (const auto& [option, value] : line.values) {
    if (option->name == "config") file = {value, "--config"};
  }
  return file;
}

}  // namespace

Result<void> check_files(const server::Configured& configured, const FileReader& read_file) {
  const server::Config& config = configured.config;
  const std::pair<std::string_view, const std::string&> files[] = {
      {"tls-cert", config.tls_cert}, {"tls-key", config.tls_key}, {"peer-ca", config.peer_ca}};
  for (const auto& [name, path] : files) {
    if (path.empty()) continue;
    const auto content = read_file(path);
    if (content) continue;
    const std::string& given = configured.sources[server::find_option(name).value()].name;
    std::string message = given + ": " + content.error().message;
    // "doozerd.toml:3" does not tell which setting stands there.
    if (given.find(':') != std::string::npos)
      message.insert(given.size() + 2, std::string(name) + ": ");
    return fail(Code::bad_argument, std::move(message));
  }
  return {};
}

Result<std::string> read_text_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return unreadable(path, "opened");
  std::string content;
  content.resize(kConfigFileBytesMax + 1);
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (file.bad() || (file.fail() && !file.eof())) {
    return unreadable(path, "read");
  }
  content.resize(static_cast<size_t>(file.gcount()));
  if (content.size() > kConfigFileBytesMax) {
    return fail(Code::too_large, "file " + quote(path) + ": larger than 1MiB");
  }
  return content;
}

server::Environment read_environment(const char* const* environ_strings) {
  server::Environment out;
  for (; environ_strings != nullptr && *environ_strings != nullptr; ++environ_strings) {
    const std::string_view entry = *environ_strings;
    const size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    out.emplace_back(entry.substr(0, equals), entry.substr(equals + 1));
  }
  return out;
}

Result<Invocation> parse_command_line(int argc, const char* const* argv,
                                      const server::Environment& environment,
                                      const FileReader& read_file) {
  const CommandLine line = parse_flags(argc, argv);
  Invocation out;
  out.action = action_of(line);
  const bool only_text = out.action == Action::help || out.action == Action::version ||
                         out.action == Action::print_man;
  server::ConfigBuilder builder;
  for (const std::string& problem : line.problems) builder.problem(problem);
  if (only_text && line.problems.empty()) return out;

  if (const ConfigFile file = config_file(line, environment); !file.path.empty()) {
    const auto content = read_file(file.path);
    if (content) {
      server::read_config_file(builder, file.path, *content);
    } else {
      builder.problem(std::string(file.given) + ": " + content.error().message);
    }
  }
  builder.set_environment(environment);
  for (const auto& [option, value] : line.values) {
    builder.set({.kind = ConfigSource::Kind::flag, .name = "--" + std::string(option->name)},
                option->name, value);
  }
  out.recover_for_real = asked_for(line, "yes");
  if (out.recover_for_real && out.action != Action::recover_alone) {
    builder.problem("--yes: means nothing without --recover-alone");
  }
  TRY_ASSIGN(out.configured, builder.finish());
  if (out.action == Action::check_config) TRY(check_files(out.configured, read_file));
  return out;
}

std::string action_output(const Invocation& invocation) {
  switch (invocation.action) {
    case Action::run:
    case Action::recover_alone: return "";
    case Action::print_config: return server::print_config(invocation.configured);
    case Action::check_config: return "the configuration is good\n";
    case Action::help: return help_text();
    case Action::version: return version_text();
    case Action::print_man: return man_page();
  }
  return "";
}

}  // namespace doozer::cmd
