// Addresses as people write them: HOST:PORT. Nothing is resolved here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace doozer::server {

struct HostPort {
  std::string host;  ///< without brackets; empty: every interface
  uint16_t port = 0;
};

/// Takes "HOST:PORT", "[V6]:PORT" and ":PORT" apart. Errors: bad_argument, saying only what is
/// wrong, for the caller to put the address before it.
Result<HostPort> split_address(std::string_view address);

}  // namespace doozer::server
