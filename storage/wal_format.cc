// See docs/wal-format.md for the drawing.
#include "storage/wal_format.h"

#include <cstdio>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"

namespace doozer::storage {
namespace {

constexpr uint64_t kHeaderMagic = 0x4C4157525A4F4F44;  // "DOOZRWAL"
constexpr uint64_t kMarkerMagic = 0x636E79737A6F6F64;  // "doozsync"
constexpr size_t kCrcBytes = 4;
constexpr size_t kTypeAt = 8;
constexpr size_t kDurableStateBytes = 8 + Identity::kSize + 8 + 8;
constexpr size_t kMarkerBodyBytes = kMarkerRecordBytes - kRecordHeadBytes;
constexpr size_t kMarkerCheckedBytes = kMarkerBodyBytes - kCrcBytes;
constexpr size_t kEntryFixedBytes = kEntryOverheadBytes - kRecordHeadBytes;
constexpr std::string_view kSegmentSuffix = ".wal";
constexpr size_t kSegmentDigits = 16;

template <typename T>
char* put(char* at, T value) {
  std::memcpy(at, &value, sizeof value);
  return at + sizeof value;
}

/// The head with a crc of zero.
char* put_head(char* at, size_t body_bytes, RecordType type) {
  at = put(at, uint32_t{0});
  at = put(at, static_cast<uint32_t>(body_bytes));
  return put(at, static_cast<uint8_t>(type));
}

void write_head(ByteWriter& writer, size_t body_bytes, RecordType type) {
  char head[kRecordHeadBytes];
  put_head(head, body_bytes, type);
  writer.bytes({head, sizeof head});
}

void write_state(ByteWriter& writer, const DurableState& state) {
  writer.u64(state.raft.term.value());
  writer.bytes(state.raft.vote.view());
  writer.u64(state.raft.commit.value());
  writer.u64(state.doubtful_to.value());
}

Identity read_identity(ByteReader& reader) {
  const std::string_view bytes = reader.bytes(Identity::kSize);
  return reader.ok() ? Identity::from_bytes(bytes) : Identity();
}

DurableState read_state(ByteReader& reader) {
  DurableState state;
  state.raft.term = Term(reader.u64());
  state.raft.vote = read_identity(reader);
  state.raft.commit = Index(reader.u64());
  state.doubtful_to = Index(reader.u64());
  return state;
}

tl::unexpected<Error> impossible(std::string_view what) {
  return fail(Code::corrupt, "a record that checks is no " + std::string(what));
}

Result<Marker> decode_marker(std::string_view body) {
  ByteReader reader(body);
  const uint64_t magic = reader.u64();
  Marker marker;
  marker.number = reader.u64();
  marker.offset = reader.u64();
  marker.synced_to = reader.u64();
  marker.header_crc = reader.u32();
  marker.batch_bytes = reader.u32();
  marker.last_index = Index(reader.u64());
  marker.zero_sectors = reader.u32();
  reader.u32();  // self_crc: the chain has checked it already
  if (!reader.done() || magic != kMarkerMagic) return impossible("sync marker");
  if (marker.batch_bytes < kMarkerRecordBytes || marker.batch_bytes > kBatchBytesCeiling) {
    return impossible("sync marker of a possible batch");
  }
  return marker;
}

Result<EntryView> decode_entry(std::string_view body, RecordType type) {
  ByteReader reader(body);
  EntryView entry;
  entry.index = Index(reader.u64());
  entry.term = Term(reader.u64());
  const uint8_t kind = reader.u8();
  if (!reader.ok()) return impossible("entry");
  entry.kind = static_cast<raft::EntryKind>(kind);
  const bool is_configuration = entry.kind == raft::EntryKind::configuration;
  const bool known = entry.kind == raft::EntryKind::command ||
                     entry.kind == raft::EntryKind::noop ||
                     entry.kind == raft::EntryKind::forwarded || is_configuration;
  if (!known) {
    return fail(Code::unsupported,
                "an entry of kind " + std::to_string(kind) + ": written by a newer version?");
  }
  if (is_configuration != (type == RecordType::configuration)) return impossible("entry");
  entry.payload = reader.rest();
  return entry;
}

}  // namespace

uint64_t zero_sectors(std::string_view bytes) {
  static constexpr char kZeros[kSectorBytes] = {};
  uint64_t count = 0;
  for (size_t at = 0; at < bytes.size(); at += kSectorBytes) {
    const std::string_view sector = bytes.substr(at, kSectorBytes);
    if (sector.front() == '\0' && std::memcmp(sector.data(), kZeros, sector.size()) == 0) ++count;
  }
  return count;
}

uint32_t segment_seed(const Identity& cluster, const Identity& identity, uint64_t number) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.bytes(cluster.view());
  writer.bytes(identity.view());
  writer.u64(number);
  return crc32c(bytes);
}

std::string encode_segment_header(const SegmentHeader& header) {
  std::string out;
  out.reserve(kSectorBytes);
  ByteWriter writer(out);
  write_head(writer, kHeaderRecordBytes - kRecordHeadBytes, RecordType::header);
  writer.u64(kHeaderMagic);
  writer.u32(kWalFormat);
  writer.bytes(header.cluster.view());
  writer.bytes(header.identity.view());
  writer.u64(header.number);
  writer.u64(header.file_bytes);
  writer.u64(header.incarnation.value());
  writer.u64(header.previous.number);
  writer.u64(header.previous.end);
  writer.u32(header.previous.crc);
  writer.u64(header.synced_to);
  writer.u64(header.first_index.value());
  writer.u64(header.previous_term.value());
  write_state(writer, header.state);
  CHECK(out.size() == kHeaderRecordBytes);
  const uint32_t seed = segment_seed(header.cluster, header.identity, header.number);
  overwrite_u32(out, 0, crc32c(std::string_view(out).substr(kCrcBytes), seed));
  out.resize(kSectorBytes, '\0');
  return out;
}

Result<DecodedHeader> decode_segment_header(std::string_view sector) {
  ByteReader reader(sector);
  DecodedHeader decoded;
  SegmentHeader& header = decoded.header;
  decoded.crc = reader.u32();
  const uint32_t size = reader.u32();
  const uint8_t type = reader.u8();
  const uint64_t magic = reader.u64();
  const uint32_t format = reader.u32();
  header.cluster = read_identity(reader);
  header.identity = read_identity(reader);
  header.number = reader.u64();
  const uint64_t whole = uint64_t{kRecordHeadBytes} + size;
  if (!reader.ok() || magic != kHeaderMagic || type != static_cast<uint8_t>(RecordType::header) ||
      whole > sector.size()) {
    return fail(Code::corrupt, "no segment header");
  }
  const std::string_view checked = sector.substr(kCrcBytes, whole - kCrcBytes);
  if (crc32c(checked, segment_seed(header.cluster, header.identity, header.number)) !=
      decoded.crc) {
    return fail(Code::corrupt, "the segment header does not check");
  }
  if (format != kWalFormat) {
    return fail(Code::unsupported, "log format " + std::to_string(format) +
                                       ": this version knows " + std::to_string(kWalFormat));
  }
  header.file_bytes = reader.u64();
  header.incarnation = Incarnation(reader.u64());
  header.previous.number = reader.u64();
  header.previous.end = reader.u64();
  header.previous.crc = reader.u32();
  header.synced_to = reader.u64();
  header.first_index = Index(reader.u64());
  header.previous_term = Term(reader.u64());
  header.state = read_state(reader);
  if (!reader.ok() || whole != kHeaderRecordBytes) return impossible("segment header");
  if (header.number == 0 || header.previous.number >= header.number ||
      header.first_index == Index(0)) {
    return impossible("possible segment header");
  }
  return decoded;
}

void begin_batch(std::string& batch) {
  CHECK(batch.empty());
  batch.resize(kMarkerRecordBytes, '\0');
}

void append_entry(std::string& batch, Index index, Term term, raft::EntryKind kind,
                  std::string_view payload) {
  CHECK(payload.size() <= kCommandBytesMax);
  char head[kEntryOverheadBytes];
  char* at = put_head(
      head, kEntryFixedBytes + payload.size(),
      kind == raft::EntryKind::configuration ? RecordType::configuration : RecordType::entry);
  at = put(at, index.value());
  at = put(at, term.value());
  at = put(at, static_cast<uint8_t>(kind));
  CHECK(at == head + sizeof head);
  batch.append(head, sizeof head);
  batch.append(payload);
}

void append_hard_state(std::string& batch, const DurableState& state) {
  ByteWriter writer(batch);
  write_head(writer, kDurableStateBytes, RecordType::hard_state);
  write_state(writer, state);
}

void append_truncate(std::string& batch, Index from) {
  ByteWriter writer(batch);
  write_head(writer, sizeof(uint64_t), RecordType::truncate);
  writer.u64(from.value());
}

uint32_t seal_batch(std::string& batch, Marker marker, uint32_t seed, uint32_t chain) {
  CHECK(batch.size() >= kMarkerRecordBytes);
  CHECK(batch.size() <= kBatchBytesCeiling);
  marker.batch_bytes = static_cast<uint32_t>(batch.size());
  // Before the checksums are in, so that a sector which holds nothing else counts as zero here:
  // what is read may have fewer, never more.
  marker.zero_sectors = static_cast<uint32_t>(
      zero_sectors(std::string_view(batch).substr(std::min(batch.size(), kSectorBytes))));
  char* const body = put_head(batch.data(), kMarkerBodyBytes, RecordType::marker);
  char* at = put(body, kMarkerMagic);
  at = put(at, marker.number);
  at = put(at, marker.offset);
  at = put(at, marker.synced_to);
  at = put(at, marker.header_crc);
  at = put(at, marker.batch_bytes);
  at = put(at, marker.last_index.value());
  at = put(at, marker.zero_sectors);
  put(at, crc32c({body, kMarkerCheckedBytes}, seed));

  const std::string_view whole = batch;
  for (size_t offset = 0; offset < whole.size();) {
    const uint64_t size = record_size(whole.substr(offset)).value_or(0);
    CHECK(size >= kRecordHeadBytes);
    CHECK(size <= whole.size() - offset);
    chain = crc32c(whole.substr(offset + kCrcBytes, size - kCrcBytes), chain);
    put(batch.data() + offset, chain);
    offset += size;
  }
  batch.resize(align_sector(batch.size()), '\0');
  return chain;
}

std::optional<uint64_t> record_size(std::string_view bytes) {
  if (bytes.size() < kRecordHeadBytes) return std::nullopt;
  uint32_t size = 0;
  std::memcpy(&size, bytes.data() + kCrcBytes, sizeof size);
  return uint64_t{kRecordHeadBytes} + size;
}

Result<Record> decode_record(std::string_view bytes, uint32_t chain) {
  const std::optional<uint64_t> size = record_size(bytes);
  if (!size || *size > bytes.size()) return fail(Code::corrupt, "the record is not whole");
  Record record;
  record.size = static_cast<size_t>(*size);
  std::memcpy(&record.crc, bytes.data(), sizeof record.crc);
  if (crc32c(bytes.substr(kCrcBytes, record.size - kCrcBytes), chain) != record.crc) {
    return fail(Code::corrupt, "the record does not check");
  }
  const auto type = static_cast<uint8_t>(bytes[kTypeAt]);
  const std::string_view body = bytes.substr(kRecordHeadBytes, record.size - kRecordHeadBytes);
  ByteReader reader(body);
  switch (static_cast<RecordType>(type)) {
    case RecordType::marker: {
      TRY_ASSIGN(record.body, decode_marker(body));
      return record;
    }
    case RecordType::entry:
    case RecordType::configuration: {
      TRY_ASSIGN(record.body, decode_entry(body, static_cast<RecordType>(type)));
      return record;
    }
    case RecordType::hard_state:
      record.body = read_state(reader);
      if (!reader.done()) return impossible("hard state");
      return record;
    case RecordType::truncate:
      record.body = Truncate{Index(reader.u64())};
      if (!reader.done()) return impossible("truncation");
      return record;
    case RecordType::header: return impossible("record behind a header");
  }
  return fail(Code::unsupported,
              "a record of type " + std::to_string(type) + ": written by a newer version?");
}

std::optional<Marker> find_marker(std::string_view sector, uint32_t seed, uint64_t number,
                                  uint64_t offset) {
  if (sector.size() < kMarkerRecordBytes) return std::nullopt;
  const std::string_view body = sector.substr(kRecordHeadBytes, kMarkerBodyBytes);
  uint64_t magic = 0;
  std::memcpy(&magic, body.data(), sizeof magic);
  if (magic != kMarkerMagic) return std::nullopt;
  uint32_t self_crc = 0;
  std::memcpy(&self_crc, body.data() + kMarkerCheckedBytes, sizeof self_crc);
  if (crc32c(body.substr(0, kMarkerCheckedBytes), seed) != self_crc) return std::nullopt;
  const auto marker = decode_marker(body);
  if (!marker || marker->number != number || marker->offset != offset) return std::nullopt;
  return *marker;
}

std::string segment_path(uint64_t number) {
  char name[32];
  std::snprintf(name, sizeof name, "log/%016llu.wal", static_cast<unsigned long long>(number));
  return name;
}

std::optional<uint64_t> parse_segment_name(std::string_view name) {
  if (name.size() != kSegmentDigits + kSegmentSuffix.size()) return std::nullopt;
  if (!name.ends_with(kSegmentSuffix)) return std::nullopt;
  uint64_t number = 0;
  for (const char c : name.substr(0, kSegmentDigits)) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<uint64_t>(c - '0');
  }
  if (number == 0) return std::nullopt;
  return number;
}

}  // namespace doozer::storage
