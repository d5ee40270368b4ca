// Read index (dissertation 6.4): linearizable reads without the log and without trusting a clock.
//
// A read is registered with the commit index and the number of a round that is sent after it; once
// a majority has answered that round, no other leader can have committed anything before the read
// came. A round serves all reads that were registered before it was sent. Rounds count within one
// leadership, and a term has one leadership.
#include <algorithm>
#include <utility>

#include "raft/core.h"
#include "raft/limits.h"

namespace doozer::raft {

void Core::on_read(const ReadIndex& read, Output& out) {
  const size_t asked = asked_ ? asked_->tickets.size() : 0;
  if (tickets_.size() + asked + leader_reads_.size() >= kReadTicketsMax) {
    return refuse(out, Code::busy, "too many reads wait");
  }
  if (role_ == Role::leader) return register_read(read.ticket, {});
  tickets_.push_back(read.ticket);
  ask_leader();
}

void Core::on_cancel(const CancelReads& cancel) {
  const auto old = [&](uint64_t ticket) { return ticket <= cancel.up_to; };
  std::erase_if(tickets_, old);
  std::erase_if(leader_reads_, [&](const LeaderRead& read) {
    return read.asker.identity.none() && old(read.ticket);
  });
  if (!asked_) return;
  std::erase_if(asked_->tickets, old);
  if (asked_->tickets.empty()) asked_.reset();
}

/// Our noop's index stands for a commit index that is not known yet: all that was ever acknowledged
/// before is at or below it.
void Core::register_read(uint64_t ticket, const Process& asker) {
  if (confirmed_round() == round_) ++round_;
  const bool on_its_way = round_sent_ == round_;
  leader_reads_.push_back({.round = on_its_way ? round_ + 1 : round_,
                           .index = std::max(commit_, term_first_),
                           .ticket = ticket,
                           .asker = asker});
}

uint64_t Core::confirmed_round() const {
  return majority_value(configuration(), [&](const Identity& voter) {
    if (voter == self_) return round_;
    const Progress* peer = progress(voter);
    return peer == nullptr || !peer->counts ? 0 : peer->round;
  });
}

void Core::answer_reads(Output& out) {
  if (leader_reads_.empty()) return;
  const uint64_t confirmed = confirmed_round();
  while (!leader_reads_.empty() && commit_ >= term_first_ &&
         leader_reads_.front().round <= confirmed) {
    const LeaderRead& read = leader_reads_.front();
    if (read.asker.identity.none()) {
      out.reads.push_back({.ticket = read.ticket, .index = read.index});
    } else {
      send(read.asker.identity, ReadReply{.term = term(),
                                          .asker = read.asker.incarnation,
                                          .id = read.ticket,
                                          .index = read.index});
    }
    leader_reads_.pop_front();
  }
  // Those that came while a round was under way share the next one.
  if (!leader_reads_.empty() && leader_reads_.back().round > round_ && confirmed == round_)
    ++round_;
}

/// At a follower: one question at a time is under way, and carries all tickets there are.
void Core::ask_leader() {
  if (leader_.none() || role_ != Role::follower) return;
  if (asked_ && now_us_ < asked_->at_us + kReadRetryUs) return;
  if (!asked_ && tickets_.empty()) return;
  std::vector<uint64_t> tickets;
  if (asked_) tickets = std::move(asked_->tickets);
  tickets.insert(tickets.end(), tickets_.begin(), tickets_.end());
  tickets_.clear();
  asked_ = Asked{.id = ++read_id_, .at_us = now_us_, .tickets = std::move(tickets)};
  send(leader_, ReadRequest{.term = term(), .asker = incarnation_, .id = asked_->id});
}

/// There is a new leader: what the old one was asked, it may never answer.
void Core::ask_again() {
  if (asked_) {
    tickets_.insert(tickets_.begin(), asked_->tickets.begin(), asked_->tickets.end());
    asked_.reset();
  }
  ask_leader();
}

void Core::on_read_request(const Process& from, const ReadRequest& request) {
  if (role_ != Role::leader) return;
  std::erase_if(leader_reads_,
                [&](const LeaderRead& read) { return read.asker.identity == from.identity; });
  if (leader_reads_.size() >= kReadTicketsMax) return;
  register_read(request.id, {.identity = from.identity, .incarnation = request.asker});
}

void Core::on_read_reply(const ReadReply& reply, Output& out) {
  if (!asked_ || reply.asker != incarnation_ || reply.id != asked_->id) return;
  for (const uint64_t ticket : asked_->tickets) {
    out.reads.push_back({.ticket = ticket, .index = reply.index});
  }
  asked_.reset();
  ask_leader();
}

void Core::adopt_reads() {
  if (asked_) {
    tickets_.insert(tickets_.begin(), asked_->tickets.begin(), asked_->tickets.end());
    asked_.reset();
  }
  for (const uint64_t ticket : tickets_) register_read(ticket, {});
  tickets_.clear();
}

/// We lead no longer: our own reads are for the next leader, those of others will be asked again.
void Core::return_reads() {
  for (const LeaderRead& read : leader_reads_) {
    if (read.asker.identity.none()) tickets_.push_back(read.ticket);
  }
  leader_reads_.clear();
}

}  // namespace doozer::raft
