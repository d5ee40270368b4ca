#include "core/command.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"

namespace doozer::core {
namespace {

constexpr uint8_t kFormat = 1;

enum class Kind : uint8_t {
  set = 1,
  del = 2,
  nop = 3,
  transaction = 4,
  attach = 5,
  reconcile = 6,
  raise_version = 7
};
enum class OperationKind : uint8_t { set = 1, del = 2 };

/// Small numbers of either sign become small unsigned ones: 0, -1, 1, -2 ... to 0, 1, 2, 3 ...
uint64_t zigzag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1U) ^ static_cast<uint64_t>(value >> 63);
}
int64_t unzigzag(uint64_t value) {
  return static_cast<int64_t>((value >> 1U) ^ (~(value & 1U) + 1));
}

/// Writes a body behind the envelope.
class BodyEncoder {
 public:
  explicit BodyEncoder(ByteWriter& writer) : writer_(writer) {}
  void operator()(const SetView& set) {
    kind(Kind::set);
    writer_.varint(zigzag(set.revision));
    writer_.sized(set.path);
    writer_.bytes(set.value);
  }
  void operator()(const DelView& del) {
    kind(Kind::del);
    writer_.varint(zigzag(del.revision));
    writer_.sized(del.path);
  }
  void operator()(const NopView& /*nop*/) { kind(Kind::nop); }
  void operator()(const TransactionView& transaction) {
    CHECK(transaction.guards.size() <= kTransactionOpsMax);
    CHECK(transaction.operations.size() <= kTransactionOpsMax);
    kind(Kind::transaction);
    writer_.varint(transaction.guards.size());
    for (const GuardView& guard : transaction.guards) {
      writer_.u8(static_cast<uint8_t>(guard.compare));
      writer_.sized(guard.path);
      writer_.varint(zigzag(guard.revision));
    }
    writer_.varint(transaction.operations.size());
    for (const OperationView& operation : transaction.operations) {
      writer_.u8(static_cast<uint8_t>(operation.set ? OperationKind::set : OperationKind::del));
      writer_.sized(operation.path);
      if (operation.set) writer_.sized(operation.value);
    }
  }
  void operator()(const AttachView& attach) {
    CHECK(!attach.identity.none());
    CHECK(attach.address.size() <= kMemberAddressBytesMax);
    kind(Kind::attach);
    writer_.bytes(attach.identity.view());
    writer_.varint(attach.incarnation.value());
    writer_.varint(attach.cluster_version);
    writer_.sized(attach.address);
  }
  void operator()(const ReconcileView& reconcile) {
    CHECK(reconcile.updates.size() <= kSlotsMax);
    kind(Kind::reconcile);
    writer_.varint(reconcile.updates.size());
    for (const SlotUpdateView& update : reconcile.updates) {
      writer_.sized(update.path);
      writer_.varint(zigzag(update.revision));
      writer_.bytes(update.identity.view());
    }
  }
  void operator()(const RaiseVersionView& raise) {
    kind(Kind::raise_version);
    writer_.varint(raise.version);
  }

 private:
  void kind(Kind kind) { writer_.u8(static_cast<uint8_t>(kind)); }
  ByteWriter& writer_;
};

tl::unexpected<Error> corrupt(std::string what) {
  return fail(Code::corrupt, "command: " + std::move(what));
}

Result<uint64_t> decode_count(ByteReader& reader, std::string_view of, size_t limit) {
  const uint64_t count = reader.varint();
  if (count > limit) {
    return corrupt(std::to_string(count) + " " + std::string(of) + ", the limit is " +
                   std::to_string(limit));
  }
  return count;
}

/// A cluster version, from 1; 0 if it is none.
uint32_t decode_version(ByteReader& reader) {
  const uint64_t version = reader.varint();
  return version > UINT32_MAX ? 0 : static_cast<uint32_t>(version);
}

Identity decode_identity(ByteReader& reader) {
  const std::string_view bytes = reader.bytes(Identity::kSize);
  return reader.ok() ? Identity::from_bytes(bytes) : Identity();
}

Result<TransactionView> decode_transaction(ByteReader& reader) {
  TransactionView transaction;
  TRY_ASSIGN(const uint64_t guards, decode_count(reader, "guards", kTransactionOpsMax));
  for (uint64_t i = 0; i < guards && reader.ok(); ++i) {
    GuardView guard;
    const uint8_t compare = reader.u8();
    if (reader.ok() && (compare < static_cast<uint8_t>(Compare::at_most) ||
                        compare > static_cast<uint8_t>(Compare::missing))) {
      return corrupt("comparison " + std::to_string(compare) + " of a guard");
    }
    guard.compare = static_cast<Compare>(compare);
    guard.path = reader.sized();
    guard.revision = unzigzag(reader.varint());
    transaction.guards.push_back(guard);
  }
  TRY_ASSIGN(const uint64_t operations, decode_count(reader, "operations", kTransactionOpsMax));
  for (uint64_t i = 0; i < operations && reader.ok(); ++i) {
    OperationView operation;
    const uint8_t kind = reader.u8();
    if (reader.ok() && kind != static_cast<uint8_t>(OperationKind::set) &&
        kind != static_cast<uint8_t>(OperationKind::del)) {
      return corrupt("operation kind " + std::to_string(kind));
    }
    operation.set = kind == static_cast<uint8_t>(OperationKind::set);
    operation.path = reader.sized();
    if (operation.set) operation.value = reader.sized();
    transaction.operations.push_back(operation);
  }
  return transaction;
}

Result<AttachView> decode_attach(ByteReader& reader) {
  AttachView attach;
  attach.identity = decode_identity(reader);
  attach.incarnation = Incarnation(reader.varint());
  attach.cluster_version = decode_version(reader);
  attach.address = reader.sized();
  if (reader.ok() &&
      (attach.identity.none() || attach.incarnation == Incarnation(0) ||
       attach.cluster_version == 0 || attach.address.size() > kMemberAddressBytesMax)) {
    return corrupt("the numbers of an attach");
  }
  return attach;
}

Result<ReconcileView> decode_reconcile(ByteReader& reader) {
  ReconcileView reconcile;
  TRY_ASSIGN(const uint64_t updates, decode_count(reader, "slots", kSlotsMax));
  for (uint64_t i = 0; i < updates && reader.ok(); ++i) {
    SlotUpdateView update;
    update.path = reader.sized();
    update.revision = unzigzag(reader.varint());
    update.identity = decode_identity(reader);
    reconcile.updates.push_back(update);
  }
  return reconcile;
}

Result<BodyView> decode_body(ByteReader& reader) {
  const uint8_t kind = reader.u8();
  if (!reader.ok()) return corrupt("cut short before its kind");
  switch (static_cast<Kind>(kind)) {
    case Kind::set: {
      SetView set;
      set.revision = unzigzag(reader.varint());
      set.path = reader.sized();
      set.value = reader.bytes(reader.rest().size());
      return set;
    }
    case Kind::del: {
      DelView del;
      del.revision = unzigzag(reader.varint());
      del.path = reader.sized();
      return del;
    }
    case Kind::nop: return NopView{};
    case Kind::transaction: {
      TRY_ASSIGN(TransactionView transaction, decode_transaction(reader));
      return transaction;
    }
    case Kind::attach: {
      TRY_ASSIGN(const AttachView attach, decode_attach(reader));
      return attach;
    }
    case Kind::reconcile: {
      TRY_ASSIGN(ReconcileView reconcile, decode_reconcile(reader));
      return reconcile;
    }
    case Kind::raise_version: {
      RaiseVersionView raise;
      raise.version = decode_version(reader);
      if (reader.ok() && raise.version == 0) return corrupt("raised to version 0");
      return raise;
    }
  }
  return fail(Code::unsupported, "command: kind " + std::to_string(kind) + " is unknown");
}

}  // namespace

void encode_command(const CommandView& command, std::string& out) {
  const Envelope& envelope = command.envelope;
  CHECK(envelope.client.size() <= kClientIdBytesMax);
  CHECK(envelope.cluster_version >= 1);
  ByteWriter writer(out);
  writer.u8(kFormat);
  writer.varint(envelope.cluster_version);
  writer.sized(envelope.client);
  writer.varint(envelope.sequence);
  writer.sized(envelope.principal);
  writer.varint(envelope.cluster_time_us);
  std::visit(BodyEncoder(writer), command.body);
}

Result<CommandView> decode_command(std::string_view bytes) {
  if (bytes.size() > kCommandBytesMax) {
    return corrupt(std::to_string(bytes.size()) + " bytes, the limit is " +
                   std::to_string(kCommandBytesMax));
  }
  ByteReader reader(bytes);
  CommandView command;
  const uint8_t format = reader.u8();
  if (!reader.ok()) return corrupt("empty");
  if (format == 0) return corrupt("format 0");
  if (format > kFormat) {
    return fail(Code::unsupported, "command: format " + std::to_string(format) + " is newer than " +
                                       std::to_string(kFormat));
  }
  Envelope& envelope = command.envelope;
  const uint64_t cluster_version = reader.varint();
  if (reader.ok() && cluster_version == 0) return corrupt("cluster version 0");
  if (cluster_version > kClusterVersion) {
    return fail(Code::unsupported, "command: cluster version " + std::to_string(cluster_version) +
                                       " is newer than " + std::to_string(kClusterVersion));
  }
  envelope.cluster_version = static_cast<uint32_t>(cluster_version);
  envelope.client = reader.sized();
  if (envelope.client.size() > kClientIdBytesMax) {
    return corrupt("client id of " + std::to_string(envelope.client.size()) +
                   " bytes, the limit is " + std::to_string(kClientIdBytesMax));
  }
  envelope.sequence = reader.varint();
  envelope.principal = reader.sized();
  envelope.cluster_time_us = reader.varint();
  TRY_ASSIGN(command.body, decode_body(reader));
  if (!reader.ok()) return corrupt("cut short");
  if (!reader.empty()) return corrupt(std::to_string(reader.rest().size()) + " bytes too many");
  return command;
}

}  // namespace doozer::core
