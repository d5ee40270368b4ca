// Two processes with one identity: a restart, or a disk that was copied. A restart has lost its
// links and left its address before its next life is heard of; so a later life is not believed
// while the earlier one may still be there.

#include "base/probe.h"
#include "transport/mesh_impl.h"

namespace doozer::transport {

// The life that is known of it answers on a link of ours.
bool Mesh::Impl::lives(const Peer& peer) const {
  if (peer.control == nullptr) return false;
  return peer.health.fresh(now_us()) || now_us() - peer.control->established_us() <= kLinkDownUs;
}

// Why a life with a higher incarnation is not believed yet, or never; nullopt: it is the present
// one.
std::optional<Refusal> Mesh::Impl::contest(Peer& known, const Hello& theirs,
                                           const std::string& from) {
  const uint64_t now = now_us();
  const bool moved = theirs.address != known.address && !known.address.empty();
  if (known.rival_life != theirs.life) {
    known.rival_life = theirs.life;
    known.rival_since_us = now;
    // A copy comes from elsewhere: whoever was there is asked.
    const Dialler::Target* const target = dialler_.find(known.address);
    if (moved && known.control == nullptr && target != nullptr && !target->busy) {
      dial(known.address);
    }
  }
  const bool patient = now - known.rival_since_us < kRivalUs;
  if (lives(known)) {
    if (!patient) {
      PROBE("mesh: a later life was refused beside one that lives");
      return two_live(self_, theirs, from, known);
    }
  } else if (!moved || known.absent_us >= known.rival_since_us || !patient) {
    return std::nullopt;
  }
  return Refusal{RefusalCode::not_yet, "server " + theirs.identity.to_string() + " at " + from +
                                           " may still live at " + known.address +
                                           ", says server " + self_.identity.to_string()};
}

// Nobody answered at `address`, or somebody else (`who`) did: whoever was known to be there is gone
// from it.
void Mesh::Impl::note_absent(const std::string& address, const Identity& who) {
  for (const auto& [id, peer] : peers_.all()) {
    if (peer->address == address && id != who) peer->absent_us = now_us();
  }
}

}  // namespace doozer::transport
