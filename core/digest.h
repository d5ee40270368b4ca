// The two digests (design section 3). The chain digest tells whether two servers applied the same
// commands with the same results; the state digest whether they hold the same files. Both depend
// on values alone, never on the order in which memory was filled.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/hash.h"
#include "base/types.h"

namespace doozer::core {

struct Version;

/// Lane-wise sum: adding and taking away in any order comes to the same.
void add_to(Hash128& sum, const Hash128& term);
void take_from(Hash128& sum, const Hash128& term);

/// Of one live file: its path, value, both revisions, version and lease.
Hash128 file_digest(std::string_view path, const Version& version);

struct ChainLink {
  Index index;
  bool internal = false;  ///< Raft's own entry: no command, no result
  std::string_view command = {};
  Revision revision;  ///< the result: of the store afterwards
  bool changed = false;
  uint8_t refused = 0;  ///< 0, or 1 + the code of the refusal (its words do not count)
};
Hash128 chain_digest(const Hash128& previous, const ChainLink& link);

}  // namespace doozer::core
