#include "sim/net_path.h"

#include <algorithm>

namespace doozer::sim {

std::string to_string(const PathFaults& faults) {
  std::string text;
  const auto add = [&text](const std::string& word) {
    if (!text.empty()) text += ", ";
    text += word;
  };
  if (faults.cut) add("cut");
  if (faults.reject) add("rejected");
  if (faults.clogged) add("clogged");
  if (faults.delay_us != 0) add("delay " + std::to_string(faults.delay_us) + "us");
  if (faults.jitter_us != 0) add("jitter " + std::to_string(faults.jitter_us) + "us");
  if (faults.bytes_per_second != 0) add(std::to_string(faults.bytes_per_second) + " bytes/s");
  if (faults.mtu_bytes != 0) add("pieces over " + std::to_string(faults.mtu_bytes) + " vanish");
  if (faults.loss_per_mille != 0) {
    add("loss " + std::to_string(faults.loss_per_mille) + " per mille");
  }
  if (faults.resets_per_10k != 0) {
    add("resets " + std::to_string(faults.resets_per_10k) + " per 10,000");
  }
  return text.empty() ? "clear" : text;
}

namespace net_detail {

uint64_t Path::extra_us(uint64_t now_us, uint64_t bytes, Rng& rng) {
  uint64_t extra = faults.delay_us;
  if (faults.jitter_us > 0) extra += rng.below(faults.jitter_us + 1);
  if (faults.bytes_per_second > 0) {
    free_at_us = std::max(free_at_us, now_us) + bytes * 1'000'000 / faults.bytes_per_second;
    extra += free_at_us - now_us;
  }
  if (faults.loss_per_mille > 0) {
    // Half of what is lost is seen by what follows it and sent again after a round trip.
    uint64_t resend_us = kResendFirstUs;
    while (resend_us <= kResendMostUs && rng.chance(faults.loss_per_mille, 1000)) {
      const bool fast = rng.chance(1, 2);
      extra += fast ? 2 * faults.delay_us + 1'000 : resend_us;
      if (!fast) resend_us *= 2;
    }
  }
  return extra;
}

}  // namespace net_detail
}  // namespace doozer::sim
