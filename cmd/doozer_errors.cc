// Which exit status and which advice belongs to an error, one table each; and its text.
#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "cmd/doozer_format.h"

namespace doozer::cli {

namespace {

/// Before a connection stands, permission_denied means a secret or a certificate; the library's
/// message says which.
bool is_certificate(const Error& error) {
  return error.message.find("certificate") != std::string::npos;
}

/// A server that stops refuses writes for another reason than one without a majority.
bool is_stopping(const Error& error) {
  return error.message.find("server is stopping") != std::string::npos;
}

/// The library names its own constants; who typed a command knows an option, or nothing of them.
void tell_options(std::string& message) {
  constexpr std::pair<std::string_view, std::string_view> kWords[] = {
      {" (Options::value_bytes_max)", " without --value-bytes-max"},
      {" (kPathBytesMax)", ""},
      {" (kSecretBytesMax)", ""}};
  for (const auto& [theirs, ours] : kWords) {
    if (const size_t at = message.rfind(theirs); at != std::string::npos) {
      message.replace(at, theirs.size(), ours);
    }
  }
}

std::string no_server_hint() {
  return "Is doozerd running there? -a HOST:PORT or DOOZER_URI says where to look; a server with a "
         "certificate wants --tls.";
}

}  // namespace

ExitStatus exit_status(const Error& error, bool connected) {
  switch (error.code) {
    case Code::unknown_outcome: return kExitUnknown;
    case Code::bad_argument: return kExitUsage;
    case Code::refused:
    case Code::closed: return kExitNoConnection;
    case Code::timed_out:
    case Code::io_error:
    case Code::corrupt:    // something answers there
    case Code::too_large:  // that is no Doozer server
    case Code::conflict: return connected ? kExitRefused : kExitNoConnection;
    case Code::permission_denied:
      return !connected && is_certificate(error) ? kExitNoConnection : kExitRefused;
    case Code::bad_path:
    case Code::bad_glob:
    case Code::missing_argument:
    case Code::not_found:
    case Code::not_directory:
    case Code::is_directory:
    case Code::range:
    case Code::revision_mismatch:
    case Code::too_late:
    case Code::read_only:
    case Code::unknown_verb:
    case Code::busy:
    case Code::no_space:
    case Code::unsupported:
    case Code::other: return kExitRefused;
  }
  return kExitRefused;
}

std::string hint_for(const CommandRow& command, const Error& error, bool connected) {
  switch (error.code) {
    case Code::unknown_outcome:
      return "The change may have happened, or may happen yet: read before you repeat it.";
    case Code::revision_mismatch:
      return command.name == "add"
                 ? "The file is there already; doozer stat PATH tells its revision."
                 : "Someone changed the file: read it again, then give its "
                   "revision (doozer stat PATH), or -1 to write over whatever is there.";
    case Code::not_found: return "What there is: doozer find /";
    case Code::is_directory: return "What is in a directory: doozer ls PATH";
    case Code::not_directory: return "A file stands in the way: doozer get PATH reads it.";
    case Code::too_late:
      return "The history no longer reaches back so far: leave --rev out to begin at the present.";
    case Code::permission_denied:
      return is_certificate(error)
                 ? "--tls-ca FILE trusts another authority, --tls-name NAME expects another name."
                 : "Give the secret as sk= of DOOZER_URI, or as DOOZER_SECRET.";
    case Code::read_only:
      if (is_stopping(error)) return "Ask another server, or this one when it is back.";
      return "The server reaches no majority and changed nothing; --local reads what it has.";
    case Code::unsupported:
      return "An old server cannot promise the newest state; --local takes what it has.";
    case Code::bad_glob: return std::string(glob_text());
    case Code::no_space: return "The server's disk is full; deleting files still works.";
    case Code::busy: return "Try again in a moment.";
    case Code::bad_path:
      return "A path is / or /NAME/NAME..., without white space and * ? [ ] { } \\.";
    case Code::too_large:
      if (connected && has_flag(command, "value-bytes-max")) {
        return "If the server takes more (its --value-bytes-max), give the option of the same "
               "name.";
      }
      return connected ? "" : no_server_hint();
    case Code::timed_out:
    case Code::refused:
    case Code::closed:
    case Code::corrupt:
    case Code::io_error: return connected ? "" : no_server_hint();
    case Code::conflict: return "This is not the cluster that was expected: check the address.";
    case Code::bad_argument: return "How it is used: doozer help " + std::string(command.name);
    case Code::missing_argument:
    case Code::range:
    case Code::unknown_verb:
    case Code::other: return {};
  }
  return {};
}

Error told_of(const CommandRow& command, std::string_view argument, Error error) {
  tell_options(error.message);
  const std::string_view message = error.message;
  const std::string quoted = quote(argument);
  // The verb of the request: letters, before the path.
  const size_t space = message.find(' ');
  if (space == std::string_view::npos) return error;
  const bool verb = std::all_of(message.begin(), message.begin() + static_cast<ptrdiff_t>(space),
                                [](char c) { return c >= 'a' && c <= 'z'; });
  std::string_view rest = message.substr(space + 1);
  const std::string context = quoted + ": ";
  if (!verb || !rest.starts_with(context)) return error;
  rest.remove_prefix(context.size());
  std::string told(command.name);
  // The server's words may name the path themselves.
  told += rest.starts_with("path " + quoted) ? ": " : " " + context;
  told += rest;
  error.message = std::move(told);
  return error;
}

}  // namespace doozer::cli
