#include "raft/invariants.h"

#include <algorithm>
#include <functional>

#include "base/hash.h"
#include "raft/limits.h"
#include "raft/quorum.h"

namespace doozer::raft {

/// Looks into a core; changes nothing.
class Inspector {
 public:
  explicit Inspector(const Core& core) : core_(core) {}
  std::optional<std::string> inspect();

 private:
  void must(bool condition, const char* sentence);
  void order_of_indexes();
  void promises();
  void roles();
  void peers();
  void reads();
  void buffers();
  void configurations();

  const Core& core_;
  std::optional<std::string> wrong_;
};

void Inspector::must(bool condition, const char* sentence) {
  if (condition || wrong_) return;
  wrong_ = std::string(sentence) + " (server " + core_.self().to_string() + ", term " +
           std::to_string(core_.term().value()) + ")";
}

std::optional<std::string> Inspector::inspect() {
  order_of_indexes();
  promises();
  roles();
  peers();
  reads();
  buffers();
  configurations();
  return wrong_;
}

void Inspector::order_of_indexes() {
  must(core_.applied() <= core_.commit(), "only what is committed is applied");
  must(core_.commit() <= core_.last_index(), "only what is in the log is committed");
  must(core_.log_.below().index <= core_.applied(), "only what is applied is forgotten");
  must(core_.durable() <= core_.last_index(), "only what is in the log is durable");
  must(core_.last_term() <= core_.term(), "no entry is of a later term than the server");
  must(core_.hard_state_.commit <= core_.durable(), "the stored commit index is durable");
  for (const Core::Persisting& batch : core_.persisting_) {
    must(batch.last <= core_.last_index(), "a batch on its way holds nothing that was cut off");
  }
  must(core_.role() == Role::leader || core_.verified_ <= core_.last_index(),
       "what agrees with the leader's log is in the log");
  must(core_.role() == Role::leader || core_.commit() <= core_.verified_,
       "a follower knows nothing as committed that its leader may not have");
}

void Inspector::promises() {
  must(core_.outgoing_.empty(), "no message is forgotten");
  must(!core_.promise_dirty_, "term and vote are on their way to the disk");
  must(core_.held_.size() <= kHeldMessagesMax, "what waits for the disk is bounded");
  for (const Core::Held& held : core_.held_) {
    must(held.sequence > core_.persisted_sequence_, "what may be heard of is not held back");
  }
}

void Inspector::roles() {
  const bool led = core_.role() == Role::leader;
  const bool stands = core_.role() == Role::candidate;
  must(!led || core_.leader() == core_.self(), "a leader knows that it leads");
  must(!led || core_.promise_sequence_ <= core_.persisted_sequence_,
       "the vote of a leader for itself was durable (3.4)");
  must(!led || core_.hard_state_.vote == core_.self(), "a leader voted for itself");
  must(!led || core_.last_index() >= core_.term_first_, "a leader appended its noop (6.4)");
  must(!stands || core_.pre_ || core_.hard_state_.vote == core_.self(),
       "a candidate voted for itself (3.4)");
  must(!stands || core_.configurations_.votes_since(core_.commit(), core_.self()),
       "whose removal is committed does not stand (4.2.2)");
  must(core_.trust() == LogTrust::sound || !led, "who doubts its own log does not lead");
  must(core_.trust() != LogTrust::repairing || !stands, "who lacks entries does not stand");
  must(led || core_.peers_.empty(), "only a leader keeps progress");
  must(led || !core_.transfer_, "only a leader hands over");
}

void Inspector::peers() {
  for (size_t i = 0; i < core_.peers_.size(); ++i) {
    const Progress& peer = core_.peers_[i];
    must(i == 0 || core_.peers_[i - 1].identity < peer.identity, "each peer is known once");
    must(peer.identity != core_.self(), "a leader sends itself nothing");
    must(peer.match < peer.next, "what is durable at a peer is not sent again");
    must(peer.next <= core_.last_index() + 1, "nothing is sent before it is appended");
    must(peer.round <= core_.round_, "no round is answered before it was sent");
    must(peer.inflight.size() <= kInflightMessagesMax, "messages under way are bounded");
    must(peer.state == Progress::State::replicate || peer.inflight.empty(),
         "only a peer that agrees is sent ahead");
    uint64_t bytes = 0;
    for (const Progress::Sent& sent : peer.inflight) {
      must(sent.last > peer.match && sent.last < peer.next, "what is under way is not durable yet");
      bytes += sent.bytes;
    }
    must(bytes == peer.inflight_bytes, "bytes under way are counted");
    must(bytes <= kInflightBytesMax + kCommandBytesMax + kAppendBytesMax,
         "bytes under way are bounded");
  }
}

void Inspector::reads() {
  uint64_t before = 0;
  for (const Core::LeaderRead& read : core_.leader_reads_) {
    must(read.round >= before, "reads are answered in the order of their rounds");
    must(read.round <= core_.round_ + 1, "a read waits for the next round at most");
    before = read.round;
  }
  must(core_.role() == Role::leader || core_.leader_reads_.empty(),
       "only a leader answers reads (6.4)");
}

void Inspector::buffers() {
  must(core_.gone_.size() <= kGoneMax, "remembered deaths are bounded");
  must(core_.deferred_.size() <= kServersMax, "questions that wait for proof are bounded");
  const size_t asked = core_.asked_ ? core_.asked_->questions.size() : 0;
  must(core_.tickets_.size() + asked <= kReadTicketsMax, "reads that wait are bounded");
  must(core_.leader_reads_.size() <= kReadTicketsMax + kServersMax * kReadsPerAskerMax,
       "reads at the leader are bounded");
  must(core_.peers_.size() <= 3 * kServersMax, "peers are bounded");
}

void Inspector::configurations() {
  const Configuration& now = core_.configuration();
  const Index from = core_.configuration_index();
  must(from <= core_.last_index(), "a truncated configuration is reverted");
  // One that is committed may be a snapshot's.
  if (from > core_.commit() && from <= core_.last_index()) {
    must(core_.entry(from).kind == EntryKind::configuration,
         "a configuration in force is in the log (4.1)");
  }
  must(now.voters.size() <= kServersMax, "voters are bounded");
  must(std::is_sorted(now.voters.begin(), now.voters.end()), "voters are in order");
  must(!now.joint() || !now.voters.empty(), "a joint configuration has both sets");
}

std::optional<std::string> check(const Core& core) { return Inspector(core).inspect(); }

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

void Witness::restarted(const Core& core) {
  lives_[core.self()] = {.term = core.term(),
                         .commit = core.commit(),
                         .last = {.index = core.last_index(), .term = core.last_term()},
                         .role = Role::follower,
                         .sound = core.trust() == LogTrust::sound};
}

std::optional<std::string> Witness::see(const Core& core, const Output& output) {
  Life& life = lives_[core.self()];
  const Life before = life;
  life = {.term = core.term(),
          .commit = core.commit(),
          .last = {.index = core.last_index(), .term = core.last_term()},
          .role = core.role(),
          .sound = core.trust() == LogTrust::sound};
  see_durable(core, output);
  if (auto wrong = see_reads(core, before)) return wrong;
  if (core.term() < before.term) return named(core, "a term never falls (3.3)");
  if (core.commit() < before.commit) return named(core, "what is committed stays so (3.6)");
  if (auto wrong = see_log(core, before)) return wrong;
  if (auto wrong = see_leader(core, before)) return wrong;
  if (auto wrong = see_commit(core, before)) return wrong;
  if (auto wrong = see_majority(core, before)) return wrong;
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

// 6.4: what was sent before a read came says nothing of the time after, and only answers count.
Witness::Complaint Witness::see_reads(const Core& core, const Life& before) {
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

// 4.3: a leader leaves a joint configuration only once it is committed, and enters one only from a
// committed configuration, whose voters are the old set.
Witness::Complaint Witness::see_configurations(const Core& core, const Output& output) const {
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
