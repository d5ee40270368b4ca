// Elections (dissertation 3.4, 3.6.1, 4.2.3, 9.6): who stands, who votes, who leads.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/probe.h"
#include "raft/core.h"
#include "raft/limits.h"

namespace doozer::raft {

bool Core::is_single() const {
  const Configuration& now = configuration();
  return !now.joint() && now.voters.size() == 1 && now.voters.front() == self_;
}

// A removed server does not stand (4.2.3), but it votes. It is removed once that is committed:
// until then the others may need it, for its log may be the newest (4.2.2).
bool Core::may_stand() const {
  return configurations_.votes_since(commit_, self_) && may_vote() && (leadable_ || last_resort_);
}

bool Core::may_vote() const { return trust_ != LogTrust::repairing; }

/// Stands only rather than nobody.
bool Core::reluctant() const { return never_lead_ || !leadable_ || trust_ != LogTrust::sound; }

// Time-outs are drawn anew each time, so that split votes resolve themselves (3.4). A cluster of
// one waits for nobody.
void Core::arm_election_timer() {
  const auto wait = rng_.between(kElectionTimeoutMinUs, kElectionTimeoutMaxUs);
  const bool alone = role_ == Role::follower && is_single() && may_stand();
  election_deadline_us_ =
      std::max(rest_until_us_, now_us_ + (alone ? 0 : static_cast<uint64_t>(wait)));
}

/// We follow a leader that is alive as far as we know: nobody else needs our vote (4.2.3, 9.6).
bool Core::sticky() const {
  if (role_ == Role::leader) return now_us_ - quorum_confirmed_us() < kElectionTimeoutMinUs;
  return role_ == Role::follower && !leader_.none() &&
         now_us_ - heard_us_ < kElectionTimeoutMinUs &&
         !is_gone({.identity = leader_, .incarnation = leader_incarnation_});
}

bool Core::is_gone(const Process& process) const {
  const auto found = gone_.find(process.identity);
  return found != gone_.end() && found->second.incarnation >= process.incarnation;
}

// Proof may be wrong: a network that rejects connections looks like a process that is gone. What
// comes long after it was not on its way when the process ended, so the process did not.
void Core::hear_of_life(const Process& process) {
  const auto found = gone_.find(process.identity);
  if (found == gone_.end() || process.incarnation > found->second.incarnation) return;
  if (now_us_ < found->second.since_us + kGoneDoubtUs) return;
  PROBE("raft: a process that was proven gone is alive");
  gone_.erase(found);
}

// 3.3: whoever sees a higher term follows in it. The vote of the new term is not given yet.
void Core::adopt_term(Term term) {
  CHECK(term > hard_state_.term);
  become_follower();
  hard_state_.term = term;
  hard_state_.vote = Identity();
  promise_dirty_ = true;
  forget_leader();
  verified_ = commit_;
  settle_at_.reset();
  held_.clear();
}

void Core::become_follower() {
  const Role before = std::exchange(role_, Role::follower);
  ballots_.clear();
  pre_ = false;
  if (before != Role::leader) return;
  forget_leader();
  verified_ = commit_;
  peers_.clear();
  transfer_.reset();
  return_reads();
  arm_election_timer();
}

void Core::forget_leader() {
  leader_ = Identity();
  leader_incarnation_ = Incarnation();
  heard_round_ = 0;
  deferred_.clear();
}

void Core::on_election_tick(Output& out) {
  if (now_us_ < election_deadline_us_) {
    if (role_ == Role::candidate && now_us_ >= vote_retry_us_) ask_votes();
    return;
  }
  // What the leader has said meanwhile is heard after this: the loop serves timers first.
  const bool late = now_us_ - election_deadline_us_ > kLateTickUs;
  if (late && role_ == Role::follower && !leader_.none()) {
    PROBE("raft: a late timer was no silence of the leader");
    election_deadline_us_ = now_us_ + kLateGraceUs;
    return;
  }
  arm_election_timer();
  become_follower();
  forget_leader();
  ++timeouts_;
  if (!may_stand()) return;
  // Design section 4: otherwise the longest log, at a member that never leads, stops the cluster.
  if (reluctant() && !is_single() && timeouts_ < kReluctantTimeouts) return;
  begin_pre_vote(out);
}

// 9.6: no term is raised before a majority says that it would vote.
void Core::begin_pre_vote(Output& out) {
  role_ = Role::candidate;
  pre_ = true;
  transferred_ = false;
  ballots_.clear();
  for (const Identity& voter : all_voters(configuration())) ballots_.push_back({.voter = voter});
  ask_votes();
  record_vote(self_, Vote::granted, trust_ == LogTrust::sound, out);
}

// 3.4. Our own vote counts once it is durable, as anybody's.
void Core::begin_vote(bool transfer) {
  role_ = Role::candidate;
  pre_ = false;
  transferred_ = transfer;
  ++hard_state_.term;
  hard_state_.vote = self_;
  promise_dirty_ = true;
  forget_leader();
  verified_ = commit_;
  settle_at_.reset();
  held_.clear();
  arm_election_timer();
  ballots_.clear();
  for (const Identity& voter : all_voters(configuration())) ballots_.push_back({.voter = voter});
  ask_votes();
}

void Core::ask_votes() {
  vote_retry_us_ = now_us_ + kVoteRetryUs;
  const RequestVote request{.term = pre_ ? term() + 1 : term(),
                            .pre = pre_,
                            .transfer = transferred_,
                            .last_index = last_index(),
                            .last_term = last_term(),
                            .gone = gone_leader_};
  for (const Ballot& ballot : ballots_) {
    if (ballot.voter != self_ && ballot.vote == Vote::pending) send(ballot.voter, request);
  }
}

void Core::count_votes(Output& out) {
  if (!pre_ && promise_sequence_ > persisted_sequence_) return;
  const Vote result = tally(configuration(), [&](const Identity& voter) {
    for (const Ballot& ballot : ballots_) {
      // What a doubtful log grants is no majority's; see below.
      if (ballot.voter == voter && (ballot.counts || ballot.vote != Vote::granted)) {
        return ballot.vote;
      }
    }
    return Vote::pending;
  });
  if (result == Vote::refused) return become_follower();
  const bool unanimous = std::all_of(ballots_.begin(), ballots_.end(), [](const Ballot& ballot) {
    return ballot.vote == Vote::granted;
  });
  if (result == Vote::pending && !unanimous) return;
  if (pre_) return begin_vote(false);
  if (result == Vote::pending) PROBE("raft: doubtful logs elected a leader unanimously");
  become_leader(out);
}

void Core::record_vote(const Identity& voter, Vote vote, bool counts, Output& out) {
  for (Ballot& ballot : ballots_) {
    if (ballot.voter != voter || ballot.vote == Vote::granted) continue;
    ballot.vote = vote;
    ballot.counts = counts;
  }
  count_votes(out);
}

// 3.6.2, 6.4: an entry of the own term must commit before older ones count as committed and before
// reads are answered.
void Core::become_leader(Output& out) {
  CHECK(promise_sequence_ <= persisted_sequence_);
  role_ = Role::leader;
  leader_ = self_;
  leader_incarnation_ = incarnation_;
  ballots_.clear();
  gone_leader_.reset();
  timeouts_ = 0;
  if (trust_ != LogTrust::sound) settle();
  round_ = 0;
  round_sent_ = 0;
  led_since_us_ = now_us_;
  followed_us_ = now_us_;
  term_first_ = last_index() + 1;
  refresh_peers();
  append(EntryKind::noop, {}, out);
  adopt_reads();
  heartbeat(out);
}

void Core::on_request_vote(const Process& from, const RequestVote& request) {
  if (!request.transfer && sticky()) {
    if (!defer(from, request) && request.pre) {
      send(from.identity,
           VoteReply{.term = term(), .asked_term = request.term, .pre = true, .granted = false});
    }
    return;
  }
  if (request.pre) return answer_pre_vote(from, request);
  answer_vote(from, request);
}

// Design section 6: proof that the leader is gone waives our loyalty only if it is our own proof.
// It may be a moment away; the question waits for it, one of each candidate.
bool Core::defer(const Process& from, const RequestVote& request) {
  const Process leader{.identity = leader_, .incarnation = leader_incarnation_};
  if (role_ != Role::follower || request.gone != leader) return false;
  std::erase_if(deferred_,
                [&](const Deferred& other) { return other.from.identity == from.identity; });
  if (deferred_.size() == kServersMax) return false;
  deferred_.push_back({.from = from, .request = request});
  return true;
}

// 3.6.1: only a log that is at least as new as ours may lead. The receiver's own configuration
// does not matter (4.2): the candidate's decides whose votes count.
bool Core::would_vote(const Process& from, const RequestVote& request) const {
  const LogPosition& ours = log_.last();
  const bool new_enough = request.last_term > ours.term ||
                          (request.last_term == ours.term && request.last_index >= ours.index);
  if (!new_enough || !may_vote()) return false;
  if (request.term > term()) return true;
  const Identity& vote = hard_state_.vote;
  return request.term == term() && role_ != Role::leader && (vote.none() || vote == from.identity);
}

void Core::answer_pre_vote(const Process& from, const RequestVote& request) {
  const bool granted = would_vote(from, request);
  if (granted && now_us_ - last_step_us_ > kStallUs) {
    PROBE("raft: a vote was promised after a pause");
  }
  // Who was about to stand on proof gives the better one the time to win.
  if (granted && gone_leader_) {
    election_deadline_us_ = std::max(election_deadline_us_, now_us_ + kCandidateGraceUs);
  }
  send(from.identity, VoteReply{.term = term(),
                                .asked_term = request.term,
                                .pre = true,
                                .granted = granted,
                                .counts = trust_ == LogTrust::sound});
}

// 3.4: one vote a term, first come, durable before it is heard of.
void Core::answer_vote(const Process& from, const RequestVote& request) {
  if (request.term > term()) adopt_term(request.term);
  const bool granted = would_vote(from, request);
  if (granted && hard_state_.vote.none()) {
    hard_state_.vote = from.identity;
    promise_dirty_ = true;
    arm_election_timer();
  }
  send(from.identity, VoteReply{.term = term(),
                                .asked_term = request.term,
                                .pre = false,
                                .granted = granted,
                                .counts = trust_ == LogTrust::sound});
}

void Core::on_vote_reply(const Identity& from, const VoteReply& reply, Output& out) {
  if (role_ != Role::candidate || reply.pre != pre_) return;
  if (reply.asked_term != (pre_ ? term() + 1 : term())) return;
  record_vote(from, reply.granted ? Vote::granted : Vote::refused, reply.counts, out);
}

// Design section 6: only proof starts an election before the time-out. The better ones go first.
void Core::on_peer_gone(const PeerGone& gone) {
  auto found = gone_.find(gone.identity);
  if (found == gone_.end()) {
    if (gone_.size() == kGoneMax) gone_.erase(gone_.begin());
    found = gone_.emplace(gone.identity, Gone{}).first;
  }
  found->second.incarnation = std::max(found->second.incarnation, gone.incarnation);
  found->second.since_us = now_us_;
  const Process leader{.identity = leader_, .incarnation = leader_incarnation_};
  if (role_ != Role::follower || gone.identity != leader_ || !is_gone(leader)) return;
  PROBE("raft: the leader's process was proven gone");
  std::vector<Deferred> waiting = std::move(deferred_);
  forget_leader();
  gone_leader_ = leader;
  if (may_stand() && !reluctant() && now_us_ >= rest_until_us_) {
    election_deadline_us_ = std::min(election_deadline_us_, now_us_ + standing_wait_us(leader));
  }
  for (const Deferred& one : waiting) on_request_vote(one.from, one.request);
}

uint64_t Core::standing_wait_us(const Process& leader) const {
  uint64_t rank = rank_;
  if (rank_ == kRankUnknown) {
    rank = 0;
    for (const Identity& voter : all_voters(configuration())) {
      if (voter < self_ && voter != leader.identity) ++rank;
    }
  }
  return std::min<uint64_t>(rank, kServersMax) * kCandidateRankUs;
}

}  // namespace doozer::raft
