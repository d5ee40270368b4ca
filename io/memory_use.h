// How much memory this process takes, as the kernel tells.
#pragma once

#include <cstdint>

namespace doozer::io {

struct MemoryUse {
  uint64_t rss_bytes = 0;      ///< resident now; 0 where the kernel does not tell
  uint64_t rss_bytes_max = 0;  ///< and at most, since the start
};
MemoryUse memory_use();

}  // namespace doozer::io
