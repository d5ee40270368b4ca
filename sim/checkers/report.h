// What a checker found: violations by the name of the rule, in words that name the operations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace doozer::sim {

constexpr size_t kViolationsKept = 20;  ///< of one rule; the rest are counted

struct Violation {
  std::string rule;  ///< such as "order.stale_read"
  std::string what;
};

class Report {
 public:
  void add(std::string_view rule, std::string what) {
    uint64_t& count = counts_[std::string(rule)];
    if (++count <= kViolationsKept) kept_.push_back({std::string(rule), std::move(what)});
  }
  bool ok() const { return counts_.empty(); }
  bool has(std::string_view rule) const { return counts_.contains(std::string(rule)); }
  uint64_t count(std::string_view rule) const {
    const auto found = counts_.find(std::string(rule));
    return found == counts_.end() ? 0 : found->second;
  }
  const std::vector<Violation>& violations() const { return kept_; }
  /// All that is kept, one a line, then how many there were of each rule.
  std::string to_string() const {
    std::string text;
    for (const Violation& violation : kept_) text += violation.rule + ": " + violation.what + "\n";
    for (const auto& [rule, count] : counts_) {
      if (count > kViolationsKept) text += rule + ": " + std::to_string(count) + " in all\n";
    }
    return text;
  }

 private:
  std::map<std::string, uint64_t> counts_;
  std::vector<Violation> kept_;
};

}  // namespace doozer::sim
