// CRC32C (Castagnoli, polynomial 0x1EDC6F41), by the SSE4.2 instruction where the machine has it.
#pragma once

#include <cstdint>
#include <string_view>

namespace doozer {

/// The CRC of `bytes` continued from `seed` (0 to begin). crc32c("b", crc32c("a")) == crc32c("ab").
uint32_t crc32c(std::string_view bytes, uint32_t seed = 0);

/// The same by table, for machines without the instruction and as the oracle in tests.
uint32_t crc32c_portable(std::string_view bytes, uint32_t seed = 0);

}  // namespace doozer
