// PROBE("name") marks a rare place that some test or simulated run must reach. It costs one branch
// on a counter; names are for people and unique in the tree.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

namespace doozer {

/// One marked place; registers itself for the life of the process at the first pass.
class Probe {
 public:
  explicit Probe(std::string_view name);
  void reach() { count_.fetch_add(1, std::memory_order_relaxed); }
  std::string_view name() const { return name_; }
  uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  /// All places passed so far in this process.
  static std::vector<const Probe*> all();
  /// How often the place with this name was passed; 0 if never.
  static uint64_t reached(std::string_view name);

 private:
  std::string_view name_;
  std::atomic<uint64_t> count_{0};
};

}  // namespace doozer

#define PROBE(name)                       \
  do {                                    \
    static ::doozer::Probe probe{(name)}; \
    probe.reach();                        \
  } while (false)
