#include "sim/shrink.h"

#include <algorithm>
#include <utility>

namespace doozer::sim {
namespace {

class Shrinker {
 public:
  Shrinker(Plan plan, const std::function<bool(const Plan&)>& fails, uint64_t tries)
      : best_(std::move(plan)), fails_(fails), left_(tries) {}

  Plan shrink() {
    bool better = true;
    while (better && left_ > 0) {
      better = drop_steps();
      better |= shorten_time();
      better |= lower(&Plan::clients, 0);
      better |= drop_drift();
      better |= without(&Plan::history);
      better |= without(&Plan::snapshot_bytes);
    }
    return best_;
  }

 private:
  bool attempt(Plan candidate) {
    if (left_ == 0 || candidate == best_) return false;
    --left_;
    if (!fails_(candidate)) return false;
    best_ = std::move(candidate);
    return true;
  }

  /// Delta debugging: halves, then quarters, ... then single steps.
  bool drop_steps() {
    bool better = false;
    for (size_t size = (best_.steps.size() + 1) / 2; size > 0 && left_ > 0; size /= 2) {
      for (size_t at = 0; at < best_.steps.size();) {
        Plan candidate = best_;
        const auto first = candidate.steps.begin() + static_cast<ptrdiff_t>(at);
        const auto count = static_cast<ptrdiff_t>(std::min(size, candidate.steps.size() - at));
        candidate.steps.erase(first, first + count);
        if (attempt(std::move(candidate))) {
          better = true;
        } else {
          at += size;
        }
      }
    }
    return better;
  }

  bool shorten_time() {
    const uint64_t last_us = best_.steps.empty() ? 0 : best_.steps.back().at_us;
    Plan candidate = best_;
    candidate.faults_us = last_us + 1'000'000;
    if (candidate.faults_us < best_.faults_us && attempt(candidate)) return true;
    candidate.faults_us = (last_us + 1'000'000 + best_.faults_us) / 2;
    return candidate.faults_us < best_.faults_us && attempt(std::move(candidate));
  }

  bool lower(uint64_t Plan::* value, uint64_t least) {
    for (const uint64_t to : {least, (best_.*value + least) / 2, best_.*value - 1}) {
      if (best_.*value <= least) return false;
      Plan candidate = best_;
      candidate.*value = to;
      if (attempt(std::move(candidate))) return true;
    }
    return false;
  }

  bool drop_drift() {
    Plan candidate = best_;
    candidate.drift_ppm.clear();
    return attempt(std::move(candidate));
  }

  bool without(uint64_t Plan::* value) {
    Plan candidate = best_;
    candidate.*value = 0;
    return attempt(std::move(candidate));
  }

  Plan best_;
  const std::function<bool(const Plan&)>& fails_;
  uint64_t left_;
};

}  // namespace

Plan shrink_plan(Plan plan, const std::function<bool(const Plan&)>& fails, uint64_t tries) {
  return Shrinker(std::move(plan), fails, tries).shrink();
}

}  // namespace doozer::sim
