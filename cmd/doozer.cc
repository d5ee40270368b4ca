// The command line `doozer`: reads argv, connects, runs one command, exits by the table in
// cmd/doozer_table.h.
#include <fmt/format.h>

#include <cstdlib>
#include <optional>

#include "base/check.h"
#include "base/units.h"
#include "cmd/doozer_args.h"
#include "cmd/doozer_format.h"
#include "cmd/doozer_help.h"
#include "cmd/doozer_process.h"
#include "cmd/doozer_session.h"
#include "io/descriptors.h"

namespace doozer::cli {
namespace {

std::string environment_variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int finish(const Result<>& printed) {
  if (printed) return kExitOk;
  write_error(format_error(printed.error(), "", {}));
  return kExitRefused;
}

/// What needs no server; nullopt if the command is none of those.
std::optional<int> run_without_server(const Invocation& invocation) {
  if (invocation.version) return finish(write_output("doozer " DOOZER_VERSION "\n"));
  const CommandRow* topic = invocation.command;
  if (!invocation.help && topic->name == "man") return finish(write_output(man_page()));
  if (!invocation.help && topic->name == "completion") {
    const auto script = completion_script(invocation.arguments[0]);
    if (script) return finish(write_output(*script));
    write_error(format_error(script.error(), hint_for(*topic, script.error(), false),
                             {.json = invocation.json}));
    return kExitUsage;
  }
  if (!invocation.help && topic->name != "help") return std::nullopt;
  if (!invocation.help) {
    if (invocation.arguments.empty()) return finish(write_output(help_text()));
    topic = find_command(invocation.arguments[0]);
    if (topic == nullptr) {
      const Error unknown{Code::bad_argument, "unknown command " + invocation.arguments[0]};
      write_error(format_error(unknown, "All commands: doozer help", {.json = invocation.json}));
      return kExitUsage;
    }
  }
  return finish(write_output(topic == nullptr ? help_text() : command_help_text(*topic)));
}

/// A watch may live long: its user hears when it is blind for a while.
void tell_connection(const ConnectionEvent& event) {
  if (event.kind == ConnectionEvent::Kind::lost) {
    write_error(fmt::format("doozer: connection to {} lost ({}); looking for a server\n",
                            event.address, event.error.message));
  }
}

/// What helps against a time limit that has passed.
std::string more_time(const Invocation& invocation) {
  const auto limit = static_cast<uint64_t>(invocation.client.request_timeout.count());
  std::string told;
  if (invocation.revision) {
    told = fmt::format("A revision to come is waited for; doozer rev tells whether {} is one. ",
                       *invocation.revision);
  }
  return told + fmt::format("--timeout gives it longer than {}.", format_duration_us(limit));
}

/// Connects and runs the command; what goes wrong is told on standard error.
int run(const Invocation& invocation) {
  Style style{.json = invocation.json, .colour = !invocation.json && output_takes_colour()};
  Style error_style{.json = invocation.json, .colour = !invocation.json && error_takes_colour()};
  const std::string argument = invocation.arguments.empty() ? "" : invocation.arguments[0];
  std::optional<std::string> hint;
  const auto complain = [&](const Error& found, bool connected) {
    const Error error = told_of(*invocation.command, argument, found);
    if (!hint) {
      hint = connected && error.code == Code::timed_out
                 ? more_time(invocation)
                 : hint_for(*invocation.command, error, connected);
    }
    write_error(format_error(error, *hint, error_style));
    return exit_status(error, connected);
  };

  Options options = invocation.client;
  if (invocation.command->name == "watch" || invocation.command->name == "wait") {
    options.on_connection = tell_connection;
  }
  auto client = Client::connect(std::move(options));
  if (!client) return complain(client.error(), /*connected=*/false);
  Session session{invocation, style, std::move(*client)};
  const Handler handler = find_handler(invocation.command->name);
  CHECK(handler != nullptr);
  const auto status = handler(session);
  hint = session.hint;
  if (!status) return complain(status.error(), session.client.connection().connected);
  return *status;
}

int main_of(const std::vector<std::string>& words) {
  prepare_process();
  const auto invocation = parse_command_line(words, environment_variable);
  if (!invocation) {
    const std::string hint = words.empty() || find_command(words[0]) == nullptr
                                 ? "What there is: doozer help"
                                 : "How it is used: doozer help " + words[0];
    const bool json = asks_for_json(words);
    write_error(format_error(invocation.error(), hint,
                             {.json = json, .colour = !json && error_takes_colour()}));
    return kExitUsage;
  }
  if (const auto done = run_without_server(*invocation)) return *done;
  return run(*invocation);
}

}  // namespace
}  // namespace doozer::cli

int main(int argc, char** argv) {
  doozer::io::hold_standard_descriptors();
  return doozer::cli::main_of(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
