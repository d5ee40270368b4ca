// The one place that shifts bits: integers to bytes and back. Integers are little-endian but where
// a name says `be`. Strings of bytes are std::string when kept and std::string_view when looked at.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/check.h"

namespace doozer {

static_assert(std::endian::native == std::endian::little, "a big-endian machine needs a port");

constexpr size_t kVarintBytesMax = 10;

/// Appends to a string that the caller owns.
class ByteWriter {
 public:
  explicit ByteWriter(std::string& out) : out_(out) {}
  void u8(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void u16(uint16_t value) { raw(value); }
  void u32(uint32_t value) { raw(value); }
  void u64(uint64_t value) { raw(value); }
  void be32(uint32_t value) { raw(__builtin_bswap32(value)); }
  /// Base-128 varint as in protobuf, 1 to 10 bytes.
  void varint(uint64_t value) {
    while (value >= 0x80) {
      u8(static_cast<uint8_t>(value) | 0x80U);
      value >>= 7U;
    }
    u8(static_cast<uint8_t>(value));
  }
  void bytes(std::string_view value) { out_.append(value); }
  /// Varint length, then the bytes.
  void sized(std::string_view value) {
    varint(value.size());
    bytes(value);
  }
  size_t size() const { return out_.size(); }

 private:
  template <typename T>
  void raw(T value) {
    char buffer[sizeof value];
    std::memcpy(buffer, &value, sizeof value);
    out_.append(buffer, sizeof value);
  }
  std::string& out_;
};

/// Reads from a view; the first read past the end (or a bad varint) makes ok() false for good and
/// every later read return zero or empty, so that a parser may check once at the end.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}
  uint8_t u8() { return raw<uint8_t>(); }
  uint16_t u16() { return raw<uint16_t>(); }
  uint32_t u32() { return raw<uint32_t>(); }
  uint64_t u64() { return raw<uint64_t>(); }
  uint32_t be32() { return __builtin_bswap32(raw<uint32_t>()); }
  uint64_t varint() {
    uint64_t value = 0;
    for (size_t i = 0; i < kVarintBytesMax && i < rest_.size(); ++i) {
      const auto byte = static_cast<uint8_t>(rest_[i]);
      value |= uint64_t{byte & 0x7FU} << (7 * i);
      if (byte < 0x80) {
        rest_.remove_prefix(i + 1);
        return value;
      }
    }
    spoil();
    return 0;
  }
  /// The next `size` bytes; borrowed from the input.
  std::string_view bytes(size_t size) {
    if (size > rest_.size()) {
      spoil();
      return {};
    }
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  std::string_view sized() {
    const uint64_t size = varint();
    if (size > rest_.size()) {
      spoil();
      return {};
    }
    return bytes(static_cast<size_t>(size));
  }
  bool ok() const { return ok_; }
  bool empty() const { return rest_.empty(); }
  /// True if all was read and nothing was missing.
  bool done() const { return ok_ && rest_.empty(); }
  std::string_view rest() const { return rest_; }

 private:
  template <typename T>
  T raw() {
    T value{};
    if (rest_.size() < sizeof value) {
      spoil();
      return value;
    }
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }
  void spoil() {
    ok_ = false;
    rest_ = {};
  }
  std::string_view rest_;
  bool ok_ = true;
};

/// Writes `value` over the four bytes at `offset`, little-endian.
inline void overwrite_u32(std::string& out, size_t offset, uint32_t value) {
  CHECK(offset + sizeof value <= out.size());
  std::memcpy(out.data() + offset, &value, sizeof value);
}

/// The same, big-endian.
inline void overwrite_be32(std::string& out, size_t offset, uint32_t value) {
  overwrite_u32(out, offset, __builtin_bswap32(value));
}

/// `text` in double quotes for a message: bytes outside printable ASCII as \xNN, cut after 200.
std::string quote(std::string_view text);

}  // namespace doozer
