// Majorities, plain and joint (dissertation 3.3, 4.3): arithmetic on a configuration, no state.
#pragma once

#include <functional>

#include "base/types.h"
#include "raft/types.h"

namespace doozer::raft {

enum class Vote : uint8_t { pending, granted, refused };

/// What is known of one voter's vote.
using VoteOf = std::function<Vote(const Identity&)>;
/// Anything that a voter has reached: an index, a round, a time.
using ValueOf = std::function<uint64_t(const Identity&)>;
/// The highest index that is known to be durable at one voter.
using MatchOf = std::function<Index(const Identity&)>;

/// granted once a majority of every set of voters has granted; refused once some set can no longer
/// reach one; else pending. A configuration without voters grants nothing.
Vote tally(const Configuration& configuration, const VoteOf& vote_of);

/// The highest value that a majority of every set of voters reaches; 0 without voters.
uint64_t majority_value(const Configuration& configuration, const ValueOf& value_of);
/// The highest index that a majority of every set of voters holds; 0 without voters.
Index majority_match(const Configuration& configuration, const MatchOf& match_of);

/// True if `identity` votes in either set.
bool is_voter(const Configuration& configuration, const Identity& identity);

/// Both sets together, sorted, without repeats.
std::vector<Identity> all_voters(const Configuration& configuration);

}  // namespace doozer::raft
