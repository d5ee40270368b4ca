// Whose state is to be trusted (design section 3, "Two digests"): servers report both digests at
// every kDigestEveryIndexes-th index, the leader compares them. Pure.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "base/types.h"
#include "server/peer_message.h"

namespace doozer::server {

class DigestJudge {
 public:
  /// Takes what a server reported; repeats are welcome.
  void report(const Identity& server, const std::vector<DigestAt>& digests);
  void clear() { reports_.clear(); }

  struct Verdict {
    Identity server;    ///< differs from the majority
    DigestAt majority;  ///< what a majority of the voters has at that index
  };
  /// Everybody who differs, at the newest index at which a majority of `voters` agrees.
  std::vector<Verdict> judge(const std::vector<Identity>& voters) const;
  /// An index that all `voters` reported and at which no majority agrees; nullopt: none.
  std::optional<Index> split(const std::vector<Identity>& voters) const;

 private:
  std::map<Index, std::map<Identity, DigestAt>> reports_;  ///< the newest kDigestsKept indexes
};

}  // namespace doozer::server
