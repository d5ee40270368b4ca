#include "transport/dialler.h"

#include <algorithm>

#include "transport/limits.h"

namespace doozer::transport {

void Dialler::move(const Identity& identity, const std::string& address) {
  for (auto it = targets_.begin(); it != targets_.end();) {
    const bool old = it->second.identity == identity && it->first != address;
    if (old) it->second.identity = Identity();
    it = old && !it->second.seed ? targets_.erase(it) : std::next(it);
  }
  if (!address.empty()) targets_[address].identity = identity;
}

std::vector<std::string> Dialler::due(uint64_t now_us) const {
  std::vector<std::string> due;
  for (const auto& [address, target] : targets_) {
    if (!target.busy && target.next_us <= now_us) due.push_back(address);
  }
  return due;
}

const Dialler::Target* Dialler::find(const std::string& address) const {
  const auto found = targets_.find(address);
  return found == targets_.end() ? nullptr : &found->second;
}

void Dialler::begin(const std::string& address) {
  if (const auto found = targets_.find(address); found != targets_.end()) found->second.busy = true;
}

void Dialler::learned(const std::string& address, const Identity& identity) {
  const auto found = targets_.find(address);
  if (found != targets_.end()) found->second.identity = identity;
}

void Dialler::succeeded(const std::string& address) { rest(address, 0); }

void Dialler::failed(const std::string& address, uint64_t now_us) {
  const auto found = targets_.find(address);
  if (found == targets_.end()) return;
  Target& target = found->second;
  target.busy = false;
  target.backoff_us = std::clamp(2 * target.backoff_us, kRedialUsMin, kRedialUsMax);
  target.next_us = now_us + target.backoff_us / 2 + rng_.below(target.backoff_us);
}

void Dialler::rest(const std::string& address, uint64_t until_us) {
  const auto found = targets_.find(address);
  if (found == targets_.end()) return;
  found->second.busy = false;
  found->second.backoff_us = 0;
  found->second.next_us = until_us;
}

}  // namespace doozer::transport
