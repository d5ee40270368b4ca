// What doozer-inspect finds in a file or a data directory: read offline, checked as far as bytes
// can be, nothing changed. Printing is doozer_inspect_print.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/machine.h"
#include "env/disk.h"
#include "storage/inspect.h"
#include "storage/snapshot_format.h"
#include "storage/storage.h"

namespace doozer::inspect {

struct SnapshotFinding {
  std::string path;
  uint64_t file_bytes = 0;
  std::optional<storage::SnapshotHeader> header;  ///< if it checks
  storage::SnapshotTotals totals;                 ///< of what checked
  uint64_t files = 0;                             ///< in the tree, if the image is good
  std::string damage;                             ///< empty: the file and its image are good
};

/// Reads one snapshot, checks its chain, loads the image into a machine and compares the digests.
/// Damage is no error. `machine` gets the loaded one, if good and asked for. Errors: not_found,
/// io_error.
Result<SnapshotFinding> read_snapshot(env::Disk& disk, const std::string& path,
                                      std::unique_ptr<core::Machine>* machine);

struct DirectoryFinding {
  std::optional<storage::Ownership> owner;
  Incarnation incarnation;
  storage::LogInspection log;
  std::vector<SnapshotFinding> snapshots;  ///< oldest first
  std::vector<std::string> damages;        ///< everything wrong, one line each
  std::vector<std::string> notes;          ///< what an operator may wonder about
  /// The state that a start would come to; nothing if it cannot be rebuilt.
  std::optional<core::Digests> state;
  uint64_t files = 0;

  bool good() const { return damages.empty(); }
};

/// Reads a whole data directory as a server would, and further. Errors: not_found (nothing of
/// Doozer's is there), io_error, unsupported.
Result<DirectoryFinding> read_directory(env::Disk& disk);

/// Applies one log entry. Errors: as Machine::apply().
Result<void> apply_entry(core::Machine& machine, const raft::Entry& entry);

/// Where a state can be rebuilt from: a snapshot (none: from nothing) and a run of entries behind
/// it.
struct Source {
  const SnapshotFinding* snapshot = nullptr;
  const storage::Run* run = nullptr;
  Index last;  ///< the highest index that this reaches
};
/// The source that reaches furthest; of two the one with the newer snapshot.
Source best_source(const DirectoryFinding& found);
/// Rebuilds the state at source.last. Errors: corrupt, unsupported, io_error.
Result<std::unique_ptr<core::Machine>> rebuild(env::Disk& disk, const Source& source);

}  // namespace doozer::inspect
