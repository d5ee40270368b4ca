// The consensus core: step(Input) -> Output. No I/O, no clock, no randomness but what Input brings.
// Today it decides for a configuration of one voter, which elects itself and commits what it has
// synced; the interface is already that of a cluster (Raft dissertation, chapters 3, 4, 6.4, 9.6).
//
// It must never: count an entry as its own before Persisted says that it is durable, or let an
// Output's `apply_to` pass what a majority holds durably.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "raft/types.h"

namespace doozer::raft {

enum class Role : uint8_t { follower, candidate, leader };

/// Time has passed; nothing else.
struct Tick {};

struct Proposal {
  EntryKind kind = EntryKind::command;
  std::string payload;
};

/// Entries to append, in this order, as one batch: all are taken (Output::accepted_first) or none
/// (Output::refused), and then they never will be.
struct Propose {
  std::vector<Proposal> proposals;
};

/// The log lane has synced everything that Outputs up to and including `persist_sequence` asked
/// for.
struct Persisted {
  uint64_t persist_sequence = 0;
};

/// The machine has applied everything up to `index`; the core may forget those entries.
struct AppliedTo {
  Index index;
};

/// Asks for an index that is surely not older than any write acknowledged before now (6.4).
struct ReadIndex {
  uint64_t ticket = 0;
};

using Event = std::variant<Tick, Propose, Persisted, AppliedTo, ReadIndex>;

struct Input {
  uint64_t now_us = 0;  ///< monotonic
  Event event;
};

struct ReadReady {
  uint64_t ticket = 0;
  Index index;  ///< answer once the machine has applied this
};

/// What to do, in this order. Entries are borrowed from the core through entry(); they stay until
/// AppliedTo covers them.
struct Output {
  /// Rises with every Output that asks for something durable (any of the three below); 0: nothing.
  /// Report it by Persisted once all of it is synced. Batches may be merged, never reordered.
  uint64_t persist_sequence = 0;
  std::optional<Index> truncate_from;   ///< first drop entries at and after this index
  Index append_first;                   ///< then append entries append_first .. append_last
  Index append_last;                    ///< below append_first: none
  std::optional<HardState> hard_state;  ///< then the hard state

  /// Needs nothing durable beyond what Persisted has already told.
  Index accepted_first;  ///< Propose: the index of the first proposal; 0 if refused
  bool refused = false;  ///< Propose: nothing was given to the log and nothing ever will be
  std::vector<ReadReady> reads;
  Index apply_to;  ///< apply entries up to here, in order; may repeat the last value

  uint64_t next_deadline_us = 0;  ///< step with Tick at this time; 0: no need
};

/// What a member starts with: what recovery found (storage/) and who it is.
struct CoreOptions {
  Identity self;
  Configuration configuration;  ///< the newest in snapshot or log
  HardState hard_state;         ///< as recovered
  Index last_index;             ///< of the durable log (or of the snapshot if the log is empty)
  Term last_term;
  Index applied;  ///< what the machine holds: snapshot and replayed log
};

class Core {
 public:
  /// Errors: unsupported if the configuration is not the single voter `self`.
  static Result<Core> make(const CoreOptions& options);

  Output step(Input input);

  /// An entry that some Output named and AppliedTo has not covered yet.
  const Entry& entry(Index index) const;

  Role role() const { return role_; }
  Term term() const { return hard_state_.term; }
  Identity leader() const { return role_ == Role::leader ? self_ : Identity(); }
  Index last_index() const { return last_index_; }
  Term last_term() const { return last_term_; }
  Index commit() const { return hard_state_.commit; }
  const Configuration& configuration() const { return configuration_; }

 private:
  Core() = default;
  void campaign(Output& out);
  void append(EntryKind kind, std::string payload, Output& out);
  void on_propose(Propose& propose, Output& out);
  void on_persisted(const Persisted& persisted, Output& out);
  void on_applied(const AppliedTo& applied);
  void on_read(const ReadIndex& read, Output& out);
  void become_leader(Output& out);
  void ask_to_persist(Output& out);

  struct Pending {
    uint64_t persist_sequence = 0;
    Index last;
  };

  // Fixed after construction.
  Identity self_;
  // Durable, as far as `durable_` tells.
  HardState hard_state_;
  Configuration configuration_;
  // Volatile.
  Role role_ = Role::follower;
  std::deque<Entry> entries_;  ///< first_kept_ .. last_index_
  Index first_kept_;
  Index last_index_;
  Term last_term_;
  Index durable_;     ///< our own match index
  Index term_first_;  ///< our noop; nothing counts as committed before it is (3.6.2, 6.4)
  uint64_t persist_sequence_ = 0;
  uint64_t vote_sequence_ = 0;  ///< the batch that makes term and vote durable
  std::deque<Pending> pending_;
  std::vector<uint64_t> waiting_reads_;
};

}  // namespace doozer::raft
