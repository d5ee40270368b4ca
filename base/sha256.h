// SHA-256 (FIPS 180-4) and HMAC-SHA256 (RFC 2104), for the proofs of servers among each other.
// Our own, because the room that needs them does no I/O and OpenSSL is seen in io/ only; a hasher
// behind env/ would make the simulator run other code than what ships. Hundreds of kilobytes a
// second are asked of it, not more.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace doozer {

class Sha256 {
 public:
  static constexpr size_t kSize = 32;
  static constexpr size_t kBlock = 64;
  void update(std::string_view bytes);
  /// The digest of all updates; nothing may follow.
  std::string finish();

 private:
  void compress(const uint8_t* block);
  std::array<uint32_t, 8> state_{0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                                 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};
  std::array<uint8_t, kBlock> pending_{};
  size_t pending_size_ = 0;
  uint64_t total_ = 0;
};

/// Sha256::kSize bytes.
std::string sha256(std::string_view bytes);
/// Sha256::kSize bytes; the key may have any length.
std::string hmac_sha256(std::string_view key, std::string_view bytes);
/// Takes the same time wherever two strings of one length differ.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace doozer
