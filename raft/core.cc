#include "raft/core.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/probe.h"
#include "raft/limits.h"

namespace doozer::raft {

Core::Core(CoreOptions&& options)
    : self_(options.self),
      incarnation_(options.incarnation),
      never_lead_(options.never_lead),
      retention_(options.retention),
      hard_state_(options.hard_state),
      configurations_(std::move(options.configurations)),
      log_(options.entries.empty()
               ? LogPosition{.index = options.last_index, .term = options.last_term}
               : options.below),
      durable_(options.last_index),
      rng_(options.seed),
      now_us_(options.now_us),
      last_step_us_(options.now_us),
      commit_(std::max(options.hard_state.commit, options.applied)),
      applied_(options.applied),
      snapshot_(std::move(options.snapshot)) {
  for (Entry& entry : options.entries) log_.append(std::move(entry));
  verified_ = commit_;
  followed_us_ = now_us_;
}

Core Core::make(CoreOptions options) {
  CHECK(!options.self.none());
  CHECK(options.applied <= options.last_index);
  CHECK(options.hard_state.commit <= options.last_index);
  const LogPosition last{.index = options.last_index, .term = options.last_term};
  CHECK(options.entries.empty() || options.below.index <= options.applied);
  const LogTrust trust = options.trust;
  const Index doubtful_to = options.doubtful_to;
  Core core(std::move(options));
  CHECK(core.log_.last() == last);
  core.catch_up_with_snapshot();
  core.begin_doubt(trust, doubtful_to);
  core.arm_election_timer();
  return core;
}

// A snapshot of a later term was made durable, and the server stopped before that term was: it has
// promised nothing in it.
void Core::catch_up_with_snapshot() {
  if (last_term() <= hard_state_.term) return;
  PROBE("raft: a snapshot was of a later term than the hard state");
  hard_state_.term = last_term();
  hard_state_.vote = Identity();
  promise_dirty_ = true;
}

Output Core::step(Input input) {
  CHECK(outgoing_.empty());
  now_us_ = std::max(now_us_, input.now_us);
  Output out;
  dispatch(input.event, out);
  finish(out);
  last_step_us_ = now_us_;
  return out;
}

void Core::dispatch(Event& event, Output& out) {
  std::visit(
      [&](auto& e) {
        using E = std::decay_t<decltype(e)>;
        if constexpr (std::is_same_v<E, Tick>) on_tick(out);
        if constexpr (std::is_same_v<E, Propose>) on_propose(e, out);
        if constexpr (std::is_same_v<E, Persisted>) on_persisted(e, out);
        if constexpr (std::is_same_v<E, AppliedTo>) on_applied(e);
        if constexpr (std::is_same_v<E, ReadIndex>) on_read(e, out);
        if constexpr (std::is_same_v<E, CancelReads>) on_cancel(e);
        if constexpr (std::is_same_v<E, Receive>) on_receive(e, out);
        if constexpr (std::is_same_v<E, PeerGone>) on_peer_gone(e);
        if constexpr (std::is_same_v<E, SetStandbys>) on_standbys(e);
        if constexpr (std::is_same_v<E, ChangeVoters>) on_change_voters(e, out);
        if constexpr (std::is_same_v<E, TransferLeadership>) on_transfer(e, out);
        if constexpr (std::is_same_v<E, StepDown>) on_step_down();
        if constexpr (std::is_same_v<E, SnapshotTaken>) on_snapshot_taken(e);
        if constexpr (std::is_same_v<E, SnapshotInstalled>) on_snapshot_installed(e, out);
        if constexpr (std::is_same_v<E, SetLeadable>) on_leadable(e);
      },
      event);
}

void Core::on_tick(Output& out) {
  if (role_ == Role::leader) {
    on_leader_tick(out);
  } else {
    on_election_tick(out);
    if (asked_ && now_us_ >= asked_->at_us + kReadRetryUs) ask_leader();
  }
}

void Core::refuse(Output& out, Code code, std::string text) const {
  out.refused = true;
  out.reason = {.code = code, .message = std::move(text)};
}

void Core::on_propose(Propose& propose, Output& out) {
  CHECK(!propose.proposals.empty());
  if (role_ != Role::leader) return refuse(out, Code::read_only, "this server does not lead");
  if (transfer_) return refuse(out, Code::read_only, "leadership is being handed over");
  if (full()) return refuse(out, Code::busy, "too much of the log is not applied yet");
  out.accepted_first = last_index() + 1;
  for (Proposal& proposal : propose.proposals) {
    CHECK(proposal.kind == EntryKind::command || proposal.kind == EntryKind::forwarded);
    CHECK(proposal.payload.size() <= kCommandBytesMax);
    append(proposal.kind, std::move(proposal.payload), out);
  }
}

void Core::append(EntryKind kind, std::string payload, Output& out) {
  const Index index = last_index() + 1;
  log_.append({.index = index, .term = term(), .kind = kind, .payload = std::move(payload)});
  if (out.append_first.value() == 0) out.append_first = index;
  out.append_last = index;
}

// The log lane reports in order, so that what a truncation took from a batch on its way to the disk
// (truncate_from) is not counted when that batch arrives.
void Core::on_persisted(const Persisted& persisted, Output& out) {
  CHECK(persisted.persist_sequence <= persist_sequence_);
  persisted_sequence_ = std::max(persisted_sequence_, persisted.persist_sequence);
  const Index before = durable_;
  while (!persisting_.empty() && persisting_.front().sequence <= persisted_sequence_) {
    durable_ = std::max(durable_, persisting_.front().last);
    persisting_.pop_front();
  }
  CHECK(durable_ <= last_index());
  switch (role_) {
    case Role::candidate:
      if (!pre_ && persisted_sequence_ >= promise_sequence_)
        record_vote(self_, Vote::granted, trust_ == LogTrust::sound, out);
      break;
    case Role::leader: advance_commit(out); break;
    case Role::follower:
      settle_if_caught_up();
      if (durable_ > before && !leader_.none()) reply_to_leader({});
      break;
  }
}

void Core::on_applied(const AppliedTo& applied) {
  CHECK(applied.index <= commit_);
  applied_ = std::max(applied_, applied.index);
  forget_applied();
}

void Core::send(const Identity& to, const Outgoing& message) {
  outgoing_.push_back({.to = to, .bulk = false, .message = message});
}

// What was changed in this step is asked to be durable; what may only be heard of afterwards waits.
void Core::finish(Output& out) {
  if (role_ == Role::leader) {
    answer_reads(out);
    go_on_with_transfer();
    replicate_all(out);
    round_sent_ = round_;
  }
  const bool appended = out.append_first.value() != 0;
  if (promise_dirty_ || appended || out.truncate_from || out.reset_log) {
    out.persist_sequence = ++persist_sequence_;
    if (promise_dirty_) promise_sequence_ = persist_sequence_;
    promise_dirty_ = false;
    hard_state_.commit = std::min(commit_, durable_);
    out.hard_state = hard_state_;
    persisting_.push_back({.sequence = persist_sequence_, .last = last_index()});
  }
  release_sends(out);
  out.settle = std::exchange(settled_, false);
  out.apply_to = commit_;
  out.next_deadline_us = next_deadline();
}

void Core::release_sends(Output& out) {
  const auto ready = [&](const Held& held) { return held.sequence <= persisted_sequence_; };
  for (const Held& held : held_) {
    if (ready(held)) out.sends.push_back(held.send);
  }
  std::erase_if(held_, ready);
  if (promise_sequence_ <= persisted_sequence_) {
    out.sends.insert(out.sends.end(), outgoing_.begin(), outgoing_.end());
  } else {
    for (const Send& send : outgoing_) hold(send);
  }
  outgoing_.clear();
}

// A newer message takes the place of an older one of its kind: whoever waits asks again anyway, and
// a disk that hangs does not make this grow. (A leader's term was durable before it led.)
void Core::hold(const Send& send) {
  CHECK(!std::holds_alternative<AppendRange>(send.message));
  const auto is_pre = [](const Send& s) {
    const auto* request = std::get_if<RequestVote>(&s.message);
    const auto* reply = std::get_if<VoteReply>(&s.message);
    return (request != nullptr && request->pre) || (reply != nullptr && reply->pre);
  };
  std::erase_if(held_, [&](const Held& held) {
    return held.send.to == send.to && held.send.message.index() == send.message.index() &&
           is_pre(held.send) == is_pre(send);
  });
  if (held_.size() == kHeldMessagesMax) held_.erase(held_.begin());
  held_.push_back({.sequence = promise_sequence_, .send = send});
}

uint64_t Core::next_deadline() const {
  uint64_t next = 0;
  const auto consider = [&](uint64_t deadline) {
    if (next == 0 || deadline < next) next = std::max<uint64_t>(deadline, 1);
  };
  if (role_ == Role::leader) {
    if (!peers_.empty()) consider(heartbeat_us_);
    return next;
  }
  if (configurations_.votes_since(commit_, self_) || !leader_.none())
    consider(election_deadline_us_);
  if (role_ == Role::candidate && !is_single()) consider(vote_retry_us_);
  if (asked_ && !leader_.none()) consider(asked_->at_us + kReadRetryUs);
  return next;
}

}  // namespace doozer::raft
