#include "cmd/doozer_help.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace doozer::cli {
namespace {

constexpr size_t kWidth = 80;
constexpr size_t kColumn = 28;  ///< where explanations begin

void wrap_line(std::string_view line, size_t indent, size_t width, std::string& out) {
  const std::string margin(indent, ' ');
  if (line.starts_with("  ")) {
    out += margin;
    out += line;
    out += '\n';
    return;
  }
  std::string current;
  while (!line.empty()) {
    const size_t end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    if (!current.empty() && indent + current.size() + 1 + word.size() > width) {
      out += margin + current + '\n';
      current.clear();
    }
    if (!current.empty()) current += ' ';
    current += word;
  }
  out += margin + current + '\n';
}

/// "  NAME            explanation", the explanation wrapped in its column.
std::string row(const std::string& name, std::string_view text) {
  std::string explained = wrapped(text, kColumn, kWidth);
  const std::string head = "  " + name;
  if (head.size() + 2 > kColumn) return head + '\n' + explained;
  return head + explained.substr(head.size());
}

std::string flag_name(const FlagRow& flag) {
  std::string name = flag.letter != 0 ? fmt::format("-{}, --{}", flag.letter, flag.name)
                                      : fmt::format("    --{}", flag.name);
  if (!flag.argument.empty()) name += fmt::format(" {}", flag.argument);
  return name;
}

std::string usage_line(const CommandRow& command) {
  std::string line = fmt::format("doozer [OPTIONS] {}", command.name);
  if (!command.flags.empty()) line += " [OPTIONS]";
  if (!command.arguments.empty()) line += fmt::format(" {}", command.arguments);
  return line;
}

}  // namespace

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::vector<std::string_view> command_paragraphs(const CommandRow& command) {
  std::vector<std::string_view> all{command.details};
  if (command.arguments.find("GLOB") != std::string_view::npos) all.push_back(glob_text());
  if (command.name == "set") all.push_back(revision_text());
  return all;
}

std::string wrapped(std::string_view text, size_t indent, size_t width) {
  std::string out;
  for (const std::string_view line : lines_of(text)) wrap_line(line, indent, width, out);
  return out;
}

std::string help_text() {
  std::string out = "Usage: doozer [OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]\n\n";
  out += wrapped(about_text(), 0, kWidth);
  out += "\nCommands:\n";
  for (const CommandRow& command : command_rows()) {
    out += row(fmt::format("{}{}{}", command.name, command.arguments.empty() ? "" : " ",
                           command.arguments),
               command.summary);
  }
  out += "\nOptions, before or after the command:\n";
  for (const FlagRow& flag : global_flags()) out += row(flag_name(flag), flag.help);
  out += "\nEnvironment:\n";
  for (const NoteRow& note : environment_rows()) out += row(std::string(note.name), note.text);
  out += "\nExit status:\n";
  for (const ExitRow& exit : exit_rows()) out += row(std::to_string(exit.status), exit.meaning);
  out += "\nExamples:\n";
  for (const NoteRow& note : example_rows())
    out += fmt::format("  {}\n      {}\n", note.name, note.text);
  return out;
}

std::string command_help_text(const CommandRow& command) {
  std::string out = fmt::format("Usage: {}\n\n", usage_line(command));
  bool first = true;
  for (const std::string_view paragraph : command_paragraphs(command)) {
    if (!first) out += '\n';
    first = false;
    out += wrapped(paragraph, 0, kWidth);
  }
  if (!command.flags.empty()) {
    out += "\nOptions of this command:\n";
    for (const FlagRow& flag : command_flags()) {
      if (has_flag(command, flag.name)) out += row(flag_name(flag), flag.help);
    }
  }
  out += "\nOptions of all commands, environment and exit status: doozer help\n";
  return out;
}

}  // namespace doozer::cli
