#include "base/units.h"

#include <array>
#include <charconv>

#include "base/bytes.h"

namespace doozer {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

// Both tables go from large to small: the printer takes the first that divides.
constexpr std::array kDurations = {Unit{"h", 3'600'000'000}, Unit{"m", 60'000'000},
                                   Unit{"s", 1'000'000}, Unit{"ms", 1'000}, Unit{"us", 1}};
constexpr std::array kSizes = {Unit{"TiB", 1ULL << 40U},
                               Unit{"GiB", 1ULL << 30U},
                               Unit{"MiB", 1ULL << 20U},
                               Unit{"KiB", 1ULL << 10U},
                               Unit{"TB", 1'000'000'000'000},
                               Unit{"GB", 1'000'000'000},
                               Unit{"MB", 1'000'000},
                               Unit{"kB", 1'000},
                               Unit{"KB", 1'000},
                               Unit{"B", 1}};
constexpr uint64_t kMost = (1ULL << 63U) - 1;
constexpr size_t kDecimalsMax = 9;

// "1.5" * factor, exact; false if it is no such number, not whole, or over kMost.
bool scaled(std::string_view number, uint64_t factor, uint64_t& out) {
  const size_t point = number.find('.');
  const std::string_view whole = number.substr(0, point);
  const std::string_view decimals =
      point == std::string_view::npos ? std::string_view() : number.substr(point + 1);
  if (point != std::string_view::npos && (decimals.empty() || decimals.size() > kDecimalsMax)) {
    return false;
  }
  unsigned __int128 value = 0;
  unsigned __int128 divisor = 1;
  const auto take = [&](std::string_view digits, bool fraction) {
    for (const char c : digits) {
      if (c < '0' || c > '9') return false;
      value = value * 10 + static_cast<unsigned>(c - '0');
      if (fraction) divisor *= 10;
      if (value > (static_cast<unsigned __int128>(kMost) << 32U)) return false;
    }
    return true;
  };
  if (whole.empty() || !take(whole, false) || !take(decimals, true)) return false;
  value *= factor;
  if (value % divisor != 0 || value / divisor > kMost) return false;
  out = static_cast<uint64_t>(value / divisor);
  return true;
}

template <size_t N>
Result<uint64_t> parse(std::string_view what, std::string_view text,
                       const std::array<Unit, N>& units, uint64_t bare_factor) {
  const size_t number_end = text.find_first_not_of("0123456789.");
  const std::string_view number = text.substr(0, number_end);
  const std::string_view name =
      number_end == std::string_view::npos ? std::string_view() : text.substr(number_end);
  uint64_t factor = name.empty() ? bare_factor : 0;
  std::string known;
  for (const Unit& unit : units) {
    if (name == unit.name) factor = unit.factor;
    known += known.empty() ? "" : ", ";
    known += unit.name;
  }
  uint64_t value = 0;
  if (factor == 0 || !scaled(number, factor, value)) {
    return fail(Code::bad_argument, std::string(what) + " " + quote(text) +
                                        ": must be a number followed by one of " + known);
  }
  return value;
}

template <size_t N>
std::string format(uint64_t value, const std::array<Unit, N>& units) {
  if (value == 0) return "0" + std::string(units.back().name);
  for (const Unit& unit : units) {
    if (value % unit.factor == 0 && unit.factor != 1'000'000'000'000 &&
        unit.factor != 1'000'000'000 &&
        !(unit.name == "MB" || unit.name == "kB" || unit.name == "KB")) {
      return std::to_string(value / unit.factor) + std::string(unit.name);
    }
  }
  return std::to_string(value) + std::string(units.back().name);
}

}  // namespace

Result<uint64_t> parse_duration_us(std::string_view text, uint64_t bare_unit_us) {
  return parse("duration", text, kDurations, bare_unit_us);
}

Result<uint64_t> parse_size(std::string_view text) { return parse("size", text, kSizes, 1); }

std::string format_duration_us(uint64_t microseconds) { return format(microseconds, kDurations); }

std::string format_size(uint64_t bytes) { return format(bytes, kSizes); }

Result<int64_t> parse_int(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) {
    return fail(Code::bad_argument, "number " + quote(text) + ": out of range");
  }
  if (error != std::errc() || end != text.data() + text.size()) {
    return fail(Code::bad_argument, "number " + quote(text) + ": not a whole number");
  }
  return value;
}

}  // namespace doozer
