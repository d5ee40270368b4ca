// The manual page, from the table.
#include <fmt/format.h>

#include "cmd/doozer_help.h"

namespace doozer::cli {
namespace {

/// Text for man(7): a dash that can be copied, a backslash that is one, no line that is a request.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (out.empty() && (c == '.' || c == '\'')) {
      out += "\\&";
      out += c;
    } else {
      out += c;
    }
  }
  return out;
}

/// Prose as it is, example lines in a block of their own.
std::string roff_paragraph(std::string_view text) {
  std::string out;
  bool block = false;
  for (const std::string_view line : lines_of(text)) {
    const bool example = line.starts_with("  ");
    if (example != block) out += example ? ".RS 4\n.nf\n" : ".fi\n.RE\n";
    block = example;
    out += roff(example ? line.substr(2) : line) + '\n';
  }
  if (block) out += ".fi\n.RE\n";
  return out;
}

std::string roff_flag(const FlagRow& flag) {
  std::string out = ".TP\n";
  if (flag.letter != 0) out += fmt::format("\\fB\\-{}\\fR, ", flag.letter);
  out += fmt::format("\\fB\\-\\-{}\\fR", roff(flag.name));
  if (!flag.argument.empty()) out += fmt::format(" \\fI{}\\fR", flag.argument);
  return out + '\n' + roff(flag.help) + '\n';
}

std::string roff_command(const CommandRow& command) {
  std::string title(command.name);
  if (!command.arguments.empty()) title += fmt::format(" {}", command.arguments);
  // A summary is a phrase; here it stands as a sentence.
  std::string summary(command.summary);
  summary[0] = static_cast<char>(summary[0] - 'a' + 'A');
  std::string out = fmt::format(".SS \"{}\"\n{}.\n", roff(title), roff(summary));
  for (const std::string_view paragraph : command_paragraphs(command)) {
    out += ".PP\n" + roff_paragraph(paragraph);
  }
  for (const FlagRow& flag : command_flags()) {
    if (has_flag(command, flag.name)) out += roff_flag(flag);
  }
  return out;
}

std::string roff_note(std::string_view name, std::string_view text) {
  return fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(name), roff(text));
}

}  // namespace

std::string man_page() {
  std::string out = ".\\\" Made by `doozer man`; do not edit.\n.TH DOOZER 1 \"\" Doozer\n";
  out += ".SH NAME\ndoozer \\- read, write and watch the files of a Doozer cluster\n";
  out +=
      ".SH SYNOPSIS\n\\fBdoozer\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIOPTIONS\\fR] "
      "[\\fIARGUMENTS\\fR]\n";
  out += ".SH DESCRIPTION\n" + roff(about_text()) + '\n';
  out += ".SH COMMANDS\n";
  for (const CommandRow& command : command_rows()) out += roff_command(command);
  out += ".SH OPTIONS\nThey stand before or after the command, with one dash or two.\n";
  for (const FlagRow& flag : global_flags()) out += roff_flag(flag);
  out += ".SH ENVIRONMENT\n";
  for (const NoteRow& note : environment_rows()) out += roff_note(note.name, note.text);
  out += ".SH \"EXIT STATUS\"\n";
  for (const ExitRow& exit : exit_rows()) {
    out += roff_note(std::to_string(exit.status), exit.meaning);
  }
  out += ".SH EXAMPLES\n";
  for (const NoteRow& note : example_rows()) out += roff_note(note.name, note.text);
  out += ".SH \"SEE ALSO\"\n\\fBdoozerd\\fR(1)\n";
  return out;
}

}  // namespace doozer::cli
