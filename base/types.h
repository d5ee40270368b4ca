// Strong integers and the identity: two numbers of different meaning cannot be mixed up.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace doozer {

/// An integer that is only itself. Arithmetic is with plain counts: `index + 1`, `last - first`.
template <typename Tag, typename Rep>
class Strong {
 public:
  using rep = Rep;
  constexpr Strong() = default;
  constexpr explicit Strong(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }
  constexpr auto operator<=>(const Strong&) const = default;
  constexpr Strong operator+(Rep count) const { return Strong(value_ + count); }
  constexpr Strong operator-(Rep count) const { return Strong(value_ - count); }
  constexpr Rep operator-(Strong other) const { return value_ - other.value_; }
  constexpr Strong& operator++() {
    ++value_;
    return *this;
  }

 private:
  Rep value_{};
};

using Term = Strong<struct TermTag, uint64_t>;         ///< Raft term, 0 before the first election
using Index = Strong<struct IndexTag, uint64_t>;       ///< position in the log, from 1; 0 is "none"
using Revision = Strong<struct RevisionTag, int64_t>;  ///< of the whole store, from 1; 0 is "none"
using Incarnation = Strong<struct IncarnationTag, uint64_t>;  ///< starts of one server, from 1

/// Who a server is, or which cluster: 80 random bits, shown as 16 base32 characters (A-Z, 2-7).
/// All zero means "none".
class Identity {
 public:
  static constexpr size_t kSize = 10;
  constexpr Identity() = default;
  constexpr explicit Identity(const std::array<uint8_t, kSize>& bytes) : bytes_(bytes) {}
  /// `bytes` must be exactly kSize long.
  static Identity from_bytes(std::string_view bytes);
  /// Parses 16 base32 characters. Errors: bad_argument.
  static Result<Identity> parse(std::string_view text);

  const std::array<uint8_t, kSize>& bytes() const { return bytes_; }
  std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  std::string to_string() const;
  bool none() const { return *this == Identity(); }
  auto operator<=>(const Identity&) const = default;

 private:
  std::array<uint8_t, kSize> bytes_{};
};

}  // namespace doozer

template <typename Tag, typename Rep>
struct std::hash<doozer::Strong<Tag, Rep>> {
  size_t operator()(const doozer::Strong<Tag, Rep>& value) const noexcept {
    return std::hash<Rep>()(value.value());
  }
};
