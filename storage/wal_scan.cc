// scan_log(): the reader's algorithm of docs/wal-format.md, step by step. Nothing is written here.
#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "base/check.h"
#include "base/probe.h"
#include "storage/segment.h"
#include "storage/wal_recovery.h"

namespace doozer::storage {
namespace {

constexpr uint64_t kFirstBatchAt = kSectorBytes;

class LogScanner {
 public:
  LogScanner(env::Disk& disk, const Ownership& owner, LogDamage& damage)
      : disk_(disk), owner_(owner), damage_(damage) {}

  Result<LogScan> run() {
    TRY(list_files());
    TRY(read_headers());
    TRY(walk_links());
    TRY(judge_newer_files());
    for (const uint64_t number : chain_) TRY(scan_segment(number));
    return std::move(scan_);
  }

 private:
  tl::unexpected<Error> corrupt(uint64_t number, uint64_t offset, const std::string& why) {
    damage_ = {.number = number,
               .what = "file " + quote(segment_path(number)) + " at offset " +
                       std::to_string(offset) + ": " + why};
    return fail(Code::corrupt, damage_.what +
                                   "; acknowledged data may be damaged, nothing was changed. "
                                   "See `doozer-inspect salvage`");
  }
  uint64_t last() const { return chain_.back(); }

  Result<void> list_files();
  Result<void> read_headers();
  Result<void> walk_links();
  Result<void> judge_newer_files();
  Result<void> scan_segment(uint64_t number);
  Result<void> check_place(const SegmentHeader& header);
  Result<void> read_records(SegmentReader& reader);
  Result<void> judge_end(SegmentReader& reader);
  void begin_tail(const SegmentLink& link);
  void move_tail_to(const Marker& marker, uint32_t chain);
  void finish_tail();

  env::Disk& disk_;
  const Ownership owner_;
  LogDamage& damage_;
  std::map<uint64_t, std::optional<DecodedHeader>> files_;
  std::vector<uint64_t> chain_;     ///< numbers of what counts, oldest first
  bool begun_behind_last_ = false;  ///< something was written to a newer file
  Extents extents_;
  uint64_t synced_to_ = 0;  ///< as header and markers of the segment being read say
  LogScan scan_;
};

Result<void> LogScanner::list_files() {
  auto names = disk_.list("log");
  if (!names) return fail(with_context(std::move(names).error(), "cannot list the log"));
  for (const std::string& name : *names) {
    if (const auto number = parse_segment_name(name)) {
      files_.emplace(*number, std::nullopt);
      scan_.number_max = std::max(scan_.number_max, *number);
    } else if (name.ends_with(".wal.tmp")) {
      scan_.unbegun.push_back("log/" + name);
    }
  }
  return {};
}

Result<void> LogScanner::read_headers() {
  for (auto& [number, decoded] : files_) {
    TRY_ASSIGN(const SegmentReader reader, SegmentReader::open(disk_, number));
    if (!reader.header()) continue;
    const SegmentHeader& header = reader.header()->header;
    if (header.cluster != owner_.cluster || header.identity != owner_.identity) {
      return fail(Code::corrupt,
                  "file " + quote(segment_path(number)) + " at offset 0: it belongs to server " +
                      header.identity.to_string() + " of cluster " + header.cluster.to_string() +
                      ", the directory to " + owner_.identity.to_string() + " of " +
                      owner_.cluster.to_string() + "; nothing was changed");
    }
    scan_.incarnation_max = std::max(scan_.incarnation_max, header.incarnation);
    decoded = reader.header();
  }
  return {};
}

Result<void> LogScanner::walk_links() {
  const auto newest = std::find_if(files_.rbegin(), files_.rend(),
                                   [](const auto& file) { return file.second.has_value(); });
  if (newest == files_.rend()) {
    if (files_.empty()) return fail(Code::corrupt, "the directory \"log\" holds no segment");
    return corrupt(files_.rbegin()->first, 0, "no segment of the log has a header that checks");
  }
  for (uint64_t number = newest->first; number != 0;) {
    const auto file = files_.find(number);
    if (file == files_.end()) break;  // purged; whether that is right, snapshots tell
    if (!file->second) {
      return corrupt(number, 0, "the segment header does not check");
    }
    chain_.push_back(number);
    number = file->second->header.previous.number;
  }
  std::reverse(chain_.begin(), chain_.end());
  for (const auto& [number, decoded] : files_) {
    const bool counts = std::find(chain_.begin(), chain_.end(), number) != chain_.end();
    if (number < last() && !counts) scan_.dead.push_back(segment_path(number));
  }
  return {};
}

Result<void> LogScanner::judge_newer_files() {
  for (auto file = files_.upper_bound(last()); file != files_.end(); ++file) {
    const uint64_t number = file->first;
    TRY_ASSIGN(SegmentReader reader, SegmentReader::open(disk_, number));
    const uint32_t seed = segment_seed(owner_.cluster, owner_.identity, number);
    TRY_ASSIGN(const Remains remains, look_behind(reader, 0, seed, std::nullopt));
    if (remains.synced_to > 0) return corrupt(number, 0, "the segment header does not check");
    if (remains.nonzero_end == 0) {
      scan_.unbegun.push_back(segment_path(number));
      continue;
    }
    PROBE("wal: torn first batch of a new segment");
    TRY_ASSIGN(const std::string_view header, reader.window().view(0, kSectorBytes));
    const bool header_lost = zero_sectors(header) > 0;
    begun_behind_last_ = true;
    scan_.torn = TornTail{.file = segment_path(number),
                          .offset = 0,
                          .reached = remains.last_index,
                          .never_synced = header_lost,
                          .why = "the segment header does not check"};
    scan_.dead.push_back(segment_path(number));
  }
  return {};
}

Result<void> LogScanner::check_place(const SegmentHeader& header) {
  if (scan_.segments.empty()) {
    scan_.oldest = header;
    scan_.shape = LogShape(header);
    return {};
  }
  if (header.first_index != scan_.shape.last_index() + 1 ||
      header.previous_term != scan_.shape.last_term()) {
    return corrupt(header.number, 0, "the header does not follow the segment before it");
  }
  scan_.shape.set_state(header.state);
  return {};
}

Result<void> LogScanner::scan_segment(uint64_t number) {
  TRY_ASSIGN(SegmentReader reader, SegmentReader::open(disk_, number));
  if (!reader.header()) return corrupt(number, 0, "the segment header does not check");
  const SegmentHeader header = reader.header()->header;
  TRY(check_place(header));
  uint64_t end = header.file_bytes;
  const SegmentHeader* next = nullptr;
  if (number != last()) {
    const auto behind = std::find(chain_.begin(), chain_.end(), number) + 1;
    next = &files_.at(*behind)->header;
    end = next->previous.end;
  }
  if (reader.file_size() < end || end < kSectorBytes) {
    return corrupt(number, reader.file_size(),
                   "the file ends here, it had " + std::to_string(end) + " bytes");
  }
  if (next != nullptr) reader.set_limit(end);
  scan_.segments.push_back({.number = number,
                            .header = header,
                            .header_crc = reader.header()->crc,
                            .end = end,
                            .file_bytes = reader.file_size(),
                            .extents = {}});
  scan_.newest_file = reader.path();
  begin_tail(header.previous);
  synced_to_ = header.synced_to;
  TRY(read_records(reader));
  if (next == nullptr) {
    TRY(judge_end(reader));
    finish_tail();
    return {};
  }
  if (!reader.stopped().empty() || reader.offset() != end) {
    return corrupt(number, reader.offset(), reader.stopped());
  }
  if (reader.chain() != next->previous.crc) {
    return corrupt(
        number, end,
        "the chain of checksums does not lead into " + quote(segment_path(next->number)));
  }
  return {};
}

Result<void> LogScanner::read_records(SegmentReader& reader) {
  const bool is_last = reader.number() == last();
  while (true) {
    const uint32_t chain = reader.chain();
    TRY_ASSIGN(const std::optional<Record> record, reader.next());
    if (!record) return {};
    if (const auto* marker = std::get_if<Marker>(&record->body)) {
      synced_to_ = std::max(synced_to_, marker->synced_to);
      if (is_last) move_tail_to(*marker, chain);
      continue;
    }
    if (auto applied = scan_.shape.apply(record->body); !applied) {
      return corrupt(reader.number(), record->offset, applied.error().message);
    }
    extents_.apply(scan_.segments, *record);
    if (is_last) {
      TRY_ASSIGN(const std::string_view bytes, reader.window().view(record->offset, record->size));
      scan_.tail.batch.append(bytes);
    }
  }
}

void LogScanner::begin_tail(const SegmentLink& link) {
  scan_.tail = {.link = link,
                .first_index = scan_.shape.last_index() + 1,
                .previous_term = scan_.shape.last_term(),
                .state = scan_.shape.state(),
                .batch = {}};
  begin_batch(scan_.tail.batch);
}

/// Everything in front of `marker` is synced: what has to be copied begins with it.
void LogScanner::move_tail_to(const Marker& marker, uint32_t chain) {
  const bool synced = marker.synced_to == marker.offset;
  if (!synced || marker.offset < kFirstBatchAt + kSmallSegmentBytes) return;
  begin_tail({.number = marker.number, .end = marker.offset, .crc = chain});
}

Result<void> LogScanner::judge_end(SegmentReader& reader) {
  const uint64_t end = reader.offset();
  if (end >= reader.file_size()) return {};
  const uint32_t seed = segment_seed(owner_.cluster, owner_.identity, reader.number());
  TRY_ASSIGN(const Remains remains, look_behind(reader, end, seed, reader.header()->crc));
  const bool clean = remains.nonzero_end == 0 && !reader.inside_batch();
  if (clean) return {};
  if (std::max(synced_to_, remains.synced_to) > end || begun_behind_last_) {
    return corrupt(reader.number(), end, reader.stopped());
  }
  PROBE("wal: torn tail in the last segment");
  const Index last = scan_.shape.last_index();
  Index reached = remains.last_index;
  if (reader.inside_batch()) {
    PROBE("wal: batch torn in its middle");
    reached = std::max(reached, reader.marker()->last_index);
  } else if (!remains.any_marker) {
    PROBE("wal: torn tail without a marker");
    reached = last + (remains.nonzero_end - end) / kEntryOverheadBytes;
  }
  TRY_ASSIGN(const bool unwritten, never_written(reader));
  if (unwritten) PROBE("wal: a torn tail that nobody was told of");
  scan_.torn = TornTail{.file = reader.path(),
                        .offset = end,
                        .reached = std::max(reached, last),
                        .never_synced = unwritten,
                        .why = reader.stopped()};
  return {};
}

/// The records of the tail move to a segment to be made: here they no longer count.
void LogScanner::finish_tail() {
  SegmentInfo& segment = scan_.segments.back();
  if (scan_.tail.link.number != segment.number) {
    scan_.dead.push_back(segment_path(segment.number));
    scan_.segments.pop_back();
    return;
  }
  PROBE("wal: recovery leaves the synced part of a segment");
  segment.end = scan_.tail.link.end;
  std::erase_if(segment.extents,
                [&](const Extent& extent) { return extent.offset >= segment.end; });
  for (Extent& extent : segment.extents) {
    extent.last = std::min(extent.last, scan_.tail.first_index - 1);
  }
}

}  // namespace

Result<LogScan> scan_log(env::Disk& disk, const Ownership& owner, LogDamage* damage) {
  LogDamage unasked;
  return LogScanner(disk, owner, damage != nullptr ? *damage : unasked).run();
}

}  // namespace doozer::storage
