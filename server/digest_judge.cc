#include "server/digest_judge.h"

#include <algorithm>

namespace doozer::server {
namespace {

/// How many of `voters` reported exactly `digest`.
size_t supporters(const std::map<Identity, DigestAt>& reports, const std::vector<Identity>& voters,
                  const DigestAt& digest) {
  return static_cast<size_t>(std::count_if(voters.begin(), voters.end(), [&](const Identity& one) {
    const auto found = reports.find(one);
    return found != reports.end() && found->second == digest;
  }));
}

/// What a majority of `voters` reported; null if none agrees.
const DigestAt* majority_of(const std::map<Identity, DigestAt>& reports,
                            const std::vector<Identity>& voters) {
  for (const Identity& voter : voters) {
    const auto found = reports.find(voter);
    if (found == reports.end()) continue;
    if (supporters(reports, voters, found->second) > voters.size() / 2) return &found->second;
  }
  return nullptr;
}

}  // namespace

void DigestJudge::report(const Identity& server, const std::vector<DigestAt>& digests) {
  for (const DigestAt& digest : digests) reports_[digest.index][server] = digest;
  while (reports_.size() > kDigestsKept) reports_.erase(reports_.begin());
}

std::vector<DigestJudge::Verdict> DigestJudge::judge(const std::vector<Identity>& voters) const {
  std::vector<Verdict> verdicts;
  for (auto at = reports_.rbegin(); at != reports_.rend(); ++at) {
    const DigestAt* const majority = majority_of(at->second, voters);
    if (majority == nullptr) continue;
    for (const auto& [server, digest] : at->second) {
      const bool known = std::any_of(verdicts.begin(), verdicts.end(), [&](const Verdict& verdict) {
        return verdict.server == server;
      });
      if (!known && digest != *majority) {
        verdicts.push_back({.server = server, .majority = *majority});
      }
    }
  }
  return verdicts;
}

std::optional<Index> DigestJudge::split(const std::vector<Identity>& voters) const {
  for (const auto& [index, reports] : reports_) {
    const bool all = std::all_of(voters.begin(), voters.end(),
                                 [&](const Identity& voter) { return reports.contains(voter); });
    if (all && voters.size() > 1 && majority_of(reports, voters) == nullptr) return index;
  }
  return std::nullopt;
}

}  // namespace doozer::server
