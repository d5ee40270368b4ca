#include "storage/salvage.h"

#include <zstd.h>

#include "base/check.h"
#include "storage/identity_file.h"
#include "storage/snapshot_format.h"
#include "storage/wal_format.h"
#include "storage/wal_recovery.h"

namespace doozer::storage {
namespace {

constexpr int kCompressionLevel = 1;

Result<std::string> compress(std::string_view raw) {
  std::string out(ZSTD_compressBound(raw.size()), '\0');
  const size_t size =
      ZSTD_compress(out.data(), out.size(), raw.data(), raw.size(), kCompressionLevel);
  if (ZSTD_isError(size) != 0) return fail(Code::other, "a chunk could not be compressed");
  out.resize(size);
  return out;
}

Result<void> write_snapshot_file(env::Disk& disk, SalvagedState& state) {
  const std::string path = snapshot_path(state.header.point.index);
  const std::string temporary = path + ".tmp";
  {
    TRY_ASSIGN(const auto file, disk.open(temporary, env::OpenMode::create));
    std::string bytes = encode_snapshot_header(state.header);
    TRY_ASSIGN(const DecodedSnapshotHeader written, decode_snapshot_header(bytes));
    uint32_t chain = written.crc;
    uint64_t offset = 0;
    SnapshotTotals totals;
    for (bool more = true; more;) {
      TRY_ASSIGN(const auto chunk, state.image());
      more = chunk.has_value();
      if (more) {
        CHECK(chunk->size() <= kSnapshotChunkBytes);
        TRY_ASSIGN(const std::string stored, compress(*chunk));
        chain = append_snapshot_record(bytes, SnapshotRecordKind::chunk,
                                       static_cast<uint32_t>(chunk->size()), stored, chain);
        ++totals.chunks;
        totals.raw_bytes += chunk->size();
        totals.stored_bytes += stored.size();
      } else {
        append_snapshot_record(bytes, SnapshotRecordKind::end, 0, encode_snapshot_end(totals),
                               chain);
      }
      TRY(file->write_at(offset, bytes));
      offset += bytes.size();
      bytes.clear();
    }
    TRY(file->sync());
  }
  TRY(disk.rename(temporary, path));
  return disk.sync_directory("snap");
}

}  // namespace

Result<void> write_salvaged(env::Disk& disk, SalvagedState state) {
  for (const std::string_view name :
       {kIdentityFile, kIncarnationFile, std::string_view("log"), std::string_view("snap")}) {
    TRY_ASSIGN(const bool there, disk.exists(name));
    if (there) return fail(Code::conflict, "the new directory holds \"" + std::string(name) + "\"");
  }
  TRY(disk.make_directory("log"));
  TRY(disk.make_directory("snap"));
  TRY(disk.sync_directory(""));
  TRY(write_snapshot_file(disk, state));
  const raft::SnapshotPoint& point = state.header.point;
  const Ownership owner{.cluster = state.header.cluster, .identity = state.header.identity};
  const DurableState durable{.raft = {.term = point.term, .vote = {}, .commit = point.index},
                             .doubtful_to = {}};
  SealedSegment segment{.header = {.cluster = owner.cluster,
                                   .identity = owner.identity,
                                   .number = state.segment_number,
                                   .file_bytes = kSegmentBytesMin,
                                   .incarnation = Incarnation(0),
                                   .previous = {},
                                   .first_index = point.index + 1,
                                   .previous_term = point.term,
                                   .state = durable},
                        .batch = {},
                        .last_index = point.index};
  begin_batch(segment.batch);
  append_hard_state(segment.batch, durable);
  TRY(write_whole_segment(disk, std::move(segment)));
  return write_identity(disk, owner);
}

}  // namespace doozer::storage
