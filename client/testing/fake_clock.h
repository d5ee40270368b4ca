// Virtual time for tests: nothing happens but what is asked for, in an order that is always the
// same.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <utility>

#include "env/clock.h"

namespace doozer::client {

class FakeClock final : public env::Clock {
 public:
  uint64_t now_us() const override { return now_us_; }
  int64_t wall_us() const override { return static_cast<int64_t>(now_us_); }
  env::TimerId at(uint64_t when_us, UniqueFunction<void()> then) override {
    const env::TimerId id = ++last_id_;
    if (when_us < now_us_) when_us = now_us_;
    timers_.emplace(std::pair(when_us, id), std::move(then));
    when_.emplace(id, when_us);
    return id;
  }
  void cancel(env::TimerId timer) override {
    const auto it = when_.find(timer);
    if (it == when_.end()) return;
    timers_.erase({it->second, timer});
    when_.erase(it);
  }
  void post(UniqueFunction<void()> slice) override { posted_.push_back(std::move(slice)); }
  void at_turn_end(UniqueFunction<void()> hook) override { hooks_.push_back(std::move(hook)); }

  /// One posted slice or one timer; false if there is neither, or none up to `until_us`.
  bool step(uint64_t until_us) {
    UniqueFunction<void()> next;
    if (!posted_.empty()) {
      next = std::move(posted_.front());
      posted_.pop_front();
    } else if (!timers_.empty() && timers_.begin()->first.first <= until_us) {
      const auto first = timers_.begin();
      if (first->first.first > now_us_) now_us_ = first->first.first;
      when_.erase(first->first.second);
      next = std::move(first->second);
      timers_.erase(first);
    } else {
      return false;
    }
    next();
    for (UniqueFunction<void()>& hook : hooks_) hook();
    return true;
  }
  /// Everything that is due within `duration_us`.
  void run_for(uint64_t duration_us) {
    const uint64_t until = now_us_ + duration_us;
    while (step(until)) {
    }
    now_us_ = until;
  }
  /// Until `done()`, but no longer than `duration_us`; tells whether it is done.
  template <typename Done>
  bool run_until(Done done, uint64_t duration_us = 600'000'000) {
    const uint64_t until = now_us_ + duration_us;
    while (!done()) {
      if (!step(until)) return done();
    }
    return true;
  }
  size_t timers() const { return timers_.size(); }

 private:
  uint64_t now_us_ = 1'000'000;
  env::TimerId last_id_ = 0;
  std::map<std::pair<uint64_t, env::TimerId>, UniqueFunction<void()>> timers_;
  std::map<env::TimerId, uint64_t> when_;
  std::deque<UniqueFunction<void()>> posted_;
  std::deque<UniqueFunction<void()>> hooks_;
};

}  // namespace doozer::client
