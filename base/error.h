// What can go wrong, and the Result that carries it. This header is installed for users of the
// client library too, so it brings in nothing of ours and defines no macro; code of the house
// includes base/result.h, which adds TRY.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace doozer {

/// A code exists only where some caller acts on it differently; the message is for people.
enum class Code : unsigned char {
  bad_argument,       ///< what the caller gave is wrong: flag, file, URI, request field
  bad_path,           ///< no path that a file could have
  bad_glob,           ///< a glob that no path could match
  missing_argument,   ///< a required field did not come
  not_found,          ///< the named thing does not exist
  not_directory,      ///< a file stands where a directory is needed
  is_directory,       ///< a directory stands where a file is needed
  range,              ///< an offset before the start or past the end
  revision_mismatch,  ///< something newer than the given revision is in the file
  too_late,           ///< the revision is no longer in the history
  permission_denied,  ///< the secret does not give this right
  read_only,          ///< no majority can be reached; the write was not given to any log
  unknown_verb,       ///< a verb that this server does not know
  too_large,          ///< over a named limit; nothing was changed
  busy,               ///< a queue is full; try later
  no_space,           ///< the disk is full
  io_error,           ///< the operating system refused a read, write or sync
  corrupt,            ///< bytes that do not check
  unsupported,        ///< written by a newer version, or a feature that this side lacks
  conflict,           ///< another owner: a locked directory, a second identity, another cluster
  refused,            ///< the peer does not listen or closed before anything was given to it
  closed,             ///< the connection or object is closed
  timed_out,          ///< the time limit passed; nothing is known to have changed
  unknown_outcome,    ///< the operation may or may not have happened
  other,              ///< the peer's own words say what
};

/// The name of a code as it stands in logs, such as "too_late".
std::string_view code_name(Code code);

/// What went wrong. `message` names the thing and the value: `path "/a//b": empty name at byte 3`.
struct [[nodiscard]] Error {
  Code code = Code::other;
  std::string message;

  bool operator==(const Error&) const = default;
};

template <typename T = void>
using Result = tl::expected<T, Error>;

/// Makes the unhappy Result: `return fail(Code::range, "offset -1 is negative");`
inline tl::unexpected<Error> fail(Code code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

/// The same error, told with what was being done: "cannot open the log: " + message.
Error with_context(Error error, std::string_view context);

}  // namespace doozer
