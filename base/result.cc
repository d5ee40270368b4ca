#include "base/result.h"

#include "base/check.h"

namespace doozer {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::bad_argument: return "bad_argument";
    case Code::bad_path: return "bad_path";
    case Code::bad_glob: return "bad_glob";
    case Code::missing_argument: return "missing_argument";
    case Code::not_found: return "not_found";
    case Code::not_directory: return "not_directory";
    case Code::is_directory: return "is_directory";
    case Code::range: return "range";
    case Code::revision_mismatch: return "revision_mismatch";
    case Code::too_late: return "too_late";
    case Code::permission_denied: return "permission_denied";
    case Code::read_only: return "read_only";
    case Code::unknown_verb: return "unknown_verb";
    case Code::too_large: return "too_large";
    case Code::busy: return "busy";
    case Code::no_space: return "no_space";
    case Code::io_error: return "io_error";
    case Code::corrupt: return "corrupt";
    case Code::unsupported: return "unsupported";
    case Code::conflict: return "conflict";
    case Code::refused: return "refused";
    case Code::closed: return "closed";
    case Code::timed_out: return "timed_out";
    case Code::unknown_outcome: return "unknown_outcome";
    case Code::other: return "other";
  }
  UNREACHABLE();
}

Error with_context(Error error, std::string_view context) {
  error.message.insert(0, ": ").insert(0, context);
  return error;
}

}  // namespace doozer
