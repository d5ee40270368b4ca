// Offline reading of a log that may be damaged: everything that its bytes still prove, and where
// they stop doing so. Unlike recovery (wal_recovery.h) this goes on behind damage; it changes
// nothing and believes nothing that no checksum says. For doozer-inspect.
//
// What proves what: a record proves all records before it back to the header (its crc is chained).
// Behind damage a sync marker can be recognised by itself, and its batch goes on from the marker's
// own crc; so an unbroken *stretch* begins at the header or at such a marker. Stretches of one or
// several segments whose ends fit together by link and crc make a *run*: a piece of the log in
// which nothing is missing. Between two runs anything may be missing, truncations too.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/function.h"
#include "base/result.h"
#include "env/disk.h"
#include "raft/types.h"
#include "storage/segment.h"
#include "storage/storage.h"
#include "storage/wal_format.h"

namespace doozer::storage {

/// One thing found wrong.
struct Damage {
  std::string file;
  uint64_t offset = 0;
  std::string what;
};
/// "log/0000000000000001.wal at offset 512: the record does not check".
std::string to_string(const Damage& damage);

/// Records `begin` .. `end` of a segment, unbroken.
struct Stretch {
  uint64_t begin = 0;
  uint64_t end = 0;    ///< aligned, unless damage cut a batch
  uint32_t chain = 0;  ///< the crc after the last record
  bool behind_damage = false;
};

struct SegmentInspection {
  std::string path;
  uint64_t number = 0;
  uint64_t file_bytes = 0;
  std::optional<DecodedHeader> header;  ///< if it checks
  bool begun = false;                   ///< some byte is not zero
  uint64_t batches = 0;
  uint64_t records = 0;
  uint64_t entries = 0;
  Index first_entry;       ///< the first one written here, 0 if none
  Index last_entry;        ///< the last one written here
  uint64_t synced_to = 0;  ///< what the newest marker vouches for
  std::vector<Stretch> stretches;
  std::vector<Damage> damages;  ///< of what was synced
  std::optional<Damage> torn;   ///< bytes above the newest marker that do not check
};

struct SegmentQuery {
  uint64_t number = 0;
  /// Whose it should be: finds markers behind a damaged header, and is compared with a good one.
  std::optional<Ownership> owner;
  /// Where the next segment says that this one ends.
  std::optional<SegmentLink> ends_at;
  /// Nothing follows it in the log, so it must still have its full length: a segment is cut to what
  /// it holds only when the next one has begun.
  bool newest = false;
};

/// Hears every record that checks, with the number of its stretch (from 0) and the chain before it.
using RecordVisitor =
    UniqueFunction<void(const Record& record, size_t stretch, uint32_t chain_before)>;

/// Reads log/NUMBER.wal. Damage is no error. Errors: not_found, io_error, unsupported.
Result<SegmentInspection> inspect_segment(env::Disk& disk, const SegmentQuery& query,
                                          RecordVisitor& visit);

/// Where an entry lies.
struct EntryPlace {
  uint64_t segment = 0;
  uint64_t offset = 0;
  uint64_t size = 0;
  uint32_t chain = 0;  ///< before it
};

/// A piece of the log in which nothing is missing.
struct Run {
  Index first;  ///< of entries.front(), or where the next would be
  std::vector<EntryPlace> entries;
  DurableState state;        ///< the newest in it
  bool from_header = false;  ///< it began with a header, not behind damage

  Index last() const { return first + entries.size() - 1; }
};

struct LogInspection {
  std::optional<Ownership> owner;           ///< of the identity file, else of the newest header
  std::vector<SegmentInspection> segments;  ///< all files, by number
  std::vector<uint64_t> dead;               ///< left behind by a recovery; not read into runs
  std::vector<Run> runs;                    ///< in the order of the log
  std::vector<Damage> damages;              ///< of all segments, and links that do not fit
};

/// Reads a whole log. `owner` as read from the identity file, if that checks. Errors: io_error,
/// unsupported.
Result<LogInspection> inspect_log(env::Disk& disk, const std::optional<Ownership>& owner);

/// Fetches entries by their places; keeps the last file open.
class EntryFetcher {
 public:
  explicit EntryFetcher(env::Disk& disk) : disk_(disk) {}
  /// Errors: corrupt (it checked before and does not now), io_error.
  Result<raft::Entry> fetch(const EntryPlace& place);

 private:
  env::Disk& disk_;
  uint64_t segment_ = 0;
  std::optional<FileWindow> window_;
};

/// The newest numbers first: what a file is by its header, for a file of any name.
/// Errors: corrupt (it has no good header).
Result<uint64_t> segment_number_of(std::string_view file);

}  // namespace doozer::storage
