#include "server/read_rounds.h"

#include <utility>

namespace doozer::server {

void ReadRounds::forget(const door::ReadCompletion& completion) {
  const auto clear = [&](std::vector<Read>& reads) {
    for (Read& read : reads) {
      if (read.completion == &completion) read.completion = nullptr;
    }
  };
  clear(asking_);
  clear(answering_);
  for (Round& round : rounds_) clear(round.reads);
}

std::optional<uint64_t> ReadRounds::begin_round(uint64_t now_us) {
  if (asking_.empty()) return std::nullopt;
  rounds_.push_back({.ticket = ++ticket_,
                     .index = Index(),
                     .since_us = now_us,
                     .reads = std::exchange(asking_, {})});
  return ticket_;
}

void ReadRounds::confirm(uint64_t ticket, Index index) {
  for (Round& round : rounds_) {
    if (round.ticket == ticket) round.index = index;
  }
}

// A later round may be confirmed before an earlier one: each is answered by itself.
void ReadRounds::answer(Index applied) {
  for (size_t i = 0; i < rounds_.size();) {
    Round& round = rounds_[i];
    if (round.index.value() == 0 || applied < round.index) {
      ++i;
      continue;
    }
    std::vector<Read> reads = std::move(round.reads);
    rounds_.erase(rounds_.begin() + static_cast<std::ptrdiff_t>(i));
    call(std::move(reads), {});
  }
}

uint64_t ReadRounds::fail_old(uint64_t since_us, const Error& why) {
  uint64_t newest = 0;
  while (!rounds_.empty() && rounds_.front().since_us <= since_us) {
    newest = rounds_.front().ticket;
    std::vector<Read> reads = std::move(rounds_.front().reads);
    rounds_.pop_front();
    call(std::move(reads), fail(why));
  }
  return newest;
}

std::optional<uint64_t> ReadRounds::oldest_us() const {
  if (rounds_.empty()) return std::nullopt;
  return rounds_.front().since_us;
}

// Kept in a member: a completion may forget others of this round while it is called.
void ReadRounds::call(std::vector<Read> reads, const Result<void>& outcome) {
  answering_ = std::move(reads);
  for (size_t i = 0; i < answering_.size(); ++i) {
    const Read read = std::exchange(answering_[i], Read{});
    if (read.completion != nullptr) read.completion->on_readable(read.cookie, outcome);
  }
  answering_.clear();
}

}  // namespace doozer::server
