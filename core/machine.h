// The deterministic state machine: the tree at every kept revision, its history, its watches, its
// digests. Two machines that applied the same commands are equal, byte for byte, in what they
// answer.
//
// It must never read a clock, draw a random number, or depend on the order of an unordered
// container.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/budget.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/types.h"
#include "core/command.h"
#include "core/event.h"
#include "core/glob.h"
#include "core/register.h"
#include "core/watch.h"

namespace doozer::core {

struct MachineOptions {
  int64_t history_revisions = kHistoryRevisions;  ///< at least 1
  size_t history_bytes = kHistoryBytes;
  int64_t match_work = kMatchWork;
};

/// What a command came to. Refused commands and a DEL of nothing change nothing and take no
/// revision.
struct Applied {
  Revision revision;  ///< of the store afterwards
  bool changed = false;
  std::optional<Error>
      refused;  ///< revision_mismatch, is_directory, not_directory, bad_path, other
};

/// Views are good until the next apply() or run() of the machine.
struct FileView {
  std::string_view path;
  std::string_view value;
  Revision revision;  ///< of the last change
  Revision create_revision;
  uint64_t version = 0;  ///< changes since it was created, from 1
};

struct Found {
  enum class Kind : uint8_t { missing, file, directory } kind = Kind::missing;
  FileView file;         ///< kind file
  uint64_t entries = 0;  ///< kind directory: files and directories directly in it
};

/// One slot of /ctl/cal. Views are good until the next apply() of the machine.
struct SlotView {
  std::string_view path;
  Revision revision;       ///< of the last change
  std::string_view value;  ///< an identity's text, or empty; a system's SET may leave anything
};

struct Digests {
  Index index;  ///< up to which the two were computed
  Revision revision;
  Hash128 chain;  ///< over (index, command, result) of every applied entry
  Hash128 state;  ///< sum of hashes over all live files and the register
  bool operator==(const Digests&) const = default;
};

struct MachineStats {
  uint64_t files = 0;
  uint64_t directories = 0;  ///< alive now, "/" not counted
  uint64_t live_bytes = 0;   ///< paths and values of live files
  uint64_t history_events = 0;
  uint64_t history_bytes = 0;  ///< held only for old revisions
  uint64_t waits = 0;
};

enum class Seek : uint8_t {
  found,
  end,       ///< the offset is at or past the end (RANGE)
  more,      ///< the budget is used up; call again
  too_late,  ///< the revision left the history meanwhile
};

/// Serves WALK offset by offset so that a whole listing costs O(n). Keeps no views. With `at`: the
/// state at that revision. Without: each answer is of the newest state, exact even while others
/// write: the remembered place is moved by the events since. Asking another offset is allowed.
class WalkCursor {
 public:
  virtual ~WalkCursor() = default;
  /// The `offset`-th (from 0) matching file in byte order of paths.
  virtual Seek seek(uint64_t offset, Budget& budget, FileView& file) = 0;
};

/// The same for GETDIR: bare names in byte order of one directory that is known to exist.
class ListCursor {
 public:
  virtual ~ListCursor() = default;
  virtual Seek seek(uint64_t offset, Budget& budget, std::string_view& name) = 0;
};

class Machine;

/// A scan of the machine as it is at this moment, taken in slices while it goes on changing.
class ImageWriter {
 public:
  virtual ~ImageWriter() = default;
  /// Appends up to about `bytes` of the image to `out` within the budget. `done` after the last.
  enum class Step : uint8_t { more, done };
  /// Errors: busy if the pin held back more than kPinnedBytesMax and was given up (try again
  /// later).
  virtual Result<Step> next(size_t bytes, Budget& budget, std::string& out) = 0;
  /// How much of kPinnedBytesMax is held back, in percent: near 100 the scan is about to be given
  /// up, and should get more of the time.
  virtual int pressure() const = 0;
  virtual const Digests& digests() const = 0;  ///< at the pin
  virtual uint32_t cluster_version() const = 0;
};

/// Takes an image piece by piece, cut anywhere, into an empty machine.
class ImageReader {
 public:
  virtual ~ImageReader() = default;
  /// Errors: corrupt, unsupported; the machine is then of no use.
  virtual Result<void> add(std::string_view bytes) = 0;
  /// Checks that all came and recomputes the state digest. Errors: corrupt.
  virtual Result<void> finish() = 0;
};

class Machine {
 public:
  virtual ~Machine() = default;
  static std::unique_ptr<Machine> make(const MachineOptions& options);

  /// Applies entry `index` = applied() + 1. Errors: unsupported (a newer command, or the cluster's
  /// version is raised beyond what this build knows), corrupt: then nothing was changed and this
  /// server must stop.
  virtual Result<Applied> apply(Index index, std::string_view command) = 0;
  /// Raft's own entry, of no meaning here; counts in the chain digest.
  virtual void apply_internal(Index index) = 0;
  virtual Index applied() const = 0;

  virtual Revision revision() const = 0;
  /// The oldest revision that reads and waits may name.
  virtual Revision oldest() const = 0;
  /// ok, or too_late naming both revisions. `at` <= 1 means 1. The future is no error.
  virtual Result<void> check_kept(Revision at) const = 0;

  /// The newest state, or that at `at`, which is kept and not in the future.
  virtual Found find(std::string_view path, std::optional<Revision> at) const = 0;
  /// What counts for a directory at an old revision may take a scan; it is bounded by history.
  virtual std::unique_ptr<WalkCursor> walk(std::shared_ptr<const Glob> glob,
                                           std::optional<Revision> at) const = 0;
  virtual std::unique_ptr<ListCursor> list(std::string_view directory,
                                           std::optional<Revision> at) const = 0;

  /// The servers that attached, by identity.
  virtual const Register& members() const = 0;
  /// The slots, /ctl/cal/0 first: numbers by value, then other names. At most kSlotsMax: no command
  /// makes another one.
  virtual std::vector<SlotView> slots() const = 0;

  virtual Watches& watches() = 0;

  /// Trims history, frees what nobody needs, serves watches. True if work remains. Called each
  /// turn.
  virtual bool run(Budget& budget) = 0;
  /// Frees everything but `this` in slices, at the end of life. True if work remains.
  virtual bool release(Budget& budget) = 0;

  virtual Digests digests() const = 0;
  virtual MachineStats stats() const = 0;
  virtual uint64_t cluster_time_us() const = 0;
  virtual uint32_t cluster_version() const = 0;

  virtual std::unique_ptr<ImageWriter> write_image() = 0;
  virtual std::unique_ptr<ImageReader> read_image() = 0;  ///< on a machine that applied nothing
};

}  // namespace doozer::core
