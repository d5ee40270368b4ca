#include "door/access.h"

#include "base/limits.h"
#include "door/door.h"

namespace doozer::door {

Access::Access(const Secrets& secrets)
    : read_(secrets.read_only.empty()),
      write_(secrets.read_write.empty() && secrets.read_only.empty()) {}

bool Access::grant(const Secrets& secrets, std::string_view secret) {
  // Both are always compared, so that the time does not tell which one was nearly met.
  const bool read_write = equal_in_constant_time(secrets.read_write, secret);
  const bool read_only = equal_in_constant_time(secrets.read_only, secret);
  const bool no_such_secret = secrets.read_write.empty() && !secrets.read_only.empty();
  if (read_write && !no_such_secret) {
    read_ = true;
    write_ = true;
    return true;
  }
  if (read_only) read_ = true;
  return read_only;
}

bool equal_in_constant_time(std::string_view secret, std::string_view given) {
  if (given.size() > kSecretBytesMax) return false;
  // Where `secret` is too short its end is padded with what cannot be equal in length anyway.
  size_t difference = secret.size() ^ given.size();
  for (size_t i = 0; i < given.size(); ++i) {
    const char expected = secret.empty() ? '\0' : secret[i % secret.size()];
    difference |= static_cast<size_t>(static_cast<uint8_t>(expected ^ given[i]));
  }
  return difference == 0;
}

}  // namespace doozer::door
