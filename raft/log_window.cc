#include "raft/log_window.h"

#include <algorithm>
#include <utility>

#include "raft/limits.h"

namespace doozer::raft {

uint64_t LogWindow::bytes_between(Index first, Index last) const {
  CHECK(first > below_.index);
  CHECK(last <= last_.index);
  CHECK(first <= last + 1);
  const auto bytes_to = [&](Index index) {
    return index == below_.index ? begin_bytes_ : slots_[index - below_.index - 1].bytes_to;
  };
  return bytes_to(last) - bytes_to(first - 1);
}

std::optional<Term> LogWindow::term_of(Index index) const {
  if (index == last_.index) return last_.term;
  if (index == below_.index) return below_.term;
  if (index < below_.index || index > last_.index) return std::nullopt;
  return entry(index).term;
}

// Terms never fall along the log, so that the last one that fits is found by halving.
std::optional<LogPosition> LogWindow::highest_at_most(Index index, Term term) const {
  if (index < below_.index) return std::nullopt;
  const auto reach = static_cast<std::ptrdiff_t>(std::min(index, last_.index) - below_.index);
  const auto after =
      std::upper_bound(slots_.begin(), slots_.begin() + reach, term,
                       [](const Term& limit, const Slot& slot) { return limit < slot.entry.term; });
  if (after != slots_.begin()) {
    const Entry& found = std::prev(after)->entry;
    return LogPosition{.index = found.index, .term = found.term};
  }
  if (below_.term > term) return std::nullopt;
  return below_;
}

void LogWindow::append(Entry entry) {
  CHECK(entry.index == last_.index + 1);
  CHECK(entry.term >= last_.term);
  last_ = {.index = entry.index, .term = entry.term};
  end_bytes_ += entry.payload.size() + kEntryOverheadBytes;
  slots_.push_back({.entry = std::move(entry), .bytes_to = end_bytes_});
}

void LogWindow::truncate_from(Index index) {
  CHECK(index > below_.index);
  while (!slots_.empty() && last_.index >= index) {
    slots_.pop_back();
    last_ = slots_.empty()
                ? below_
                : LogPosition{.index = slots_.back().entry.index, .term = slots_.back().entry.term};
    end_bytes_ = slots_.empty() ? begin_bytes_ : slots_.back().bytes_to;
  }
}

void LogWindow::forget_to(Index index) {
  CHECK(index <= last_.index);
  while (!slots_.empty() && below_.index < index) {
    const Slot& front = slots_.front();
    below_ = {.index = front.entry.index, .term = front.entry.term};
    begin_bytes_ = front.bytes_to;
    slots_.pop_front();
  }
}

}  // namespace doozer::raft
