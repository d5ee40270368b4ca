#include "raft/message.h"

#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "raft/core.h"
#include "raft/limits.h"

namespace doozer::raft {
namespace {

enum Kind : uint8_t {
  kRequestVote = 1,
  kVoteReply = 2,
  kAppend = 3,
  kAppendReply = 4,
  kSnapshotOffer = 5,
  kReadRequest = 6,
  kReadReply = 7,
  kTimeoutNow = 8,
};

constexpr uint8_t flag(bool set, unsigned bit) { return static_cast<uint8_t>(set ? 1U << bit : 0); }

// --- Writing

void put(ByteWriter& writer, Term term) { writer.varint(term.value()); }
void put(ByteWriter& writer, Index index) { writer.varint(index.value()); }
void put(ByteWriter& writer, Incarnation incarnation) { writer.varint(incarnation.value()); }

void put(ByteWriter& writer, const LeaderHead& head) {
  put(writer, head.term);
  put(writer, head.commit);
  put(writer, head.last_index);
  writer.varint(head.round);
  put(writer, head.receiver);
  put(writer, head.acknowledged);
  writer.u8(head.rank);
  writer.u8(head.quorum_age);
}

void encode(ByteWriter& writer, const RequestVote& message) {
  writer.u8(kRequestVote);
  put(writer, message.term);
  put(writer, message.last_index);
  put(writer, message.last_term);
  writer.u8(flag(message.pre, 0) | flag(message.transfer, 1) | flag(message.gone.has_value(), 2));
  if (!message.gone) return;
  writer.bytes(message.gone->identity.view());
  put(writer, message.gone->incarnation);
}

void encode(ByteWriter& writer, const VoteReply& message) {
  writer.u8(kVoteReply);
  put(writer, message.term);
  put(writer, message.asked_term);
  writer.u8(flag(message.pre, 0) | flag(message.granted, 1) | flag(message.counts, 2));
}

template <typename EntryAt>
void encode_append(ByteWriter& writer, const LeaderHead& head, const LogPosition& prev,
                   uint64_t count, const EntryAt& entry_at) {
  writer.u8(kAppend);
  put(writer, head);
  put(writer, prev.index);
  put(writer, prev.term);
  writer.varint(count);
  Term before = prev.term;
  for (uint64_t i = 0; i < count; ++i) {
    const Entry& entry = entry_at(i);
    CHECK(entry.term >= before);
    writer.u8(static_cast<uint8_t>(entry.kind));
    writer.varint(entry.term - before);
    writer.sized(entry.payload);
    before = entry.term;
  }
}

void encode(ByteWriter& writer, const Append& message) {
  encode_append(writer, message.head, message.prev, message.entries.size(),
                [&](uint64_t i) -> const Entry& { return message.entries[i]; });
}

void encode(ByteWriter& writer, const AppendReply& message) {
  writer.u8(kAppendReply);
  put(writer, message.term);
  writer.u8(flag(message.accepted, 0) | flag(message.counts, 1) | flag(message.willing, 2));
  put(writer, message.match);
  put(writer, message.agreed);
  writer.varint(message.round);
  if (message.accepted) return;
  put(writer, message.rejected);
  put(writer, message.hint.index);
  put(writer, message.hint.term);
}

void encode(ByteWriter& writer, const SnapshotOffer& message) {
  writer.u8(kSnapshotOffer);
  put(writer, message.head);
  put(writer, message.snapshot.index);
  put(writer, message.snapshot.term);
}

void encode(ByteWriter& writer, const ReadRequest& message) {
  writer.u8(kReadRequest);
  put(writer, message.term);
  put(writer, message.asker);
  writer.varint(message.id);
}

void encode(ByteWriter& writer, const ReadReply& message) {
  writer.u8(kReadReply);
  put(writer, message.term);
  put(writer, message.asker);
  writer.varint(message.id);
  put(writer, message.index);
}

void encode(ByteWriter& writer, const TimeoutNow& message) {
  writer.u8(kTimeoutNow);
  put(writer, message.term);
}

// --- Reading

/// Reads one message; what does not check makes ok() false.
class MessageReader {
 public:
  explicit MessageReader(std::string_view bytes) : reader_(bytes) {}

  bool ok() const { return good_ && reader_.ok(); }
  bool done() const { return good_ && reader_.done(); }
  uint8_t u8() { return reader_.u8(); }
  /// Every counter of ours stays far from overflow.
  uint64_t number() {
    const uint64_t value = reader_.varint();
    require(value <= kIndexMax);
    return ok() ? value : 0;
  }
  Term term() { return Term(number()); }
  Index index() { return Index(number()); }
  Incarnation incarnation() { return Incarnation(number()); }
  LogPosition position() {
    const Index at = index();
    const LogPosition position{.index = at, .term = term()};
    require((position.index.value() == 0) == (position.term.value() == 0));
    return position;
  }
  uint8_t flags(uint8_t known) {
    const uint8_t value = reader_.u8();
    require((value & ~known) == 0);
    return value;
  }
  std::string_view bytes(size_t size) { return reader_.bytes(size); }
  std::string_view sized() { return reader_.sized(); }
  void require(bool condition) { good_ = good_ && condition; }

 private:
  ByteReader reader_;
  bool good_ = true;
};

Term leading_term(MessageReader& reader) {
  const Term term = reader.term();
  reader.require(term.value() > 0);
  return term;
}

LeaderHead read_head(MessageReader& reader) {
  LeaderHead head;
  head.term = leading_term(reader);
  head.commit = reader.index();
  head.last_index = reader.index();
  head.round = reader.number();
  head.receiver = reader.incarnation();
  head.acknowledged = reader.index();
  head.rank = reader.u8();
  head.quorum_age = reader.u8();
  reader.require(head.commit <= head.last_index && head.acknowledged <= head.last_index);
  return head;
}

Message read_request_vote(MessageReader& reader) {
  RequestVote message;
  message.term = leading_term(reader);
  message.last_index = reader.index();
  message.last_term = reader.term();
  const uint8_t flags = reader.flags(7);
  message.pre = (flags & 1U) != 0;
  message.transfer = (flags & 2U) != 0;
  reader.require((message.last_index.value() == 0) == (message.last_term.value() == 0));
  reader.require(message.last_term <= message.term);
  if ((flags & 4U) == 0) return message;
  const std::string_view identity = reader.bytes(Identity::kSize);
  const Incarnation incarnation = reader.incarnation();
  if (!reader.ok()) return message;
  message.gone = Process{.identity = Identity::from_bytes(identity), .incarnation = incarnation};
  return message;
}

Message read_vote_reply(MessageReader& reader) {
  VoteReply message;
  message.term = reader.term();
  message.asked_term = leading_term(reader);
  const uint8_t flags = reader.flags(7);
  message.pre = (flags & 1U) != 0;
  message.granted = (flags & 2U) != 0;
  message.counts = (flags & 4U) != 0;
  return message;
}

bool payload_fits(EntryKind kind, std::string_view payload) {
  switch (kind) {
    case EntryKind::command:
    case EntryKind::forwarded: return payload.size() <= kCommandBytesMax;
    case EntryKind::noop: return payload.empty();
    case EntryKind::configuration: return decode_configuration(payload).has_value();
  }
  return false;
}

// Nothing is allocated for an entry before its bytes were seen.
Message read_append(MessageReader& reader) {
  Append message;
  message.head = read_head(reader);
  message.prev = reader.position();
  const uint64_t count = reader.number();
  reader.require(count <= kAppendEntriesMax);
  Term term = message.prev.term;
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    const auto kind = static_cast<EntryKind>(reader.u8());
    term = term + reader.number();
    const std::string_view payload = reader.sized();
    reader.require(term.value() > 0 && term <= message.head.term);
    if (!reader.ok()) break;
    reader.require(payload_fits(kind, payload));
    message.entries.push_back({.index = message.prev.index + i + 1,
                               .term = term,
                               .kind = kind,
                               .payload = std::string(payload)});
  }
  reader.require(message.prev.index.value() + count <= message.head.last_index.value());
  return message;
}

Message read_append_reply(MessageReader& reader) {
  AppendReply message;
  message.term = leading_term(reader);
  const uint8_t flags = reader.flags(7);
  message.accepted = (flags & 1U) != 0;
  message.counts = (flags & 2U) != 0;
  message.willing = (flags & 4U) != 0;
  message.match = reader.index();
  message.agreed = reader.index();
  message.round = reader.number();
  if (message.accepted) return message;
  message.rejected = reader.index();
  message.hint = reader.position();
  return message;
}

Message read_snapshot_offer(MessageReader& reader) {
  SnapshotOffer message;
  message.head = read_head(reader);
  message.snapshot = reader.position();
  reader.require(message.snapshot.index.value() > 0);
  reader.require(message.snapshot.index <= message.head.commit);
  reader.require(message.snapshot.term <= message.head.term);
  return message;
}

Message read_read_request(MessageReader& reader) {
  ReadRequest message;
  message.term = leading_term(reader);
  message.asker = reader.incarnation();
  message.id = reader.number();
  return message;
}

Message read_read_reply(MessageReader& reader) {
  ReadReply message;
  message.term = leading_term(reader);
  message.asker = reader.incarnation();
  message.id = reader.number();
  message.index = reader.index();
  return message;
}

Message read_body(uint8_t kind, MessageReader& reader) {
  switch (kind) {
    case kRequestVote: return read_request_vote(reader);
    case kVoteReply: return read_vote_reply(reader);
    case kAppend: return read_append(reader);
    case kAppendReply: return read_append_reply(reader);
    case kSnapshotOffer: return read_snapshot_offer(reader);
    case kReadRequest: return read_read_request(reader);
    case kReadReply: return read_read_reply(reader);
    case kTimeoutNow: return TimeoutNow{.term = leading_term(reader)};
    default: reader.require(false); return TimeoutNow{};
  }
}

}  // namespace

void encode_message(const Send& send, const Core& core, std::string& out) {
  ByteWriter writer(out);
  std::visit(
      [&](const auto& message) {
        if constexpr (std::is_same_v<std::decay_t<decltype(message)>, AppendRange>) {
          encode_append(
              writer, message.head, message.prev, message.count,
              [&](uint64_t i) -> const Entry& { return core.entry(message.prev.index + i + 1); });
        } else {
          encode(writer, message);
        }
      },
      send.message);
}

void encode_message(const Message& message, std::string& out) {
  ByteWriter writer(out);
  std::visit([&](const auto& body) { encode(writer, body); }, message);
}

Message to_message(const Send& send, const Core& core) {
  return std::visit(
      [&](const auto& message) -> Message {
        if constexpr (std::is_same_v<std::decay_t<decltype(message)>, AppendRange>) {
          Append append{.head = message.head, .prev = message.prev, .entries = {}};
          append.entries.reserve(message.count);
          for (uint64_t i = 1; i <= message.count; ++i) {
            append.entries.push_back(core.entry(message.prev.index + i));
          }
          return append;
        } else {
          return message;
        }
      },
      send.message);
}

Result<Message> decode_message(std::string_view bytes) {
  MessageReader reader(bytes);
  const uint8_t kind = reader.u8();
  Message message = read_body(kind, reader);
  if (!reader.done()) {
    return fail(Code::corrupt, "raft message: " + std::to_string(bytes.size()) +
                                   " bytes are no message of kind " + std::to_string(kind));
  }
  return message;
}

}  // namespace doozer::raft
