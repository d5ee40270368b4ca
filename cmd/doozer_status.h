// What `doozer status` prints for people: the JSON of STATUS as a few lines and two tables. Pure:
// strings in, strings out. A server of another version may tell less or more: what is missing is
// left out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cmd/doozer_format.h"

namespace doozer::cli {

/// What is no JSON object comes back as it is.
std::string format_status(std::string_view json, const Style& style);

/// "85ms", "12s", "3h 5m", "2d 4h": the two largest units, not exact.
std::string rough_duration(uint64_t microseconds);
/// "512B", "1.4GiB": not exact.
std::string rough_size(uint64_t bytes);

}  // namespace doozer::cli
