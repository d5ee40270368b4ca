#include "transport/envelope.h"

#include "base/bytes.h"
#include "base/check.h"
#include "transport/limits.h"

namespace doozer::transport {

std::string encode_envelope(const Envelope& envelope) {
  std::string bytes;
  bytes.reserve(kEnvelopeBytes);
  ByteWriter writer(bytes);
  writer.u8(envelope.hops_left);
  writer.bytes(envelope.cluster.view());
  writer.bytes(envelope.from.view());
  writer.bytes(envelope.to.view());
  writer.u64(envelope.from_incarnation.value());
  writer.u64(envelope.to_incarnation.value());
  CHECK(bytes.size() == kEnvelopeBytes);
  return bytes;
}

Result<Envelope> take_envelope(std::string_view& body) {
  if (body.size() < kEnvelopeBytes) {
    return fail(Code::corrupt,
                "relayed message: " + std::to_string(body.size()) + " bytes hold no envelope");
  }
  ByteReader reader(body);
  Envelope envelope;
  envelope.hops_left = reader.u8();
  envelope.cluster = Identity::from_bytes(reader.bytes(Identity::kSize));
  envelope.from = Identity::from_bytes(reader.bytes(Identity::kSize));
  envelope.to = Identity::from_bytes(reader.bytes(Identity::kSize));
  envelope.from_incarnation = Incarnation(reader.u64());
  envelope.to_incarnation = Incarnation(reader.u64());
  body = reader.rest();
  return envelope;
}

std::string with_hop_less(std::string_view body) {
  CHECK(body.size() >= kEnvelopeBytes);
  std::string bytes(body);
  CHECK(bytes[0] != 0);
  bytes[0] = static_cast<char>(static_cast<uint8_t>(bytes[0]) - 1);
  return bytes;
}

void append_part(const PartView& part, std::string& out) {
  ByteWriter writer(out);
  writer.u64(part.message);
  writer.u32(part.total);
  writer.u32(part.offset);
  writer.bytes(part.bytes);
}

Result<PartView> decode_part(std::string_view body) {
  ByteReader reader(body);
  PartView part;
  part.message = reader.u64();
  part.total = reader.u32();
  part.offset = reader.u32();
  part.bytes = reader.rest();
  const bool fits = part.offset <= part.total && part.bytes.size() <= part.total - part.offset;
  const bool progress = !part.bytes.empty() || part.total == 0;
  if (!reader.ok() || part.total > kMessageBytesMax || part.bytes.size() > kPartBytesMax || !fits ||
      !progress) {
    return fail(Code::corrupt, "part of a message: malformed");
  }
  return part;
}

}  // namespace doozer::transport
