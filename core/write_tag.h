// The head of an entry of kind `forwarded`: which server's write this is, so that the server that a
// client talks to recognises it when it applies it (design section 6, "Forwarded writes").
//
//   origin: 10 bytes | incarnation: u64 | sequence: u64 | command
//
// Its size is fixed: the sequence is written when the write is submitted to a leader, and again if
// another leader has to take it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/types.h"

namespace doozer::core {

struct WriteTag {
  Identity origin;
  Incarnation incarnation;
  uint64_t sequence = 0;  ///< from 1 in each term

  bool operator==(const WriteTag&) const = default;
};

constexpr size_t kWriteTagBytes = Identity::kSize + 8 + 8;

/// Appends the tag; the command follows it.
inline void encode_tag(const WriteTag& tag, std::string& out) {
  ByteWriter writer(out);
  writer.bytes(tag.origin.view());
  writer.u64(tag.incarnation.value());
  writer.u64(tag.sequence);
}

/// Writes another sequence into an encoded payload.
inline void set_sequence(std::string& payload, uint64_t sequence) {
  constexpr size_t kAt = Identity::kSize + 8;
  overwrite_u32(payload, kAt, static_cast<uint32_t>(sequence));
  overwrite_u32(payload, kAt + 4, static_cast<uint32_t>(sequence >> 32U));
}

/// Cuts the tag off `payload`; nullopt if it is shorter than one.
inline std::optional<WriteTag> take_tag(std::string_view& payload) {
  ByteReader reader(payload);
  const std::string_view origin = reader.bytes(Identity::kSize);
  WriteTag tag;
  tag.incarnation = Incarnation(reader.u64());
  tag.sequence = reader.u64();
  if (!reader.ok()) return std::nullopt;
  tag.origin = Identity::from_bytes(origin);
  payload = reader.rest();
  return tag;
}

}  // namespace doozer::core
