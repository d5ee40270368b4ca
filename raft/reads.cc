// Read index (dissertation 6.4): linearizable reads without the log and without trusting a clock.
//
// A read is registered with the commit index and the number of a round that is sent after it; once
// a majority has answered that round, no other leader can have committed anything before the read
// came. A round serves all reads that were registered before it was sent. Rounds count within one
// leadership, and a term has one leadership.
#include <algorithm>

#include "raft/core.h"
#include "raft/limits.h"

namespace doozer::raft {

void Core::on_read(const ReadIndex& read, Output& out) {
  const size_t asked = asked_ ? asked_->questions.size() : 0;
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
  std::erase_if(asked_->questions, [&](const Question& one) { return old(one.ticket); });
  if (asked_->questions.empty()) asked_.reset();
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

/// At a follower: what gathered while a question was under way shares the next one. A question that
/// is asked again carries all that were not answered; a late answer to the first one still serves.
void Core::ask_leader() {
  if (leader_.none() || role_ != Role::follower) return;
  if (asked_ && now_us_ < asked_->at_us + kReadRetryUs) return;
  if (!asked_ && tickets_.empty()) return;
  if (!asked_) asked_ = Asked{};
  ++read_id_;
  asked_->at_us = now_us_;
  for (const uint64_t ticket : tickets_) {
    asked_->questions.push_back({.ticket = ticket, .first_id = read_id_});
  }
  tickets_.clear();
  send(leader_, ReadRequest{.term = term(), .asker = incarnation_, .id = read_id_});
}

/// There is a new leader: what the old one was asked, it may never answer.
void Core::ask_again() {
  take_back_questions();
  ask_leader();
}

void Core::take_back_questions() {
  if (!asked_) return;
  std::vector<uint64_t> tickets;
  for (const Question& one : asked_->questions) tickets.push_back(one.ticket);
  tickets_.insert(tickets_.begin(), tickets.begin(), tickets.end());
  asked_.reset();
}

void Core::on_read_request(const Process& from, const ReadRequest& request) {
  if (role_ != Role::leader || leader_reads_.size() >= kReadTicketsMax) return;
  // The oldest are kept: they are answered first, and serve what is asked again.
  const auto waiting =
      std::count_if(leader_reads_.begin(), leader_reads_.end(),
                    [&](const LeaderRead& read) { return read.asker.identity == from.identity; });
  if (static_cast<size_t>(waiting) >= kReadsPerAskerMax) return;
  register_read(request.id, {.identity = from.identity, .incarnation = request.asker});
}

void Core::on_read_reply(const ReadReply& reply, Output& out) {
  if (!asked_ || reply.asker != incarnation_ || reply.id > read_id_) return;
  const auto served = [&](const Question& one) { return one.first_id <= reply.id; };
  for (const Question& one : asked_->questions) {
    if (served(one)) out.reads.push_back({.ticket = one.ticket, .index = reply.index});
  }
  std::erase_if(asked_->questions, served);
  if (asked_->questions.empty()) asked_.reset();
  ask_leader();
}

void Core::adopt_reads() {
  take_back_questions();
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
