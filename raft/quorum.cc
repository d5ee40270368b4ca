#include "raft/quorum.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "base/check.h"
#include "base/limits.h"

namespace doozer::raft {
namespace {

Vote tally_set(const std::vector<Identity>& voters, const VoteOf& vote_of) {
  const size_t majority = voters.size() / 2 + 1;
  size_t granted = 0;
  size_t refused = 0;
  for (const Identity& voter : voters) {
    switch (vote_of(voter)) {
      case Vote::granted: ++granted; break;
      case Vote::refused: ++refused; break;
      case Vote::pending: break;
    }
  }
  if (granted >= majority) return Vote::granted;
  if (voters.size() - refused < majority) return Vote::refused;
  return Vote::pending;
}

uint64_t majority_value_set(const std::vector<Identity>& voters, const ValueOf& value_of) {
  CHECK(voters.size() <= kServersMax);
  std::array<uint64_t, kServersMax> values{};
  size_t count = 0;
  for (const Identity& voter : voters) values[count++] = value_of(voter);
  std::sort(values.begin(), values.begin() + count);
  // The middle of an odd number, the lower middle of an even one: a majority is at or above it.
  return values[(count - 1) / 2];
}

bool holds(const std::vector<Identity>& voters, const Identity& identity) {
  return std::find(voters.begin(), voters.end(), identity) != voters.end();
}

}  // namespace

Vote tally(const Configuration& configuration, const VoteOf& vote_of) {
  if (configuration.voters.empty()) return Vote::refused;
  const Vote now = tally_set(configuration.voters, vote_of);
  if (!configuration.joint()) return now;
  const Vote old = tally_set(configuration.old_voters, vote_of);
  if (now == Vote::refused || old == Vote::refused) return Vote::refused;
  return now == Vote::granted && old == Vote::granted ? Vote::granted : Vote::pending;
}

uint64_t majority_value(const Configuration& configuration, const ValueOf& value_of) {
  if (configuration.voters.empty()) return 0;
  const uint64_t now = majority_value_set(configuration.voters, value_of);
  if (!configuration.joint()) return now;
  return std::min(now, majority_value_set(configuration.old_voters, value_of));
}

Index majority_match(const Configuration& configuration, const MatchOf& match_of) {
  return Index(majority_value(configuration,
                              [&](const Identity& voter) { return match_of(voter).value(); }));
}

bool is_voter(const Configuration& configuration, const Identity& identity) {
  return holds(configuration.voters, identity) || holds(configuration.old_voters, identity);
}

std::vector<Identity> all_voters(const Configuration& configuration) {
  std::vector<Identity> all;
  std::set_union(configuration.voters.begin(), configuration.voters.end(),
                 configuration.old_voters.begin(), configuration.old_voters.end(),
                 std::back_inserter(all));
  return all;
}

}  // namespace doozer::raft
