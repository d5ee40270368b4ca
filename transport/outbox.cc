#include "transport/outbox.h"

#include <algorithm>

#include "base/check.h"
#include "transport/envelope.h"
#include "transport/limits.h"

namespace doozer::transport {

size_t RelayLedger::bytes(const Pair& pair) const {
  const auto found = bytes_.find(pair);
  return found == bytes_.end() ? 0 : found->second;
}

void RelayLedger::add(const Pair& pair, size_t bytes) { bytes_[pair] += bytes; }

void RelayLedger::remove(const Pair& pair, size_t bytes) {
  const auto found = bytes_.find(pair);
  CHECK(found != bytes_.end());
  CHECK(found->second >= bytes);
  found->second -= bytes;
  if (found->second == 0) bytes_.erase(found);
}

bool RelayLedger::admits(const Pair& pair, size_t more) const {
  return bytes(pair) + more <= kRelayPairBytesMax;
}

bool RelayLedger::admits_part(const Pair& pair, size_t more, uint64_t message, bool first) {
  const auto begun = begun_.find(pair);
  const bool goes_on = !first && begun != begun_.end() && begun->second == message;
  if (bytes(pair) + more > kRelayPairBytesMax + (goes_on ? kMessageBytesMax : 0)) return false;
  if (first) {
    if (begun_.size() == kRelayPairsMax && begun == begun_.end()) begun_.clear();
    begun_[pair] = message;
  }
  return true;
}

void Outbox::push_urgent(FrameType type, std::string_view body) {
  // All of them are said again later, newer.
  if (urgent_.size() < kUrgentBytesMax) append_frame(type, body, urgent_);
}

void Outbox::push(Item item) {
  bytes_ += item.payload.size();
  if (!item.from.none()) ledger_.add({item.from, item.to}, item.payload.size());
  items_.push_back(std::move(item));
}

void Outbox::uncount(const Item& item) {
  CHECK(bytes_ >= item.payload.size());
  bytes_ -= item.payload.size();
  if (!item.from.none()) ledger_.remove({item.from, item.to}, item.payload.size());
}

void Outbox::fill(std::string& out, size_t bytes) {
  out += urgent_;
  urgent_.clear();
  while (!items_.empty() && out.size() < bytes) {
    Item& item = items_.front();
    std::string body = item.envelope;
    if (item.parts) {
      const size_t size = std::min(item.payload.size() - item.sent, kPartBytesMax);
      append_part({.message = item.message,
                   .total = static_cast<uint32_t>(item.payload.size()),
                   .offset = static_cast<uint32_t>(item.sent),
                   .bytes = std::string_view(item.payload).substr(item.sent, size)},
                  body);
      item.sent += size;
    } else {
      body += item.payload;
      item.sent = item.payload.size();
    }
    append_frame(item.type, body, out);
    if (item.sent < item.payload.size()) continue;
    uncount(item);
    items_.pop_front();
  }
}

size_t Outbox::drop_pair(const Pair& pair) {
  const size_t before = items_.size();
  std::erase_if(items_, [&](const Item& item) {
    const bool drop = item.from == pair.first && item.to == pair.second;
    if (drop) uncount(item);
    return drop;
  });
  return before - items_.size();
}

std::deque<Outbox::Item> Outbox::take_all() {
  urgent_.clear();
  for (const Item& item : items_) uncount(item);
  return std::exchange(items_, {});
}

}  // namespace doozer::transport
