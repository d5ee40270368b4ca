#include "transport/link_state.h"

#include <tuple>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "transport/limits.h"

namespace doozer::transport {
namespace {

constexpr uint8_t kNeverLead = 1;
constexpr uint8_t kDamped = 1;
constexpr uint8_t kBulk = 2;
constexpr uint8_t kRttLog2Max = 63;

Identity read_identity(ByteReader& reader) {
  const std::string_view bytes = reader.bytes(Identity::kSize);
  return reader.ok() ? Identity::from_bytes(bytes) : Identity();
}

// Round trips alone change nothing at once: they go out with the next refresh.
bool says_the_same(const LinkState& a, const LinkState& b) {
  const auto head = [](const LinkState& s) {
    return std::tie(s.incarnation, s.life, s.address, s.version, s.never_lead);
  };
  return head(a) == head(b) && a.neighbours == b.neighbours;
}

}  // namespace

std::string encode_link_state(const LinkState& state) {
  CHECK(state.address.size() <= kAddressBytesMax);
  CHECK(state.neighbours.size() <= kServersMax);
  std::string body;
  ByteWriter writer(body);
  writer.bytes(state.cluster.view());
  writer.bytes(state.identity.view());
  writer.u64(state.incarnation.value());
  writer.u64(state.life);
  writer.u64(state.sequence);
  writer.u32(state.version);
  writer.u8(state.never_lead ? kNeverLead : 0);
  writer.sized(state.address);
  writer.u8(static_cast<uint8_t>(state.neighbours.size()));
  for (const Neighbour& neighbour : state.neighbours) {
    writer.bytes(neighbour.identity.view());
    writer.u8(neighbour.rtt_log2);
    writer.u8(
        static_cast<uint8_t>((neighbour.damped ? kDamped : 0U) | (neighbour.bulk ? kBulk : 0U)));
  }
  return body;
}

Result<LinkState> decode_link_state(std::string_view body) {
  ByteReader reader(body);
  LinkState state;
  state.cluster = read_identity(reader);
  state.identity = read_identity(reader);
  state.incarnation = Incarnation(reader.u64());
  state.life = reader.u64();
  state.sequence = reader.u64();
  state.version = reader.u32();
  state.never_lead = (reader.u8() & kNeverLead) != 0;
  state.address = reader.sized();
  const uint8_t count = reader.u8();
  if (!reader.ok() || state.identity.none() || state.address.size() > kAddressBytesMax ||
      count > kServersMax) {
    return fail(Code::corrupt, "link state: malformed");
  }
  for (size_t i = 0; i < count; ++i) {
    Neighbour neighbour;
    neighbour.identity = read_identity(reader);
    neighbour.rtt_log2 = reader.u8();
    const uint8_t flags = reader.u8();
    neighbour.damped = (flags & kDamped) != 0;
    neighbour.bulk = (flags & kBulk) != 0;
    const bool ordered =
        state.neighbours.empty() || state.neighbours.back().identity < neighbour.identity;
    if (!reader.ok() || !ordered || neighbour.identity == state.identity ||
        neighbour.rtt_log2 > kRttLog2Max) {
      return fail(Code::corrupt, "link state: of " + state.identity.to_string() + ": neighbour " +
                                     std::to_string(i) + " is malformed");
    }
    state.neighbours.push_back(neighbour);
  }
  if (!reader.ok()) return fail(Code::corrupt, "link state: cut short");
  return state;
}

LinkStateTable::Verdict LinkStateTable::take(LinkState state, uint64_t now_us) {
  const auto found = held_.find(state.identity);
  if (found == held_.end()) {
    if (held_.size() >= kServersMax) return Verdict::full;
    const Identity identity = state.identity;
    held_.emplace(identity, Held{std::move(state), now_us, true});
    return Verdict::changed;
  }
  Held& old = found->second;
  const auto age = [](const LinkState& s) { return std::tie(s.incarnation, s.sequence); };
  if (age(state) <= age(old.state)) return Verdict::stale;
  old.changed = !says_the_same(state, old.state);
  old.state = std::move(state);
  old.received_us = now_us;
  return old.changed ? Verdict::changed : Verdict::refreshed;
}

bool LinkStateTable::expire(uint64_t now_us) {
  return std::erase_if(held_, [now_us](const auto& entry) {
           return now_us - entry.second.received_us > kLinkStateExpiresUs;
         }) > 0;
}

const LinkState* LinkStateTable::find(const Identity& identity) const {
  const auto found = held_.find(identity);
  return found == held_.end() ? nullptr : &found->second.state;
}

}  // namespace doozer::transport
