// What goes into the core and what comes out of it: the whole of its world.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "raft/message.h"
#include "raft/types.h"

namespace doozer::raft {

/// Time has passed; nothing else. Only this event makes the core act on its deadlines.
struct Tick {};

struct Proposal {
  EntryKind kind = EntryKind::command;  ///< or forwarded
  std::string payload;
};

/// Entries to append, in this order, as one batch: all are taken (Output::accepted_first) or none
/// (Output::refused), and then they never will be. Not empty. Only a leader takes any.
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

/// Asks for an index that is surely not older than any write acknowledged before now (6.4), in any
/// role: a follower asks its leader, and asks again. Tickets rise. Refused (busy) beyond
/// kReadTicketsMax.
struct ReadIndex {
  uint64_t ticket = 0;
};

/// Tickets up to this one are no longer wanted.
struct CancelReads {
  uint64_t up_to = 0;
};

/// A message came. The envelope was checked: cluster, addressee, our incarnation.
struct Receive {
  Identity from;
  Incarnation from_incarnation;
  Message message;
};

/// This server itself has proof that a process is gone (its port refuses, or it said goodbye).
struct PeerGone {
  Identity identity;
  Incarnation incarnation;
};

/// Who else gets the log while this server leads. Sorted, without repeats; voters in it are
/// ignored.
struct SetStandbys {
  std::vector<Identity> standbys;
};

/// Begins a joint change to these voters (4.3). Sorted, without repeats. Refused: read_only (does
/// not lead), busy (one is in flight, nothing of its own term is committed yet, or a transfer is
/// under way), bad_argument (no change, no voters, too many, not in order).
struct ChangeVoters {
  std::vector<Identity> voters;
};

/// Hands over to `target`, or to the best there is (3.10). Until that ends (kTransferUsMax)
/// proposals are refused. Refused: read_only (does not lead), busy (already under way), not_found
/// (no such voter, or nobody who could).
struct TransferLeadership {
  std::optional<Identity> target;
};

/// Gives up leading at once, or standing, and rests for kStepDownRestUs.
struct StepDown {};

/// This server has this snapshot on disk, and offers it to those who need it.
struct SnapshotTaken {
  SnapshotPoint point;
};

/// The machine was replaced by this snapshot, which is durable here. Only if wants_snapshot() or
/// the log holds its index; Output::reset_log tells whether the log goes too.
struct SnapshotInstalled {
  SnapshotPoint point;
};

/// May this server lead? A leader that may not hands over as soon as somebody can take over.
struct SetLeadable {
  bool leadable = true;
  bool last_resort = false;  ///< not leadable, but rather than nobody: as CoreOptions::never_lead
};

using Event = std::variant<Tick, Propose, Persisted, AppliedTo, ReadIndex, CancelReads, Receive,
                           PeerGone, SetStandbys, ChangeVoters, TransferLeadership, StepDown,
                           SnapshotTaken, SnapshotInstalled, SetLeadable>;

struct Input {
  uint64_t now_us = 0;  ///< monotonic
  Event event;
};

struct ReadReady {
  uint64_t ticket = 0;
  Index index;  ///< answer once the machine has applied this
};

struct FetchSnapshot {
  Identity from;
  LogPosition point;
};

/// What to do, in this order. Entries are borrowed from the core through entry(); they stay until
/// AppliedTo covers them, unless a later Output truncates them.
struct Output {
  /// Rises with every Output that asks for something durable (any of the four below); 0: nothing.
  /// Report it by Persisted once all of it is synced. Batches may be merged, never reordered.
  uint64_t persist_sequence = 0;
  std::optional<SnapshotPoint> reset_log;  ///< first drop all entries; the next is index + 1
  std::optional<Index> truncate_from;      ///< first drop entries at and after this index
  Index append_first;                      ///< then append entries append_first .. append_last
  Index append_last;                       ///< below append_first: none
  std::optional<HardState> hard_state;     ///< then the hard state

  /// Needs nothing durable beyond what Persisted has already told: what does is held back inside.
  /// To be encoded before the next step.
  std::vector<Send> sends;

  /// To the event itself.
  Index accepted_first;  ///< Propose, ChangeVoters: the index of the first entry; 0 if refused
  bool refused = false;  ///< nothing was given to the log or begun, and nothing ever will be
  Error reason;          ///< if refused

  std::vector<ReadReady> reads;
  Index apply_to;  ///< apply entries up to here, in order; may repeat the last value

  /// The leader no longer has the entries that this server needs: pull this snapshot, or a newer
  /// one, from `from` or whoever has it. Repeated while it is wanted.
  std::optional<FetchSnapshot> fetch_snapshot;
  /// A peer needs entries that are forgotten here, and the newest snapshot does not reach
  /// first_kept() - 1: take one. Repeated while it is wanted.
  bool snapshot_wanted = false;
  /// The doubt about the log, or its repair, is over: tell the storage.
  bool settle = false;
  /// The leader contradicts what was committed here: disks were lost or mixed up. Stop the server.
  std::optional<Error> fatal;
  bool rolled_back = false;  ///< with it: this disk must never be used again, as it has lost votes
                             ///< and entries that others count on

  uint64_t next_deadline_us = 0;  ///< step with Tick at this time; 0: no need
};

}  // namespace doozer::raft
