#include "storage/retained.h"

#include <algorithm>
#include <deque>
#include <iterator>

#include "storage/wal_recovery.h"

namespace doozer::storage {
namespace {

size_t cost(const raft::Entry& entry) { return entry.payload.size() + kEntryOverheadBytes; }

/// Where to begin to read: at the start of a segment's living entries, so early that both bounds of
/// the rule are met, and not much earlier. Above rule.last if there are none.
Index begin_of(const std::vector<SegmentInfo>& segments, const RetainRule& rule) {
  Index first = rule.last + 1;
  uint64_t bytes = 0;
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    if (bytes >= rule.bytes_max && first <= rule.needed_from) break;
    for (const Extent& extent : segment->extents) {
      if (extent.first <= extent.last) first = std::min(first, extent.first);
    }
    bytes += segment->end - kSectorBytes;
  }
  return first;
}

}  // namespace

Result<std::vector<raft::Entry>> read_retained(env::Disk& disk,
                                               const std::vector<SegmentInfo>& segments,
                                               const RetainRule& rule) {
  const Index first = begin_of(segments, rule);
  if (first > rule.last) return std::vector<raft::Entry>();
  std::deque<raft::Entry> kept;
  size_t bytes = 0;
  UniqueFunction<Result<void>(raft::Entry)> keep = [&](raft::Entry entry) -> Result<void> {
    bytes += cost(entry);
    kept.push_back(std::move(entry));
    while (bytes > rule.bytes_max && kept.front().index < rule.needed_from) {
      bytes -= cost(kept.front());
      kept.pop_front();
    }
    return {};
  };
  TRY(replay_segments(disk, segments, first, rule.last, keep));
  return std::vector<raft::Entry>(std::make_move_iterator(kept.begin()),
                                  std::make_move_iterator(kept.end()));
}

}  // namespace doozer::storage
