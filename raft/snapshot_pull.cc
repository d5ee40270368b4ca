#include "raft/snapshot_pull.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/probe.h"

namespace doozer::raft {

SnapshotPull::Output SnapshotPull::step(Input input) {
  now_us_ = std::max(now_us_, input.now_us);
  Output out;
  std::visit([&](auto& event) { on(event, out); }, input.event);
  if (wanted_) {
    if (sources_.empty()) ask_around(out);
    if (current_) {
      give(out);
      ask_chunks(out);
    }
  }
  out.next_deadline_us = deadline();
  return out;
}

void SnapshotPull::on(Want& event, Output&) {
  if (wanted_ && wanted_->point.index >= event.wanted.point.index) return;
  wanted_ = event.wanted;
}

void SnapshotPull::on(Servers& event, Output&) {
  reachable_ = std::move(event.reachable);
  if (reachable_.size() > kPullSourcesMax) reachable_.resize(kPullSourcesMax);
}

// Whoever has the same one is one more source. Another one is begun only if there is none yet, or
// the sources of the last one have stayed away for long.
void SnapshotPull::on(Answer& event, Output& out) {
  if (!wanted_ || !event.has) return;
  const SnapshotOnOffer& has = *event.has;
  if (has.chunks == 0 || has.chunks > kPullChunksMax) return;
  if (current_ != has) {
    if (has.point.index < wanted_->point.index) return;
    const bool patient =
        current_ && (!sources_.empty() || now_us_ < sourceless_since_ + kPullResumeUs);
    if (patient) return;
    begin(has, out);
  } else if (sources_.empty() && done_ > 0) {
    PROBE("raft: the pull of a snapshot resumed");
  }
  const auto known = std::find_if(sources_.begin(), sources_.end(), [&](const Source& source) {
    return source.identity == event.from;
  });
  if (known == sources_.end() && sources_.size() < kPullSourcesMax) {
    sources_.push_back({.identity = event.from, .failures = 0});
  }
}

void SnapshotPull::begin(const SnapshotOnOffer& offer, Output& out) {
  current_ = offer;
  sources_.clear();
  window_.clear();
  done_ = 0;
  out.begin = offer;
}

void SnapshotPull::on(Chunk& event, Output&) {
  if (!current_ || event.point != current_->point || event.bytes.size() > kSnapshotChunkBytes) {
    return;
  }
  if (event.number < done_ || event.number - done_ >= window_.size()) return;
  Slot& slot = window_[event.number - done_];
  const bool is_source = std::any_of(sources_.begin(), sources_.end(), [&](const Source& source) {
    return source.identity == event.from;
  });
  if (slot.arrived || !is_source) return;
  slot.arrived = true;
  slot.bytes = std::move(event.bytes);
  for (Source& source : sources_) {
    if (source.identity == event.from) source.failures = 0;
  }
}

void SnapshotPull::on(Gone& event, Output&) {
  if (!current_ || event.point != current_->point) return;
  remove_source(event.from);
}

void SnapshotPull::on(Taken& event, Output& out) {
  if (!current_) return;
  while (done_ < event.count && !window_.empty() && window_.front().given) {
    window_.pop_front();
    ++done_;
  }
  if (done_ < current_->chunks) return;
  out.complete = true;
  reset();
}

void SnapshotPull::on(Tick&, Output&) {
  if (!current_) return;
  std::vector<Identity> late;
  for (Slot& slot : window_) {
    if (slot.arrived || slot.asked.none() || now_us_ < slot.asked_us + kPullChunkUs) continue;
    if (std::find(late.begin(), late.end(), slot.asked) == late.end()) late.push_back(slot.asked);
    slot.asked = Identity();
  }
  for (const Identity& identity : late) blame(identity);
}

void SnapshotPull::on(Cancel&, Output&) { reset(); }

void SnapshotPull::reset() {
  wanted_.reset();
  current_.reset();
  sources_.clear();
  window_.clear();
  done_ = 0;
  asked_us_ = 0;
}

void SnapshotPull::ask_around(Output& out) {
  if (asked_us_ != 0 && now_us_ < asked_us_ + kPullAskUs) return;
  asked_us_ = std::max<uint64_t>(now_us_, 1);
  // What was begun may be older than what is wanted by now; it is still worth its end.
  out.ask_from =
      current_ ? std::min(current_->point.index, wanted_->point.index) : wanted_->point.index;
  out.ask = reachable_;
  const Identity& offerer = wanted_->from;
  if (std::find(out.ask.begin(), out.ask.end(), offerer) == out.ask.end()) {
    out.ask.push_back(offerer);
  }
}

void SnapshotPull::ask_chunks(Output& out) {
  const uint64_t size = std::min<uint64_t>(kPullWindow, current_->chunks - done_);
  while (window_.size() < size) window_.emplace_back();
  for (size_t i = 0; i < window_.size(); ++i) {
    Slot& slot = window_[i];
    if (slot.arrived || !slot.asked.none()) continue;
    const Identity* const source = next_source();
    if (source == nullptr) return;
    slot.asked = *source;
    slot.asked_us = now_us_;
    out.chunks.push_back({.to = *source, .point = current_->point, .number = done_ + i});
  }
}

/// Chunks go out in order; each once.
void SnapshotPull::give(Output& out) {
  for (Slot& slot : window_) {
    if (!slot.arrived) return;
    if (std::exchange(slot.given, true)) continue;
    out.taken.push_back(std::move(slot.bytes));
    slot.bytes.clear();
  }
}

void SnapshotPull::remove_source(const Identity& identity) {
  std::erase_if(sources_, [&](const Source& source) { return source.identity == identity; });
  for (Slot& slot : window_) {
    if (!slot.arrived && slot.asked == identity) slot.asked = Identity();
  }
  if (!sources_.empty()) return;
  sourceless_since_ = now_us_;
  asked_us_ = 0;
}

void SnapshotPull::blame(const Identity& identity) {
  for (Source& source : sources_) {
    if (source.identity != identity) continue;
    if (++source.failures >= kPullFailuresMax) remove_source(identity);
    return;
  }
}

/// In turn, so that a slow source does not hold up all chunks.
const Identity* SnapshotPull::next_source() {
  if (sources_.empty()) return nullptr;
  turn_ = (turn_ + 1) % sources_.size();
  return &sources_[turn_].identity;
}

uint64_t SnapshotPull::deadline() const {
  if (!wanted_) return 0;
  uint64_t next = 0;
  const auto consider = [&](uint64_t at) {
    if (next == 0 || at < next) next = at;
  };
  if (sources_.empty()) consider(asked_us_ + kPullAskUs);
  for (const Slot& slot : window_) {
    if (!slot.arrived && !slot.asked.none()) consider(slot.asked_us + kPullChunkUs);
  }
  return next;
}

}  // namespace doozer::raft
