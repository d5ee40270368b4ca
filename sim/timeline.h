// The story of a run for people: one line an event, with the time and who it happened to.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/log.h"

namespace doozer::sim {

class Timeline {
 public:
  /// `out` gets each line with its end; empty: nobody listens.
  explicit Timeline(std::function<void(std::string_view)> out = {}) : out_(std::move(out)) {}
  bool on() const { return static_cast<bool>(out_); }
  /// `who`: "s2", "c1", "plan".
  void say(uint64_t now_us, std::string_view who, std::string_view what);
  /// Times are told from here on as since then.
  void begin(uint64_t start_us) { start_us_ = start_us; }

 private:
  std::function<void(std::string_view)> out_;
  uint64_t start_us_ = 0;
};

/// "became_leader term=3 ..." without the context.
std::string record_text(const LogRecord& record);

}  // namespace doozer::sim
