#include "core/register.h"

#include "base/check.h"
#include "core/digest.h"

namespace doozer::core {

namespace {

Hash128 member_digest(const Member& member) {
  std::string bytes;
  ByteWriter writer(bytes);
  write_member(member, writer);
  return hash128(bytes);
}

}  // namespace

const Member* Register::find(const Identity& identity) const {
  const auto found = entries_.find(identity);
  return found == entries_.end() ? nullptr : &found->second;
}

void Register::put(const Member& member) {
  CHECK(!member.identity.none());
  CHECK(member.address.size() <= kMemberAddressBytesMax);
  Member& entry = entries_[member.identity];
  if (!entry.identity.none()) {
    take_from(digest_, member_digest(entry));
  }
  entry = member;
  add_to(digest_, member_digest(entry));
  CHECK(entries_.size() <= kRegisterMax);
}

void Register::erase(const Identity& identity) {
  const auto found = entries_.find(identity);
  CHECK(found != entries_.end());
  take_from(digest_, member_digest(found->second));
  entries_.erase(found);
}

void write_member(const Member& member, ByteWriter& writer) {
  writer.bytes(member.identity.view());
  writer.varint(member.incarnation.value());
  writer.varint(member.cluster_version);
  writer.varint(member.registered.value());
  writer.u8(member.removed ? 1 : 0);
  writer.sized(member.address);
}

Result<Member> read_member(ByteReader& reader) {
  Member member;
  const std::string_view identity = reader.bytes(Identity::kSize);
  member.incarnation = Incarnation(reader.varint());
  const uint64_t cluster_version = reader.varint();
  member.registered = Index(reader.varint());
  const uint8_t removed = reader.u8();
  const std::string_view address = reader.sized();
  if (!reader.ok() || cluster_version == 0 || cluster_version > UINT32_MAX || removed > 1 ||
      member.incarnation == Incarnation(0) || address.size() > kMemberAddressBytesMax) {
    return fail(Code::corrupt, "an entry of the register");
  }
  member.identity = Identity::from_bytes(identity);
  if (member.identity.none()) {
    return fail(Code::corrupt, "an entry of the register without identity");
  }
  member.cluster_version = static_cast<uint32_t>(cluster_version);
  member.removed = removed == 1;
  member.address = address;
  return member;
}

}  // namespace doozer::core
