// The bytes of a snapshot file; drawn in docs/snapshot-format.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "storage/storage.h"

namespace doozer::storage {

constexpr uint32_t kSnapshotFormat = 1;
constexpr size_t kSnapshotPrefixBytes = 16;      ///< magic:8 format:u32 body_bytes:u32
constexpr size_t kSnapshotBodyBytesMax = 4096;   ///< of the header
constexpr size_t kSnapshotRecordHeadBytes = 13;  ///< crc:u32 stored:u32 raw:u32 kind:u8
constexpr size_t kSnapshotStoredBytesMax = kSnapshotChunkBytes + kSnapshotChunkBytes / 64 + 1024;
constexpr size_t kSnapshotEndBytes = 24;

enum class SnapshotRecordKind : uint8_t {
  chunk = 1,  ///< one zstd frame
  end = 2,    ///< chunks:u64 raw_bytes:u64 stored_bytes:u64; nothing follows
};

struct SnapshotTotals {
  uint64_t chunks = 0;
  uint64_t raw_bytes = 0;
  uint64_t stored_bytes = 0;
  bool operator==(const SnapshotTotals&) const = default;
};

std::string encode_snapshot_header(const SnapshotHeader& header);
/// The whole size of the header at the front of a file, from its first kSnapshotPrefixBytes.
/// Errors: corrupt, unsupported.
Result<size_t> snapshot_header_size(std::string_view prefix);
struct DecodedSnapshotHeader {
  SnapshotHeader header;
  uint32_t crc = 0;  ///< the chain goes on from it
};
/// `bytes`: exactly snapshot_header_size(). Errors: corrupt.
Result<DecodedSnapshotHeader> decode_snapshot_header(std::string_view bytes);

/// Appends a record to `out`; returns the chain's new end.
uint32_t append_snapshot_record(std::string& out, SnapshotRecordKind kind, uint32_t raw_bytes,
                                std::string_view stored, uint32_t chain);
std::string encode_snapshot_end(const SnapshotTotals& totals);

struct SnapshotRecordHead {
  uint32_t crc = 0;
  uint32_t stored_bytes = 0;
  uint32_t raw_bytes = 0;
  SnapshotRecordKind kind = SnapshotRecordKind::chunk;
};
/// Errors: corrupt (short, lengths over the limits, unknown kind).
Result<SnapshotRecordHead> decode_snapshot_record_head(std::string_view bytes);
/// Checks a whole record (head and stored bytes) against the chain.
bool snapshot_record_checks(std::string_view record, uint32_t chain);
/// Errors: corrupt.
Result<SnapshotTotals> decode_snapshot_end(std::string_view stored);

/// "snap/00000000000003e8.snap"
std::string snapshot_path(Index index);
/// "snap/00000000000003e8.received": whole, but the log does not stand behind it yet.
std::string received_path(Index index);
/// The index in the name of a snapshot (without the directory); nullopt for any other name.
std::optional<Index> parse_snapshot_name(std::string_view name);
std::optional<Index> parse_received_name(std::string_view name);

}  // namespace doozer::storage
