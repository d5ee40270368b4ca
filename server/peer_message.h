// What servers of one cluster say to each other above the mesh. The mesh tells who speaks (identity
// and incarnation) and may lose, repeat and reorder; each message says by itself what it is about.
//
//   u8 kind | body
//   raft:            the core's message (raft/message.h)
//   forward:         varint term | varint first sequence | varint count, each
//                    { u8 flags | sized payload }   payload: tag and command; empty: nothing,
//                    counts
//   forward_ack:     varint term | varint taken_to | varint count, each
//                    { varint sequence | u8 code | sized text }
//   health:          varint term | varint applied | varint revision | varint flags |
//                    varint cluster version | varint count, each { varint index | chain | state }
//   quarantine:      varint term | varint index | chain | state
//   snapshot_ask:    varint index | varint term | varint first chunk | varint count
//   snapshot_chunk:  varint index | varint term | varint number | u8 last | sized head | sized
//   bytes snapshot_gone:   varint index | varint term
//
// Digests are two u64 each, low first. Errors of decoding: corrupt; nothing foreign reaches a
// CHECK.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/types.h"
#include "server/cluster_limits.h"
#include "storage/storage.h"

namespace doozer::server {

/// The core's own message, still encoded.
struct RaftBytes {
  std::string_view bytes;
};

struct ForwardItem {
  bool may_use_reserve = false;  ///< a deletion: taken on a full disk too
  std::string_view payload;      ///< borrowed from the message; empty: nothing, but it counts
};

/// Writes of the sender for the leader of `term`, with consecutive sequences.
struct Forward {
  Term term;
  uint64_t first = 1;
  std::vector<ForwardItem> items;
};

struct Refusal {
  uint64_t sequence = 0;
  Error error;
};

/// The leader of `term` has taken, or refused, all writes of the addressee up to `taken_to`. One
/// that tells of a gap says the same: the addressee goes on after it.
struct ForwardAck {
  Term term;
  uint64_t taken_to = 0;
  std::vector<Refusal> refused;
};

struct DigestAt {
  Index index;
  Hash128 chain;
  Hash128 state;
  bool operator==(const DigestAt&) const = default;
};

/// How a server is, told to the leader that it follows.
struct Health {
  Term term;
  Index applied;
  Revision revision;
  bool full = false;             ///< its disk takes deletions only
  bool quarantined = false;      ///< its state is not to be trusted
  bool sound = true;             ///< its log is neither doubtful nor repairing
  bool slow = false;             ///< its log has waited long for the disk, or did a moment ago
  uint32_t cluster_version = 1;  ///< the newest that its build knows
  std::vector<DigestAt> digests;
};

/// The leader of `term` to a server whose state at `index` differs from that of a majority.
struct Quarantine {
  Term term;
  DigestAt majority;
};

/// Asks for chunks first .. first + count - 1 of one snapshot.
struct SnapshotAsk {
  Index index;
  Term term;  ///< 0: of the newest, if that is not below `index`; one is taken if it is
  uint64_t first = 0;
  uint64_t count = 0;
};

struct SnapshotChunk {
  Index index;
  Term term;
  uint64_t number = 0;    ///< from 0
  bool last = false;      ///< the image is whole: nothing is in this one
  std::string_view head;  ///< of chunk 0: the encoded header; else empty
  std::string_view bytes;
};

/// The addressee's snapshot is not there (any more).
struct SnapshotGone {
  Index index;
  Term term;
};

using PeerMessage = std::variant<RaftBytes, Forward, ForwardAck, Health, Quarantine, SnapshotAsk,
                                 SnapshotChunk, SnapshotGone>;

/// What a snapshot's header tells that is not the sender's own.
std::string encode_snapshot_head(const storage::SnapshotHeader& header);
/// `identity` and `cluster` are left empty. Errors: corrupt.
Result<storage::SnapshotHeader> decode_snapshot_head(std::string_view bytes);

/// Begins a message of the core's in `out`; its bytes follow.
void begin_raft_message(std::string& out);
std::string encode_peer_message(const PeerMessage& message);
/// Views borrow from `bytes`. Errors: corrupt, unsupported (an unknown kind).
Result<PeerMessage> decode_peer_message(std::string_view bytes);

}  // namespace doozer::server
