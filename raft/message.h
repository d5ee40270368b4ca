// What members say to each other, and its bytes. The envelope around it (cluster, from, to, both
// incarnations) is the mesh's. Any message may be lost, come twice, late, or in another order.
//
//   message  := kind:u8 body               one of the kinds below, nothing after it
//   1 request_vote    := term last_index last_term flags:u8(1 pre, 2 transfer, 4 gone)
//                        [identity incarnation]                            the last two if gone
//   2 vote_reply      := term asked_term flags:u8(1 pre, 2 granted, 4 counts)
//   3 append          := head prev_index prev_term count entry*
//     entry           := kind:u8 term_delta payload_size payload           index: the next one
//   4 append_reply    := term flags:u8(1 accepted, 2 counts, 4 willing) match agreed round
//                        [rejected hint_index hint_term]                   unless accepted
//   5 snapshot_offer  := head index snapshot_term
//   6 read_request    := term asker id
//   7 read_reply      := term asker id index
//   8 timeout_now     := term
//   head              := term commit last_index round receiver acknowledged rank:u8 quorum_age:u8
//
// Whatever has no size is a varint; term_delta is the term less that of the entry before (or
// prev_term). Readers: raft/core (all of it), nobody else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "raft/types.h"

namespace doozer::raft {

class Core;

/// One life of one server.
struct Process {
  Identity identity;
  Incarnation incarnation;

  bool operator==(const Process&) const = default;
};

/// Asks for a vote (3.4) or, with `pre`, whether one would be given (9.6).
struct RequestVote {
  Term term;  ///< of the candidacy; with `pre` nobody is in it yet
  bool pre = false;
  bool transfer = false;  ///< the leader itself told the sender to stand (3.10)
  Index last_index;
  Term last_term;
  std::optional<Process> gone;  ///< the sender has proof that this leader's process is gone

  bool operator==(const RequestVote&) const = default;
};

struct VoteReply {
  Term term;        ///< the voter's own
  Term asked_term;  ///< of the request
  bool pre = false;
  bool granted = false;
  bool counts = true;  ///< false: the voter's log is in doubt; counts only if all voters grant

  bool operator==(const VoteReply&) const = default;
};

/// What a leader says in all that it sends to its followers.
struct LeaderHead {
  Term term;
  Index commit;
  Index last_index;      ///< of the leader's log when this was sent
  uint64_t round = 0;    ///< counts heartbeats and read confirmations of this leadership
  Incarnation receiver;  ///< the incarnation that the leader has heard from, 0: none yet
  Index acknowledged;    ///< what any life of the receiver said in this term to be durable
  uint8_t rank = 0;      ///< the receiver's place among those who would lead next
  /// How long ago a majority was known to follow this leader, in kQuorumAgeUs; 255: or longer.
  uint8_t quorum_age = 0;

  bool operator==(const LeaderHead&) const = default;
};

/// No reader has a rank yet: kRankUnknown.
constexpr uint8_t kRankUnknown = 255;
constexpr uint64_t kQuorumAgeUs = 10'000;

struct Append {
  LeaderHead head;
  LogPosition prev;  ///< {0, 0} is agreed upon by everybody
  std::vector<Entry> entries;

  bool operator==(const Append&) const = default;
};

struct AppendReply {
  Term term{};
  bool accepted = false;
  bool counts = true;   ///< false: the log is doubted or under repair (design section 4)
  bool willing = true;  ///< may be asked to lead
  Index match{};        ///< durable here and the same as the leader's log up to here
  Index agreed{};       ///< the same as the leader's log up to here, durable or not
  uint64_t round = 0;   ///< the newest that was heard
  Index rejected{};     ///< not accepted: prev.index of what was refused, 0: only the term was
  LogPosition hint{};   ///< not accepted: nothing above it can be agreed upon

  bool operator==(const AppendReply&) const = default;
};

/// In place of an append: the leader no longer has the entries that the follower needs.
struct SnapshotOffer {
  LeaderHead head;
  LogPosition snapshot;

  bool operator==(const SnapshotOffer&) const = default;
};

/// A follower's batch of reads (6.4).
struct ReadRequest {
  Term term;
  Incarnation asker;
  uint64_t id = 0;  ///< rises within an incarnation

  bool operator==(const ReadRequest&) const = default;
};

struct ReadReply {
  Term term;
  Incarnation asker;
  uint64_t id = 0;
  Index index;

  bool operator==(const ReadReply&) const = default;
};

/// Stand for election at once (3.10).
struct TimeoutNow {
  Term term;

  bool operator==(const TimeoutNow&) const = default;
};

using Message = std::variant<RequestVote, VoteReply, Append, AppendReply, SnapshotOffer,
                             ReadRequest, ReadReply, TimeoutNow>;

/// An append that is still in the core's log: entries prev.index + 1 .. prev.index + count.
struct AppendRange {
  LeaderHead head;
  LogPosition prev;
  uint64_t count = 0;
};

using Outgoing = std::variant<RequestVote, VoteReply, AppendRange, AppendReply, SnapshotOffer,
                              ReadRequest, ReadReply, TimeoutNow>;

/// One message to one server. Encode it before the next step of the core that made it.
struct Send {
  Identity to;
  bool bulk = false;  ///< too large for a control connection
  Outgoing message;
};

/// Appends the bytes of what `core` wants to send.
void encode_message(const Send& send, const Core& core, std::string& out);
/// The same for a message that owns its entries.
void encode_message(const Message& message, std::string& out);
/// What the receiver would decode; copies the entries.
Message to_message(const Send& send, const Core& core);

/// Errors: corrupt (lengths, kinds, order of terms, entries that are none, limits of
/// raft/limits.h).
Result<Message> decode_message(std::string_view bytes);

}  // namespace doozer::raft
