// What the log is made of. Shared by raft/ (which decides), storage/ (which keeps) and transport/
// (which carries); none of them looks into an entry's payload.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace doozer::raft {

enum class EntryKind : uint8_t {
  command = 1,        ///< payload: a core command (bytes to everybody here)
  noop = 2,           ///< of a new leader; empty payload
  configuration = 3,  ///< payload: encode_configuration()
  forwarded = 4,      ///< payload: an origin's tag and a command, the replica's; bytes to us
};

struct Entry {
  Index index;
  Term term;
  EntryKind kind = EntryKind::command;
  std::string payload;

  bool operator==(const Entry&) const = default;
};

/// Raft's durable triple. `commit` is a hint: it is never above the durable log.
struct HardState {
  Term term;
  Identity vote;  ///< none: not voted in this term
  Index commit;

  bool operator==(const HardState&) const = default;
};

/// Who votes. While `old_voters` is not empty the configuration is joint (dissertation 4.3): both
/// sets must agree. Sorted, without repeats. Standbys are not in it.
struct Configuration {
  std::vector<Identity> voters;
  std::vector<Identity> old_voters;

  bool joint() const { return !old_voters.empty(); }
  bool operator==(const Configuration&) const = default;
};

std::string encode_configuration(const Configuration& configuration);
/// Errors: corrupt (lengths, order, repeats, over kServersMax, no voters).
Result<Configuration> decode_configuration(std::string_view bytes);

/// A place in the log: an index and the term of its entry. {0, 0} is before the first one.
struct LogPosition {
  Index index;
  Term term;

  bool operator==(const LogPosition&) const = default;
};

/// A configuration and the entry (or snapshot) from which on it is in force.
struct ConfigurationAt {
  Index index;
  Configuration configuration;

  bool operator==(const ConfigurationAt&) const = default;
};

/// What a snapshot stands for in the log.
struct SnapshotPoint {
  Index index;
  Term term;
  Configuration configuration;  ///< the newest at or below `index`

  bool operator==(const SnapshotPoint&) const = default;
};

/// How far the local log can be trusted after recovery (design section 5).
enum class LogTrust : uint8_t {
  sound,      ///< everything that was ever acknowledged is there
  doubtful,   ///< a tail above the newest sync marker was cut off at a damaged record
  repairing,  ///< damage below the newest marker: entries are missing
};

/// What recovery gives to the core.
struct RecoveredLog {
  HardState hard_state;
  std::optional<SnapshotPoint> snapshot;  ///< the one that was loaded, if any
  std::vector<Entry> entries;             ///< after the snapshot, contiguous
  LogTrust trust = LogTrust::sound;
  Index doubtful_to;  ///< doubtful: the log may have reached at least this index; else 0
};

}  // namespace doozer::raft
