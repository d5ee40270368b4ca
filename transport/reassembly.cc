#include "transport/reassembly.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "transport/limits.h"

namespace doozer::transport {

void Reassembly::drop(Map::iterator which) {
  CHECK(bytes_ >= which->second.bytes.size());
  bytes_ -= which->second.bytes.size();
  open_.erase(which);
  ++dropped_;
}

// The sender's oldest goes for its fifth message; the one longest without a part for the bytes.
void Reassembly::make_room(const Key& key, size_t size) {
  const auto first = open_.lower_bound({key.from, Incarnation(0), 0});
  size_t of_sender = 0;
  for (auto it = first; it != open_.end() && it->first.from == key.from; ++it) ++of_sender;
  if (of_sender >= kReassemblyMessagesMax && !open_.contains(key)) drop(first);
  while (bytes_ + size > kReassemblyBytesMax) {
    auto oldest = open_.end();
    for (auto it = open_.begin(); it != open_.end(); ++it) {
      if (it->first == key) continue;
      if (oldest == open_.end() || it->second.heard_us < oldest->second.heard_us) oldest = it;
    }
    // One message alone is below the limit.
    CHECK(oldest != open_.end());
    drop(oldest);
  }
}

std::optional<std::string> Reassembly::add(const Identity& from, Incarnation incarnation,
                                           const PartView& part, uint64_t now_us) {
  if (part.offset == 0 && part.bytes.size() == part.total) return std::string(part.bytes);
  const Key key{from, incarnation, part.message};
  const auto found = open_.find(key);
  const size_t have = found == open_.end() ? 0 : found->second.bytes.size();
  const bool fits = found == open_.end() || found->second.total == part.total;
  if (part.offset != have || !fits) {
    // Its beginning was lost, or something in between: counted once.
    if (found != open_.end()) drop(found);
    return std::nullopt;
  }
  make_room(key, part.bytes.size());
  Open& open = open_[key];
  open.total = part.total;
  open.bytes += part.bytes;
  open.heard_us = now_us;
  bytes_ += part.bytes.size();
  if (open.bytes.size() < open.total) return std::nullopt;
  std::string whole = std::move(open.bytes);
  bytes_ -= whole.size();
  open_.erase(key);
  return whole;
}

void Reassembly::expire(uint64_t now_us) {
  for (auto it = open_.begin(); it != open_.end();) {
    const auto next = std::next(it);
    if (now_us - it->second.heard_us > kReassemblyUsMax) drop(it);
    it = next;
  }
}

void Reassembly::forget(const Identity& from) {
  for (auto it = open_.lower_bound({from, Incarnation(0), 0});
       it != open_.end() && it->first.from == from;) {
    const auto next = std::next(it);
    drop(it);
    it = next;
  }
}

}  // namespace doozer::transport
