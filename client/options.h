// What is checked about a client's options before anything is dialled.
#pragma once

#include <string>
#include <string_view>

#include "doozer/types.h"

namespace doozer::client {

constexpr std::string_view kDefaultPort = "8046";

/// "HOST", "HOST:PORT", "[V6]" or "[V6]:PORT" with the default port added where none is given.
/// Errors: bad_argument, with the address.
Result<std::string> complete_address(std::string_view address);

/// Addresses completed; sizes, durations and the cluster id checked. Errors: bad_argument.
Result<Options> check_options(Options options);

/// `timeout` from `now_us` on, kDefaultTimeout being `otherwise`; UINT64_MAX: never.
uint64_t deadline_us(uint64_t now_us, Duration timeout, Duration otherwise);

}  // namespace doozer::client
