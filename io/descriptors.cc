#include "io/descriptors.h"

#include <sys/resource.h>

#include <algorithm>

namespace doozer::io {

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

bool is_reserved_descriptor(int fd) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  const rlim_t reserved = std::min<rlim_t>(kDescriptorsReserved, limit.rlim_cur / 4);
  return static_cast<rlim_t>(fd) >= limit.rlim_cur - reserved;
}

}  // namespace doozer::io
