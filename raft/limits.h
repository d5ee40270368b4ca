// The bounds of the consensus core that no other room needs; those that operators or other rooms
// know are in base/limits.h. The simulator judges the values.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/limits.h"

namespace doozer::raft {

// --- Time
constexpr uint64_t kHeartbeatUs = 60'000;       ///< a leader is heard of at least so often
constexpr uint64_t kVoteRetryUs = 100'000;      ///< votes that were not answered are asked again
constexpr uint64_t kBulkRetryUs = 500'000;      ///< a large append may be under way for so long
constexpr uint64_t kReadRetryUs = 100'000;      ///< a leader that did not answer is asked again
constexpr uint64_t kCandidateRankUs = 5'000;    ///< a candidate waits so long for each better one
constexpr uint64_t kCandidateGraceUs = 50'000;  ///< who told one to stand waits so long for it
constexpr uint64_t kTransferUsMax = 700'000;    ///< then a transfer is given up (3.10)
constexpr uint64_t kStallUs = 200'000;          ///< a gap between steps that is our own stall
constexpr uint64_t kLateTickUs = 50'000;        ///< a timer so late is our own stall, which hides
constexpr uint64_t kLateGraceUs = 100'000;      ///< what has come: it is given time to be heard
constexpr uint64_t kReluctantTimeouts = 3;      ///< of no leader, before a never-lead member stands
constexpr uint64_t kStepDownRestUs =
    2'100'000;  ///< who was told to step down does not stand so long

// --- Memory of the log
constexpr size_t kRetainedLogBytes = 16 * kMiB;  ///< applied entries kept for peers that lag
constexpr size_t kRetainedEntries = 65'536;
constexpr size_t kRetainedAloneBytes = 1 * kMiB;  ///< if there is no peer
constexpr size_t kForgottenAtOnce = 4'096;  ///< of entries no longer kept: a recovered log is long
constexpr size_t kPinnedLogBytes = 128 * kMiB;  ///< kept for a peer that lags but answers; then it
constexpr size_t kPinnedEntries = 1'048'576;    ///< needs a newer snapshot
constexpr size_t kUnappliedBytesMax = 2 * kProposedBytesMax;  ///< beyond: a follower takes no more
constexpr size_t kEntryOverheadBytes = 64;  ///< what an entry is taken to cost beside its payload

// --- Messages
constexpr size_t kAppendBytesMax = 64 * kKiB;  ///< payload of one append; a larger entry goes alone
constexpr size_t kAppendEntriesMax = 4'096;    ///< of one append
constexpr size_t kInflightBytesMax = 4 * kMiB;  ///< sent to one peer and not yet durable there
constexpr size_t kInflightMessagesMax = 256;
constexpr size_t kHeldMessagesMax = 256;  ///< waiting for our own term or vote to be durable
constexpr size_t kReadTicketsMax = 16'384;
constexpr size_t kReadsPerAskerMax = 4;             ///< of one follower at its leader
constexpr uint64_t kGoneDoubtUs = 1'000'000;        ///< so long a message may outlive its sender
constexpr size_t kGoneMax = 4 * kServersMax;        ///< processes that are remembered as gone
constexpr uint64_t kIndexMax = uint64_t{1} << 62U;  ///< of indexes, terms, counters of a peer

static_assert(kHeartbeatUs * 4 <= kElectionTimeoutMinUs, "a few lost heartbeats depose nobody");
static_assert(kVoteRetryUs * 2 <= kElectionTimeoutMinUs);
static_assert(kCandidateRankUs * kServersMax < kElectionTimeoutMinUs,
              "the last of the candidates stands before the first time-out");
static_assert(kCandidateGraceUs < kVoteRetryUs,
              "a candidate that cannot win delays nobody for long");
static_assert(kTransferUsMax < kNoQuorumStepDownUs);
static_assert(kStallUs > 2 * kHeartbeatUs);
static_assert(kStepDownRestUs >= kReluctantTimeouts * kElectionTimeoutMaxUs);
static_assert(kRetainedLogBytes < kPinnedLogBytes);
static_assert(kForgottenAtOnce >= kAppendEntriesMax, "they go no slower than they come");
static_assert(kUnappliedBytesMax >= kProposedBytesMax + kCommandBytesMax);
static_assert(kInflightBytesMax >= 2 * kAppendBytesMax);

}  // namespace doozer::raft
