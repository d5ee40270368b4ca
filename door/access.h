// What one connection may do. Rights once granted stay.
#pragma once

#include <string_view>

namespace doozer::door {

struct Secrets;

class Access {
 public:
  /// No secret set: everything is open. Only the read-write secret: anyone may read. (Only the
  /// read-only one is a start-up error of the server; here nobody may write then.)
  explicit Access(const Secrets& secrets);
  /// Adds the rights that `secret` gives; false if it gives none. An empty one stands for a secret
  /// that is not set.
  bool grant(const Secrets& secrets, std::string_view secret);
  bool may_read() const { return read_; }
  bool may_write() const { return write_; }

 private:
  bool read_;
  bool write_;
};

/// In a time that tells nothing of `secret` (it depends on the length of `given` alone).
bool equal_in_constant_time(std::string_view secret, std::string_view given);

}  // namespace doozer::door
