// Changes of who votes and who leads (dissertation 3.10, 4.1 to 4.3).
#include <algorithm>
#include <string>
#include <utility>

#include "base/limits.h"
#include "base/probe.h"
#include "raft/core.h"
#include "raft/limits.h"

namespace doozer::raft {
namespace {

bool strictly_sorted(const std::vector<Identity>& list) {
  return std::adjacent_find(list.begin(), list.end(), std::greater_equal<>()) == list.end();
}

}  // namespace

// 4.1, 4.3: one change at a time, and none before an entry of the own term is committed: until then
// a change of an earlier leader may be in flight that this one does not know as such.
void Core::on_change_voters(ChangeVoters& change, Output& out) {
  const std::vector<Identity>& voters = change.voters;
  if (role_ != Role::leader) return refuse(out, Code::read_only, "this server does not lead");
  if (transfer_) return refuse(out, Code::busy, "leadership is being handed over");
  if (commit_ < term_first_)
    return refuse(out, Code::busy, "nothing of this term is committed yet");
  if (changing()) {
    return refuse(out, Code::busy,
                  "the change at index " + std::to_string(configuration_index().value()) +
                      " is not complete yet");
  }
  if (voters.empty()) return refuse(out, Code::bad_argument, "voters: none");
  if (voters.size() > kServersMax) {
    return refuse(out, Code::bad_argument,
                  "voters: " + std::to_string(voters.size()) + ", at most " +
                      std::to_string(kServersMax) + " are allowed");
  }
  if (!strictly_sorted(voters)) return refuse(out, Code::bad_argument, "voters: not in order");
  if (voters == configuration().voters) return refuse(out, Code::bad_argument, "voters: no change");
  append_configuration({.voters = voters, .old_voters = configuration().voters}, out);
  out.accepted_first = last_index();
}

// 4.1: in force from now on, committed or not.
void Core::append_configuration(Configuration configuration, Output& out) {
  append(EntryKind::configuration, encode_configuration(configuration), out);
  configurations_.append(last_index(), std::move(configuration));
  refresh_peers();
}

void Core::on_committed(Output& out) {
  if (!configuration_committed()) return;
  // 4.3: the joint entry is committed by both sets, so neither can decide alone any more.
  if (configuration().joint()) {
    append_configuration({.voters = configuration().voters, .old_voters = {}}, out);
    return;
  }
  if (is_voter(configuration(), self_)) return;
  // 4.2.2: the leader managed a cluster without itself until this was committed.
  PROBE("raft: a leader removed itself");
  replicate_all(out);
  leave_to_successor();
  become_follower();
}

void Core::on_transfer(const TransferLeadership& transfer, Output& out) {
  if (role_ != Role::leader) return refuse(out, Code::read_only, "this server does not lead");
  if (transfer_) return refuse(out, Code::busy, "leadership is already being handed over");
  const Progress* successor = last_successor();
  if (transfer.target) {
    successor = progress(*transfer.target);
    if (successor != nullptr && !is_successor(*successor)) successor = nullptr;
  }
  if (successor == nullptr) return refuse(out, Code::not_found, "no voter could take over");
  transfer_ = {.target = successor->identity, .until_us = now_us_ + kTransferUsMax};
}

/// 3.10: once the target has the whole log it is told to stand at once; repeated, as it may be
/// lost.
void Core::go_on_with_transfer() {
  if (!transfer_) return;
  const Progress* const target = progress(transfer_->target);
  if (target == nullptr || now_us_ >= transfer_->until_us) {
    PROBE("raft: a transfer was given up");
    transfer_.reset();
    return;
  }
  if (target->match != last_index() || now_us_ < transfer_->tell_us) return;
  transfer_->tell_us = now_us_ + kHeartbeatUs;
  send(target->identity, TimeoutNow{.term = term()});
}

/// A voter that may lead, follows us now and lacks little.
bool Core::is_successor(const Progress& peer) const {
  return peer.willing && could_take_over(peer);
}

bool Core::could_take_over(const Progress& peer) const {
  const std::vector<Identity>& voters = configuration().voters;
  return std::binary_search(voters.begin(), voters.end(), peer.identity) && peer.counts &&
         peer.state == Progress::State::replicate && peer.match >= term_first_ &&
         peer.answered_us + kElectionTimeoutMinUs > now_us_;
}

const Progress* Core::best_successor() const {
  const Progress* best = nullptr;
  for (const Progress& peer : peers_) {
    if (is_successor(peer) && (best == nullptr || peer.match > best->match)) best = &peer;
  }
  return best;
}

// For a leader that leaves anyway: one that would rather not lead is better than nobody, who would
// be found only after a time-out, and would be the same one.
const Progress* Core::last_successor() const {
  const Progress* best = best_successor();
  if (best != nullptr) return best;
  for (const Progress& peer : peers_) {
    if (could_take_over(peer) && (best == nullptr || peer.match > best->match)) best = &peer;
  }
  return best;
}

// Design section 4: who must not lead hands over as soon as another has caught up.
void Core::hand_over_if_unfit() {
  if (!reluctant() || transfer_ || role_ != Role::leader) return;
  const Progress* const successor = best_successor();
  if (successor == nullptr || successor->match < commit_) return;
  PROBE("raft: a reluctant leader hands over");
  transfer_ = {.target = successor->identity, .until_us = now_us_ + kTransferUsMax};
}

void Core::on_leadable(const SetLeadable& leadable) {
  leadable_ = leadable.leadable;
  last_resort_ = leadable.last_resort;
  if (!may_stand() && role_ == Role::candidate) become_follower();
  hand_over_if_unfit();
}

void Core::on_step_down() {
  rest_until_us_ = now_us_ + kStepDownRestUs;
  if (role_ == Role::leader) leave_to_successor();
  become_follower();
  arm_election_timer();
}

void Core::leave_to_successor() {
  const Progress* const successor = last_successor();
  if (successor != nullptr) send(successor->identity, TimeoutNow{.term = term()});
}

// 3.10: without a pre-vote, and nobody's loyalty to the leader who asks for it stands in the way.
// After the first one our term is higher, so that a second one is of a term that is over.
void Core::on_timeout_now(const Process& from) {
  if (role_ != Role::follower || from.identity != leader_) return;
  if (!may_stand() || now_us_ < rest_until_us_) return;
  begin_vote(true);
}

}  // namespace doozer::raft
