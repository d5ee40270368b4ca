// The writes that this server was given and whose outcome nobody has told yet, in their order: what
// to hand to which leader, what to hand over again, and what became of each (design section 6,
// "Forwarded writes"). Pure: no clock, no network, no log.
//
// A write is *stamped* when it is first handed to a leader: with that leader's term and the next
// sequence of the term. Stamped writes are a prefix of the queue and are all of one term T. Their
// outcome comes in three ways:
//   - an entry with their tag is applied: applied;
//   - an entry of T with a later sequence is applied, or the leader says so: refused, for a leader
//     takes sequences in order;
//   - an entry of a higher term is applied: certainly not executed, since only the leader of T
//   takes
//     what is stamped T, and all entries of T stand before it in the log. They lose their stamp and
//     go to the next leader in the same order.
// It must never stamp a write with a second term before one of these; nor hand one over again whose
// outcome it has told as unknown.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "core/write_tag.h"
#include "door/door.h"
#include "server/peer_message.h"

namespace doozer::server {

class WriteQueue {
 public:
  /// Told to a completion later, by the replica: nothing is called from here.
  struct Told {
    door::WriteCompletion* completion = nullptr;
    uint64_t cookie = 0;
    door::WriteOutcome outcome;
  };

  WriteQueue(const Identity& self, Incarnation incarnation);

  struct NewWrite {
    std::string payload;  ///< begins with blank_tag()
    bool may_use_reserve = false;
    door::WriteCompletion* completion = nullptr;
    uint64_t cookie = 0;
    uint64_t now_us = 0;
  };
  /// A tag of this server without a sequence, for the head of a payload.
  const std::string& blank_tag() const { return blank_tag_; }
  /// Errors: busy; the write is then not in the queue.
  Result<void> push(NewWrite write);
  void forget(const door::WriteCompletion& completion);

  /// True if writes may be handed to the leader of `term`: nothing stamped for another is in doubt.
  bool open_to(Term term) const;
  /// The next write for the leader of `term`, which is this server itself: stamped, with a copy of
  /// its payload. nullopt: none. REQUIRES open_to(term).
  struct Own {
    std::string payload;
    bool may_use_reserve = false;
    uint64_t sequence = 0;
  };
  std::optional<Own> next_own(Term term);
  /// This server, leader of the stamped term, refuses what next_own() gave.
  void refuse_own(uint64_t sequence, Error error);
  /// The next message for the leader of `term`, another server; nullopt: nothing to send, or the
  /// window is full. Views are good until the queue changes. REQUIRES open_to(term).
  std::optional<Forward> next_forward(Term term);
  /// The leader's word. A `taken_to` below what was sent is a gap only if it says so twice, or
  /// nothing better comes: see retry().
  void on_ack(const ForwardAck& ack);
  /// Nothing was acknowledged for retry_wait_us(): what is not goes again.
  void retry();
  /// Longer the more is under way, and after each retry that brought nothing: what was sent may
  /// still be on a slow way, and sending it again makes the way slower.
  uint64_t retry_wait_us() const;
  /// Something was sent that the leader has not acknowledged.
  bool waits_for_ack() const { return stamped_ > 0 && acked_to_ < sent_to_; }

  uint64_t acked_to() const { return acked_to_; }

  /// An entry with this server's tag was applied.
  void on_applied(const core::WriteTag& tag, Term term, const core::Applied& applied);
  /// An entry of `term` was applied: older stamps are void.
  void on_applied_term(Term term);
  /// A snapshot took the place of entries: what is stamped may have been among them.
  void on_jump();
  /// Tells those that have waited since before `since_us`: unknown if stamped, else read_only.
  void give_up(uint64_t since_us);
  /// Tells all: unknown if stamped, else read_only.
  void give_up_all(const Error& why);

  /// When the oldest untold write came; nullopt: all are told.
  std::optional<uint64_t> oldest_untold_us() const;
  /// Outcomes to be told, oldest first; the caller takes them.
  std::vector<Told>& told() { return told_; }
  bool empty() const { return writes_.empty() && told_.empty(); }
  bool has_unsent() const { return sent_count() < writes_.size(); }
  size_t size() const { return writes_.size(); }
  size_t bytes() const { return bytes_; }
  uint64_t unknown() const { return unknown_; }

 private:
  struct Write {
    std::string payload;  ///< empty once told
    size_t bytes = 0;     ///< of the payload as it was pushed
    bool may_use_reserve = false;
    door::WriteCompletion* completion = nullptr;  ///< null: forgotten or told
    uint64_t cookie = 0;
    uint64_t since_us = 0;
    bool settled = false;  ///< told, or to be told; only its place is kept
  };
  uint64_t first_sequence() const { return next_sequence_ - stamped_; }
  size_t sent_count() const;
  Write* stamped_at(uint64_t sequence);
  void begin_term(Term term);
  void settle(Write& write, door::WriteOutcome outcome);
  void settle_unknown(Write& write, std::string_view why);
  void settle_refused(Write& write, Error error);
  void settle_read_only(Write& write);
  void refuse_unstamped_of(const door::WriteCompletion* completion);
  void acknowledge(uint64_t to);
  void drop_settled_front();
  void drop_settled_unstamped();

  // Fixed after construction.
  const core::WriteTag self_;
  std::string blank_tag_;
  // Volatile.
  std::deque<Write> writes_;
  size_t bytes_ = 0;
  Term term_;                   ///< of the stamps
  size_t stamped_ = 0;          ///< the first so many of writes_
  uint64_t next_sequence_ = 1;  ///< in term_
  uint64_t sent_to_ = 0;        ///< the highest sequence handed over and not taken back for a retry
  uint64_t acked_to_ = 0;       ///< the leader has taken or refused all up to here
  std::deque<size_t> unacked_;  ///< bytes of each in (acked_to_, sent_to_], for another server
  size_t inflight_bytes_ = 0;   ///< their sum
  uint64_t retries_ = 0;        ///< since something was acknowledged
  uint64_t unknown_ = 0;
  std::vector<Told> told_;
};

}  // namespace doozer::server
