#include "raft/core.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace doozer::raft {

Result<Core> Core::make(const CoreOptions& options) {
  const Configuration alone{.voters = {options.self}, .old_voters = {}};
  if (options.configuration != alone) {
    return fail(Code::unsupported,
                "this server's configuration has " +
                    std::to_string(options.configuration.voters.size()) +
                    " voters; this version runs a cluster of one, which must be itself, " +
                    options.self.to_string());
  }
  CHECK(options.applied <= options.last_index);
  CHECK(options.hard_state.commit <= options.last_index);
  Core core;
  core.self_ = options.self;
  core.hard_state_ = options.hard_state;
  core.configuration_ = options.configuration;
  core.last_index_ = options.last_index;
  core.last_term_ = options.last_term;
  core.durable_ = options.last_index;
  core.first_kept_ = options.last_index + 1;
  return core;
}

Output Core::step(Input input) {
  Output out;
  std::visit(
      [&](auto& event) {
        using E = std::decay_t<decltype(event)>;
        if constexpr (std::is_same_v<E, Tick>) {
          if (role_ == Role::follower) campaign(out);
        } else if constexpr (std::is_same_v<E, Propose>) {
          on_propose(event, out);
        } else if constexpr (std::is_same_v<E, Persisted>) {
          on_persisted(event, out);
        } else if constexpr (std::is_same_v<E, AppliedTo>) {
          on_applied(event);
        } else {
          static_assert(std::is_same_v<E, ReadIndex>);
          on_read(event, out);
        }
      },
      input.event);
  // Commit is only ever the durable log's: one voter is a majority of one.
  CHECK(hard_state_.commit <= durable_);
  CHECK(durable_ <= last_index_);
  out.apply_to = role_ == Role::leader ? hard_state_.commit : Index(0);
  return out;
}

const Entry& Core::entry(Index index) const {
  CHECK(index >= first_kept_);
  CHECK(index <= last_index_);
  return entries_[index - first_kept_];
}

// Dissertation 3.4: term and vote are durable before the vote counts, our own too.
void Core::campaign(Output& out) {
  role_ = Role::candidate;
  ++hard_state_.term;
  hard_state_.vote = self_;
  ask_to_persist(out);
  vote_sequence_ = out.persist_sequence;
}

// Dissertation 3.6.2, 6.4: an entry of the own term must commit before older ones count as
// committed and before reads are answered.
void Core::become_leader(Output& out) {
  role_ = Role::leader;
  term_first_ = last_index_ + 1;
  out.append_first = term_first_;
  append(EntryKind::noop, {}, out);
  ask_to_persist(out);
}

void Core::append(EntryKind kind, std::string payload, Output& out) {
  ++last_index_;
  last_term_ = hard_state_.term;
  entries_.push_back(
      Entry{.index = last_index_, .term = last_term_, .kind = kind, .payload = std::move(payload)});
  out.append_last = last_index_;
}

void Core::ask_to_persist(Output& out) {
  out.persist_sequence = ++persist_sequence_;
  out.hard_state = hard_state_;
  pending_.push_back({.persist_sequence = persist_sequence_, .last = last_index_});
}

void Core::on_propose(Propose& propose, Output& out) {
  if (role_ != Role::leader) {
    out.refused = true;
    return;
  }
  CHECK(!propose.proposals.empty());
  out.accepted_first = last_index_ + 1;
  out.append_first = out.accepted_first;
  for (Proposal& proposal : propose.proposals) {
    CHECK(proposal.kind == EntryKind::command);
    append(proposal.kind, std::move(proposal.payload), out);
  }
  ask_to_persist(out);
}

void Core::on_persisted(const Persisted& persisted, Output& out) {
  CHECK(persisted.persist_sequence <= persist_sequence_);
  while (!pending_.empty() && pending_.front().persist_sequence <= persisted.persist_sequence) {
    CHECK(pending_.front().last >= durable_);
    durable_ = pending_.front().last;
    pending_.pop_front();
  }
  if (role_ == Role::candidate && persisted.persist_sequence >= vote_sequence_) {
    become_leader(out);
    return;
  }
  if (role_ != Role::leader || durable_ < term_first_) return;
  hard_state_.commit = std::max(hard_state_.commit, durable_);
  for (const uint64_t ticket : waiting_reads_) {
    out.reads.push_back({.ticket = ticket, .index = hard_state_.commit});
  }
  waiting_reads_.clear();
}

void Core::on_applied(const AppliedTo& applied) {
  CHECK(applied.index <= hard_state_.commit);
  while (!entries_.empty() && first_kept_ <= applied.index) {
    entries_.pop_front();
    ++first_kept_;
  }
}

// 6.4: the leader of a cluster of one needs nobody's confirmation, but its own term's first entry
// must have committed.
void Core::on_read(const ReadIndex& read, Output& out) {
  if (role_ == Role::leader && hard_state_.commit >= term_first_) {
    out.reads.push_back({.ticket = read.ticket, .index = hard_state_.commit});
  } else {
    waiting_reads_.push_back(read.ticket);
  }
}

}  // namespace doozer::raft
