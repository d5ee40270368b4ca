#include "server/peer_message.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "raft/types.h"

namespace doozer::server {
namespace {

enum class Kind : uint8_t {
  raft = 1,
  forward = 2,
  forward_ack = 3,
  health = 4,
  quarantine = 5,
  snapshot_ask = 6,
  snapshot_chunk = 7,
  snapshot_gone = 8,
};

constexpr uint8_t kMayUseReserve = 1;
constexpr uint64_t kFull = 1;
constexpr uint64_t kQuarantined = 2;
constexpr uint64_t kSound = 4;
constexpr uint64_t kSlow = 8;

tl::unexpected<Error> corrupt(std::string_view what, size_t size) {
  return fail(Code::corrupt, "peer message: " + std::string(what) + " of " + std::to_string(size) +
                                 " bytes is not a whole one");
}

void write_hash(ByteWriter& writer, const Hash128& hash) {
  writer.u64(hash.low);
  writer.u64(hash.high);
}
Hash128 read_hash(ByteReader& reader) {
  Hash128 hash;
  hash.low = reader.u64();
  hash.high = reader.u64();
  return hash;
}
void write_digest(ByteWriter& writer, const DigestAt& digest) {
  writer.varint(digest.index.value());
  write_hash(writer, digest.chain);
  write_hash(writer, digest.state);
}
DigestAt read_digest(ByteReader& reader) {
  DigestAt digest;
  digest.index = Index(reader.varint());
  digest.chain = read_hash(reader);
  digest.state = read_hash(reader);
  return digest;
}

class Encoder {
 public:
  explicit Encoder(std::string& out) : writer_(out) {}

  void operator()(const RaftBytes& raft) {
    kind(Kind::raft);
    writer_.bytes(raft.bytes);
  }
  void operator()(const Forward& forward) {
    CHECK(forward.items.size() <= kForwardItemsMax);
    kind(Kind::forward);
    writer_.varint(forward.term.value());
    writer_.varint(forward.first);
    writer_.varint(forward.items.size());
    for (const ForwardItem& item : forward.items) {
      writer_.u8(item.may_use_reserve ? kMayUseReserve : 0);
      writer_.sized(item.payload);
    }
  }
  void operator()(const ForwardAck& ack) {
    CHECK(ack.refused.size() <= kRefusedPerAckMax);
    kind(Kind::forward_ack);
    writer_.varint(ack.term.value());
    writer_.varint(ack.taken_to);
    writer_.varint(ack.refused.size());
    for (const Refusal& refusal : ack.refused) {
      writer_.varint(refusal.sequence);
      writer_.u8(static_cast<uint8_t>(refusal.error.code));
      writer_.sized(std::string_view(refusal.error.message).substr(0, kErrorTextBytesMax));
    }
  }
  void operator()(const Health& health) {
    CHECK(health.digests.size() <= kDigestsKept);
    kind(Kind::health);
    writer_.varint(health.term.value());
    writer_.varint(health.applied.value());
    writer_.varint(static_cast<uint64_t>(health.revision.value()));
    writer_.varint((health.full ? kFull : 0) | (health.quarantined ? kQuarantined : 0) |
                   (health.sound ? kSound : 0) | (health.slow ? kSlow : 0));
    writer_.varint(health.cluster_version);
    writer_.varint(health.digests.size());
    for (const DigestAt& digest : health.digests) write_digest(writer_, digest);
  }
  void operator()(const Quarantine& quarantine) {
    kind(Kind::quarantine);
    writer_.varint(quarantine.term.value());
    write_digest(writer_, quarantine.majority);
  }
  void operator()(const SnapshotAsk& ask) {
    kind(Kind::snapshot_ask);
    writer_.varint(ask.index.value());
    writer_.varint(ask.term.value());
    writer_.varint(ask.first);
    writer_.varint(ask.count);
  }
  void operator()(const SnapshotChunk& chunk) {
    kind(Kind::snapshot_chunk);
    writer_.varint(chunk.index.value());
    writer_.varint(chunk.term.value());
    writer_.varint(chunk.number);
    writer_.u8(chunk.last ? 1 : 0);
    writer_.sized(chunk.head);
    writer_.sized(chunk.bytes);
  }
  void operator()(const SnapshotGone& gone) {
    kind(Kind::snapshot_gone);
    writer_.varint(gone.index.value());
    writer_.varint(gone.term.value());
  }

 private:
  void kind(Kind kind) { writer_.u8(static_cast<uint8_t>(kind)); }
  ByteWriter writer_;
};

Result<PeerMessage> decode_forward(ByteReader& reader, size_t size) {
  Forward forward;
  forward.term = Term(reader.varint());
  forward.first = reader.varint();
  const uint64_t count = reader.varint();
  if (count > kForwardItemsMax || forward.first == 0) return corrupt("a forward", size);
  forward.items.reserve(std::min<size_t>(static_cast<size_t>(count), reader.rest().size() / 2));
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    ForwardItem item;
    item.may_use_reserve = (reader.u8() & kMayUseReserve) != 0;
    item.payload = reader.sized();
    forward.items.push_back(item);
  }
  if (!reader.done()) return corrupt("a forward", size);
  return forward;
}

Result<PeerMessage> decode_forward_ack(ByteReader& reader, size_t size) {
  ForwardAck ack;
  ack.term = Term(reader.varint());
  ack.taken_to = reader.varint();
  const uint64_t count = reader.varint();
  if (count > kRefusedPerAckMax) return corrupt("a forward's answer", size);
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    Refusal refusal;
    refusal.sequence = reader.varint();
    const uint8_t code = reader.u8();
    if (code > static_cast<uint8_t>(Code::other)) return corrupt("a forward's answer", size);
    refusal.error.code = static_cast<Code>(code);
    refusal.error.message = std::string(reader.sized());
    ack.refused.push_back(std::move(refusal));
  }
  if (!reader.done()) return corrupt("a forward's answer", size);
  return ack;
}

Result<PeerMessage> decode_health(ByteReader& reader, size_t size) {
  Health health;
  health.term = Term(reader.varint());
  health.applied = Index(reader.varint());
  health.revision = Revision(static_cast<int64_t>(reader.varint()));
  const uint64_t flags = reader.varint();
  health.full = (flags & kFull) != 0;
  health.quarantined = (flags & kQuarantined) != 0;
  health.sound = (flags & kSound) != 0;
  health.slow = (flags & kSlow) != 0;
  health.cluster_version = static_cast<uint32_t>(reader.varint());
  const uint64_t count = reader.varint();
  if (count > kDigestsKept) return corrupt("a health report", size);
  for (uint64_t i = 0; i < count && reader.ok(); ++i) health.digests.push_back(read_digest(reader));
  if (!reader.done()) return corrupt("a health report", size);
  return health;
}

Result<PeerMessage> decode_chunk(ByteReader& reader, size_t size) {
  SnapshotChunk chunk;
  chunk.index = Index(reader.varint());
  chunk.term = Term(reader.varint());
  chunk.number = reader.varint();
  chunk.last = reader.u8() != 0;
  chunk.head = reader.sized();
  chunk.bytes = reader.sized();
  if (!reader.done()) return corrupt("a snapshot's chunk", size);
  return chunk;
}

}  // namespace

void begin_raft_message(std::string& out) { out.push_back(static_cast<char>(Kind::raft)); }

std::string encode_peer_message(const PeerMessage& message) {
  std::string out;
  std::visit(Encoder(out), message);
  return out;
}

Result<PeerMessage> decode_peer_message(std::string_view bytes) {
  ByteReader reader(bytes);
  const uint8_t kind = reader.u8();
  if (!reader.ok()) return fail(Code::corrupt, "peer message: it is empty");
  switch (static_cast<Kind>(kind)) {
    case Kind::raft: return RaftBytes{.bytes = reader.rest()};
    case Kind::forward: return decode_forward(reader, bytes.size());
    case Kind::forward_ack: return decode_forward_ack(reader, bytes.size());
    case Kind::health: return decode_health(reader, bytes.size());
    case Kind::quarantine: {
      Quarantine quarantine;
      quarantine.term = Term(reader.varint());
      quarantine.majority = read_digest(reader);
      if (!reader.done()) return corrupt("a quarantine", bytes.size());
      return quarantine;
    }
    case Kind::snapshot_ask: {
      SnapshotAsk ask;
      ask.index = Index(reader.varint());
      ask.term = Term(reader.varint());
      ask.first = reader.varint();
      ask.count = reader.varint();
      if (!reader.done()) return corrupt("a question for a snapshot", bytes.size());
      return ask;
    }
    case Kind::snapshot_chunk: return decode_chunk(reader, bytes.size());
    case Kind::snapshot_gone: {
      SnapshotGone gone;
      gone.index = Index(reader.varint());
      gone.term = Term(reader.varint());
      if (!reader.done()) return corrupt("the word of a missing snapshot", bytes.size());
      return gone;
    }
  }
  return fail(Code::unsupported, "peer message: kind " + std::to_string(kind) + " is not known");
}

std::string encode_snapshot_head(const storage::SnapshotHeader& header) {
  std::string out;
  ByteWriter writer(out);
  writer.varint(header.point.index.value());
  writer.varint(header.point.term.value());
  writer.sized(raft::encode_configuration(header.point.configuration));
  writer.varint(header.cluster_version);
  writer.varint(static_cast<uint64_t>(header.revision.value()));
  write_hash(writer, header.chain_digest);
  write_hash(writer, header.state_digest);
  return out;
}

Result<storage::SnapshotHeader> decode_snapshot_head(std::string_view bytes) {
  ByteReader reader(bytes);
  storage::SnapshotHeader header;
  header.point.index = Index(reader.varint());
  header.point.term = Term(reader.varint());
  const std::string_view configuration = reader.sized();
  header.cluster_version = static_cast<uint32_t>(reader.varint());
  header.revision = Revision(static_cast<int64_t>(reader.varint()));
  header.chain_digest = read_hash(reader);
  header.state_digest = read_hash(reader);
  if (!reader.done() || header.point.index.value() == 0) {
    return corrupt("a snapshot's head", bytes.size());
  }
  TRY_ASSIGN(header.point.configuration, raft::decode_configuration(configuration));
  return header;
}

}  // namespace doozer::server
