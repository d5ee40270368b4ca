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

/// True if "HOST:PORT" can be reached from this machine alone: 127/8 in digits, [::1], localhost.
/// (A name such as 127.example.org may be anywhere.)
bool is_loopback_address(std::string_view address);
/// True for ":PORT", "0.0.0.0:PORT" and "[::]:PORT".
bool is_wildcard(std::string_view address);

}  // namespace doozer::server
