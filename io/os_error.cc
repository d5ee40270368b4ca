#include "io/os_error.h"

#include <cerrno>
#include <cstring>

namespace doozer::io {
namespace {

Code code_of(int error) {
  switch (error) {
    case ENOENT: return Code::not_found;
    case EEXIST:
    case EADDRINUSE: return Code::conflict;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return Code::no_space;
    case ECONNREFUSED: return Code::refused;
    case ETIMEDOUT: return Code::timed_out;
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN: return Code::closed;
    default: return Code::io_error;
  }
}

}  // namespace

std::string errno_text(int error) {
  // Both give static texts, unlike strerror, which is not safe with threads.
  const char* description = strerrordesc_np(error);
  const char* name = strerrorname_np(error);
  if (description == nullptr || name == nullptr) return "errno " + std::to_string(error);
  return std::string(description) + " (" + name + ")";
}

Error errno_error(int error, std::string_view what) {
  return {code_of(error), std::string(what) + ": " + errno_text(error)};
}

}  // namespace doozer::io
