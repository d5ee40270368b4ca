#include "storage/wal_recovery.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "base/probe.h"
#include "storage/segment.h"

namespace doozer::storage {
namespace {

/// So much of a segment made at start is written with zeros; the rest is only reserved.
constexpr uint64_t kZeroedAtStartBytes = 1 * kMiB;

Result<void> remove_all(env::Disk& disk, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    auto removed = disk.remove(path);
    if (!removed && removed.error().code != Code::not_found) return removed;
  }
  return {};
}

/// Errors: as write_whole_segment.
Result<WrittenSegment> fill_segment(env::File& file, const SealedSegment& segment) {
  TRY(file.allocate(segment.header.file_bytes));
  // The name appears only after the sync, so header and marker may vouch for the whole batch.
  std::string batch = segment.batch;
  SegmentHeader header = segment.header;
  header.synced_to = kSectorBytes + align_sector(batch.size());
  std::string start = encode_segment_header(header);
  const uint32_t seed =
      segment_seed(segment.header.cluster, segment.header.identity, segment.header.number);
  TRY_ASSIGN(const DecodedHeader decoded, decode_segment_header(start));
  const Marker marker{.number = segment.header.number,
                      .offset = kSectorBytes,
                      .synced_to = header.synced_to,
                      .header_crc = decoded.crc,
                      .batch_bytes = 0,
                      .last_index = segment.last_index};
  const uint32_t chain = seal_batch(batch, marker, seed, decoded.crc);
  start += batch;
  start.resize(
      std::max<size_t>(start.size(), std::min(segment.header.file_bytes, kZeroedAtStartBytes)));
  TRY(file.write_at(0, start));
  TRY(file.sync());
  return WrittenSegment{.header_crc = decoded.crc,
                        .end = {.number = header.number, .end = header.synced_to, .crc = chain}};
}

}  // namespace

Result<void> remove_unbegun(env::Disk& disk, const LogScan& scan) {
  return remove_all(disk, scan.unbegun);
}

Result<WrittenSegment> write_whole_segment(env::Disk& disk, SealedSegment segment) {
  const std::string path = segment_path(segment.header.number);
  const std::string temporary = path + ".tmp";
  TRY(remove_all(disk, {temporary}));
  WrittenSegment written;
  {
    TRY_ASSIGN(const auto file, disk.open(temporary, env::OpenMode::create));
    auto filled = fill_segment(*file, segment);
    if (!filled) {
      (void)disk.remove(temporary);
      return filled;
    }
    written = *filled;
  }
  TRY(disk.rename(temporary, path));
  TRY(disk.sync_directory("log"));
  return written;
}

Result<void> rebuild_tail(env::Disk& disk, const NewSegment& wanted, LogScan& scan) {
  UnsyncedTail& tail = scan.tail;
  if (tail.batch.size() > kMarkerRecordBytes) PROBE("wal: recovery copied an unsynced tail");
  if (wanted.final_state != scan.shape.state()) append_hard_state(tail.batch, wanted.final_state);
  // One more sector for the idle marker.
  const uint64_t needed = kSectorBytes + align_sector(tail.batch.size()) + kSectorBytes;
  SealedSegment segment{.header = {.cluster = wanted.owner.cluster,
                                   .identity = wanted.owner.identity,
                                   .number = scan.number_max + 1,
                                   .file_bytes = std::max(wanted.segment_bytes, needed),
                                   .incarnation = wanted.incarnation,
                                   .previous = tail.link,
                                   .first_index = tail.first_index,
                                   .previous_term = tail.previous_term,
                                   .state = tail.state},
                        .batch = tail.batch,
                        .last_index = scan.shape.last_index()};
  auto written = write_whole_segment(disk, segment);
  for (const uint64_t bytes : {align_sector(needed + kSegmentBytesMin / 2), needed}) {
    if (written || written.error().code != Code::no_space) break;
    PROBE("wal: recovery on a full disk");
    segment.header.file_bytes = bytes;
    written = write_whole_segment(disk, segment);
  }
  TRY(std::move(written));

  scan.shape.set_state(wanted.final_state);
  scan.number_max = segment.header.number;
  TRY_ASSIGN(SegmentReader reader, SegmentReader::open(disk, segment.header.number));
  if (!reader.header()) {
    return fail(Code::io_error, "file " + quote(reader.path()) + ": reads back damaged");
  }
  SegmentInfo info{.number = segment.header.number,
                   .header = segment.header,
                   .header_crc = reader.header()->crc,
                   .end = 0,
                   .file_bytes = segment.header.file_bytes,
                   .extents = {}};
  scan.segments.push_back(std::move(info));
  Extents extents;
  while (true) {
    TRY_ASSIGN(const std::optional<Record> record, reader.next());
    if (!record) break;
    extents.apply(scan.segments, *record);
  }
  scan.segments.back().end = reader.offset();
  if (reader.offset() != kSectorBytes + align_sector(tail.batch.size())) {
    return fail(Code::io_error, "file " + quote(reader.path()) + ": reads back damaged");
  }
  scan.tail.link = {.number = segment.header.number, .end = reader.offset(), .crc = reader.chain()};
  return {};
}

Result<void> remove_dead(env::Disk& disk, const LogScan& scan) {
  TRY(remove_all(disk, scan.dead));
  for (size_t i = 0; i + 1 < scan.segments.size(); ++i) {
    const SegmentInfo& segment = scan.segments[i];
    if (segment.file_bytes <= segment.end) continue;
    TRY_ASSIGN(const auto file, disk.open(segment_path(segment.number), env::OpenMode::read_write));
    TRY(file->resize(segment.end));
  }
  return {};
}

namespace {

/// Visits what lies within first .. last in one segment.
Result<void> replay_segment(env::Disk& disk, const SegmentInfo& segment, Index first, Index last,
                            UniqueFunction<Result<void>(raft::Entry)>& visit, Index& next) {
  TRY_ASSIGN(SegmentReader reader, SegmentReader::open(disk, segment.number));
  if (!reader.header() || reader.header()->crc != segment.header_crc) {
    return fail(Code::corrupt, "file " + quote(reader.path()) + " at offset 0: changed");
  }
  reader.set_limit(segment.end);
  auto extent = segment.extents.begin();
  while (next <= last) {
    TRY_ASSIGN(const std::optional<Record> record, reader.next());
    if (!record) break;
    const auto* entry = std::get_if<EntryView>(&record->body);
    if (entry == nullptr) continue;
    while (extent + 1 != segment.extents.end() && (extent + 1)->offset <= record->offset) ++extent;
    if (entry->index > extent->last || entry->index < first) continue;
    if (entry->index != next) break;
    TRY(visit(entry->keep()));
    ++next;
  }
  if (!reader.stopped().empty()) {
    return fail(Code::corrupt, "file " + quote(reader.path()) + " at offset " +
                                   std::to_string(reader.offset()) + ": " + reader.stopped());
  }
  return {};
}

}  // namespace

Result<void> replay_segments(env::Disk& disk, const std::vector<SegmentInfo>& segments, Index first,
                             Index last, UniqueFunction<Result<void>(raft::Entry)>& visit) {
  Index next = first;
  for (const SegmentInfo& segment : segments) {
    const bool wanted =
        std::any_of(segment.extents.begin(), segment.extents.end(), [&](const Extent& extent) {
          return extent.first <= extent.last && extent.last >= next && extent.first <= last;
        });
    if (!wanted || next > last) continue;
    TRY(replay_segment(disk, segment, first, last, visit, next));
  }
  if (next <= last) {
    return fail(Code::range, "the log does not hold entry " + std::to_string(next.value()));
  }
  return {};
}

}  // namespace doozer::storage
