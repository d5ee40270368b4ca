#include "raft/witness.h"

#include <algorithm>
#include <functional>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/hash.h"
#include "raft/limits.h"
#include "raft/quorum.h"

namespace doozer::raft {
namespace {

std::string named(const Core& core, const std::string& sentence) {
  return sentence + " (server " + core.self().to_string() + ", term " +
         std::to_string(core.term().value()) + ")";
}

std::string at(Index index) { return " at index " + std::to_string(index.value()); }

/// As logs are compared (3.6.1).
bool older(const LogPosition& a, const LogPosition& b) {
  return a.term != b.term ? a.term < b.term : a.index < b.index;
}

/// More than half of them, counted here without the help of what is judged.
bool most(const std::vector<Identity>& voters, const std::function<bool(const Identity&)>& is) {
  size_t count = 0;
  for (const Identity& voter : voters) count += is(voter) ? 1 : 0;
  return 2 * count > voters.size();
}

bool most_of_both(const Configuration& configuration,
                  const std::function<bool(const Identity&)>& is) {
  return most(configuration.voters, is) &&
         (configuration.old_voters.empty() || most(configuration.old_voters, is));
}

}  // namespace

Witness::Life Witness::life_of(const Core& core) {
  return {.term = core.term(),
          .commit = core.commit(),
          .last = {.index = core.last_index(), .term = core.last_term()},
          .role = core.role(),
          .sound = core.trust() == LogTrust::sound,
          .incarnation = core.incarnation_};
}

// 3.8, design section 5: term and vote outlive a server, and no two of its lives have one name.
// Whose log is damaged below what was synced may lack both, and knows it.
std::optional<std::string> Witness::restarted(const Core& core) {
  const Life before = std::exchange(lives_[core.self()], life_of(core));
  asked_.erase(core.self());
  Promises& promises = promises_[core.self()];
  promises.under_way.clear();
  const Promise durable = promises.durable;
  const Promise now{.term = core.term(), .vote = core.hard_state_.vote};
  // Else the core itself has changed it, and asks for that to be made durable.
  if (!core.promise_dirty_) promises.durable = now;
  if (unseen_.contains(core.self())) return std::nullopt;
  if (core.incarnation_ <= before.incarnation) {
    return named(core, "two lives of a server have one incarnation");
  }
  if (core.trust() == LogTrust::repairing) return std::nullopt;
  if (now.term < durable.term) return named(core, "a server forgot a term that was durable (3.8)");
  if (now.term == durable.term && !durable.vote.none() && now.vote != durable.vote) {
    return named(core, "a server forgot a vote that was durable (3.8)");
  }
  return std::nullopt;
}

std::optional<std::string> Witness::see(const Core& core, const Output& output) {
  Life& life = lives_[core.self()];
  const Life before = std::exchange(life, life_of(core));
  see_durable(core, output);
  see_hard_state(core, output);
  if (auto wrong = see_rounds(core, before)) return wrong;
  if (auto wrong = see_reads(core, output)) return wrong;
  if (core.term() < before.term) return named(core, "a term never falls (3.3)");
  if (core.commit() < before.commit) return named(core, "what is committed stays so (3.6)");
  if (auto wrong = see_log(core, before)) return wrong;
  if (auto wrong = see_leader(core, before)) return wrong;
  if (auto wrong = see_following(core)) return wrong;
  if (auto wrong = see_commit(core, before)) return wrong;
  if (auto wrong = see_majority(core, before)) return wrong;
  if (auto wrong = see_told(core, output)) return wrong;
  if (auto wrong = see_promises(core, output)) return wrong;
  return see_configurations(core, output);
}

/// What a server was told to cut, it has not lost.
void Witness::see_durable(const Core& core, const Output& output) {
  const auto term = core.term_of(core.durable());
  if (!term) return;
  const LogPosition now{.index = core.durable(), .term = *term};
  LogPosition& newest = durable_[core.self()];
  const bool cut = output.truncate_from || output.reset_log;
  newest = cut ? now : std::max(newest, now, older);
}

// Design section 5: a disk has lost what was durable on it, and the log has not caught up.
bool Witness::lacks(const Core& core) const {
  const auto durable = durable_.find(core.self());
  const LogPosition last{.index = core.last_index(), .term = core.last_term()};
  return durable != durable_.end() && older(last, durable->second);
}

// Log matching (3.5): an entry is known by index and term, here and wherever it is; and so, by
// induction over the terms before, is all that it follows.
Witness::Complaint Witness::see_log(const Core& core, const Life& before) {
  const LogPosition last{.index = core.last_index(), .term = core.last_term()};
  if (last == before.last) return std::nullopt;
  for (Index index = last.index; index >= core.first_kept(); index = index - 1) {
    const Entry& entry = core.entry(index);
    const Known known{.previous = core.term_of(index - 1).value_or(Term()),
                      .kind = entry.kind,
                      .payload_hash = hash128(entry.payload).low};
    const auto [found, fresh] = entries_.try_emplace({index, entry.term}, known);
    if (found->second != known) return named(core, "two logs differ" + at(index) + " (3.5)");
    if (!fresh) break;
  }
  return std::nullopt;
}

// Election safety (3.2): one leader a term. Leader completeness (3.6.3): it has all that any server
// of an earlier term knew to be committed. Leaders append only (3.5).
Witness::Complaint Witness::see_leader(const Core& core, const Life& before) {
  if (core.role() != Role::leader) return std::nullopt;
  const auto [found, fresh] = leaders_.try_emplace(core.term(), core.self());
  if (found->second != core.self()) return named(core, "a term has two leaders (3.4)");
  if (!fresh && before.term == core.term() && before.role == Role::leader &&
      core.last_index() < before.last.index) {
    return named(core, "a leader cut its own log (3.5)");
  }
  if (!fresh) return std::nullopt;
  if (auto wrong = see_election(core, before)) return wrong;
  for (auto entry = committed_.rbegin(); entry != committed_.rend(); ++entry) {
    const auto& [index, committed] = *entry;
    if (index < core.first_kept()) break;
    if (committed.seen_in >= core.term()) continue;
    if (core.term_of(index) != committed.term) {
      return named(core, "a leader lacks what was committed" + at(index) + " (3.6.3)");
    }
  }
  return std::nullopt;
}

// 3.2, 3.3: messages of a term that is over make nobody a leader of this one.
Witness::Complaint Witness::see_following(const Core& core) const {
  if (core.role() != Role::follower || core.leader().none()) return std::nullopt;
  if (unseen_.contains(core.leader())) return std::nullopt;
  const auto leader = leaders_.find(core.term());
  if (leader != leaders_.end() && leader->second == core.leader()) return std::nullopt;
  return named(core, "a server follows one that does not lead in its term (3.3)");
}

// 3.4, 4.3: a majority has voted for it, of both sets while they share the power. What doubtful
// logs grant counts if all grant theirs (docs/consensus.md, "A log in doubt").
Witness::Complaint Witness::see_election(const Core& core, const Life& before) const {
  const Configuration& configuration = core.configuration_at(before.last.index);
  const auto voted = [&](const Identity& voter, bool sound_only) {
    if (unseen_.contains(voter)) return true;
    const auto vote = votes_.find({core.term(), voter});
    if (voter == core.self()) return !sound_only || before.sound;
    return vote != votes_.end() && vote->second.candidate == core.self() &&
           (vote->second.counts || !sound_only);
  };
  if (most_of_both(configuration, [&](const Identity& v) { return voted(v, true); })) {
    return std::nullopt;
  }
  const std::vector<Identity> all = all_voters(configuration);
  if (std::ranges::all_of(all, [&](const Identity& v) { return voted(v, false); })) {
    return std::nullopt;
  }
  return named(core, "a leader has no majority of the votes (3.4, 4.3)");
}

/// An entry by index and term is the same everywhere, with all that it follows; what was durable at
/// a voter once, nobody is elected without.
bool Witness::holds(const Identity& voter, const LogPosition& entry) const {
  if (unseen_.contains(voter)) return true;
  const auto found = durable_.find(voter);
  if (found == durable_.end()) return false;
  LogPosition at = found->second;
  while (at.index > entry.index && at.term != entry.term) {
    const auto known = entries_.find({at.index, at.term});
    if (known == entries_.end()) return true;  // a snapshot's: what it stands for is committed
    at = {.index = at.index - 1, .term = known->second.previous};
  }
  return at.index >= entry.index && at.term == entry.term;
}

// 3.5, 3.6.2, 4.3: a leader calls committed what is durable at a majority, of both sets while they
// share the power.
Witness::Complaint Witness::see_majority(const Core& core, const Life& before) const {
  if (core.role() != Role::leader || core.commit() <= before.commit) return std::nullopt;
  const LogPosition entry{.index = core.commit(), .term = *core.term_of(core.commit())};
  // The step that commits a joint configuration appends the next one.
  const Configuration& configuration = core.configuration_at(before.last.index);
  const auto has = [&](const Identity& voter) { return holds(voter, entry); };
  if (most_of_both(configuration, has)) return std::nullopt;
  return named(
      core, "no majority holds what a leader calls committed" + at(entry.index) + " (3.6.2, 4.3)");
}

// State machine safety (3.6.3): no two servers know different entries as committed at one index.
Witness::Complaint Witness::see_commit(const Core& core, const Life& before) {
  for (Index index = std::max(before.commit + 1, core.first_kept()); index <= core.commit();
       ++index) {
    const Committed committed{.term = *core.term_of(index), .seen_in = core.term()};
    const auto [found, fresh] = committed_.try_emplace(index, committed);
    if (found->second.term != committed.term) {
      return named(core, "two servers committed different entries" + at(index) + " (3.6.3)");
    }
    if (!fresh) found->second.seen_in = std::min(found->second.seen_in, committed.seen_in);
  }
  return std::nullopt;
}

// 6.4: whatever anybody knew to be committed when a read was asked for, the read shows.
Witness::Complaint Witness::see_reads(const Core& core, const Output& output) {
  constexpr size_t kTicketsKept = 2 * kReadTicketsMax;  // those that were given up stay
  Asked& asked = asked_[core.self()];
  // At most one comes with each step, and they rise.
  uint64_t newest = asked.newest;
  if (!core.tickets_.empty()) newest = std::max(newest, core.tickets_.back());
  if (core.asked_ && !core.asked_->questions.empty()) {
    newest = std::max(newest, core.asked_->questions.back().ticket);
  }
  if (!core.leader_reads_.empty() && core.leader_reads_.back().asker.identity.none()) {
    newest = std::max(newest, core.leader_reads_.back().ticket);
  }
  for (const ReadReady& read : output.reads) newest = std::max(newest, read.ticket);
  if (newest > asked.newest) asked.tickets.emplace(newest, committed());
  asked.newest = newest;
  if (asked.tickets.size() > kTicketsKept) asked.tickets.erase(asked.tickets.begin());
  for (const ReadReady& read : output.reads) {
    const auto found = asked.tickets.find(read.ticket);
    if (found == asked.tickets.end()) continue;
    const Index known = found->second;
    asked.tickets.erase(found);
    if (read.index >= known) continue;
    return named(core, "a read is older than what was committed before it came" + at(known) +
                           ", it shows " + std::to_string(read.index.value()) + " (6.4)");
  }
  return std::nullopt;
}

// 6.4: what was sent before a read came says nothing of the time after, and only answers count.
Witness::Complaint Witness::see_rounds(const Core& core, const Life& before) {
  Life& life = lives_[core.self()];
  life.round_sent = core.round_sent_;
  for (const Progress& peer : core.peers_) {
    const auto told = rounds_.find({core.term(), peer.identity});
    const uint64_t round = told == rounds_.end() ? 0 : told->second;
    if (peer.round > round && !unseen_.contains(peer.identity)) {
      return named(core, "a round counts as answered before it was (6.4)");
    }
  }
  if (core.leader_reads_.empty()) return std::nullopt;
  const Core::LeaderRead& read = core.leader_reads_.back();
  life.newest_read = {read.ticket, read.asker.identity};
  const bool went_on = before.role == Role::leader && before.term == core.term();
  if (!went_on || life.newest_read == before.newest_read || read.round > before.round_sent) {
    return std::nullopt;
  }
  return named(core, "a read counts on a round that was sent before it came (6.4)");
}

// 3.4: one vote a term, over all lives of a server. Whose disk has lost what was durable on it does
// not vote as if it had not, before it has caught up (design section 5).
Witness::Complaint Witness::see_vote(const Core& core, Term term, const Ballot& ballot) {
  const auto [found, fresh] = votes_.try_emplace({term, core.self()}, ballot);
  if (found->second.candidate != ballot.candidate) {
    return named(core, ballot.candidate == core.self() ? "a candidate had voted for another (3.4)"
                                                       : "a server voted twice in a term (3.4)");
  }
  found->second.counts = ballot.counts;
  if (!ballot.counts || !lacks(core)) return std::nullopt;
  return named(core, "who has lost entries voted as if it had not" + at(core.last_index()));
}

void Witness::see_hard_state(const Core& core, const Output& output) {
  Promises& promises = promises_[core.self()];
  if (output.hard_state) {
    const Promise asked{.term = output.hard_state->term, .vote = output.hard_state->vote};
    promises.under_way.emplace_back(output.persist_sequence, asked);
  }
  while (!promises.under_way.empty() &&
         promises.under_way.front().first <= core.persisted_sequence_) {
    promises.durable = promises.under_way.front().second;
    promises.under_way.pop_front();
  }
}

// 3.4, 3.8: term and vote are durable before anybody hears of them, in whatever message.
Witness::Complaint Witness::see_told(const Core& core, const Output& output) const {
  const Promise& durable = promises_.at(core.self()).durable;
  const auto voted = [&](Term term, const Identity& candidate) {
    return durable.term > term || (durable.term == term && durable.vote == candidate);
  };
  for (const Send& send : output.sends) {
    const Term term = std::visit(
        [&](const auto& message) {
          using M = std::decay_t<decltype(message)>;
          if constexpr (std::is_same_v<M, AppendRange> || std::is_same_v<M, SnapshotOffer>) {
            return message.head.term;
          } else if constexpr (std::is_same_v<M, RequestVote>) {
            return message.pre ? Term() : message.term;  // nobody is in it yet
          } else {
            return message.term;
          }
        },
        send.message);
    if (term > durable.term) return named(core, "a term was told before it was durable (3.8)");
    const auto* vote = std::get_if<VoteReply>(&send.message);
    const bool granted = vote != nullptr && vote->granted && !vote->pre;
    const auto* request = std::get_if<RequestVote>(&send.message);
    const bool stands = request != nullptr && !request->pre;
    if ((granted && !voted(vote->asked_term, send.to)) ||
        (stands && !voted(request->term, core.self()))) {
      return named(core, "a vote was told before it was durable (3.4, 3.8)");
    }
  }
  return std::nullopt;
}

Witness::Complaint Witness::see_promises(const Core& core, const Output& output) {
  for (const Send& send : output.sends) {
    const auto* vote = std::get_if<VoteReply>(&send.message);
    if (vote != nullptr && vote->granted && !vote->pre) {
      const Ballot ballot{.candidate = send.to, .counts = vote->counts};
      if (auto wrong = see_vote(core, vote->asked_term, ballot)) return wrong;
    }
    const auto* request = std::get_if<RequestVote>(&send.message);
    if (request != nullptr && !request->pre) {
      const Ballot ballot{.candidate = core.self(), .counts = core.trust() == LogTrust::sound};
      if (auto wrong = see_vote(core, request->term, ballot)) return wrong;
    }
    const auto* answer = std::get_if<AppendReply>(&send.message);
    if (answer != nullptr) {
      uint64_t& round = rounds_[{answer->term, core.self()}];
      round = std::max(round, answer->round);
    }
    if (answer != nullptr && answer->match > core.durable()) {
      return named(core, "an acknowledgement names what is not durable" + at(answer->match));
    }
    if (answer != nullptr && answer->counts && lacks(core)) {
      return named(core, "who has lost entries counts as if it had not" + at(core.last_index()));
    }
  }
  return std::nullopt;
}

// 4.1: a configuration is cut off with its entry.
// 4.3: a leader leaves a joint configuration only once it is committed, and enters one only from a
// committed configuration, whose voters are the old set.
Witness::Complaint Witness::see_configurations(const Core& core, const Output& output) const {
  if (output.truncate_from) {
    // Also one that a newer one hides.
    for (Index one = core.configuration_index(); one >= *output.truncate_from;
         one = core.configurations_.index_at(one - 1)) {
      if (one <= core.last_index() && core.entry(one).kind == EntryKind::configuration) continue;
      return named(core, "a configuration outlives its entry" + at(one) + " (4.1)");
    }
  }
  const bool appended =
      output.append_first.value() != 0 && core.configuration_index() >= output.append_first;
  if (core.role() != Role::leader || !appended) return std::nullopt;
  const Index index = core.configuration_index();
  const Configuration& before = core.configuration_at(index - 1);
  const Configuration& now = core.configuration();
  if (core.configurations_.index_at(index - 1) > core.commit()) {
    return named(core, "two changes were in flight" + at(index) + " (4.1)");
  }
  if (core.term_of(core.commit()) != core.term()) {
    return named(
        core, "a change came before an entry of the own term was committed" + at(index) + " (4.1)");
  }
  const bool follows = now.joint() ? now.old_voters == before.voters && !before.joint()
                                   : before.joint() && now.voters == before.voters;
  if (!follows) return named(core, "a change skipped its joint majority" + at(index) + " (4.3)");
  return std::nullopt;
}

}  // namespace doozer::raft
