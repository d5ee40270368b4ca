// Snapshots (dissertation 5.1, 5.3), as far as consensus goes: who is offered one, what it does to
// the log, what may be forgotten. The bytes are pulled by the receiver, outside of the core.
#include <algorithm>

#include "base/check.h"
#include "base/probe.h"
#include "raft/core.h"
#include "raft/limits.h"

namespace doozer::raft {

/// In place of the append that cannot be made; it serves as a heartbeat too.
void Core::offer_snapshot(Progress& peer, Output& out) {
  if (!snapshot_ || snapshot_->index < log_.below().index) {
    out.snapshot_wanted = true;
    return;
  }
  // While it pulls the first that was offered, what follows that one stays pinned.
  if (peer.offered < log_.below().index || peer.offered.value() == 0) {
    peer.offered = snapshot_->index;
  }
  send(peer.identity,
       SnapshotOffer{.head = head_for(peer),
                     .snapshot = {.index = snapshot_->index, .term = snapshot_->term}});
}

/// A log that holds that entry holds all that the snapshot stands for (3.6.3, log matching).
bool Core::wants_snapshot(const LogPosition& point) const {
  return point.index > commit_ && log_.term_of(point.index) != point.term;
}

void Core::on_snapshot_offer(const Process& from, const SnapshotOffer& offer, Output& out) {
  const LogPosition& point = offer.snapshot;
  if (wants_snapshot(point)) {
    out.fetch_snapshot = FetchSnapshot{.from = from.identity, .point = point};
  } else {
    // What a snapshot stands for is committed.
    verified_ = std::max(verified_, point.index);
    commit_ = std::max(commit_, point.index);
  }
  follow_commit(offer.head.commit);
  settle_if_caught_up();
  reply_to_leader({});
}

void Core::on_snapshot_taken(const SnapshotTaken& taken) {
  CHECK(taken.point.index <= applied_);
  if (!snapshot_ || taken.point.index > snapshot_->index) snapshot_ = taken.point;
}

// 5.3: a snapshot whose entry is in the log leaves what follows it; one that does not match the log
// discards all of it, what was not committed with what was.
void Core::on_snapshot_installed(const SnapshotInstalled& installed, Output& out) {
  const SnapshotPoint& point = installed.point;
  if (!snapshot_ || point.index > snapshot_->index) snapshot_ = point;
  if (!wants_snapshot({.index = point.index, .term = point.term})) {
    // The machine may also have gone back, to be applied to again.
    CHECK(point.index >= log_.below().index);
    applied_ = point.index;
    commit_ = std::max(commit_, point.index);
    verified_ = std::max(verified_, commit_);
    return;
  }
  CHECK(role_ != Role::leader);
  PROBE("raft: a snapshot replaced the log");
  if (point.term > term()) adopt_term(point.term);
  become_follower();
  // Until the disk says so, only what was committed is known to be the same in log and snapshot.
  durable_ = std::min(durable_, commit_);
  for (Persisting& batch : persisting_) batch.last = std::min(batch.last, commit_);
  log_ = LogWindow({.index = point.index, .term = point.term});
  configurations_.reset(point);
  commit_ = point.index;
  applied_ = point.index;
  verified_ = point.index;
  out.reset_log = point;
}

/// Applied entries stay within the retained limits, for peers that lag a little. A peer that lags
/// more, but answers, pins what it needs within the pinned limits: else a snapshot on its way to it
/// would be too old again when it arrives. What is over the limits goes a part at a time: a lone
/// server has many times as much right after its start as it keeps.
void Core::forget_applied() {
  configurations_.forget_below(applied_);
  const auto over = [&](size_t bytes, size_t entries) {
    return log_.bytes() > bytes || log_.size() > entries;
  };
  const bool alone = is_single() && standbys_.empty();
  const size_t bytes = alone ? std::min(retention_.bytes, kRetainedAloneBytes) : retention_.bytes;
  if (!over(bytes, retention_.entries)) return;
  const Index pin = pinned();
  for (size_t i = 0; i < kForgottenAtOnce && log_.first() <= applied_; ++i) {
    const bool needed = log_.first() > pin;
    if (needed ? !over(retention_.pinned_bytes, retention_.pinned_entries)
               : !over(bytes, retention_.entries)) {
      break;
    }
    log_.forget_to(log_.first());
  }
}

/// Up to here no peer that answers needs anything.
Index Core::pinned() const {
  Index pin = applied_;
  for (const Progress& peer : peers_) {
    if (peer.answered_us + kNoQuorumStepDownUs < now_us_) continue;
    pin = std::min(pin, std::max(peer.match, peer.offered));
  }
  return pin;
}

}  // namespace doozer::raft
