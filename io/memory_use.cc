#include "io/memory_use.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "io/fd.h"

namespace doozer::io {
namespace {

/// The second number of /proc/self/statm is the resident set, in pages.
uint64_t resident_pages() {
  const UniqueFd file(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
  if (!file) return 0;
  std::array<char, 128> text{};
  if (::read(file.get(), text.data(), text.size() - 1) <= 0) return 0;
  char* rest = nullptr;
  (void)std::strtoull(text.data(), &rest, 10);
  return std::strtoull(rest, nullptr, 10);
}

}  // namespace

MemoryUse memory_use() {
  constexpr uint64_t kMaxRssUnit = 1024;
  MemoryUse use;
  use.rss_bytes = resident_pages() * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  struct rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    use.rss_bytes_max = static_cast<uint64_t>(usage.ru_maxrss) * kMaxRssUnit;
  }
  use.rss_bytes_max = std::max(use.rss_bytes_max, use.rss_bytes);
  return use;
}

}  // namespace doozer::io
