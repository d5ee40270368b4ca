// What a leader knows of one peer, voter or standby: how far its log agrees, and what is under way.
#pragma once

#include <cstdint>
#include <deque>

#include "base/types.h"
#include "raft/message.h"

namespace doozer::raft {

struct Progress {
  enum class State : uint8_t {
    probe,      ///< looking for where the logs agree: one append at a time
    replicate,  ///< appends are sent ahead of the answers, within the inflight limits
    snapshot,   ///< it needs entries that are forgotten here
  };
  struct Sent {
    Index last;
    uint64_t bytes = 0;
  };

  Identity identity;
  Incarnation incarnation;  ///< the newest heard from, 0: none in this term
  State state = State::probe;
  Index match;            ///< durable there; never falls within an incarnation
  Index acknowledged;     ///< the highest that it ever was, in any life
  Index next = Index(1);  ///< of the next append; always above match
  bool counts = true;     ///< its log is not in doubt
  bool willing = true;    ///< may be asked to lead
  uint8_t rank = kRankUnknown;
  uint64_t round = 0;            ///< the newest round of ours that it has answered
  uint64_t answered_us = 0;      ///< last answer in this term, 0: none
  uint64_t silent_since_us = 0;  ///< that, or when we began to lead, or the end of our own stall
  Index commit_told;             ///< the newest commit index that was sent
  uint64_t round_told = 0;       ///< the newest round that was sent
  Index offered;                 ///< snapshot: of the newest offer, 0: none could be made
  bool probed = false;           ///< probe: one is under way
  std::deque<Sent> inflight;     ///< replicate: by rising index, not yet durable there
  uint64_t inflight_bytes = 0;
  /// The newest that went by the bulk connection. What follows goes there too until it is durable
  /// at the peer: the control connection would overtake it, and be rejected.
  Index bulk_last;
  uint64_t bulk_moved_us = 0;  ///< when the first of those was sent, or the peer last got further

  /// Forgets what is under way and looks for agreement from `from` on.
  void probe_from(Index from);
  /// Agreement up to `next` - 1 was found.
  void begin_replicate(Index from);
  void begin_snapshot();
  /// A new life of it was heard: nothing is known but that it lives. It is told so at once, as a
  /// log in doubt waits for that.
  void restarted(Incarnation now);
  /// Durable there up to `index`.
  void matched(Index index);
  void sent(Index last, uint64_t bytes);
  bool full() const;
  bool bulk_under_way() const { return bulk_last > match; }
};

}  // namespace doozer::raft
