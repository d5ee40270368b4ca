// The bounds and times of the mesh. What other rooms need too is in base/limits.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/limits.h"

namespace doozer::transport {

/// A connection whose first byte is this or more is a peer's: taken for the length of a client's
/// frame it would be over 2 GiB.
constexpr uint8_t kPeerFirstByte = 0x80;

// --- Sizes
constexpr size_t kHelloBytes = 4 * kKiB;      ///< a hello is padded to this
constexpr size_t kAddressBytesMax = 300;      ///< HOST:PORT
constexpr size_t kReasonBytesMax = 1 * kKiB;  ///< of a refusal
constexpr size_t kPartBytesMax = 64 * kKiB;   ///< of a message, in one frame
constexpr size_t kFrameBodyBytesMax = kPartBytesMax + 256;
constexpr size_t kMessageBytesMax = kCommandBytesMax + 1 * kMiB;  ///< what send() takes
constexpr size_t kSeedsMax = 256;

// --- Buffers
constexpr size_t kControlQueueBytesMax = 4 * kMiB;  ///< of a link, waiting for its stream
constexpr size_t kUrgentBytesMax = 128 * kKiB;      ///< heartbeats and link-state before it
constexpr size_t kBulkQueueBytesMax = 32 * kMiB;
constexpr size_t kRelayPairBytesMax = 1 * kMiB;  ///< relayed for one (from, to), waiting;
                                                 ///< a message that was begun is let through
constexpr size_t kRelayPairsMax = 1'024;
constexpr size_t kControlUnsentBytes = 64 * kKiB;  ///< a stream is given no more above this
constexpr size_t kBulkUnsentBytes = 128 * kKiB;
constexpr size_t kControlBytesPerTurn = 128 * kKiB;
constexpr size_t kBulkBytesPerTurn = 256 * kKiB;   ///< given to one stream
constexpr size_t kReassemblyMessagesMax = 4;       ///< begun and not whole, of one sender
constexpr size_t kReassemblyBytesMax = 64 * kMiB;  ///< of all senders together
constexpr uint64_t kReassemblyUsMax = 10'000'000;  ///< without a part
constexpr size_t kHandshakesMax = 64;              ///< accepted and not yet proven

// --- Times
constexpr uint64_t kBeatUs = 40'000;         ///< between two heartbeats of a link
constexpr uint64_t kEchoAgeUsMax = 300'000;  ///< a round trip over this is no link
constexpr uint64_t kStallUs = 300'000;       ///< bytes unsent without progress
constexpr uint64_t kDampUsMin = 1'000'000;   ///< a link that flapped must stay up so long
constexpr uint64_t kDampUsMax = 30'000'000;
constexpr uint64_t kDampForgetFactor = 4;  ///< up so many times its damping: forgiven
constexpr uint64_t kLinkStateRefreshUs = 600'000;
constexpr uint64_t kLinkStateExpiresUs = 2'000'000;
constexpr uint64_t kHandshakeUs = 1'000'000;  ///< dial and hello together
constexpr uint64_t kLingerUs = 1'000'000;     ///< after a refusal or goodbye
constexpr uint64_t kRedialUsMin = 20'000;
constexpr uint64_t kRedialUsMax = 1'000'000;
constexpr uint64_t kBulkDialUs = 500'000;     ///< then the side that dialled control dials it
constexpr uint64_t kBulkStaleUs = 5'000'000;  ///< a bulk connection stalled so long: dialled anew
constexpr int kProofRedialsMax =
    8;  ///< of one lost link, if the redial is cut off in its handshake
constexpr uint64_t kProofRedialUs = 1'000;          ///< after the first; doubling
constexpr uint64_t kStaleConnectionUs = 1'000'000;  ///< down so long: closed and dialled anew
constexpr uint64_t kSelfDialUs = 60'000'000;        ///< before an address of our own is tried again

/// A later life of a server waits so long for the end of an earlier one that still answers; then
/// both are refused.
constexpr uint64_t kRivalUs = 1'000'000;

// --- Attaching
constexpr uint64_t kAskAgainUs = 500'000;           ///< an address that holds no cluster
constexpr uint64_t kAnswerFreshUs = 3'000'000;      ///< an answer older than this is silence
constexpr uint64_t kWaitingFirstLogUs = 2'000'000;  ///< then it says for whom it waits,
constexpr uint64_t kWaitingLogUs = 10'000'000;      ///< and so often again

constexpr uint8_t kHopsMax = 16;
constexpr size_t kLogLinesPerSecond = 10;

static_assert(2 * kBeatUs < kLinkDownUs, "one lost turn of the peer is no outage");
static_assert(kLinkDownUs + kBeatUs + kEchoAgeUsMax / 2 < kElectionTimeoutMinUs,
              "a rerouted link costs no election");
static_assert(kLinkDownUs * 4 < kRivalUs, "a restart has lost its links by then");
static_assert(kLinkStateRefreshUs * 3 < kLinkStateExpiresUs);
static_assert(kAskAgainUs + kHandshakeUs < kAnswerFreshUs);
static_assert(kMessageBytesMax < kBulkQueueBytesMax);
static_assert(kMessageBytesMax * 2 < kReassemblyBytesMax);
static_assert(kRelayPairBytesMax > 4 * kFrameBodyBytesMax);

}  // namespace doozer::transport
