// The bytes of the write-ahead log, and nothing else: no file, no clock. docs/wal-format.md draws
// them and tells what makes a record valid; numbers here and there are the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/limits.h"
#include "base/result.h"
#include "base/types.h"
#include "raft/types.h"

namespace doozer::storage {

constexpr uint32_t kWalFormat = 1;
/// Batches begin at multiples of this; a machine loses or tears whole sectors only.
constexpr uint64_t kSectorBytes = 512;
constexpr size_t kRecordHeadBytes = 9;  ///< crc:u32 size:u32 type:u8
constexpr size_t kHeaderRecordBytes = kRecordHeadBytes + 134;
constexpr size_t kMarkerRecordBytes = kRecordHeadBytes + 56;
constexpr size_t kEntryOverheadBytes = kRecordHeadBytes + 17;  ///< of an entry besides its payload
/// A batch holds at most kLogBatchBytesMax and then one more record; recovery may put what a small
/// segment held in front of it.
constexpr uint64_t kBatchBytesCeiling = kLogBatchBytesMax + kCommandBytesMax + 256 * kKiB;

static_assert(kHeaderRecordBytes <= kSectorBytes);
static_assert(kBatchBytesCeiling <= UINT32_MAX);

enum class RecordType : uint8_t {
  header = 1,
  marker = 2,
  entry = 3,
  configuration = 4,
  hard_state = 5,
  truncate = 6,
};

/// How many sectors of `bytes`, which begin with one, are all zero; the last one may be short.
uint64_t zero_sectors(std::string_view bytes);

constexpr uint64_t align_sector(uint64_t bytes) {
  return (bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
}

/// Raft's hard state and what storage adds to it.
struct DurableState {
  raft::HardState raft;
  Index doubtful_to;  ///< a cut tail may have reached so far; 0: nothing is in doubt

  bool operator==(const DurableState&) const = default;
};

/// Where the log goes on from: the end of what counts in the previous segment.
struct SegmentLink {
  uint64_t number = 0;  ///< 0: none, this is the first
  uint64_t end = 0;
  uint32_t crc = 0;

  bool operator==(const SegmentLink&) const = default;
};

struct SegmentHeader {
  Identity cluster;
  Identity identity;
  uint64_t number = 0;
  uint64_t file_bytes = 0;
  Incarnation incarnation;
  SegmentLink previous;
  uint64_t synced_to = 0;  ///< below it all was synced before the file got its name; 0: nothing
  Index first_index;       ///< of the next entry
  Term previous_term;      ///< of the entry before it
  DurableState state;

  bool operator==(const SegmentHeader&) const = default;
};

struct Marker {
  uint64_t number = 0;
  uint64_t offset = 0;     ///< where it stands
  uint64_t synced_to = 0;  ///< everything below was synced when this was written
  uint32_t header_crc = 0;
  uint32_t batch_bytes = 0;   ///< marker and records, without the padding
  Index last_index;           ///< after this batch
  uint32_t zero_sectors = 0;  ///< of the batch as written, no more than these are all zero

  bool operator==(const Marker&) const = default;
};

/// An entry as it lies in the reader's buffer.
struct EntryView {
  Index index;
  Term term;
  raft::EntryKind kind = raft::EntryKind::command;
  std::string_view payload;

  raft::Entry keep() const {
    return {.index = index, .term = term, .kind = kind, .payload = std::string(payload)};
  }
};

struct Truncate {
  Index from;
};

/// What the crc of the first record, and of every marker's own check, is seeded with.
uint32_t segment_seed(const Identity& cluster, const Identity& identity, uint64_t number);

/// The header's sector, checked and padded.
std::string encode_segment_header(const SegmentHeader& header);
struct DecodedHeader {
  SegmentHeader header;
  uint32_t crc = 0;  ///< the chain goes on from it
};
/// Checks a header by the identities that it names itself; the caller compares them with its own.
/// Errors: corrupt; unsupported (a newer format, with a good crc).
Result<DecodedHeader> decode_segment_header(std::string_view sector);

/// Begins a batch: room for its marker. The records follow; seal_batch() ends it.
void begin_batch(std::string& batch);
/// These append one record whose crc is still zero. One copy of the payload, no allocation beyond
/// the batch's own growth.
void append_entry(std::string& batch, Index index, Term term, raft::EntryKind kind,
                  std::string_view payload);
void append_hard_state(std::string& batch, const DurableState& state);
void append_truncate(std::string& batch, Index from);
/// Writes `marker` (its batch_bytes and zero_sectors are the batch's) and every crc, from `chain`
/// on, and pads to a sector. Returns the chain's new end.
uint32_t seal_batch(std::string& batch, Marker marker, uint32_t seed, uint32_t chain);

using RecordBody = std::variant<Marker, EntryView, DurableState, Truncate>;
/// One record that checks. Views borrow from the bytes it was decoded from.
struct Record {
  uint64_t offset = 0;  ///< filled in by who reads a file
  size_t size = 0;      ///< with its head
  uint32_t crc = 0;     ///< the chain after it
  RecordBody body;
};
/// The size of the record at the front of `bytes`, head included, as it claims; nullopt if `bytes`
/// is shorter than a head.
std::optional<uint64_t> record_size(std::string_view bytes);
/// Decodes the record at the front of `bytes`. Errors: corrupt (short, crc, body that cannot be);
/// unsupported (a type of a newer version, with a good crc).
Result<Record> decode_record(std::string_view bytes, uint32_t chain);
/// The marker at the front of `sector`, judged by itself alone; nullopt if there is none.
std::optional<Marker> find_marker(std::string_view sector, uint32_t seed, uint64_t number,
                                  uint64_t offset);

/// "log/0000000000000007.wal"
std::string segment_path(uint64_t number);
/// The number in the name of a segment (without the directory); nullopt for any other name.
std::optional<uint64_t> parse_segment_name(std::string_view name);

}  // namespace doozer::storage
