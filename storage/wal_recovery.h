// From the files of a log to what it says, and to a directory that can be written again.
// scan_log() only reads; the rules of docs/wal-format.md "Reading" live here. rebuild_tail() then
// makes what was read durable ("Recovery"). A crash between or inside them changes nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/disk.h"
#include "storage/log_shape.h"
#include "storage/storage.h"
#include "storage/wal_format.h"

namespace doozer::storage {

/// A segment that holds less is copied whole into the next start's and left behind.
constexpr uint64_t kSmallSegmentBytes = 64 * kKiB;

/// Where and why the end of the log was cut off.
struct TornTail {
  std::string file;
  uint64_t offset = 0;
  Index reached;  ///< the log may have reached so far
  /// The write had not come to its end, so no sync had either: nobody was told of what is missing.
  bool never_synced = false;
  std::string why;
};

/// A point up to which the log is durable, and everything recovery has to copy behind it.
struct UnsyncedTail {
  SegmentLink link;  ///< where the new segment attaches
  Index first_index;
  Term previous_term;
  DurableState state;
  std::string batch;  ///< from begin_batch(), not sealed
};

struct LogScan {
  std::vector<SegmentInfo> segments;  ///< what counts, oldest first
  SegmentHeader oldest;               ///< of the first of them, also if recovery copies all of it
  std::string newest_file;            ///< path of the last one, likewise
  LogShape shape;
  std::optional<TornTail> torn;
  UnsyncedTail tail;
  uint64_t number_max = 0;           ///< of all segment files
  Incarnation incarnation_max;       ///< of all headers
  std::vector<std::string> unbegun;  ///< prepared files and temporary ones: nothing in them
  std::vector<std::string> dead;     ///< to be removed once the new segment is durable
};

/// Where what was synced is damaged.
struct LogDamage {
  uint64_t number = 0;  ///< of the segment; 0: there is no such damage
  std::string what;     ///< for people: file, offset, what is wrong
};

/// Reads the whole log and changes nothing. Errors: corrupt (damage of what was synced, with file
/// and offset, told in `damage` too; another owner), unsupported, io_error.
Result<LogScan> scan_log(env::Disk& disk, const Ownership& owner, LogDamage* damage = nullptr);

/// The log from its beginning to the damage that scan_log() found, as if it ended there; perhaps
/// nothing. Files that do not belong to it are `dead`. Of the damaged segment no more than fits
/// into one batch is taken. Errors: unsupported, io_error.
Result<LogScan> scan_intact(env::Disk& disk, const LogDamage& damage);

/// Removes what is `unbegun`; frees space before anything is written. Errors: io_error.
Result<void> remove_unbegun(env::Disk& disk, const LogScan& scan);

/// Writes scan.tail into a new segment, durably, with `final_state` as the state at its end, and
/// adds it to scan.segments. Errors: io_error, no_space; the old log is then still whole.
struct NewSegment {
  Ownership owner;
  Incarnation incarnation;
  uint64_t segment_bytes = kSegmentBytes;
  DurableState final_state;
};
Result<void> rebuild_tail(env::Disk& disk, const NewSegment& wanted, LogScan& scan);

/// Removes scan.dead and cuts what now lies behind the log's end in an old segment.
/// Errors: io_error.
Result<void> remove_dead(env::Disk& disk, const LogScan& scan);

/// Makes a file with a header and one complete batch visible at once. Errors: no_space (and then
/// there is no such file), io_error.
struct SealedSegment {
  SegmentHeader header;  ///< file_bytes: how long to make it, at least what is needed
  std::string batch;     ///< from begin_batch(), not sealed
  Index last_index;
};
struct WrittenSegment {
  uint32_t header_crc = 0;
  SegmentLink end;
};
Result<WrittenSegment> write_whole_segment(env::Disk& disk, SealedSegment segment);

/// Calls `visit` with the living entries first .. last. Errors: corrupt, io_error, range.
Result<void> replay_segments(env::Disk& disk, const std::vector<SegmentInfo>& segments, Index first,
                             Index last, UniqueFunction<Result<void>(raft::Entry)>& visit);

}  // namespace doozer::storage
