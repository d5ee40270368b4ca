// The consensus core: step(Input) -> Output. No I/O, no clock, no randomness but what its seed and
// Input bring (Raft dissertation, chapters 3, 4, 6.4, 9.6; design section 4; docs/consensus.md).
//
//   election.cc     time-outs, pre-vote, votes, proof of death, becoming leader
//   replication.cc  what a leader sends, its heartbeats, what counts as committed
//   follow.cc       what a follower takes, truncates, answers
//   reads.cc        read index
//   change.cc       joint changes, transfer, stepping down
//   snapshot.cc     offers, installing, what is forgotten
//   trust.cc        doubtful and repairing logs
//
// It must never: let a vote, a term or an entry be heard of before Persisted says that it is
// durable, count an entry as its own before that, let `apply_to` pass what a majority holds
// durably, or change its mind about what it once called committed. raft/invariants.h and
// raft/witness.h say all this in a form that is checked after every step of every test.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/types.h"
#include "raft/configuration_history.h"
#include "raft/events.h"
#include "raft/limits.h"
#include "raft/log_window.h"
#include "raft/message.h"
#include "raft/progress.h"
#include "raft/quorum.h"
#include "raft/types.h"

namespace doozer::raft {

/// A candidate asks for pre-votes or for votes.
enum class Role : uint8_t { follower, candidate, leader };

/// How much of the log may be in memory: of what is applied, for peers that lag, and of the rest.
struct Retention {
  size_t bytes = kRetainedLogBytes;
  size_t entries = kRetainedEntries;
  size_t pinned_bytes = kPinnedLogBytes;  ///< for one that lags more, but answers
  size_t pinned_entries = kPinnedEntries;
  size_t unapplied_bytes = kUnappliedBytesMax;  ///< beyond: nothing more is taken
};

/// What a member starts with: what recovery found (storage/) and who it is.
struct CoreOptions {
  Identity self;
  Incarnation incarnation = Incarnation(1);
  uint64_t seed = 0;        ///< of the time-outs
  bool never_lead = false;  ///< leads only rather than nobody, and hands over soon
  /// Of log and snapshot, by rising index; at least the newest one committed and all after it.
  /// Empty: a standby that never stands for election.
  std::vector<ConfigurationAt> configurations;
  HardState hard_state;        ///< as recovered
  std::vector<Entry> entries;  ///< the tail of the log: all above `applied`, more for slow peers
  LogPosition below;           ///< right below the first of `entries`; unused if there are none
  Index last_index;            ///< of the durable log (or of the snapshot if the log is empty)
  Term last_term;
  Index applied;  ///< what the machine holds; above hard_state.commit only in a cluster of one
  LogTrust trust = LogTrust::sound;
  Index doubtful_to;                      ///< if doubtful
  std::optional<SnapshotPoint> snapshot;  ///< the newest on disk
  Retention retention = {};
  uint64_t now_us = 0;
};

class Core {
 public:
  static Core make(CoreOptions options);

  Output step(Input input);

  /// An entry that some Output named and AppliedTo has not covered yet, or any from first_kept()
  /// on.
  const Entry& entry(Index index) const { return log_.entry(index); }

  const Identity& self() const { return self_; }
  Role role() const { return role_; }
  Term term() const { return hard_state_.term; }
  Identity leader() const { return leader_; }
  Index last_index() const { return log_.last().index; }
  Term last_term() const { return log_.last().term; }
  Index commit() const { return commit_; }
  Index applied() const { return applied_; }
  /// What this server itself holds durably.
  Index durable() const { return durable_; }
  Index first_kept() const { return log_.first(); }
  /// So much is not applied yet that a leader refuses proposals (busy), and a follower entries.
  bool full() const {
    return log_.bytes_between(applied_ + 1, last_index()) > retention_.unapplied_bytes;
  }
  std::optional<Term> term_of(Index index) const { return log_.term_of(index); }

  /// In force, committed or not.
  const Configuration& configuration() const { return configurations_.in_force(); }
  Index configuration_index() const { return configurations_.index(); }
  bool configuration_committed() const { return configurations_.index() <= commit_; }
  /// The newest at or below `index`, which is not below what is applied.
  const Configuration& configuration_at(Index index) const { return configurations_.at(index); }
  /// A change is under way: joint, or not committed yet.
  bool changing() const { return configuration().joint() || !configuration_committed(); }
  bool transferring() const { return transfer_.has_value(); }
  /// A doubtful log counts again once the leader has replicated past what may be lost.
  LogTrust trust() const { return trust_; }

  /// Of a peer, while this server leads; null if it is none.
  const Progress* progress(const Identity& identity) const;
  /// When a majority was last heard to follow this leader; the present for a cluster of one.
  uint64_t quorum_confirmed_us() const;
  /// For how long, at `now_us`, no majority is known to follow a leader that this server knows of.
  /// Time in which it did not run itself does not count.
  uint64_t forsaken_us(uint64_t now_us) const;
  /// False for a snapshot that would undo progress: ask right before replacing machine and log.
  bool wants_snapshot(const LogPosition& point) const;

 private:
  friend class Inspector;  // invariants.cc: they only look
  friend class Witness;    // witness.cc: so does it

  struct Persisting {
    uint64_t sequence = 0;
    Index last;
  };
  struct Held {
    uint64_t sequence = 0;
    Send send;
  };
  struct Ballot {
    Identity voter;
    Vote vote = Vote::pending;
    bool counts = true;  ///< false: of a log in doubt
  };
  struct Gone {
    Incarnation incarnation;
    uint64_t since_us = 0;
  };
  struct Deferred {
    Process from;
    RequestVote request;
  };
  struct Transfer {
    Identity target;
    uint64_t until_us = 0;
    uint64_t tell_us = 0;  ///< when to say TimeoutNow (again)
  };
  struct LeaderRead {
    uint64_t round = 0;  ///< that must be confirmed
    Index index;
    uint64_t ticket = 0;  ///< of ours, or the asker's id
    Process asker;        ///< none: we
  };
  struct Question {
    uint64_t ticket = 0;
    uint64_t first_id = 0;  ///< an answer to this question or a later one will do
  };
  struct Asked {
    uint64_t at_us = 0;  ///< last
    std::vector<Question> questions;
  };

  explicit Core(CoreOptions&& options);

  // core.cc: events and the order of things.
  void catch_up_with_snapshot();
  void dispatch(Event& event, Output& out);
  void on_tick(Output& out);
  void on_propose(Propose& propose, Output& out);
  void on_persisted(const Persisted& persisted, Output& out);
  void on_applied(const AppliedTo& applied);
  void refuse(Output& out, Code code, std::string text) const;
  void append(EntryKind kind, std::string payload, Output& out);
  void send(const Identity& to, const Outgoing& message);
  void finish(Output& out);
  void release_sends(Output& out);
  void hold(const Send& send);
  uint64_t next_deadline() const;

  // election.cc
  bool is_single() const;
  bool may_stand() const;
  bool may_vote() const;
  bool reluctant() const;
  bool sticky() const;
  bool is_gone(const Process& process) const;
  void hear_of_life(const Process& process);
  void arm_election_timer();
  void adopt_term(Term term);
  void become_follower();
  void forget_leader();
  void on_election_tick(Output& out);
  void begin_pre_vote(Output& out);
  void begin_vote(bool transfer);
  void ask_votes();
  void count_votes(Output& out);
  void record_vote(const Identity& voter, Vote vote, bool counts, Output& out);
  void become_leader(Output& out);
  void on_request_vote(const Process& from, const RequestVote& request);
  bool defer(const Process& from, const RequestVote& request);
  bool would_vote(const Process& from, const RequestVote& request) const;
  void answer_pre_vote(const Process& from, const RequestVote& request);
  void answer_vote(const Process& from, const RequestVote& request);
  void on_vote_reply(const Identity& from, const VoteReply& reply, Output& out);
  void on_peer_gone(const PeerGone& gone);
  uint64_t standing_wait_us(const Process& leader) const;

  // replication.cc
  LeaderHead head_for(Progress& peer) const;
  void on_leader_tick(Output& out);
  void heartbeat(Output& out);
  void rank_peers();
  void refresh_peers();
  Progress* find_peer(const Identity& identity);
  void on_standbys(SetStandbys& standbys);
  void replicate_all(Output& out);
  void replicate(Progress& peer, Output& out);
  bool bulk_may_arrive(const Progress& peer) const;
  bool send_append(Progress& peer, Output& out);
  void send_empty_after_next(Progress& peer, Output& out);
  void send_empty(Progress& peer, const LogPosition& prev);
  void on_append_reply(const Process& from, const AppendReply& reply, Output& out);
  void on_accepted(Progress& peer, const AppendReply& reply);
  void on_rejected(Progress& peer, const AppendReply& reply);
  void advance_commit(Output& out);

  // follow.cc
  void on_receive(Receive& receive, Output& out);
  void on_message(const Process& from, RequestVote& message, Output& out);
  void on_message(const Process& from, VoteReply& message, Output& out);
  void on_message(const Process& from, Append& message, Output& out);
  void on_message(const Process& from, AppendReply& message, Output& out);
  void on_message(const Process& from, SnapshotOffer& message, Output& out);
  void on_message(const Process& from, ReadRequest& message, Output& out);
  void on_message(const Process& from, ReadReply& message, Output& out);
  void on_message(const Process& from, TimeoutNow& message, Output& out);
  bool in_term(Term theirs);
  bool hear_leader(const Process& from, const LeaderHead& head);
  bool was_rolled_back(const LeaderHead& head, Output& out);
  void on_append(Append& append, Output& out);
  bool take_entries(Append& append, Output& out);
  void take_entry(Entry entry, Output& out);
  void truncate_from(Index index, Output& out);
  void contradict(const LogPosition& theirs, Output& out);
  void follow_commit(Index commit);
  void reply_to_leader(const LogPosition& refused);
  LogPosition hint_below(const LogPosition& refused) const;

  // reads.cc
  void on_read(const ReadIndex& read, Output& out);
  void on_cancel(const CancelReads& cancel);
  void ask_leader();
  void ask_again();
  void take_back_questions();
  void register_read(uint64_t ticket, const Process& asker);
  void answer_reads(Output& out);
  void adopt_reads();
  void return_reads();
  void on_read_request(const Process& from, const ReadRequest& request);
  void on_read_reply(const ReadReply& reply, Output& out);
  uint64_t confirmed_round() const;

  // change.cc
  void on_change_voters(ChangeVoters& change, Output& out);
  void append_configuration(Configuration configuration, Output& out);
  void on_committed(Output& out);
  void on_transfer(const TransferLeadership& transfer, Output& out);
  void go_on_with_transfer();
  bool is_successor(const Progress& peer) const;
  bool could_take_over(const Progress& peer) const;
  const Progress* best_successor() const;
  const Progress* last_successor() const;
  void hand_over_if_unfit();
  void on_leadable(const SetLeadable& leadable);
  void on_step_down();
  void leave_to_successor();
  void on_timeout_now(const Process& from);

  // snapshot.cc
  void offer_snapshot(Progress& peer, Output& out);
  void on_snapshot_offer(const Process& from, const SnapshotOffer& offer, Output& out);
  void on_snapshot_taken(const SnapshotTaken& taken);
  void on_snapshot_installed(const SnapshotInstalled& installed, Output& out);
  void forget_applied();
  Index pinned() const;

  // trust.cc
  void begin_doubt(LogTrust trust, Index doubtful_to);
  void hear_for_trust(const LeaderHead& head);
  void hear_of_quorum(const LeaderHead& head);
  void settle_if_caught_up();
  bool two_voters() const;
  void settle();

  // Fixed after construction.
  Identity self_;
  Incarnation incarnation_;
  bool never_lead_ = false;
  Retention retention_;

  // Durable, as far as `durable_` and `promise_sequence_` tell.
  HardState hard_state_;  ///< its commit is set when it is written
  ConfigurationHistory configurations_;
  LogWindow log_;

  // Volatile: durability.
  Index durable_;  ///< our own match index: entries up to here, as they are now, are synced
  uint64_t persist_sequence_ = 0;
  uint64_t persisted_sequence_ = 0;
  uint64_t promise_sequence_ = 0;  ///< the batch that makes term and vote durable
  bool promise_dirty_ = false;     ///< this step changed term or vote
  std::deque<Persisting> persisting_;
  std::vector<Send> outgoing_;  ///< of this step
  std::vector<Held> held_;

  // Volatile: everybody.
  Rng rng_;
  uint64_t now_us_ = 0;
  uint64_t last_step_us_ = 0;
  Role role_ = Role::follower;
  Identity leader_;
  Incarnation leader_incarnation_;
  Index commit_;
  Index applied_;
  std::optional<SnapshotPoint> snapshot_;
  bool leadable_ = true;
  bool last_resort_ = false;
  std::vector<Identity> standbys_;

  // Volatile: elections.
  uint64_t election_deadline_us_ = 0;
  uint64_t heard_us_ = 0;  ///< from leader_
  /// When a majority was last known to follow a leader that this server knew; the start counts too.
  uint64_t followed_us_ = 0;
  uint64_t rest_until_us_ = 0;
  uint64_t vote_retry_us_ = 0;
  uint64_t timeouts_ = 0;  ///< since a leader was heard of
  uint8_t rank_ = kRankUnknown;
  bool pre_ = false;          ///< candidate: for pre-votes
  bool transferred_ = false;  ///< candidate: the leader told us to stand
  std::optional<Process> gone_leader_;
  std::map<Identity, Gone> gone_;
  std::vector<Ballot> ballots_;
  std::vector<Deferred> deferred_;

  // Volatile: following.
  Index verified_;            ///< up to here our log is the leader's
  uint64_t heard_round_ = 0;  ///< of leader_
  bool reply_due_ = false;    ///< the message of the leader's that is being handled begins a round

  // Volatile: trust.
  LogTrust trust_ = LogTrust::sound;
  Index doubtful_to_;
  std::optional<Index> settle_at_;  ///< in this term
  bool settled_ = false;            ///< to be told

  // Volatile: leading.
  std::vector<Progress> peers_;  ///< by identity
  Index term_first_;         ///< our noop; nothing counts as committed before it is (3.6.2, 6.4)
  uint64_t round_ = 0;       ///< the newest; begun in this step, or sent
  uint64_t round_sent_ = 0;  ///< what is registered now waits for a later one
  uint64_t heartbeat_us_ = 0;
  uint64_t led_since_us_ = 0;  ///< or since the end of our own stall
  std::optional<Transfer> transfer_;

  // Volatile: reads.
  std::deque<uint64_t> tickets_;  ///< nobody was asked about these yet
  std::optional<Asked> asked_;
  uint64_t read_id_ = 0;
  std::deque<LeaderRead> leader_reads_;
};

}  // namespace doozer::raft
