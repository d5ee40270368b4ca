// What the records of a log amount to: how far it reaches, whose terms, which configuration is in
// force. The reader builds it from the disk and the writer carries it on, so both agree on what a
// truncation means. Also: where the living entries lie, for replay.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "raft/types.h"
#include "storage/storage.h"
#include "storage/wal_format.h"

namespace doozer::storage {

class LogShape {
 public:
  LogShape() = default;
  /// An empty log whose first entry will be header.first_index.
  explicit LogShape(const SegmentHeader& header);

  /// A truncation may reach before first_index(), into segments that were purged since: the log
  /// then begins there, and the term before it is not known (0). Errors: corrupt (an index that
  /// does not follow, a term that falls, a truncation of what is committed, a configuration that
  /// cannot be).
  Result<void> apply(const RecordBody& record);

  Index first_index() const { return first_index_; }
  Index last_index() const { return last_index_; }
  Term last_term() const { return runs_.back().term; }
  /// `index` within first_index() - 1 .. last_index().
  Term term_at(Index index) const;
  /// Those in the log, ascending.
  const std::vector<ConfigurationAt>& configurations() const { return configurations_; }
  /// The segments with the entries before `first` are no longer part of the log.
  void forget_before(Index first);
  const DurableState& state() const { return state_; }
  /// A segment's header repeats the state, and recovery may have changed it there.
  void set_state(const DurableState& state) { state_ = state; }

 private:
  Result<void> add(const EntryView& entry);
  Result<void> cut(Index from);

  struct Run {
    Index first;
    Term term;
  };
  Index first_index_ = Index(1);
  Index last_index_;
  /// Terms, by the first index of each; never empty, the first stands at first_index_ - 1.
  std::vector<Run> runs_ = std::vector<Run>(1);
  std::vector<ConfigurationAt> configurations_;
  DurableState state_;
};

/// Entries `first` .. `last` of a segment, whose records begin at `offset`. Those that a later
/// truncation dropped are not counted: then `last` may be first - 1.
struct Extent {
  uint64_t offset = 0;
  Index first;
  Index last;
};

struct SegmentInfo {
  uint64_t number = 0;
  SegmentHeader header;
  uint32_t header_crc = 0;
  uint64_t end = 0;  ///< of what counts
  uint64_t file_bytes = 0;
  std::vector<Extent> extents;
};

/// Keeps the extents of all segments while their records are read in order.
class Extents {
 public:
  /// Notes `record`, which lies in the last of `segments`.
  void apply(std::vector<SegmentInfo>& segments, const Record& record);

 private:
  bool broken_ = true;  ///< the next entry begins a new extent
};

}  // namespace doozer::storage
