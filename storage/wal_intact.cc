// scan_intact(): what a damaged log still is from its beginning on (docs/wal-format.md
// "Repairing"). Nothing is written here.
#include <algorithm>
#include <map>

#include "base/check.h"
#include "base/probe.h"
#include "storage/segment.h"
#include "storage/wal_recovery.h"

namespace doozer::storage {
namespace {

/// Recovery adds a hard state to the batch that it makes of a tail.
constexpr size_t kTailBytesMax = kBatchBytesCeiling - 1 * kKiB;

class IntactScanner {
 public:
  IntactScanner(env::Disk& disk, const LogDamage& damage) : disk_(disk), damage_(damage) {}

  Result<LogScan> run() {
    TRY(list_files());
    walk_links();
    begin_tail({});
    for (size_t i = 0; i < chain_.size(); ++i) {
      TRY_ASSIGN(const bool whole, scan_segment(i));
      if (!whole) break;
    }
    TRY(sort_out_files());
    return std::move(scan_);
  }
  /// A segment before the damaged one that is damaged too: then the result is none.
  const std::optional<uint64_t>& earlier() const { return earlier_; }

 private:
  Result<void> list_files();
  void walk_links();
  Result<bool> scan_segment(size_t place);
  Result<bool> read_records(SegmentReader& reader, bool gather);
  Result<void> sort_out_files();
  void begin_tail(const SegmentLink& link);

  env::Disk& disk_;
  const LogDamage damage_;
  std::map<uint64_t, std::optional<DecodedHeader>> files_;
  std::vector<uint64_t> chain_;  ///< numbers, oldest first, none above the damage
  std::optional<uint64_t> earlier_;
  Extents extents_;
  LogScan scan_;
};

Result<void> IntactScanner::list_files() {
  TRY_ASSIGN(const auto names, disk_.list("log"));
  for (const std::string& name : names) {
    if (name.ends_with(".wal.tmp")) scan_.unbegun.push_back("log/" + name);
    const auto number = parse_segment_name(name);
    if (!number) continue;
    TRY_ASSIGN(const SegmentReader reader, SegmentReader::open(disk_, *number));
    files_.emplace(*number, reader.header());
    scan_.number_max = std::max(scan_.number_max, *number);
    if (reader.header()) {
      scan_.incarnation_max = std::max(scan_.incarnation_max, reader.header()->header.incarnation);
    }
  }
  return {};
}

/// Back from the damage; a header on the way that does not check is damage too, in front of it.
void IntactScanner::walk_links() {
  uint64_t below = damage_.number + 1;
  for (bool again = true; again;) {
    again = false;
    chain_.clear();
    auto newest = files_.lower_bound(below);
    while (newest != files_.begin() && !std::prev(newest)->second) --newest;
    if (newest == files_.begin()) return;
    for (uint64_t number = std::prev(newest)->first; number != 0;) {
      const auto file = files_.find(number);
      if (file == files_.end()) break;
      if (!file->second) {
        below = number;
        again = true;
        break;
      }
      chain_.push_back(number);
      number = file->second->header.previous.number;
    }
  }
  std::reverse(chain_.begin(), chain_.end());
}

void IntactScanner::begin_tail(const SegmentLink& link) {
  scan_.tail = {.link = link,
                .first_index = scan_.shape.last_index() + 1,
                .previous_term = scan_.shape.last_term(),
                .state = scan_.shape.state(),
                .batch = {}};
  begin_batch(scan_.tail.batch);
}

/// False if the log ends in this segment, for whatever reason.
Result<bool> IntactScanner::scan_segment(size_t place) {
  const uint64_t number = chain_[place];
  TRY_ASSIGN(SegmentReader reader, SegmentReader::open(disk_, number));
  if (!reader.header()) return false;
  const SegmentHeader& header = reader.header()->header;
  if (scan_.segments.empty()) {
    scan_.oldest = header;
    scan_.shape = LogShape(header);
  } else {
    const bool follows = header.first_index == scan_.shape.last_index() + 1 &&
                         header.previous_term == scan_.shape.last_term();
    if (!follows) return false;
    scan_.shape.set_state(header.state);
  }
  const bool last = place + 1 == chain_.size();
  const SegmentLink next = last ? SegmentLink() : files_.at(chain_[place + 1])->header.previous;
  if (!last && next.end <= reader.file_size()) reader.set_limit(next.end);
  begin_tail(header.previous);
  scan_.segments.push_back({.number = number,
                            .header = header,
                            .header_crc = reader.header()->crc,
                            .end = 0,
                            .file_bytes = reader.file_size(),
                            .extents = {}});
  const bool damaged_here = number == damage_.number;
  TRY_ASSIGN(const bool all, read_records(reader, damaged_here));
  if (damaged_here) {
    scan_.segments.pop_back();
    return false;
  }
  const SegmentLink end{.number = number, .end = reader.offset(), .crc = reader.chain()};
  const bool whole = all && !reader.inside_batch() && (last || end == next);
  if (!whole) {
    PROBE("repair: damage in front of the damage that was found");
    earlier_ = number;
    return false;
  }
  scan_.segments.back().end = end.end;
  begin_tail(end);
  return true;
}

/// False if a record cannot be, or the tail has no room for it.
Result<bool> IntactScanner::read_records(SegmentReader& reader, bool gather) {
  while (true) {
    TRY_ASSIGN(const std::optional<Record> record, reader.next());
    if (!record) return true;
    if (std::holds_alternative<Marker>(record->body)) continue;
    if (gather && scan_.tail.batch.size() + record->size > kTailBytesMax) {
      PROBE("repair: not all that is intact fits into one batch");
      return false;
    }
    if (!scan_.shape.apply(record->body)) return false;
    extents_.apply(scan_.segments, *record);
    if (!gather) continue;
    TRY_ASSIGN(const std::string_view bytes, reader.window().view(record->offset, record->size));
    scan_.tail.batch.append(bytes);
  }
}

/// A prepared file holds nothing and may go at once; all others that do not count are evidence.
Result<void> IntactScanner::sort_out_files() {
  for (const auto& file : files_) {
    const uint64_t number = file.first;
    const bool counts =
        std::any_of(scan_.segments.begin(), scan_.segments.end(),
                    [number](const SegmentInfo& segment) { return segment.number == number; });
    if (counts) continue;
    if (!file.second) {
      TRY_ASSIGN(SegmentReader reader, SegmentReader::open(disk_, number));
      TRY_ASSIGN(const Remains remains, look_behind(reader, 0, 0, std::nullopt));
      if (remains.nonzero_end == 0) {
        scan_.unbegun.push_back(segment_path(number));
        continue;
      }
    }
    scan_.dead.push_back(segment_path(number));
  }
  return {};
}

}  // namespace

Result<LogScan> scan_intact(env::Disk& disk, const LogDamage& damage) {
  LogDamage at = damage;
  while (true) {
    IntactScanner scanner(disk, at);
    TRY_ASSIGN(LogScan scan, scanner.run());
    if (!scanner.earlier()) return scan;
    CHECK(*scanner.earlier() < at.number);
    at.number = *scanner.earlier();
  }
}

}  // namespace doozer::storage
