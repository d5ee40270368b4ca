// What the operating system refused, in our words.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace doozer::io {

/// "No space left on device (ENOSPC)".
std::string errno_text(int error);

/// `what` + ": " + errno_text(error). Codes: not_found (ENOENT), conflict (EEXIST, EADDRINUSE),
/// no_space (ENOSPC, EDQUOT, EFBIG), refused (ECONNREFUSED), timed_out (ETIMEDOUT), closed (EPIPE,
/// ECONNRESET, ECONNABORTED, ENOTCONN), else io_error.
Error errno_error(int error, std::string_view what);

}  // namespace doozer::io
