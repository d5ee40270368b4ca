// What a leader does (dissertation 3.5, 3.6.2, 6.2, 10.2.1): send, listen, commit.
//
// Handlers only change what is known; what follows for the peers is sent once, at the end of the
// step, by replicate_all(): entries, the new commit index, the new round, whichever is due, in as
// few messages as possible.
#include <algorithm>

#include "base/check.h"
#include "base/limits.h"
#include "base/probe.h"
#include "raft/core.h"
#include "raft/limits.h"

namespace doozer::raft {

LeaderHead Core::head_for(Progress& peer) const {
  peer.commit_told = commit_;
  peer.round_told = round_;
  return {.term = term(),
          .commit = commit_,
          .last_index = last_index(),
          .round = round_,
          .receiver = peer.incarnation,
          .acknowledged = peer.acknowledged,
          .rank = peer.rank,
          .quorum_age = static_cast<uint8_t>(
              std::min<uint64_t>((now_us_ - followed_us_) / kQuorumAgeUs, UINT8_MAX))};
}

// 6.2: a leader that no majority answers steps down, so that its clients look elsewhere. Time in
// which it did not run itself is nobody else's silence.
void Core::on_leader_tick(Output& out) {
  if (now_us_ < heartbeat_us_ || peers_.empty()) return;
  if (now_us_ - last_step_us_ > kStallUs) {
    PROBE("raft: a leader noticed its own stall");
    led_since_us_ = now_us_;
    for (Progress& peer : peers_) peer.silent_since_us = now_us_;
  }
  if (now_us_ - quorum_confirmed_us() > kNoQuorumStepDownUs) {
    PROBE("raft: a leader without a quorum stepped down");
    become_follower();
    return;
  }
  heartbeat(out);
  hand_over_if_unfit();
}

void Core::heartbeat(Output& out) {
  heartbeat_us_ = now_us_ + kHeartbeatUs;
  ++round_;
  followed_us_ = quorum_confirmed_us();
  rank_peers();
  for (Progress& peer : peers_) {
    switch (peer.state) {
      // A probe that got no answer is repeated without its load: the peer may well be dead.
      case Progress::State::probe:
        if (peer.probed) send_empty_after_next(peer, out);
        break;
      // This finds a lost append even if nothing follows it.
      case Progress::State::replicate:
        if (bulk_may_arrive(peer)) break;
        if (peer.full() || peer.next > last_index()) send_empty_after_next(peer, out);
        break;
      case Progress::State::snapshot: offer_snapshot(peer, out); break;
    }
  }
}

uint64_t Core::quorum_confirmed_us() const {
  return majority_value(configuration(), [&](const Identity& voter) {
    if (voter == self_) return now_us_;
    const Progress* peer = progress(voter);
    return std::max(led_since_us_, peer == nullptr ? 0 : peer->answered_us);
  });
}

/// Tells each voter its place in the race that would follow our death (design section 6).
void Core::rank_peers() {
  std::vector<Progress*> voters;
  for (Progress& peer : peers_) {
    peer.rank = kRankUnknown;
    if (is_voter(configuration(), peer.identity)) voters.push_back(&peer);
  }
  std::sort(voters.begin(), voters.end(), [](const Progress* a, const Progress* b) {
    const bool a_fit = a->counts && a->willing;
    const bool b_fit = b->counts && b->willing;
    if (a_fit != b_fit) return a_fit;
    return a->match != b->match ? a->match > b->match : a->identity < b->identity;
  });
  for (size_t i = 0; i < voters.size(); ++i) voters[i]->rank = static_cast<uint8_t>(i);
}

/// Who gets the log: the voters of both sets and the standbys, but not we.
void Core::refresh_peers() {
  std::vector<Identity> wanted = all_voters(configuration());
  wanted.insert(wanted.end(), standbys_.begin(), standbys_.end());
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  std::erase(wanted, self_);
  std::vector<Progress> now;
  for (const Identity& identity : wanted) {
    if (Progress* known = find_peer(identity); known != nullptr) {
      now.push_back(std::move(*known));
    } else {
      Progress& fresh = now.emplace_back();
      fresh.identity = identity;
      fresh.next = last_index() + 1;
      fresh.silent_since_us = now_us_;
    }
  }
  peers_ = std::move(now);
}

Progress* Core::find_peer(const Identity& identity) {
  const auto found = std::lower_bound(
      peers_.begin(), peers_.end(), identity,
      [](const Progress& peer, const Identity& wanted) { return peer.identity < wanted; });
  return found != peers_.end() && found->identity == identity ? &*found : nullptr;
}

const Progress* Core::progress(const Identity& identity) const {
  return const_cast<Core*>(this)->find_peer(identity);
}

void Core::on_standbys(SetStandbys& standbys) {
  CHECK(standbys.standbys.size() <= kServersMax);
  standbys_ = std::move(standbys.standbys);
  if (role_ == Role::leader) refresh_peers();
}

void Core::replicate_all(Output& out) {
  for (Progress& peer : peers_) {
    replicate(peer, out);
    if (peer.commit_told < commit_ || peer.round_told < round_) send_empty(peer, {});
  }
}

void Core::replicate(Progress& peer, Output& out) {
  switch (peer.state) {
    case Progress::State::probe:
      if (!peer.probed) send_append(peer, out);
      break;
    case Progress::State::replicate:
      while (peer.next <= last_index() && !peer.full()) {
        if (!send_append(peer, out)) break;
      }
      break;
    case Progress::State::snapshot: break;
  }
}

/// A large append was sent not long ago, or something has just arrived: to look for its loss would
/// only repeat it.
bool Core::bulk_may_arrive(const Progress& peer) const {
  return peer.bulk_under_way() && now_us_ < peer.bulk_moved_us + kBulkRetryUs;
}

/// Sends what follows next - 1, as much as goes into one message; false if it is forgotten. A probe
/// carries nothing large.
bool Core::send_append(Progress& peer, Output& out) {
  const std::optional<Term> prev_term = log_.term_of(peer.next - 1);
  if (!prev_term) {
    peer.begin_snapshot();
    offer_snapshot(peer, out);
    return false;
  }
  uint64_t count = 0;
  uint64_t payload = 0;
  for (Index at = peer.next; at <= last_index() && count < kAppendEntriesMax; ++at) {
    const uint64_t more = entry(at).payload.size() + kEntryOverheadBytes;
    const bool alone = count == 0 && peer.state == Progress::State::replicate;
    if (!alone && payload + more > kAppendBytesMax) break;
    payload += more;
    ++count;
  }
  const LogPosition prev{.index = peer.next - 1, .term = *prev_term};
  const bool bulk = payload > kAppendBytesMax || peer.bulk_under_way();
  outgoing_.push_back(
      {.to = peer.identity,
       .bulk = bulk,
       .message = AppendRange{.head = head_for(peer), .prev = prev, .count = count}});
  if (peer.state == Progress::State::probe) {
    peer.probed = true;
    return true;
  }
  peer.sent(prev.index + count, payload);
  if (bulk) {
    // What is sent behind it says nothing of its arrival.
    if (!peer.bulk_under_way()) peer.bulk_moved_us = now_us_;
    peer.bulk_last = prev.index + count;
  }
  return true;
}

void Core::send_empty_after_next(Progress& peer, Output& out) {
  const std::optional<Term> prev_term = log_.term_of(peer.next - 1);
  if (prev_term) return send_empty(peer, {.index = peer.next - 1, .term = *prev_term});
  peer.begin_snapshot();
  offer_snapshot(peer, out);
}

/// After {0, 0}: only to tell commit and round; nobody ever rejects it.
void Core::send_empty(Progress& peer, const LogPosition& prev) {
  send(peer.identity, AppendRange{.head = head_for(peer), .prev = prev, .count = 0});
}

void Core::on_append_reply(const Process& from, const AppendReply& reply, Output& out) {
  Progress* const peer = role_ == Role::leader ? find_peer(from.identity) : nullptr;
  if (peer == nullptr || reply.term != term() || from.incarnation < peer->incarnation) return;
  // Nobody can agree to what was never sent.
  if (reply.agreed > last_index() || reply.match > reply.agreed || reply.round > round_) return;
  // A new life may have lost what the last one said was durable (design section 5).
  if (from.incarnation > peer->incarnation) peer->restarted(from.incarnation);
  peer->answered_us = now_us_;
  peer->silent_since_us = now_us_;
  peer->counts = reply.counts;
  peer->willing = reply.willing;
  peer->round = std::max(peer->round, reply.round);
  if (reply.match > peer->match) peer->bulk_moved_us = now_us_;
  peer->matched(reply.match);
  if (reply.accepted) {
    on_accepted(*peer, reply);
  } else {
    on_rejected(*peer, reply);
  }
  advance_commit(out);
}

void Core::on_accepted(Progress& peer, const AppendReply& reply) {
  switch (peer.state) {
    // An older answer may agree to less than what was probed; then the probe is still under way.
    case Progress::State::probe:
      if (reply.agreed + 1 >= peer.next) peer.begin_replicate(reply.agreed + 1);
      break;
    case Progress::State::replicate: break;
    case Progress::State::snapshot:
      if (reply.agreed >= log_.below().index) peer.probe_from(reply.agreed + 1);
      break;
  }
}

// 3.5: the hint names a term, so that a whole term is stepped over at once. An answer to what is no
// longer being asked moves nothing, and nothing moves below what is known to be durable there.
void Core::on_rejected(Progress& peer, const AppendReply& reply) {
  const bool current = peer.state == Progress::State::probe ? reply.rejected + 1 == peer.next
                                                            : reply.rejected > peer.match;
  if (peer.state == Progress::State::snapshot || reply.rejected.value() == 0 || !current) return;
  if (bulk_may_arrive(peer)) return;
  const Index limit = std::min(reply.hint.index, reply.rejected - 1);
  const auto agreed = log_.highest_at_most(limit, reply.hint.term);
  const Index next = agreed ? agreed->index + 1 : std::min(limit + 1, log_.below().index);
  peer.probe_from(std::max(next, Index(1)));
}

// 3.6.2: only an entry of the own term is committed by counting; older ones are with it. Our own
// log counts as far as it is durable, and only if we are a voter (4.2.2).
void Core::advance_commit(Output& out) {
  const Index held(majority_value(configuration(), [&](const Identity& voter) {
    if (voter == self_) return durable_.value();
    const Progress* peer = progress(voter);
    return peer == nullptr || !peer->counts ? 0 : peer->match.value();
  }));
  if (held <= commit_ || held < term_first_) return;
  commit_ = held;
  on_committed(out);
}

}  // namespace doozer::raft
