#include "io/send_queue.h"

#include <sys/uio.h>

#include <utility>

#include "base/check.h"

namespace doozer::io {
namespace {

// Small writes are joined in parts of this size, so that a million answers of ten bytes do not cost
// a million strings.
constexpr size_t kJoinedBytes = 16 * 1024;

}  // namespace

void SendQueue::push(std::string text, size_t sent) {
  CHECK(sent < text.size());
  const size_t added = text.size() - sent;
  bytes_ += added;
  if (first_ < parts_.size() && parts_.back().size() + added <= kJoinedBytes) {
    parts_.back().append(text, sent);
    return;
  }
  if (parts_.empty()) offset_ = sent;
  if (sent > 0 && !parts_.empty()) text.erase(0, sent);
  parts_.push_back(std::move(text));
}

size_t SendQueue::gather(iovec* out, size_t count) const {
  size_t filled = 0;
  size_t skip = offset_;
  for (size_t i = first_; i < parts_.size() && filled < count; ++i) {
    out[filled++] = {.iov_base = const_cast<char*>(parts_[i].data()) + skip,
                     .iov_len = parts_[i].size() - skip};
    skip = 0;
  }
  return filled;
}

void SendQueue::consume(size_t count) {
  CHECK(count <= bytes_);
  bytes_ -= count;
  if (bytes_ == 0) {
    // Gives the memory back: a connection that was slow once is not to cost for ever.
    parts_ = {};
    first_ = offset_ = 0;
    return;
  }
  while (count >= parts_[first_].size() - offset_) {
    count -= parts_[first_].size() - offset_;
    parts_[first_] = {};
    ++first_;
    offset_ = 0;
  }
  offset_ += count;
  constexpr size_t kDoneMax = 64;
  if (first_ >= kDoneMax && first_ * 2 >= parts_.size()) {
    parts_.erase(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

}  // namespace doozer::io
