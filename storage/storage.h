// What is kept on disk: the write-ahead log and the snapshots, behind one object per data
// directory. Formats: docs/wal-format.md, docs/snapshot-format.md. Design: section 5.
//
// Layout of a data directory:
//   lock                     held while a server uses it
//   identity                 cluster, identity, format; made together with the first segment
//   incarnation              starts so far; replaced durably at each start
//   log/0000000000000001.wal segments, by number
//   snap/IIIIIIIIIIIIIIII.snap  snapshots, by log index in hex; *.tmp is garbage of a crash
//   snap/IIIIIIIIIIIIIIII.received  a snapshot of another server, whole, until the log is behind it
//   repair                   while damage is not settled: what was found, what may have been lost
//   log/*.wal.damaged        segments that were moved aside then
//   *.next                   of an exchange by --recover-alone (storage/exchange.h)
//
// It must never: report as synced what is not, serve a stale record of an overwritten tail, hide
// damage below a sync marker, or touch a directory whose identities disagree.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/function.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/result.h"
#include "base/types.h"
#include "env/clock.h"
#include "env/disk.h"
#include "raft/types.h"

namespace doozer::storage {

/// So much of the log's end is given to the core after recovery.
constexpr size_t kRetainedLogBytes = 16 * kMiB;

struct StorageOptions {
  size_t segment_bytes = kSegmentBytes;  ///< at least kSegmentBytesMin
  size_t disk_reserve_bytes = kDiskReserveBytes;
  size_t retained_log_bytes = kRetainedLogBytes;  ///< see Storage::take_retained()
};

/// What a data directory belongs to. Random values are made by the caller (cmd/, sim/).
struct Ownership {
  Identity cluster;
  Identity identity;
};

/// The head of a snapshot file. `revision`, digests and versions are the machine's; storage only
/// keeps them and checks what it can (cluster, identity, CRC).
struct SnapshotHeader {
  Identity cluster;
  Identity identity;  ///< of the server that wrote it
  raft::SnapshotPoint point;
  uint32_t cluster_version = 1;
  Revision revision;
  Hash128 chain_digest;
  Hash128 state_digest;

  bool operator==(const SnapshotHeader&) const = default;
};

/// What a directory holds, seen without changing anything.
enum class DirectoryState : uint8_t {
  empty,        ///< nothing of ours: may boot or attach
  initialized,  ///< an identity and a log
  broken,  ///< some of it is missing or disagrees; the message of inspect_directory() says what
};
struct DirectoryReport {
  DirectoryState state = DirectoryState::empty;
  std::string detail;  ///< for `broken`: which file, what is wrong
};
Result<DirectoryReport> inspect_directory(env::Disk& disk);
/// From now on the directory is `broken`, and says why. Blocking. Errors: io_error, no_space.
Result<void> bar_directory(env::Disk& disk, std::string_view why);

using raft::ConfigurationAt;

/// Damage below a sync marker in a member of a cluster of many, not settled yet.
struct Repair {
  std::string damage;  ///< for people: file, offset, what is wrong there
  /// The newest term and vote did not read: hard_state.term is the highest that any readable byte
  /// names, a higher one may have been lost, and a vote with it (hard_state.vote is none). False:
  /// term and vote are as they were.
  bool vote_lost = false;

  bool operator==(const Repair&) const = default;
};

/// What open() found, after which the directory is clean and durable.
struct Recovered {
  Ownership owner;
  Incarnation incarnation;  ///< already raised and durable
  /// `commit` is at least the newest snapshot's index. In a cluster nothing above it may be
  /// applied: the log may end in entries that were never committed.
  raft::HardState hard_state;
  raft::LogTrust trust = raft::LogTrust::sound;
  Index doubtful_to;             ///< doubtful, repairing: entries up to here may have been lost
  std::optional<Repair> repair;  ///< repairing: why
  Index first_index;             ///< first entry in the log; last_index + 1 if it is empty
  Index last_index;              ///< of log or newest snapshot, 0 if there is none
  Term last_term;
  /// Of the entry before those of Storage::take_retained(); last_term if there are none.
  Term term_before_retained;
  raft::Configuration configuration;  ///< the newest in log or snapshots
  /// All that a truncation may go back to, ascending: the newest snapshot's (if there is one), then
  /// every one in the log behind it. The last is `configuration`. Only in a directory under repair
  /// may the first be of index 0: the newest that could be read, when nothing of log and snapshots
  /// was left.
  std::vector<ConfigurationAt> configurations;
  std::vector<SnapshotHeader> snapshots;  ///< readable ones, oldest first
};

/// Reads one snapshot image; blocking, for start-up or a lane.
class SnapshotReader {
 public:
  virtual ~SnapshotReader() = default;
  virtual const SnapshotHeader& header() const = 0;
  /// The next chunk of the image, checked and decompressed; nullopt at the good end.
  /// Errors: corrupt (with file and offset), io_error.
  virtual Result<std::optional<std::string>> next() = 0;
};

/// Writes one snapshot on the bulk lane, chunk by chunk; published only by finish().
/// Destroying it without finish() removes the temporary file. It may outlive the storage, not the
/// lanes.
class SnapshotWriter {
 public:
  virtual ~SnapshotWriter() = default;
  /// Takes a piece of the image (at most kSnapshotChunkBytes). No more than two may be on their
  /// way: give the next after ready(). Compression, CRC, write and paced sync happen on the bulk
  /// lane.
  virtual void add(std::string chunk) = 0;
  /// True if add() may be called now.
  virtual bool ready() const = 0;
  /// Ends the file, syncs, renames, syncs the directory, once the durable log covers its index (one
  /// of write_received_snapshot(): see there). `done` hears success or the first error of any step
  /// (no_space, io_error).
  virtual void finish(UniqueFunction<void(Result<void>)> done) = 0;
};

struct StorageStats {
  uint64_t segments = 0;
  uint64_t log_bytes = 0;      ///< in all segments, as written
  uint64_t written_bytes = 0;  ///< to the log since open()
  uint64_t syncs = 0;
  uint64_t sync_us_last = 0;
  uint64_t sync_us_max = 0;
  uint64_t batches = 0;
  uint64_t snapshots = 0;
  uint64_t snapshot_bytes = 0;
  uint64_t free_bytes = 0;  ///< as last seen
};

/// One data directory in use. All calls on the loop's thread; the destructor waits for nothing.
class Storage {
 public:
  virtual ~Storage() = default;

  /// Makes identity, first segment (with `configuration` as entry 1, term 1, if it has voters) and
  /// directories; all durable when it returns. A crash before that leaves either an empty directory
  /// or an initialized one, seen as such by inspect_directory(). Errors: conflict (not empty),
  /// io_error, no_space.
  static Result<void> create(env::Disk& disk, const Ownership& owner,
                             const raft::Configuration& configuration,
                             const StorageOptions& options);

  /// Recovers and opens. Blocking; before serving only. Needs the lock to be held by the caller.
  /// Damage below a sync marker, or a log that its snapshots do not reach: if the newest
  /// configuration that can be read has a voter besides this server, it opens as `repairing`: what
  /// is intact before the damage is kept, the damaged segments are moved aside. Else (a cluster of
  /// one, or no configuration reads) it is an error.
  /// Errors: corrupt (that damage, disagreeing identities; file and offset in the message; nothing
  /// was changed), not_found, unsupported, io_error, no_space.
  static Result<std::unique_ptr<Storage>> open(env::Disk& disk, env::Lanes& lanes,
                                               env::Clock& clock, const Logger& logger,
                                               const StorageOptions& options);

  virtual const Recovered& recovered() const = 0;

  /// The entries that recovery kept in memory for the core, contiguous up to
  /// recovered().last_index: all above hard_state.commit, and so much below it as
  /// StorageOptions::retained_log_bytes takes. Once; empty from then on.
  virtual std::vector<raft::Entry> take_retained() = 0;

  /// Calls `visit` with entries first .. last in order; blocking, for start-up. Stops at the first
  /// error of `visit`. Errors: corrupt, io_error, range if the log does not hold them.
  virtual Result<void> replay(Index first, Index last,
                              UniqueFunction<Result<void>(raft::Entry)> visit) = 0;

  // --- Log. These three only add to the batch in memory, in the order of the calls.
  virtual void truncate_from(Index index) = 0;
  virtual void append(const raft::Entry& entry) = 0;
  virtual void set_hard_state(const raft::HardState& hard_state) = 0;
  /// The log with all that these three and an installed snapshot made of it, durable or not.
  virtual Index first_index() const = 0;
  virtual Index last_index() const = 0;
  /// Bytes in the batch and on their way to the disk.
  virtual size_t pending_bytes() const = 0;
  /// Hands the batch to the log lane if no sync is under way and there is one; otherwise the batch
  /// goes when the running sync ends. `tag` of the newest flush() whose batch is durable is told to
  /// the persisted handler. Cheap when there is nothing to do.
  virtual void flush(uint64_t tag) = 0;
  /// Hears tags in rising order, or the error after which the log is dead and the server must stop.
  virtual void on_persisted(UniqueFunction<void(Result<uint64_t>)> handler) = 0;
  /// Whoever may decide so (a cluster of one; a leader that replicated past it) no longer doubts
  /// the log; goes with the next flush(). Until then each open() says `doubtful` or `repairing`
  /// again. A repair ends once all that was appended before is durable; the segments that were
  /// moved aside are then removed.
  virtual void settle_doubt() = 0;
  /// For a graceful stop: calls `done` in a later turn, once everything that was flushed is durable
  /// and a sync marker vouches for it, or the log is dead. Damage is then never taken for a torn
  /// tail.
  virtual void quiesce(UniqueFunction<void()> done) = 0;

  // --- Space. Decided when proposing, never when applying.
  /// no_space if `bytes` more of entries would eat the reserve; `reserve_ok` for DELs, hard state
  /// and configuration, which may use it. The message tells the free bytes. What is on its way to
  /// the log counts, also what will need a segment that is not made yet. A log that grows because
  /// no snapshot succeeds ends here: SETs are refused while there is still room for the snapshot,
  /// which then succeeds for want of writes, and what it allows to purge ends the shortage.
  virtual Result<void> admit(size_t bytes, bool reserve_ok) = 0;
  /// True from a refusal by admit() until the same would be admitted; looked at each second.
  virtual bool short_of_space() const = 0;
  /// How large the next snapshot may become; so much stays free. Before the first call: by the
  /// newest snapshot's file.
  virtual void set_snapshot_estimate(uint64_t bytes) = 0;

  // --- Snapshots.
  virtual Result<std::unique_ptr<SnapshotReader>> read_snapshot(Index index) = 0;
  /// One of this server's own machine. Errors: conflict (another cluster's or server's).
  virtual Result<std::unique_ptr<SnapshotWriter>> write_snapshot(const SnapshotHeader& header) = 0;
  /// One that was fetched from another server: header.identity is this server's, the rest is as
  /// received. finish() installs it whether or not the log reaches it: if the log has an entry of
  /// point.term at point.index, it is kept; otherwise ALL of the log is discarded, and it begins
  /// anew at point.index + 1 with the snapshot's configuration in force. Term and vote stay; commit
  /// becomes at least point.index. `done` hears once all of this is durable. A crash before that
  /// leaves the old state or the new one, never a mixture.
  ///
  /// From finish() to `done` nothing may be appended or truncated (what was before goes first);
  /// set_hard_state() and flush() may be called, and take effect behind the installation. After
  /// `done` with an error the old log goes on, unless the persisted handler heard of its death too.
  /// Snapshots that the new log does not continue are gone.
  ///
  /// Errors, also of `done`: conflict (another cluster's or server's; older than what the log
  /// begins with; it contradicts a committed entry; one is being installed), no_space, io_error.
  virtual Result<std::unique_ptr<SnapshotWriter>> write_received_snapshot(
      const SnapshotHeader& header) = 0;
  /// Published snapshots, oldest first.
  virtual const std::vector<SnapshotHeader>& snapshots() const = 0;
  /// Removes, on the bulk lane, snapshots older than the one at `oldest_kept` and log segments that
  /// only it does not need. A crash at any point leaves a directory that opens.
  virtual void purge(Index oldest_kept) = 0;

  virtual StorageStats stats() const = 0;
};

}  // namespace doozer::storage
