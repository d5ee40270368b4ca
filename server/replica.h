// The replica: the one place that puts persist, send, apply and answer in order (design sections
// 2, 4, 5, 6).
//
//   submit -> queue -> (own log, or another server's) -> core -> log batch -> sync -> core -> apply
//          -> answer
//
// It must never answer a write before its entry is committed and applied here, apply an entry out
// of order, or call refused what was given to a log.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/types.h"
#include "core/machine.h"
#include "door/door.h"
#include "env/clock.h"
#include "raft/core.h"
#include "server/forward_desk.h"
#include "server/peer_message.h"
#include "server/read_rounds.h"
#include "server/replica_observer.h"
#include "server/write_pace.h"
#include "server/write_queue.h"
#include "storage/storage.h"

namespace doozer::server {

/// What a replica says to others, and to the server around it. Lives as long as the replica.
class ReplicaHost {
 public:
  virtual ~ReplicaHost() = default;
  /// To be sent at the end of this turn; may be lost. `bulk`: of no hurry, or large.
  virtual void post(const Identity& to, bool bulk, std::string payload) = 0;
  /// Called once, when the log is dead or an entry cannot be applied: the server must stop.
  /// `rolled_back`: the data directory must never be used again.
  virtual void on_fatal(const Error& error, bool rolled_back) = 0;
  /// Role, term, leader or configuration are others than before.
  virtual void on_cluster_changed() = 0;
  /// The leader has cut the log that this server lacks: a snapshot at or above the index is needed.
  virtual void on_fetch_snapshot(const raft::FetchSnapshot& wanted) = 0;
  /// Another server needs entries that are forgotten here, and no snapshot reaches them: take one.
  virtual void on_snapshot_wanted() = 0;
  /// An entry was applied whose index digests are compared at (kDigestEveryIndexes).
  virtual void on_digest(const core::Digests& digests) = 0;
};

struct ReplicaOptions {
  Identity self;
  Incarnation incarnation;
  uint64_t digest_every = kDigestEveryIndexes;
  ReplicaObserver* observer = nullptr;  ///< null: nobody looks on
};

class Replica {
 public:
  /// All borrowed but `machine`; they outlive the replica. `core` starts with what the machine has
  /// applied.
  Replica(env::Clock& clock, storage::Storage& storage, std::unique_ptr<core::Machine> machine,
          raft::Core core, ReplicaHost& host, const ReplicaOptions& options, const Logger& logger);
  ~Replica();
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  /// Begins to take part.
  void start();

  /// Proposes a command, here or at the leader. `principal` "system" is the server itself. The
  /// completion is called in a later part of this turn or in a later one, never from here.
  void submit(const core::BodyView& body, std::string_view principal,
              door::WriteCompletion& completion, uint64_t cookie);
  /// Answers once the machine holds every write acknowledged before now, or with read_only after
  /// kUnknownAfterUs.
  void read_index(door::ReadCompletion& completion, uint64_t cookie);
  void forget(const door::WriteCompletion& completion);
  void forget(const door::ReadCompletion& completion);

  // --- What other servers say.
  void on_raft(const Identity& from, Incarnation incarnation, std::string_view bytes);
  void on_forward(const Identity& from, Incarnation incarnation, const Forward& forward);
  void on_forward_ack(const Identity& from, const ForwardAck& ack);
  /// Proof that this life of a server is over.
  void on_gone(const Identity& identity, Incarnation incarnation);

  // --- What the server around it decides.
  void set_standbys(std::vector<Identity> standbys);
  /// Refused (with the reason) unless this server leads and no change is under way.
  Result<void> change_voters(std::vector<Identity> voters);
  Result<void> hand_over(std::optional<Identity> to);
  void step_down();
  /// Whether this server may lead; a leader that may not hands over. `last_resort`: it may, rather
  /// than nobody.
  void set_leadable(bool leadable, bool last_resort);
  void snapshot_taken(const raft::SnapshotPoint& point);
  /// Nothing is appended to the log from here to end_install(): other servers' entries are dropped.
  void begin_install() { installing_ = true; }
  bool installing() const { return installing_; }
  /// The log and the disk hold the snapshot at `point` now, and `machine` is its state. `whole`
  /// false: only the state was fetched again, the log is as it was.
  void end_install(std::unique_ptr<core::Machine> machine, const raft::SnapshotPoint& point,
                   bool whole);
  void abort_install() { installing_ = false; }

  /// The end of a turn: proposes or forwards what was submitted, hands the batch to the log,
  /// applies, answers. True if it wants another turn at once.
  bool turn_end();
  /// Tells everybody who waits that the outcome is unknown, or that nothing happened.
  void give_up_all(const Error& why);

  bool leading() const { return core_.role() == raft::Role::leader; }
  /// False: for kReadOnlyAfterUs no majority has followed a leader that this server knows of, or
  /// the log hangs.
  bool may_write() const;
  /// The log has owed an answer for more than kSlowSyncUs.
  bool log_hangs() const;
  /// REQUIRES !may_write().
  Error why_read_only() const;
  /// No write is on its way.
  bool idle() const { return queue_.empty() && telling_.empty(); }
  const raft::Core& core() const { return core_; }
  core::Machine& machine() { return *machine_; }
  const core::Machine& machine() const { return *machine_; }
  /// Frees, in slices, machines that were replaced or given here. True if work remains.
  bool release(Budget& budget);
  void discard(std::unique_ptr<core::Machine> machine) { released_.push_back(std::move(machine)); }
  /// No majority of the members has room: only deletions are taken.
  void set_cluster_full(bool full) { cluster_full_ = full; }
  /// Term of the entry that the machine applied last, and the configuration in force there.
  Term applied_term() const { return applied_term_; }
  /// Payload bytes applied since the start.
  uint64_t applied_bytes() const { return applied_bytes_; }
  /// How often applying did not fit into one turn.
  uint64_t slow_applies() const { return slow_applies_; }
  uint64_t unknown_writes() const { return queue_.unknown(); }
  /// Since when the log owes an answer to the oldest batch; 0: it owes none.
  uint64_t waiting_for_log_since_us() const { return log_since_us_; }
  bool dead() const { return dead_; }

 private:
  raft::Output step(raft::Event event);
  void handle(const raft::Output& out);
  void persist(const raft::Output& out);
  void post_sends(const raft::Output& out);
  void note_changes();
  void arm_tick(uint64_t deadline_us);
  Result<void> admit(size_t bytes, bool may_use_reserve) const;
  void collect_own();
  void propose_batch();
  void forward_batch();
  void post_acknowledgements();
  void ask_reads();
  void on_persisted(Result<uint64_t> tag);
  Error crowded() const;
  WriteAmount waiting() const;
  WriteAmount proposed() const;
  void apply_some(uint64_t began_us);
  bool apply_one(Index index);
  void tell();
  void arm_give_up_timer();
  void arm_retry_timer();
  void set_retry_timer();
  void die(const Error& error, bool rolled_back = false);

  // Fixed after construction.
  env::Clock& clock_;
  storage::Storage& storage_;
  ReplicaHost& host_;
  ReplicaOptions options_;
  Logger logger_;

  // Volatile.
  std::unique_ptr<core::Machine> machine_;
  std::vector<std::unique_ptr<core::Machine>> released_;
  raft::Core core_;
  Index apply_to_;
  Term applied_term_;
  uint64_t applied_bytes_ = 0;
  uint64_t slow_applies_ = 0;
  uint64_t persist_tag_ = 0;    ///< newest sequence given to the storage
  uint64_t persisted_tag_ = 0;  ///< newest that it has told to be durable
  uint64_t log_since_us_ = 0;
  bool dead_ = false;
  bool installing_ = false;
  bool cluster_full_ = false;
  WriteQueue queue_;
  WritePace pace_;
  ForwardDesk desk_;
  std::vector<raft::Proposal> proposals_;  ///< of this turn, and of this term
  size_t proposed_bytes_ = 0;              ///< given to the log in this term and not applied
  std::vector<WriteQueue::Told> telling_;  ///< outcomes whose completions are being called
  ReadRounds reads_;
  env::TimerId tick_timer_ = 0;
  uint64_t tick_us_ = 0;
  env::TimerId give_up_timer_ = 0;
  env::TimerId retry_timer_ = 0;
  uint64_t retry_since_us_ = 0;  ///< nothing was acknowledged since
  uint64_t retry_acked_ = 0;     ///< what was then
  // As they were when host_.on_cluster_changed() was last called.
  raft::Role role_before_ = raft::Role::follower;
  Term term_before_;
  Identity leader_before_;
  Index configuration_before_;
};

}  // namespace doozer::server
