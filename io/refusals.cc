#include "io/refusals.h"

#include <utility>
#include <vector>

namespace doozer::io {
namespace {

constexpr uint64_t kTellEveryUs = 1'000'000;
constexpr size_t kReasonsMax = 32;

}  // namespace

void Refusals::note(const std::string& reason, Error why) {
  const uint64_t now = loop_.now_us();
  // Reasons come from a small set; should they ever not, the rest share one group.
  const bool room = groups_.size() < kReasonsMax || groups_.contains(reason);
  Group& group = groups_[room ? reason : "other"];
  ++group.count;
  if (group.told_us == 0 || now - group.told_us >= kTellEveryUs) {
    group.told_us = now;
    const uint64_t count = std::exchange(group.count, 0);
    events_.on_refused(why, count);
    return;
  }
  group.why = std::move(why);
  if (timer_ == 0) {
    timer_ = loop_.at(now + kTellEveryUs, [this] {
      timer_ = 0;
      tell_waiting();
    });
  }
}

void Refusals::tell_waiting() {
  const uint64_t now = loop_.now_us();
  std::vector<std::pair<Error, uint64_t>> telling;
  for (auto entry = groups_.begin(); entry != groups_.end();) {
    Group& group = entry->second;
    if (group.count == 0) {
      entry = groups_.erase(entry);
      continue;
    }
    group.told_us = now;
    telling.emplace_back(std::move(group.why), std::exchange(group.count, 0));
    ++entry;
  }
  env::AcceptEvents& events = events_;
  // The first call may destroy us; the others still say what happened.
  for (const auto& [why, count] : telling) events.on_refused(why, count);
}

}  // namespace doozer::io
