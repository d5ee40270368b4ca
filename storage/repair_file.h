// The file "repair" at the top of a data directory: there as long as damage in a member of a
// cluster is not settled. Text, for the operator too:
//   doozer-repair 1 / term <highest that was read> / vote_lost <0 or 1> / moved <first> <last>
//   / configuration <hex, or -> / damage <what was found> / crc <hex of the lines above>
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "env/disk.h"
#include "raft/types.h"

namespace doozer::storage {

constexpr std::string_view kRepairFile = "repair";
constexpr std::string_view kDamagedSuffix = ".damaged";

struct RepairNote {
  Term term;
  bool vote_lost = false;
  /// Numbers of the segments that no longer count and are kept aside; 0: none.
  uint64_t moved_first = 0;
  uint64_t moved_last = 0;
  std::optional<raft::Configuration> configuration;  ///< the newest that could be read
  std::string damage;

  bool moved(uint64_t number) const { return moved_first <= number && number <= moved_last; }
  bool operator==(const RepairNote&) const = default;
};

std::string encode_repair(const RepairNote& note);
/// Errors: corrupt, unsupported (of a newer version).
Result<RepairNote> decode_repair(std::string_view text);

/// nullopt if there is none. One that does not read is taken for the worst: a vote may be lost.
/// Errors: unsupported, io_error.
Result<std::optional<RepairNote>> read_repair(env::Disk& disk);
Result<void> write_repair(env::Disk& disk, const RepairNote& note);
/// Ends the repair, durably; then removes what was kept aside. Errors: io_error.
Result<void> end_repair(env::Disk& disk);

/// Paths of the segments that were moved aside. Errors: io_error.
Result<std::vector<std::string>> damaged_segments(env::Disk& disk);

}  // namespace doozer::storage
