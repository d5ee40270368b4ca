// Durations and sizes as people write them: "60s", "1.5h", "256MiB". One table each for parse and
// print.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace doozer {

/// Microseconds of "250us", "10ms", "60s", "5m", "1h"; a bare number is `bare_unit_us` each.
/// Errors: bad_argument with the text (empty, unknown unit, negative, over 2^63 us).
Result<uint64_t> parse_duration_us(std::string_view text, uint64_t bare_unit_us = 1'000'000);
/// Bytes of "64KiB", "1MiB", "2GiB", "10kB", "512"; a bare number is bytes. Errors: bad_argument.
Result<uint64_t> parse_size(std::string_view text);
/// The shortest exact form: 60000000 -> "1m", 1500000 -> "1500ms".
std::string format_duration_us(uint64_t microseconds);
/// The shortest exact form: 1048576 -> "1MiB", 1000 -> "1000B".
std::string format_size(uint64_t bytes);

/// A whole signed decimal number, nothing before or after. Errors: bad_argument.
Result<int64_t> parse_int(std::string_view text);

}  // namespace doozer
