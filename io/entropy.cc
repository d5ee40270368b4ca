#include "io/entropy.h"

#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/check.h"

namespace doozer::io {

void random_bytes(std::span<uint8_t> out) {
  while (!out.empty()) {
    const ssize_t count = ::getrandom(out.data(), out.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    // Every kernel that can run us has the call; without it nothing may be called random.
    CHECK(count > 0);
    out = out.subspan(static_cast<size_t>(count));
  }
}

uint64_t random_u64() {
  std::array<uint8_t, 8> bytes{};
  random_bytes(bytes);
  uint64_t value = 0;
  for (const uint8_t byte : bytes) value = value * 256 + byte;
  return value;
}

Identity random_identity() {
  std::array<uint8_t, Identity::kSize> bytes{};
  Identity identity;
  while (identity.none()) {
    random_bytes(bytes);
    identity = Identity(bytes);
  }
  return identity;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

}  // namespace doozer::io
