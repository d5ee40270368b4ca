// Linearizable reads that wait for their permission: all of one turn share one question to the
// core (dissertation 6.4), and are answered once the machine has come to the index that it gave.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/types.h"
#include "door/door.h"

namespace doozer::server {

class ReadRounds {
 public:
  void add(door::ReadCompletion& completion, uint64_t cookie) {
    asking_.push_back({.completion = &completion, .cookie = cookie});
  }
  void forget(const door::ReadCompletion& completion);
  bool has_new() const { return !asking_.empty(); }
  /// The reads added since the last call become one round; nullopt: there are none.
  std::optional<uint64_t> begin_round(uint64_t now_us);
  void confirm(uint64_t ticket, Index index);
  /// Calls the completions of rounds whose index is at most `applied`, in order. They may call
  /// anything of this but answer() and fail_old().
  void answer(Index applied);
  /// Tells rounds begun before `since_us` that nobody confirms them; the newest ticket of them, or
  /// 0.
  uint64_t fail_old(uint64_t since_us, const Error& why);
  std::optional<uint64_t> oldest_us() const;
  bool empty() const { return asking_.empty() && rounds_.empty(); }

 private:
  struct Read {
    door::ReadCompletion* completion = nullptr;  ///< null: forgotten
    uint64_t cookie = 0;
  };
  struct Round {
    uint64_t ticket = 0;
    Index index;  ///< 0: not confirmed yet
    uint64_t since_us = 0;
    std::vector<Read> reads;
  };
  void call(std::vector<Read> reads, const Result<void>& outcome);

  std::vector<Read> asking_;
  std::vector<Read> answering_;  ///< the round whose completions are being called
  std::deque<Round> rounds_;     ///< oldest first
  uint64_t ticket_ = 0;
};

}  // namespace doozer::server
