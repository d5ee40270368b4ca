// --help and the manual page, both from the table of options.
#include <algorithm>

#include "cmd/doozerd_flags.h"
#include "server/options_table.h"

namespace doozer::cmd {
namespace {

using server::Option;

#ifndef DOOZER_VERSION
#error "DOOZER_VERSION comes from the build"
#endif
constexpr std::string_view kVersion = DOOZER_VERSION;

// The table is one list; people read it in parts. Each part begins with this option.
constexpr std::pair<std::string_view, std::string_view> kParts[] = {
    {"listen", "Addresses"},
    {"boot", "A new cluster"},
    {"data-dir", "Data"},
    {"timeout", "Members, peers and TLS"},
    {"log-format", "Logs"},
    {"value-bytes-max", "Limits"},
    {"web", "Accepted for the original's sake"},
    {"config", "Actions and the configuration file"},
};

std::string_view part_title(const Option& option) {
  for (const auto& [name, title] : kParts) {
    if (option.name == name) return title;
  }
  return {};
}

// "-l, --listen HOST:PORT"
std::string usage(const Option& option) {
  std::string out = option.letter != '\0' ? std::string("-") + option.letter + ", " : "    ";
  out += "--" + std::string(option.name);
  if (!option.value_name.empty()) out += " " + std::string(option.value_name);
  return out;
}

std::string help_with_default(const Option& option) {
  std::string out(option.help);
  const std::string standard = server::default_text(option);
  if (!standard.empty()) out += " [" + standard + "]";
  return out;
}

// Makes `text` safe for troff: '-' as a minus sign, '\' doubled, no control character in front.
std::string troff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool control = out.empty() && (c == '.' || c == '\'');
    if (control) out += "\\&";
    if (c == '-') {
      out += "\\-";
    } else if (c == '\\') {
      out += "\\\\";
    } else {
      out += c;
    }
  }
  return out;
}

std::string man_option(const Option& option) {
  std::string out = ".TP\n";
  if (option.letter != '\0') out += std::string("\\fB\\-") + option.letter + "\\fR, ";
  out += "\\fB\\-\\-" + troff(option.name) + "\\fR";
  if (!option.value_name.empty()) out += " \\fI" + troff(option.value_name) + "\\fR";
  std::string sentence(option.help);
  if (sentence[0] >= 'a' && sentence[0] <= 'z') {
    sentence[0] = static_cast<char>(sentence[0] - 'a' + 'A');
  }
  out += "\n" + troff(sentence) + ".\n";
  const std::string standard = server::default_text(option);
  if (!standard.empty()) out += "Default: " + troff(standard) + ".\n";
  if (!option.original.empty()) {
    out += "The original's \\fB\\-" + troff(option.original) + "\\fR means the same.\n";
  }
  return out;
}

constexpr std::string_view kManHead = R"(.SH NAME
doozerd \- a consistent, durable store for small, important data
.SH SYNOPSIS
.B doozerd
[\fIOPTION\fR]...
.SH DESCRIPTION
Doozerd keeps a tree of small files and one revision for all of it.
Clients read and write whole files, guard writes by revision, and wait for changes.
What is acknowledged has been synced to disk.
Without options it serves on 127.0.0.1:8046 and keeps its data in ./data.
.PP
An empty data directory becomes a new cluster only if the server listens on loopback without
.B \-\-attach
and
.BR \-\-boot\-uri ,
or with
.BR \-\-boot :
a volume that failed to mount must not become a second, empty cluster.
.SH OPTIONS
)";

constexpr std::string_view kManTail = R"(.SH CONFIGURATION
Every setting can be given as a flag, as an environment variable (\fB\-\-data\-dir\fR is
\fBDOOZERD_DATA_DIR\fR) and as a key of the TOML file (\fBdata\-dir = "/var/lib/doozer"\fR).
A flag wins over the environment, the environment over the file, the file over the default.
Options that may be repeated are arrays of strings in the file.
Unknown flags and keys are errors; unknown DOOZERD_ names in the environment are warnings.
.PP
Durations have units: us, ms, s, m, h; a bare number is seconds.
Sizes have units: B, kB, MB, GB, TB, KiB, MiB, GiB, TiB; a bare number is bytes.
.PP
The original's words with one dash are understood, as in
.B doozerd \-l 127.0.0.1:8046 \-hist 5 \-timeout=60
.SH ENVIRONMENT
.TP
.B DOOZERD_NAME
The setting NAME, as above.
.TP
.B DOOZER_BOOT_URI
As \fB\-\-boot\-uri\fR.
.TP
.B DOOZER_RWSECRET
The secret that lets a client read and write. Not set: anyone may do both.
.TP
.B DOOZER_ROSECRET
The secret that lets a client read. Not set: anyone may read.
To set only this one is an error.
.TP
.B NOTIFY_SOCKET
Set by systemd: doozerd tells READY and STOPPING.
.SH SIGNALS
.TP
.BR SIGTERM , " SIGINT"
Stop: answer what is in flight, then end. A second one ends at once; nothing acknowledged is lost.
.TP
.B SIGHUP
Read the TLS certificate and key again; connections go on.
.SH FILES
.TP
.I ./data
The data directory: lock, identity, incarnation, log/, snap/.
.SH EXIT STATUS
.TP
.B 0
Stopped as asked.
.TP
.B 1
It could not start or had to stop: the log says why.
.TP
.B 2
A flag, the environment or the file is wrong; nothing was touched.
.TP
.B 3
Other servers have shown that its data directory was copied or rolled back: not to be started again.
.TP
.BR 130 , " 143"
A second SIGINT or SIGTERM ended it at once.
.SH SEE ALSO
.BR doozer (1),
.BR doozer\-inspect (1)
)";

}  // namespace

std::string version_text() { return "doozerd " + std::string(kVersion) + "\n"; }

std::string help_text() {
  size_t widest = 0;
  for (const Option& option : server::options()) {
    if (!option.hidden) widest = std::max(widest, usage(option).size());
  }
  std::string out =
      "doozerd: a consistent, durable store for small, important data\n\n"
      "usage: doozerd [OPTION]...\n";
  for (const Option& option : server::options()) {
    if (option.hidden) continue;
    const std::string_view title = part_title(option);
    if (!title.empty()) out += "\n" + std::string(title) + ":\n";
    const std::string left = usage(option);
    out +=
        "  " + left + std::string(widest - left.size() + 2, ' ') + help_with_default(option) + "\n";
  }
  out +=
      "\nEach setting is also an environment variable (--data-dir is DOOZERD_DATA_DIR) and a key "
      "of\n"
      "the TOML file. Secrets: DOOZER_RWSECRET, DOOZER_ROSECRET. See doozerd(1).\n";
  return out;
}

std::string man_page() {
  std::string out =
      ".\\\" Made by doozerd --print-man from the table of options.\n.TH DOOZERD 1 \"\" "
      "\"doozerd " +
      std::string(kVersion) + "\" \"Doozer\"\n" + std::string(kManHead);
  for (const Option& option : server::options()) {
    if (option.hidden) continue;
    const std::string_view title = part_title(option);
    if (!title.empty()) out += ".SS " + troff(title) + "\n";
    out += man_option(option);
  }
  return out + std::string(kManTail);
}

}  // namespace doozer::cmd
