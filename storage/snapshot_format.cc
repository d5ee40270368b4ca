#include "storage/snapshot_format.h"

#include <cstdio>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"

namespace doozer::storage {
namespace {

constexpr uint64_t kMagic = 0x50414E535A4F4F44;  // "DOOZSNAP"
constexpr size_t kCrcBytes = 4;
constexpr std::string_view kSuffix = ".snap";
constexpr std::string_view kReceivedSuffix = ".received";
constexpr size_t kNameDigits = 16;

Identity read_identity(ByteReader& reader) {
  const std::string_view bytes = reader.bytes(Identity::kSize);
  return reader.ok() ? Identity::from_bytes(bytes) : Identity();
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

std::string encode_body(const SnapshotHeader& header) {
  std::string body;
  ByteWriter writer(body);
  writer.bytes(header.cluster.view());
  writer.bytes(header.identity.view());
  writer.u64(header.point.index.value());
  writer.u64(header.point.term.value());
  writer.sized(header.point.configuration.voters.empty()
                   ? std::string()
                   : raft::encode_configuration(header.point.configuration));
  writer.u32(header.cluster_version);
  writer.u64(static_cast<uint64_t>(header.revision.value()));
  write_hash(writer, header.chain_digest);
  write_hash(writer, header.state_digest);
  CHECK(body.size() <= kSnapshotBodyBytesMax);
  return body;
}

}  // namespace

std::string encode_snapshot_header(const SnapshotHeader& header) {
  const std::string body = encode_body(header);
  std::string out;
  ByteWriter writer(out);
  writer.u64(kMagic);
  writer.u32(kSnapshotFormat);
  writer.u32(static_cast<uint32_t>(body.size()));
  writer.bytes(body);
  writer.u32(crc32c(out));
  return out;
}

Result<size_t> snapshot_header_size(std::string_view prefix) {
  ByteReader reader(prefix);
  const uint64_t magic = reader.u64();
  const uint32_t format = reader.u32();
  const uint32_t body_bytes = reader.u32();
  if (!reader.ok() || magic != kMagic) return fail(Code::corrupt, "no snapshot header");
  if (format != kSnapshotFormat) {
    return fail(Code::unsupported, "snapshot format " + std::to_string(format) +
                                       ": this version knows " + std::to_string(kSnapshotFormat));
  }
  if (body_bytes > kSnapshotBodyBytesMax) return fail(Code::corrupt, "no snapshot header");
  return kSnapshotPrefixBytes + body_bytes + kCrcBytes;
}

Result<DecodedSnapshotHeader> decode_snapshot_header(std::string_view bytes) {
  TRY_ASSIGN(const size_t size, snapshot_header_size(bytes));
  if (bytes.size() != size) return fail(Code::corrupt, "the snapshot header is not whole");
  const std::string_view checked = bytes.substr(0, size - kCrcBytes);
  ByteReader tail(bytes.substr(size - kCrcBytes));
  DecodedSnapshotHeader decoded;
  decoded.crc = tail.u32();
  if (crc32c(checked) != decoded.crc) {
    return fail(Code::corrupt, "the snapshot header does not check");
  }
  ByteReader reader(checked.substr(kSnapshotPrefixBytes));
  SnapshotHeader& header = decoded.header;
  header.cluster = read_identity(reader);
  header.identity = read_identity(reader);
  header.point.index = Index(reader.u64());
  header.point.term = Term(reader.u64());
  const std::string_view configuration = reader.sized();
  header.cluster_version = reader.u32();
  header.revision = Revision(static_cast<int64_t>(reader.u64()));
  header.chain_digest = read_hash(reader);
  header.state_digest = read_hash(reader);
  if (!reader.done()) return fail(Code::corrupt, "a snapshot header that checks is none");
  if (!configuration.empty()) {
    TRY_ASSIGN(header.point.configuration, raft::decode_configuration(configuration));
  }
  return decoded;
}

uint32_t append_snapshot_record(std::string& out, SnapshotRecordKind kind, uint32_t raw_bytes,
                                std::string_view stored, uint32_t chain) {
  CHECK(stored.size() <= kSnapshotStoredBytesMax);
  const size_t start = out.size();
  ByteWriter writer(out);
  writer.u32(0);
  writer.u32(static_cast<uint32_t>(stored.size()));
  writer.u32(raw_bytes);
  writer.u8(static_cast<uint8_t>(kind));
  writer.bytes(stored);
  const uint32_t crc = crc32c(std::string_view(out).substr(start + kCrcBytes), chain);
  overwrite_u32(out, start, crc);
  return crc;
}

std::string encode_snapshot_end(const SnapshotTotals& totals) {
  std::string out;
  ByteWriter writer(out);
  writer.u64(totals.chunks);
  writer.u64(totals.raw_bytes);
  writer.u64(totals.stored_bytes);
  return out;
}

Result<SnapshotRecordHead> decode_snapshot_record_head(std::string_view bytes) {
  ByteReader reader(bytes);
  SnapshotRecordHead head;
  head.crc = reader.u32();
  head.stored_bytes = reader.u32();
  head.raw_bytes = reader.u32();
  const uint8_t kind = reader.u8();
  head.kind = static_cast<SnapshotRecordKind>(kind);
  if (!reader.ok()) return fail(Code::corrupt, "the file ends inside a record");
  const bool chunk = head.kind == SnapshotRecordKind::chunk &&
                     head.raw_bytes <= kSnapshotChunkBytes &&
                     head.stored_bytes <= kSnapshotStoredBytesMax;
  const bool end = head.kind == SnapshotRecordKind::end && head.raw_bytes == 0 &&
                   head.stored_bytes == kSnapshotEndBytes;
  if (!chunk && !end) return fail(Code::corrupt, "no record of a snapshot");
  return head;
}

bool snapshot_record_checks(std::string_view record, uint32_t chain) {
  ByteReader reader(record);
  const uint32_t crc = reader.u32();
  return reader.ok() && crc32c(record.substr(kCrcBytes), chain) == crc;
}

Result<SnapshotTotals> decode_snapshot_end(std::string_view stored) {
  ByteReader reader(stored);
  SnapshotTotals totals;
  totals.chunks = reader.u64();
  totals.raw_bytes = reader.u64();
  totals.stored_bytes = reader.u64();
  if (!reader.done()) return fail(Code::corrupt, "no end record of a snapshot");
  return totals;
}

namespace {

std::string path_of(Index index, std::string_view suffix) {
  char name[kNameDigits + 1];
  std::snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(index.value()));
  return "snap/" + std::string(name) + std::string(suffix);
}

std::optional<Index> parse_name(std::string_view name, std::string_view suffix) {
  if (name.size() != kNameDigits + suffix.size() || !name.ends_with(suffix)) return std::nullopt;
  uint64_t index = 0;
  for (const char c : name.substr(0, kNameDigits)) {
    const bool digit = c >= '0' && c <= '9';
    const bool letter = c >= 'a' && c <= 'f';
    if (!digit && !letter) return std::nullopt;
    index = index * 16 + static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return Index(index);
}

}  // namespace

std::string snapshot_path(Index index) { return path_of(index, kSuffix); }

std::string received_path(Index index) { return path_of(index, kReceivedSuffix); }

std::optional<Index> parse_snapshot_name(std::string_view name) {
  return parse_name(name, kSuffix);
}

std::optional<Index> parse_received_name(std::string_view name) {
  return parse_name(name, kReceivedSuffix);
}

}  // namespace doozer::storage
