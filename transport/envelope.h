// What surrounds a message of the owner on its way. docs/peer-protocol.md draws the bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/types.h"

namespace doozer::transport {

/// Around what is passed on by others. On a direct link the handshake has said all of it.
struct Envelope {
  Identity cluster;
  Identity from;
  Identity to;
  Incarnation from_incarnation;
  Incarnation to_incarnation;
  uint8_t hops_left = 0;  ///< of whoever hears it: 0 may not be passed on

  bool operator==(const Envelope&) const = default;
};

constexpr size_t kEnvelopeBytes = 3 * Identity::kSize + 2 * 8 + 1;

std::string encode_envelope(const Envelope& envelope);
/// Takes the envelope off `body`, which then holds what was in it. Errors: corrupt.
Result<Envelope> take_envelope(std::string_view& body);
/// The same bytes with one hop less. REQUIRES an encoded envelope with hops_left > 0.
std::string with_hop_less(std::string_view body);

/// A piece of a bulk message.
struct PartView {
  uint64_t message = 0;  ///< numbered by the sender in its life
  uint32_t total = 0;    ///< bytes of the whole message
  uint32_t offset = 0;
  std::string_view bytes;  ///< borrowed; empty only if the message is
};

void append_part(const PartView& part, std::string& out);
/// Errors: corrupt (lengths; a total over kMessageBytesMax).
Result<PartView> decode_part(std::string_view body);

}  // namespace doozer::transport
