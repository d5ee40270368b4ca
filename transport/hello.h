// The first words of two servers: who each is, and the proof that each knows the secret.
// docs/peer-protocol.md draws the bytes.
//
// The dialler says hello, the other answers with its hello and proof, the dialler proves itself,
// the other says welcome. Each proof is an HMAC over both hellos, which hold fresh nonces, so that
// neither can be replayed, reflected or altered.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/types.h"

namespace doozer::transport {

constexpr uint16_t kPeerProtocolVersion = 1;
constexpr size_t kNonceBytes = 16;
constexpr size_t kProofBytes = 32;

/// What a connection is for.
enum class Role : uint8_t {
  control = 1,
  bulk = 2,
  ask = 3,  ///< of a server that has no cluster yet: it only wants to know
};

struct Hello {
  uint16_t version_min = kPeerProtocolVersion;
  uint16_t version_max = kPeerProtocolVersion;
  Role role = Role::control;
  bool never_lead = false;
  bool may_boot = false;  ///< it has no cluster and was told to boot one
  Identity cluster;       ///< none: it has no cluster
  Identity identity;
  Incarnation incarnation;
  uint64_t life = 0;  ///< random at each start: tells two claimants of one incarnation apart
  uint32_t cluster_version_max = 0;
  std::string address;        ///< that it tells others to dial
  std::string other_address;  ///< at which it believes the other to be; empty if it accepted
  Identity expected;          ///< whom it expects there; none: it does not know
  std::array<uint8_t, kNonceBytes> nonce{};

  bool operator==(const Hello&) const = default;
};

/// Exactly kHelloBytes: padded, so that a path that loses large packets is no link.
std::string encode_hello(const Hello& hello);
/// Errors: corrupt; unsupported (no common version; the message names both sides' versions).
Result<Hello> decode_hello(std::string_view body);

/// Which side proves itself.
enum class Side : uint8_t { dialled = 1, accepted = 2 };

/// kProofBytes over both hellos' bytes as they were sent; of zeros if there is no secret.
std::string make_proof(std::string_view secret, Side side, std::string_view dialled_hello,
                       std::string_view accepted_hello);

enum class RefusalCode : uint8_t {
  duplicate = 1,  ///< another connection of this link stays
  itself = 2,     ///< the dialler has reached itself
  version = 3,    ///< no common version of the protocol
  secret = 4,     ///< the proof is wrong, or none is possible and peers beyond loopback need one
  other_cluster = 5,  ///< this one and that one are of two clusters
  rolled_back = 6,    ///< a higher incarnation of that identity was seen: an older disk
  copied = 7,         ///< two lives of one incarnation of one identity
  full = 8,           ///< kServersMax is reached
  no_cluster = 9,     ///< the refusing side has no cluster yet
  unexpected = 10,    ///< any other reason, for people
  not_yet = 11,       ///< an earlier life of the dialler may still be there: to be tried again
};

struct Refusal {
  RefusalCode code = RefusalCode::unexpected;
  std::string reason;  ///< names both sides; at most kReasonBytesMax
};

std::string encode_refusal(const Refusal& refusal);
/// Errors: corrupt.
Result<Refusal> decode_refusal(std::string_view body);
std::string_view refusal_name(RefusalCode code);

/// "127.0.0.1:4000", "[::1]:4000", "localhost:4000".
bool is_loopback(std::string_view address);
struct PeerProof {
  std::string_view address;
  bool certified = false;     ///< it has shown a certificate that was verified
  bool certificates = false;  ///< without one no peer is taken, on loopback neither
  bool trusting = false;      ///< there is a secret, or this server was told to do without
};
/// Why there may be no connection with such a peer. Empty: there may.
std::string forbidden_peer(const PeerProof& proof);

}  // namespace doozer::transport
