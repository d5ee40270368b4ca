// The servers that a cluster knows: replicated state outside the tree. A server is put here by a
// command when it attaches, and only a server that is here can be given a slot of /ctl/cal
// (core/membership.h has the rules). Bounded; each replica holds the same.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "base/types.h"

namespace doozer::core {

/// Twice as many as there can be servers: as many again may have come and gone.
constexpr size_t kRegisterMax = 64;
constexpr size_t kMemberAddressBytesMax = 256;

struct Member {
  Identity identity;
  Incarnation incarnation;       ///< that it last attached as
  uint32_t cluster_version = 0;  ///< the newest that its build knows
  std::string address;           ///< for people; at most kMemberAddressBytesMax
  bool removed = false;          ///< a client took its slot: to be chosen after all others
  Index registered;              ///< of the command by which it last attached
  bool operator==(const Member&) const = default;
};

class Register {
 public:
  /// Null if it is not here; good until the next change.
  const Member* find(const Identity& identity) const;
  /// By identity, in order; at most kRegisterMax.
  const std::map<Identity, Member>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }
  /// Lane-wise sum of one hash for each entry, over all its fields.
  const Hash128& digest() const { return digest_; }

  /// Replaces the entry of this identity, or adds it. REQUIRES room.
  void put(const Member& member);
  void erase(const Identity& identity);

 private:
  std::map<Identity, Member> entries_;
  Hash128 digest_;
};

/// The bytes of an entry in images: identity:10 | varint incarnation | varint cluster version |
/// varint log index | u8 removed | sized address.
void write_member(const Member& member, ByteWriter& writer);
/// Errors: corrupt.
Result<Member> read_member(ByteReader& reader);

}  // namespace doozer::core
