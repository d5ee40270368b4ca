// The configurations of the log, oldest first: the newest one is in force, committed or not
// (dissertation 4.1), and truncation brings back the one before.
#pragma once

#include <vector>

#include "base/types.h"
#include "raft/types.h"

namespace doozer::raft {

class ConfigurationHistory {
 public:
  /// By rising index; may be empty: a standby that has met no cluster yet.
  explicit ConfigurationHistory(std::vector<ConfigurationAt> known = {});

  const Configuration& in_force() const { return known_.back().configuration; }
  /// The entry that made it so; 0 if none did.
  Index index() const { return known_.back().index; }
  /// The newest at or below `index`; as far back as forget_below() left any.
  const Configuration& at(Index index) const;
  /// Is `identity` a voter in that one or in any after it?
  bool votes_since(Index index, const Identity& identity) const;
  /// From where on that one is in force.
  Index index_at(Index index) const;

  void append(Index index, Configuration configuration);
  void truncate_from(Index index);
  /// The log was replaced by a snapshot.
  void reset(const SnapshotPoint& point);
  /// Drops what only at() of an index below this one would need.
  void forget_below(Index index);

 private:
  const ConfigurationAt& known_at(Index index) const;

  std::vector<ConfigurationAt> known_;  ///< never empty
};

}  // namespace doozer::raft
