#include "cmd/doozer_table.h"

#include <algorithm>

namespace doozer::cli {
namespace {

constexpr FlagRow kGlobalFlags[] = {
    {'a', "address", "URI", "",
     "the cluster: doozer:?ca=HOST:PORT&sk=SECRET, or HOST:PORT, several separated by commas "
     "(default: $DOOZER_URI, then 127.0.0.1:8046)"},
    {'b', "boot", "URI", "",
     "a cluster that serves as name service, written like --address; the cluster named by cn= is "
     "looked up there "
     "(default: $DOOZER_BOOT_URI)"},
    {'r', "rev", "REV", "", "read as of this revision; wait and watch: begin at it"},
    {0, "local", "", "", "let the server at hand answer, even if it lags or is cut off"},
    {'t', "timeout", "TIME", "",
     "give up after so long, such as 500ms or 1m; a bare number is seconds (default: 10s, for wait "
     "and watch none)"},
    {'o', "output", "FORMAT", "text json", "text or json (default: text)"},
    {0, "tls", "", "", "speak TLS; each option below implies it"},
    {0, "tls-ca", "FILE", "FILE", "trust the certificates in this PEM file, not the system's"},
    {0, "tls-name", "NAME", "", "the name that the server's certificate must bear"},
    {0, "tls-cert", "FILE", "FILE", "this side's own certificate (PEM), with --tls-key"},
    {0, "tls-key", "FILE", "FILE", "the key of --tls-cert (PEM)"},
    {0, "tls-insecure", "", "", "accept any certificate; for tests only"},
    {'h', "help", "", "", "explain, also a single command: doozer set --help"},
    {'v', "version", "", "", "print the version"},
};

constexpr FlagRow kCommandFlags[] = {
    {'f', "file", "FILE", "FILE",
     "read from, or for export write to, this file; - is the standard one"},
    {'x', "exec", "COMMAND", "",
     "for each event run this shell command instead of printing: the value is its standard input, "
     "and DOOZER_PATH, DOOZER_REV and DOOZER_FLAG (set, del or nop) are in its environment"},
    {'n', "count", "N", "", "end after N events, or with status --watch after N looks"},
    {'w', "watch", "", "", "go on looking, once a second"},
    {'l', "long", "", "", "tell of each name what stat tells"},
    {0, "below", "PATH", "", "only what is at or below PATH"},
    {0, "overwrite", "", "", "replace files that hold something else"},
    {0, "dry-run", "", "", "say what would be done, and change nothing"},
    {0, "value-bytes-max", "SIZE", "",
     "send values up to this size, such as 16MiB; the server's option of the same name must admit "
     "them (default: 1MiB)"},
};

constexpr std::string_view kAboutText =
    "Reads, writes and watches the files of a Doozer cluster, a consistent store for small, "
    "important data. Reads are linearizable unless --local is given.";
constexpr std::string_view kGlobText =
    "In a glob, ? is one character within a name, * any number of characters within a name, ** "
    "any number of characters across names. Quote it, lest the shell read it first.";
constexpr std::string_view kRevText =
    "The write passes if nothing newer than revision REV is in the file: 0 passes only if there is "
    "no file, -1 always passes. Otherwise nothing is changed and the exit status is 1.";

constexpr CommandRow kCommands[] = {
    {"add", "PATH [VALUE]", "create a file", 1, 2, "file value-bytes-max", false,
     "Like set PATH 0: refused if the file is there already."},
    {"completion", "SHELL", "print the completion script of a shell", 1, 1, "", false,
     "SHELL is bash, zsh or fish. To try it:\n"
     "  source <(doozer completion bash)"},
    {"del", "PATH REV", "delete a file", 2, 2, "", false,
     "The write passes if nothing newer than revision REV is in the file; -1 always passes. "
     "Deleting a missing file is no error. A directory vanishes with its last file."},
    {"export", "[PATH]", "write a tree to a file, every byte kept", 0, 1, "file", true,
     "Writes all files below PATH (default: /), all as of one revision, as lines of JSON: a head, "
     "a line for each file, and an end without which import takes nothing. A value that is not "
     "UTF-8 stands as value_base64."},
    {"find", "PATH", "list all paths below one", 1, 1, "", true,
     "Prints PATH and the path of each file and directory below it, one a line."},
    {"get", "PATH", "read a file", 1, 1, "", true,
     "Prints the bytes of the file and nothing else. A missing file prints nothing and exits with "
     "status 1."},
    {"help", "[COMMAND]", "explain a command", 0, 1, "", false,
     "Without COMMAND, tells of all commands and options."},
    {"import", "[FILE]", "bring back what export wrote", 0, 1,
     "below overwrite dry-run value-bytes-max", false,
     "Reads FILE, or else standard input, and creates the files of the export. Files that are "
     "there already with the same bytes are left alone; those with other bytes are conflicts, are "
     "told and left alone, and make the exit status 1, unless --overwrite replaces them. /ctl is "
     "never written. Nothing is written before the whole export has been read and checked."},
    {"ls", "[PATH]", "list a directory", 0, 1, "long", true,
     "Prints the names in one directory (default: /), one a line. With --long, before each name "
     "its revision and length, or d and its number of entries."},
    {"man", "", "print the manual page", 0, 0, "", false,
     "To read it without installing:\n  doozer man | man -l -"},
    {"nop", "", "take a revision and change nothing", 0, 0, "", false,
     "A round through the whole cluster: it succeeds only if writes do. Prints nothing."},
    {"rev", "", "print the store's revision", 0, 0, "", false,
     "The revision grows by one with each change."},
    {"self", "", "print the server's identity", 0, 0, "", false,
     "16 characters, without a newline. It is that of the server that happens to answer."},
    {"set", "PATH REV [VALUE]", "write a file", 2, 3, "file value-bytes-max", false,
     "Writes the whole file: VALUE, or else the bytes of --file, or else standard input. Prints "
     "the new revision."},
    {"stat", "PATH", "tell of a file or directory", 1, 1, "", true,
     "Prints the revision and the length of a file, or d and the number of entries of a "
     "directory."},
    {"status", "", "tell how the server and its cluster are", 0, 0, "watch count", false,
     "Prints what the server at hand knows: the cluster, every server with its state, revision and "
     "lag in log entries and the link to it, slots (the wish) beside votes (the truth), disk, "
     "memory, loop. Lag and silence of the others are known to the leader alone. With -o json, "
     "what the server said, unchanged, on one line. With --watch a terminal is drawn anew each "
     "second; elsewhere block follows block."},
    {"touch", "PATH", "give a file a new revision", 1, 1, "value-bytes-max", false,
     "Writes what is in the file once more, or creates it empty. Prints nothing."},
    {"tree", "[PATH]", "draw a tree", 0, 1, "", true,
     "Draws all that is below PATH (default: /), for people. For programs there is find."},
    {"wait", "GLOB", "wait for a change", 1, 1, "exec", true,
     "Prints the next change to a file that matches GLOB; with --rev, the first one at or after "
     "that revision, which may be past. The form is that of watch."},
    {"walk", "GLOB", "read many files", 1, 1, "", true,
     "Prints each file that matches GLOB, in the order of their paths and all as of one revision, "
     "as\n"
     "  PATH REV LEN\n"
     "  VALUE"},
    {"watch", "GLOB", "print every change", 1, 1, "exec count", true,
     "Prints each change to a file that matches GLOB from now on, or from --rev on, none left out "
     "and none twice, also when the connection breaks meanwhile:\n"
     "  PATH REV set|del|nop LEN\n"
     "  VALUE"},
};

constexpr ExitRow kExits[] = {
    {kExitOk, "done"},
    {kExitRefused,
     "refused or missing: nothing was changed, but for what an import counts as created or "
     "replaced; also a result that could not be written out"},
    {kExitUsage, "the command line is wrong"},
    {kExitNoConnection, "no server could be reached: nothing was changed"},
    {kExitUnknown,
     "outcome unknown: the change may or may not have happened; read before you repeat it"},
    {kExitInterrupted, "ended by Ctrl-C"},
};

constexpr NoteRow kEnvironment[] = {
    {"DOOZER_URI",
     "the cluster, if there is no --address. A secret is better kept here, or in "
     "DOOZER_SECRET, than on the command line, which every user of the machine can see"},
    {"DOOZER_BOOT_URI", "the name service, if there is no --boot"},
    {"DOOZER_SECRET", "the secret, if the URI has none"},
    {"NO_COLOR", "if not empty, no colours, even on a terminal"},
};

constexpr NoteRow kExamples[] = {
    {"echo hello | doozer set /greeting 0", "create a file, but only if there is none"},
    {"doozer get /greeting", "read it"},
    {"doozer set /greeting 17 hi", "change it, if nothing newer than revision 17 is in it"},
    {"doozer watch '/services/**'", "print every change below a directory"},
    {"doozer watch /config --exec 'cat > /etc/app.conf'", "keep a file on disk up to date"},
    {"doozer export -f backup.jsonl", "save the whole tree"},
};

}  // namespace

std::span<const FlagRow> global_flags() { return kGlobalFlags; }
std::span<const FlagRow> command_flags() { return kCommandFlags; }
std::span<const CommandRow> command_rows() { return kCommands; }
std::span<const ExitRow> exit_rows() { return kExits; }
std::span<const NoteRow> environment_rows() { return kEnvironment; }
std::span<const NoteRow> example_rows() { return kExamples; }
std::string_view about_text() { return kAboutText; }
std::string_view glob_text() { return kGlobText; }
std::string_view revision_text() { return kRevText; }

const CommandRow* find_command(std::string_view name) {
  const auto* found = std::ranges::find(kCommands, name, &CommandRow::name);
  return found == std::end(kCommands) ? nullptr : found;
}

bool has_flag(const CommandRow& command, std::string_view name) {
  std::string_view rest = command.flags;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(' '), rest.size());
    if (rest.substr(0, end) == name) return true;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

const FlagRow* find_flag(std::string_view word, const CommandRow* command) {
  const auto bears = [&](const FlagRow& flag) {
    return flag.name == word || (word.size() == 1 && flag.letter == word[0]);
  };
  if (const auto* flag = std::ranges::find_if(kGlobalFlags, bears);
      flag != std::end(kGlobalFlags)) {
    return flag;
  }
  if (command == nullptr) return nullptr;
  const auto* flag = std::ranges::find_if(kCommandFlags, [&](const FlagRow& row) {
    return bears(row) && has_flag(*command, row.name);
  });
  return flag == std::end(kCommandFlags) ? nullptr : flag;
}

}  // namespace doozer::cli
