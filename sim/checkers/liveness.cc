#include "sim/checkers/liveness.h"

#include <algorithm>
#include <map>

namespace doozer::sim {

std::optional<Silence> longest_silence(const History& history, const std::vector<Duty>& duties) {
  struct Success {
    uint64_t invoked_us;
    uint64_t completed_us;
  };
  std::map<std::string, std::vector<Success>> successes;
  for (const Op& op : history.ops) {
    if (!is_write(op.kind) || op.outcome != Outcome::ok) continue;
    successes[op.server].push_back({op.invoked_us, op.completed_us});
  }
  for (auto& [server, list] : successes) {
    std::sort(list.begin(), list.end(),
              [](const Success& a, const Success& b) { return a.completed_us < b.completed_us; });
  }
  std::optional<Silence> longest;
  const auto judge = [&](const Duty& duty, uint64_t from_us, uint64_t to_us) {
    const Silence silence{.server = duty.server, .from_us = from_us, .to_us = to_us};
    if (!longest || silence.length_us() > longest->length_us()) longest = silence;
  };
  for (const Duty& duty : duties) {
    uint64_t since_us = duty.from_us;
    for (const Success& success : successes[duty.server]) {
      if (success.invoked_us < duty.from_us) continue;
      if (success.completed_us > duty.to_us) break;
      judge(duty, since_us, success.completed_us);
      since_us = success.completed_us;
    }
    judge(duty, since_us, std::max(since_us, duty.to_us));
  }
  return longest;
}

}  // namespace doozer::sim
