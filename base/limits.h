// Every bound of the house has its name here. An operator may lower some (server/config), never
// raise one past what is written here. Static assertions below tell how they depend on each other.
#pragma once

#include <cstddef>
#include <cstdint>

namespace doozer {

constexpr size_t kKiB = 1024;
constexpr size_t kMiB = 1024 * kKiB;

// --- Requests
// -------------------------------------------------------------------------------------
constexpr size_t kValueBytesMax = 1 * kMiB;       ///< default of --value-bytes-max
constexpr size_t kValueBytesCeiling = 16 * kMiB;  ///< the most that an operator may set
constexpr size_t kPathBytesMax = 4 * kKiB;        ///< a path or a glob
constexpr size_t kFrameOverheadBytes =
    8 * kKiB;  ///< a frame may exceed the value limit by this much
constexpr size_t kSecretBytesMax = 4 * kKiB;
constexpr size_t kTransactionOpsMax = 1024;  ///< guards, and operations, of one transaction
constexpr size_t kCommandBytesMax = kValueBytesCeiling + 64 * kKiB;  ///< one encoded command
constexpr size_t kClientIdBytesMax = 16;

// --- Connections
// ----------------------------------------------------------------------------------
constexpr size_t kConnectionsMax = 20'000;
constexpr size_t kConnectionsPerAddressMax = 20'000;  ///< 10,000 from one address must be admitted
constexpr size_t kOutstandingRequestsMax = 1'024;     ///< of a connection: writes, slow reads
constexpr size_t kWaitsPerConnectionMax = 16'384;     ///< WAITs, and reads of a future revision
constexpr size_t kUnsentBytesSoft =
    1 * kMiB;  ///< above: no further request of the connection is begun
constexpr uint64_t kUnsentStallUsMax =
    30'000'000;  ///< a client that takes no byte for so long is cut
// Of all connections together: above the first, none that has unsent bytes begins a request; above
// the second, those with the most are cut.
constexpr size_t kUnsentBytesAllSoft = 512 * kMiB;
constexpr size_t kUnsentBytesAllMax = 1024 * kMiB;
constexpr uint64_t kFrameCompleteUsMax = 30'000'000;  ///< a begun frame must be whole by then
constexpr uint64_t kHandshakeUsMax = 10'000'000;
constexpr uint64_t kHandshakePatienceUs =
    1'000'000;  ///< when all places are taken, one that hangs so long gives its place up
constexpr size_t kReadChunkBytes = 64 * kKiB;      ///< read at most so much of a socket in a turn
constexpr size_t kListCursorsPerConnection = 8;    ///< GETDIR and WALK listings that stay O(n)
constexpr uint64_t kGracefulForwardUs = 200'000;   ///< a stopping server still takes writes so long
constexpr uint64_t kGracefulLingerUs = 1'000'000;  ///< and waits so long for peers to close, or
                                                   ///< to take a byte of their answers,
constexpr uint64_t kGracefulAnswersUs = 5'000'000;  ///< and so long for them to take all
constexpr size_t kDescriptorsReserved =
    64;  ///< of the process's limit: the disk's, not for clients

// --- Turns of the loop
// ----------------------------------------------------------------------------
constexpr uint64_t kLoopTurnMaxMs = 5;
constexpr uint64_t kClientsPerTurnUs =
    1'000;  ///< reading clients' bytes stops after so much of a turn; so does answering them
constexpr uint64_t kSlicesPerTurnUs = 1'000;  ///< no further posted slice is begun after so much of
                                              ///< a turn; the rest go first next turn
constexpr int64_t kSliceSteps = 500;          ///< one slice of a cursor (base/budget.h)
constexpr size_t kHandshakesPerTurn = 2;
constexpr size_t kHandshakesPendingMax =
    1'024;  ///< of one listener; further connections wait in the backlog
constexpr size_t kAcceptsPerTurn = 64;  ///< of one listener

// --- History and snapshots
// ------------------------------------------------------------------------
constexpr int64_t kHistoryRevisions = 360'000;
constexpr size_t kHistoryBytes = 256 * kMiB;
constexpr size_t kPinnedBytesMax = 256 * kMiB;  ///< versions that one snapshot may hold back
constexpr size_t kSnapshotChunkBytes = 256 * kKiB;
constexpr size_t kSnapshotLogBytes = 64 * kMiB;  ///< so much new log asks for a new snapshot
constexpr uint64_t kDigestEveryIndexes = 1'024;

// --- Log
// ------------------------------------------------------------------------------------------
constexpr size_t kSegmentBytes = 64 * kMiB;     ///< preallocated size of a log segment
constexpr size_t kSegmentBytesMin = 64 * kKiB;  ///< for tests
constexpr size_t kLogBatchBytesMax = 8 * kMiB;  ///< handed to the log lane at once
constexpr size_t kProposedBytesMax =
    64 * kMiB;  ///< given to the log and not yet applied; then `busy`
constexpr size_t kProposedEntriesMax = 65'536;
constexpr uint64_t kIdleMarkerUs = 10'000;
constexpr uint64_t kSlowSyncUs = 1'000'000;
constexpr size_t kBulkSyncBytes = 1 * kMiB;      ///< the bulk lane syncs after so many bytes
constexpr size_t kDiskReserveBytes = 16 * kMiB;  ///< kept free for hard state, configuration, DELs

// --- Cluster
// --------------------------------------------------------------------------------------
constexpr uint64_t kElectionTimeoutMinUs = 400'000;
constexpr uint64_t kElectionTimeoutMaxUs = 700'000;
constexpr uint64_t kNoQuorumStepDownUs = 1'500'000;
constexpr uint64_t kLinkDownUs = 150'000;
constexpr uint64_t kUnknownAfterUs = 2'000'000;
/// Without a leader that a majority follows for so long, a server takes no write.
constexpr uint64_t kReadOnlyAfterUs = 1'900'000;
constexpr size_t kServersMax = 32;
constexpr size_t kSlotsMax = 32;

static_assert(kUnsentBytesSoft + 2 * (kValueBytesMax + kFrameOverheadBytes) + kReadChunkBytes <
                  8 * kMiB,
              "a client that reads nothing costs less than 8 MiB");
static_assert(kUnsentBytesAllSoft < kUnsentBytesAllMax);
static_assert(kHandshakePatienceUs < kHandshakeUsMax);
static_assert(kGracefulLingerUs < kGracefulAnswersUs);
static_assert(2 * kClientsPerTurnUs + kSlicesPerTurnUs < kLoopTurnMaxMs * 1'000 * 2 / 3,
              "proposing and applying, and each part's last item, need the rest of a turn");
static_assert(kSegmentBytesMin >= 16 * kKiB);
static_assert(kSegmentBytes > kCommandBytesMax, "an entry fits into one segment");
static_assert(kLinkDownUs * 2 < kElectionTimeoutMinUs);
static_assert(kElectionTimeoutMaxUs * 2 <= kNoQuorumStepDownUs);
static_assert(kNoQuorumStepDownUs < kReadOnlyAfterUs && kReadOnlyAfterUs < kUnknownAfterUs);

}  // namespace doozer
