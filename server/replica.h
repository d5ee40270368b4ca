// The replica: the one place that puts persist, apply and answer in order (design sections 2, 5).
//
//   submit -> proposals of this turn -> core -> log batch -> sync -> core -> apply -> answer
//
// It must never answer a write before the core has seen its sync, apply an entry out of order, or
// give to the log what it then calls refused.
#pragma once

#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/types.h"
#include "core/machine.h"
#include "door/door.h"
#include "env/clock.h"
#include "raft/core.h"
#include "storage/storage.h"

namespace doozer::server {

class Replica {
 public:
  /// All borrowed; they outlive the replica. `core` starts with what the machine has applied.
  Replica(env::Clock& clock, storage::Storage& storage, core::Machine& machine, raft::Core core,
          const Logger& logger);
  ~Replica();
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  /// Stands for election; `ready` is called once this server leads and has applied its log.
  void start(UniqueFunction<void()> ready);
  /// `fatal` is called once, when the log is dead or an entry cannot be applied: the server must
  /// stop.
  void on_fatal(UniqueFunction<void(const Error&)> fatal) { fatal_ = std::move(fatal); }

  /// Proposes a command. `principal` "system" is the server itself. The completion is called in a
  /// later part of this turn or in a later one, never from here.
  void submit(const core::BodyView& body, std::string_view principal,
              door::WriteCompletion& completion, uint64_t cookie);
  /// Answers once the machine holds every write acknowledged before now.
  void read_index(door::ReadCompletion& completion, uint64_t cookie);
  void forget(const door::WriteCompletion& completion);
  void forget(const door::ReadCompletion& completion);

  /// The end of a turn: proposes what was submitted, hands the batch to the log, applies, answers.
  void turn_end();

  bool leading() const { return core_.role() == raft::Role::leader; }
  /// Something was submitted or asked since the last turn_end().
  bool has_new() const { return !proposals_.empty() || !asking_.empty() || !refused_.empty(); }
  /// No write is on its way.
  bool idle() const { return proposals_.empty() && pending_.empty() && refused_.empty(); }
  const raft::Core& core() const { return core_; }
  /// Term of the entry that the machine applied last.
  Term applied_term() const { return applied_term_; }
  /// Payload bytes applied since the start.
  uint64_t applied_bytes() const { return applied_bytes_; }
  /// How often applying did not fit into one turn.
  uint64_t slow_applies() const { return slow_applies_; }

 private:
  struct Write {
    Index index;
    door::WriteCompletion* completion = nullptr;  ///< null: forgotten, or already told "unknown"
    uint64_t cookie = 0;
    uint64_t since_us = 0;
    size_t bytes = 0;
  };
  struct Refusal {
    door::WriteCompletion* completion = nullptr;
    uint64_t cookie = 0;
    door::WriteOutcome outcome;
  };
  struct Read {
    door::ReadCompletion* completion = nullptr;
    uint64_t cookie = 0;
  };
  struct ReadRound {
    uint64_t ticket = 0;
    Index index;  ///< 0: not confirmed yet
    std::vector<Read> reads;
  };

  Result<void> admit(const core::BodyView& body, size_t bytes) const;
  void refuse(door::WriteCompletion& completion, uint64_t cookie, door::WriteOutcome outcome);
  void propose_batch();
  void ask_reads();
  void handle(const raft::Output& out);
  void on_persisted(Result<uint64_t> tag);
  void apply_some(uint64_t began_us);
  bool apply_one(Index index);
  void answer(Index index, const core::Applied& applied);
  void answer_reads();
  void deliver_refusals();
  void arm_unknown_timer();
  std::deque<Write>::iterator first_untold();
  void give_up_old_writes();
  void die(const Error& error);

  // Fixed after construction.
  env::Clock& clock_;
  storage::Storage& storage_;
  core::Machine& machine_;
  Logger logger_;
  UniqueFunction<void()> ready_;
  UniqueFunction<void(const Error&)> fatal_;

  // Volatile.
  raft::Core core_;
  Index apply_to_;
  Term applied_term_;
  uint64_t applied_bytes_ = 0;
  uint64_t persist_tag_ = 0;  ///< newest sequence given to the storage
  bool dead_ = false;
  std::vector<raft::Proposal> proposals_;  ///< of this turn
  std::vector<Write> proposed_;            ///< parallel to proposals_
  std::deque<Write> pending_;              ///< in the log, by rising index
  size_t pending_bytes_ = 0;               ///< of proposals_ and pending_
  std::vector<Refusal> refused_;
  std::vector<Read> asking_;     ///< reads of this turn
  std::vector<Read> answering_;  ///< the round whose completions are being called
  std::deque<ReadRound> rounds_;
  uint64_t read_ticket_ = 0;
  env::TimerId unknown_timer_ = 0;
  Index told_unknown_to_;  ///< writes up to here were told that nobody knows
  uint64_t slow_applies_ = 0;
};

}  // namespace doozer::server
