// Bytes that a socket did not take at once, in order.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

struct iovec;

namespace doozer::io {

/// Costs three words while empty.
class SendQueue {
 public:
  bool empty() const { return bytes_ == 0; }
  size_t bytes() const { return bytes_; }
  /// Takes `text` without its first `sent` bytes, of which some must be left.
  void push(std::string text, size_t sent);
  /// Points `out` at what comes first; returns how many entries were filled.
  size_t gather(iovec* out, size_t count) const;
  /// Drops the first `count` bytes.
  void consume(size_t count);

 private:
  std::vector<std::string> parts_;
  size_t first_ = 0;   // parts before it are done
  size_t offset_ = 0;  // bytes of the first part that are done
  size_t bytes_ = 0;
};

}  // namespace doozer::io
