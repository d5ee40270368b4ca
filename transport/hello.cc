#include "transport/hello.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "base/sha256.h"
#include "transport/limits.h"

namespace doozer::transport {
namespace {

constexpr uint8_t kNeverLead = 1;
constexpr uint8_t kMayBoot = 2;

Identity read_identity(ByteReader& reader) {
  const std::string_view bytes = reader.bytes(Identity::kSize);
  return reader.ok() ? Identity::from_bytes(bytes) : Identity();
}

std::string versions(uint16_t first, uint16_t last) {
  return std::to_string(first) + ".." + std::to_string(last);
}

}  // namespace

std::string encode_hello(const Hello& hello) {
  CHECK(hello.address.size() <= kAddressBytesMax);
  CHECK(hello.other_address.size() <= kAddressBytesMax);
  std::string body;
  body.reserve(kHelloBytes);
  ByteWriter writer(body);
  writer.u16(hello.version_min);
  writer.u16(hello.version_max);
  writer.u8(static_cast<uint8_t>(hello.role));
  writer.u8(static_cast<uint8_t>((hello.never_lead ? kNeverLead : 0U) |
                                 (hello.may_boot ? kMayBoot : 0U)));
  writer.bytes(hello.cluster.view());
  writer.bytes(hello.identity.view());
  writer.u64(hello.incarnation.value());
  writer.u64(hello.life);
  writer.u32(hello.cluster_version_max);
  writer.bytes(hello.expected.view());
  writer.bytes({reinterpret_cast<const char*>(hello.nonce.data()), hello.nonce.size()});
  writer.sized(hello.address);
  writer.sized(hello.other_address);
  CHECK(body.size() < kHelloBytes);
  body.resize(kHelloBytes, '\0');
  return body;
}

Result<Hello> decode_hello(std::string_view body) {
  if (body.size() < kHelloBytes) {
    return fail(Code::corrupt, "hello: " + std::to_string(body.size()) + " bytes, must have " +
                                   std::to_string(kHelloBytes));
  }
  ByteReader reader(body);
  Hello hello;
  hello.version_min = reader.u16();
  hello.version_max = reader.u16();
  if (hello.version_min > hello.version_max) return fail(Code::corrupt, "hello: versions");
  if (hello.version_min > kPeerProtocolVersion || hello.version_max < kPeerProtocolVersion) {
    return fail(Code::unsupported, "peer protocol: that side speaks versions " +
                                       versions(hello.version_min, hello.version_max) +
                                       ", this side " +
                                       versions(kPeerProtocolVersion, kPeerProtocolVersion));
  }
  const uint8_t role = reader.u8();
  if (role < static_cast<uint8_t>(Role::control) || role > static_cast<uint8_t>(Role::ask)) {
    return fail(Code::corrupt, "hello: role " + std::to_string(role));
  }
  hello.role = static_cast<Role>(role);
  const uint8_t flags = reader.u8();
  hello.never_lead = (flags & kNeverLead) != 0;
  hello.may_boot = (flags & kMayBoot) != 0;
  hello.cluster = read_identity(reader);
  hello.identity = read_identity(reader);
  hello.incarnation = Incarnation(reader.u64());
  hello.life = reader.u64();
  hello.cluster_version_max = reader.u32();
  hello.expected = read_identity(reader);
  const std::string_view nonce = reader.bytes(kNonceBytes);
  std::copy(nonce.begin(), nonce.end(), hello.nonce.begin());
  hello.address = reader.sized();
  hello.other_address = reader.sized();
  // What follows is padding, or of a newer minor version.
  if (!reader.ok()) return fail(Code::corrupt, "hello: cut short");
  if (hello.identity.none()) return fail(Code::corrupt, "hello: no identity");
  if (hello.address.size() > kAddressBytesMax || hello.other_address.size() > kAddressBytesMax) {
    return fail(Code::corrupt, "hello: an address is too long");
  }
  return hello;
}

std::string make_proof(std::string_view secret, Side side, std::string_view dialled_hello,
                       std::string_view accepted_hello) {
  if (secret.empty()) return std::string(kProofBytes, '\0');
  std::string proven = side == Side::dialled ? "doozer peer 1 dialled" : "doozer peer 1 accepted";
  proven += sha256(dialled_hello);
  proven += sha256(accepted_hello);
  return hmac_sha256(secret, proven);
}

std::string encode_refusal(const Refusal& refusal) {
  std::string body;
  ByteWriter writer(body);
  writer.u8(static_cast<uint8_t>(refusal.code));
  writer.sized(std::string_view(refusal.reason).substr(0, kReasonBytesMax));
  return body;
}

Result<Refusal> decode_refusal(std::string_view body) {
  ByteReader reader(body);
  const uint8_t code = reader.u8();
  Refusal refusal;
  refusal.reason = reader.sized();
  if (!reader.ok() || refusal.reason.size() > kReasonBytesMax) {
    return fail(Code::corrupt, "refusal: malformed");
  }
  // A code of a newer version is a reason for people.
  const bool known = code >= static_cast<uint8_t>(RefusalCode::duplicate) &&
                     code <= static_cast<uint8_t>(RefusalCode::not_yet);
  refusal.code = known ? static_cast<RefusalCode>(code) : RefusalCode::unexpected;
  return refusal;
}

std::string_view refusal_name(RefusalCode code) {
  switch (code) {
    case RefusalCode::duplicate: return "duplicate";
    case RefusalCode::itself: return "itself";
    case RefusalCode::version: return "version";
    case RefusalCode::secret: return "secret";
    case RefusalCode::other_cluster: return "other_cluster";
    case RefusalCode::rolled_back: return "rolled_back";
    case RefusalCode::copied: return "copied";
    case RefusalCode::full: return "full";
    case RefusalCode::no_cluster: return "no_cluster";
    case RefusalCode::unexpected: return "unexpected";
    case RefusalCode::not_yet: return "not_yet";
  }
  UNREACHABLE();
}

bool is_loopback(std::string_view address) {
  const std::string_view host = address.substr(0, address.rfind(':'));
  return host == "localhost" || host == "[::1]" || host == "[::ffff:127.0.0.1]" ||
         (host.starts_with("127.") &&
          host.find_first_not_of("0123456789.") == std::string_view::npos);
}

std::string forbidden_peer(const PeerProof& proof) {
  const std::string address(proof.address);
  if (proof.certificates) {
    if (proof.certified) return "";
    return address + " shows no certificate of the authority of peers";
  }
  if (proof.trusting || is_loopback(address)) return "";
  return address + " is beyond loopback, where only a secret or certificates prove a peer";
}

}  // namespace doozer::transport
