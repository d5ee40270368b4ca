// Tells of refused connections without letting a flood of them become a flood of log lines.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "env/net.h"
#include "io/loop.h"

namespace doozer::io {

/// Passes the first refusal for a reason on at once, then at most one report a second for it, with
/// the count since the last. Calls the events on the loop's thread, from inside note() or a timer.
class Refusals {
 public:
  Refusals(Loop& loop, env::AcceptEvents& events) : loop_(loop), events_(events) {}
  Refusals(const Refusals&) = delete;
  Refusals& operator=(const Refusals&) = delete;
  ~Refusals() {
    if (timer_ != 0) loop_.cancel(timer_);
  }
  /// `reason` groups; the newest `why` of a group is the one that is told. The owner may be
  /// destroyed inside the call.
  void note(const std::string& reason, Error why);

 private:
  struct Group {
    Error why;
    uint64_t count = 0;  // not yet told
    uint64_t told_us = 0;
  };
  void tell_waiting();
  Loop& loop_;
  env::AcceptEvents& events_;
  std::map<std::string, Group> groups_;  // bounded by kRefusalReasonsMax
  env::TimerId timer_ = 0;
};

}  // namespace doozer::io
