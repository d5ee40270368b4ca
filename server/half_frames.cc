#include "server/half_frames.h"

#include <tuple>

#include "base/check.h"

namespace doozer::server {

bool HalfFrames::FirstToGo::operator()(const Crowd* a, const Crowd* b) const {
  return std::tie(a->trusted, b->bytes, a->address) < std::tie(b->trusted, a->bytes, b->address);
}

HalfFrames::Crowd& HalfFrames::crowd_of(std::string_view address, bool trusted) {
  const auto [at, made] = crowds_.try_emplace({trusted, std::string(address)});
  if (made) {
    at->second.trusted = trusted;
    at->second.address = address;
  } else {
    order_.erase(&at->second);  // its place depends on what is about to change
  }
  return at->second;
}

void HalfFrames::leave(uint64_t id, const Holder& holder) {
  Crowd& crowd = *holder.crowd;
  CHECK(holder.bytes <= crowd.bytes);
  order_.erase(&crowd);
  crowd.by_silence.erase({holder.heard, id});
  crowd.bytes -= holder.bytes;
  bytes_ -= holder.bytes;
  if (crowd.by_silence.empty()) {
    crowds_.erase(crowds_.find({crowd.trusted, crowd.address}));
  } else {
    order_.insert(&crowd);
  }
}

void HalfFrames::note(uint64_t id, std::string_view address, bool trusted, size_t bytes) {
  const auto found = holders_.find(id);
  if (found != holders_.end()) {
    leave(id, found->second);
    if (bytes == 0) holders_.erase(found);
  }
  if (bytes == 0) return;
  Crowd& crowd = crowd_of(address, trusted);
  const Holder holder{.crowd = &crowd, .bytes = bytes, .heard = ++heard_};
  crowd.by_silence.emplace(holder.heard, id);
  crowd.bytes += bytes;
  bytes_ += bytes;
  order_.insert(&crowd);
  holders_[id] = holder;
}

std::optional<uint64_t> HalfFrames::first_to_go() const {
  if (order_.empty()) return std::nullopt;
  return (*order_.begin())->by_silence.begin()->second;
}

}  // namespace doozer::server
