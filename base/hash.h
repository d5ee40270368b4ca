// 64- and 128-bit hashes (XXH3, libxxhash): the same on every machine, for the digests and tables.
#pragma once

#include <cstdint>
#include <string_view>

namespace doozer {

struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const Hash128&) const = default;
};

uint64_t hash64(std::string_view bytes, uint64_t seed = 0);
Hash128 hash128(std::string_view bytes, uint64_t seed = 0);

}  // namespace doozer
