// What a follower does (dissertation 3.5): takes what agrees, cuts what does not, says how far it
// is.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/probe.h"
#include "raft/core.h"
#include "raft/limits.h"

namespace doozer::raft {

void Core::on_receive(Receive& receive, Output& out) {
  if (receive.from == self_) return;
  const Process from{.identity = receive.from, .incarnation = receive.from_incarnation};
  hear_of_life(from);
  std::visit([&](auto& message) { on_message(from, message, out); }, receive.message);
}

/// 3.3: false if the message is of a term that is over; a newer term is followed at once.
bool Core::in_term(Term theirs) {
  if (theirs > term()) adopt_term(theirs);
  return theirs == term();
}

void Core::on_message(const Process& from, RequestVote& message, Output&) {
  if (!is_gone(from)) on_request_vote(from, message);
}

// A granted pre-vote speaks of a term in which nobody is yet.
void Core::on_message(const Process& from, VoteReply& message, Output& out) {
  if (message.term > term() && !(message.pre && message.granted)) adopt_term(message.term);
  on_vote_reply(from.identity, message, out);
}

void Core::on_message(const Process& from, Append& message, Output& out) {
  if (!hear_leader(from, message.head)) return;
  if (was_rolled_back(message.head, out)) return;
  on_append(message, out);
}

void Core::on_message(const Process& from, AppendReply& message, Output& out) {
  if (in_term(message.term)) on_append_reply(from, message, out);
}

void Core::on_message(const Process& from, SnapshotOffer& message, Output& out) {
  if (!hear_leader(from, message.head)) return;
  if (was_rolled_back(message.head, out)) return;
  on_snapshot_offer(from, message, out);
}

void Core::on_message(const Process& from, ReadRequest& message, Output&) {
  if (in_term(message.term)) on_read_request(from, message);
}

void Core::on_message(const Process&, ReadReply& message, Output& out) {
  if (in_term(message.term)) on_read_reply(message, out);
}

void Core::on_message(const Process& from, TimeoutNow& message, Output&) {
  if (in_term(message.term)) on_timeout_now(from);
}

/// A leader does not know at once that nobody follows it any more.
void Core::hear_of_quorum(const LeaderHead& head) {
  const uint64_t age_us = head.quorum_age * kQuorumAgeUs;
  followed_us_ = std::max(followed_us_, now_us_ - std::min(now_us_, age_us));
}

uint64_t Core::forsaken_us(uint64_t now_us) const {
  if (role_ == Role::leader && peers_.empty()) return 0;
  // If a tick was due and did not come, it was this server that was away.
  const uint64_t due = next_deadline();
  const bool ran = due == 0 || now_us <= std::max(due, now_us_) + kStallUs;
  return std::max(ran ? now_us : now_us_, followed_us_) - followed_us_;
}

/// False if the message is not our leader's: of a term that is over (it is told so, and steps
/// down), or of a second leader of this term, which cannot be.
bool Core::hear_leader(const Process& from, const LeaderHead& head) {
  if (!in_term(head.term)) {
    send(from.identity, AppendReply{.term = term(), .counts = false});
    return false;
  }
  if (role_ == Role::leader) return false;
  if (!leader_.none() && leader_ != from.identity) return false;
  become_follower();
  const bool is_new = leader_.none();
  leader_ = from.identity;
  leader_incarnation_ = from.incarnation;
  rank_ = head.rank;
  reply_due_ = head.round > heard_round_;
  heard_round_ = std::max(heard_round_, head.round);
  // A late message of a process that is proven gone does not bring it back.
  if (!is_gone(from)) {
    heard_us_ = now_us_;
    hear_of_quorum(head);
    timeouts_ = 0;
    gone_leader_.reset();
    deferred_.clear();
    arm_election_timer();
  }
  if (is_new) ask_again();
  hear_for_trust(head);
  return true;
}

// Only this leader cuts our log in this term, and never what we have acknowledged to it. So if the
// log lacks some of that and does not know why, its disk holds an older state, with a term and a
// vote that may be older too: an incarnation tells that only of a disk that was rolled back past
// another start.
bool Core::was_rolled_back(const LeaderHead& head, Output& out) {
  if (trust_ != LogTrust::sound || head.acknowledged <= last_index()) return false;
  PROBE("raft: a disk was found to be rolled back");
  out.rolled_back = true;
  out.fatal = Error{.code = Code::conflict,
                    .message = "this server, " + self_.to_string() + ", has acknowledged entry " +
                               std::to_string(head.acknowledged.value()) + " to the leader " +
                               leader_.to_string() + ", but its log ends with entry " +
                               std::to_string(last_index().value()) +
                               ": its disk was rolled back. Empty the data directory, so that it "
                               "attaches as a new server"};
  return true;
}

void Core::on_append(Append& append, Output& out) {
  const LogPosition& prev = append.prev;
  const std::optional<Term> ours = log_.term_of(prev.index);
  if (prev.index <= verified_) {
    if (ours && *ours != prev.term) return contradict(prev, out);
  } else if (ours != prev.term) {
    return reply_to_leader(prev);
  }
  const bool had_entries = !append.entries.empty();
  if (!take_entries(append, out)) return;
  follow_commit(append.head.commit);
  settle_if_caught_up();
  // What was appended is answered once it is durable.
  if (reply_due_ || (had_entries && out.append_first.value() == 0)) reply_to_leader({});
}

/// False if it cannot be: then nothing of it was taken.
bool Core::take_entries(Append& append, Output& out) {
  Index agreed = append.prev.index;
  for (Entry& entry : append.entries) {
    const Index index = entry.index;
    const std::optional<Term> ours = log_.term_of(index);
    if (index <= verified_ || ours == entry.term) {
      if (ours && *ours != entry.term) {
        contradict({.index = index, .term = entry.term}, out);
        return false;
      }
    } else {
      // Memory is bounded even if applying is slower than the log; the leader comes again.
      if (full()) break;
      if (ours) truncate_from(index, out);
      take_entry(std::move(entry), out);
    }
    agreed = index;
  }
  verified_ = std::max(verified_, agreed);
  return true;
}

void Core::take_entry(Entry entry, Output& out) {
  if (entry.kind == EntryKind::configuration) {
    auto configuration = decode_configuration(entry.payload);
    CHECK(configuration.has_value());  // as decode_message() saw
    configurations_.append(entry.index, std::move(*configuration));
  }
  if (out.append_first.value() == 0) out.append_first = entry.index;
  out.append_last = entry.index;
  log_.append(std::move(entry));
}

// 3.5, 4.1. What is on its way to the disk is cut there too, in order, so that it never counts.
void Core::truncate_from(Index index, Output& out) {
  CHECK(index > commit_);
  CHECK(index > verified_);
  PROBE("raft: a follower cut what its leader does not have");
  log_.truncate_from(index);
  configurations_.truncate_from(index);
  out.truncate_from = index;
  durable_ = std::min(durable_, index - 1);
  for (Persisting& batch : persisting_) batch.last = std::min(batch.last, index - 1);
}

/// Neither what is committed nor what this very leader has sent ever differs (3.5, 3.6.3): the
/// disks of a majority must have been lost or mixed up.
void Core::contradict(const LogPosition& theirs, Output& out) {
  out.fatal = Error{.code = Code::conflict,
                    .message = "entry " + std::to_string(theirs.index.value()) +
                               " is agreed upon here, but the leader " + leader_.to_string() +
                               " has another of term " + std::to_string(theirs.term.value())};
}

// 3.5: never above what is known to be the leader's.
void Core::follow_commit(Index commit) { commit_ = std::max(commit_, std::min(commit, verified_)); }

void Core::reply_to_leader(const LogPosition& refused) {
  AppendReply reply{.term = term(),
                    .accepted = refused.index.value() == 0,
                    .counts = trust_ == LogTrust::sound,
                    .willing = !reluctant(),
                    .match = std::min(durable_, verified_),
                    .agreed = verified_,
                    .round = heard_round_};
  if (!reply.accepted) {
    reply.rejected = refused.index;
    reply.hint = hint_below(refused);
  }
  send(leader_, reply);
}

/// The highest position of ours that the leader may agree to: within its term at that place, so
/// that a term is stepped over at once; never below what is committed.
LogPosition Core::hint_below(const LogPosition& refused) const {
  const LogPosition floor{.index = commit_, .term = log_.term_of(commit_).value_or(Term())};
  const auto found = log_.highest_at_most(refused.index, refused.term);
  return found && found->index > floor.index ? *found : floor;
}

}  // namespace doozer::raft
