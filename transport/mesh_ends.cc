// The ends of connections and links: what they mean, what follows, and the proof that a peer is
// dead.

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/probe.h"
#include "transport/mesh_impl.h"

namespace doozer::transport {

// The connection is no part of the link any more; the caller ends it if that is not done.
void Mesh::Impl::unlink(Peer& peer, Connection& connection, bool planned, std::string_view why) {
  if (peer.bulk == &connection) {
    peer.bulk = nullptr;
    peer.bulk_good = false;
    peer.bulk_backoff_us = std::clamp(2 * peer.bulk_backoff_us, kRedialUsMin, kRedialUsMax);
    peer.bulk_dial_us = now_us() + peer.bulk_backoff_us;
    links_dirty_ = true;
    enqueue_again(peer.bulk_out.take_all(), EdgesFor::bulk);
    return;
  }
  CHECK(peer.control == &connection);
  peer.control = nullptr;
  if (peer.health.disconnect(planned)) set_up(peer, false, why);
  peer.control_out.clear();
  if (peer.bulk != nullptr) {
    Connection& bulk = *peer.bulk;
    unlink(peer, bulk, planned, why);
    bulk.close();
  }
}

void Mesh::Impl::set_up(Peer& peer, bool up, std::string_view why) {
  links_dirty_ = true;
  peers_changed_ = true;
  if (up) {
    ++stats_.links_up;
    logger_.info("link_up", {{"peer", peer.identity.to_string()},
                             {"address", peer.address},
                             {"rtt_us", peer.health.rtt_us()},
                             {"damped", peer.health.damped(now_us())}});
  } else {
    ++stats_.links_down;
    logger_.info("link_down",
                 {{"peer", peer.identity.to_string()}, {"address", peer.address}, {"why", why}});
    enqueue_again(peer.control_out.take_all(), EdgesFor::control);
  }
  tell_changes();
}

void Mesh::Impl::dial(const std::string& address) {
  const Dialler::Target* const target = dialler_.find(address);
  const Identity expected = target == nullptr ? Identity() : target->identity;
  dialler_.begin(address);
  ++stats_.dials;
  pool_.dial(options_.dial, address, Role::control, expected);
}

void Mesh::Impl::on_refused(Connection& connection, const Refusal& refusal) {
  if (stopped_) return;
  if (Peer* const peer = peer_of(connection)) {
    unlink(*peer, connection, true, refusal_name(refusal.code));
  }
  const bool quiet = ordinary(refusal, connection);
  if (quiet && connection.dialled() && connection.role() == Role::control) {
    dialler_.failed(connection.address(), now_us());
    return;
  }
  dial_failed(connection, {Code::conflict, refusal.reason});
  if (quiet) return;
  ++stats_.refused;
  if (pace_.may(now_us())) {
    logger_.warn("peer_refuses", {{"address", connection.address()},
                                  {"code", refusal_name(refusal.code)},
                                  {"why", refusal.reason},
                                  {"hidden", pace_.take_hidden()}});
  }
  // Only one who has proven itself may stop this server.
  const bool final =
      refusal.code == RefusalCode::rolled_back || refusal.code == RefusalCode::copied;
  if (final && connection.proven() && connection.theirs().cluster == self_.cluster) {
    fatal(refusal.reason, refusal.code == RefusalCode::rolled_back);
  }
}

void Mesh::Impl::on_lost(Connection& connection, const Error& why) {
  if (stopped_) return;
  Peer* const peer = peer_of(connection);
  if (peer == nullptr) {
    if (why.code == Code::permission_denied || why.code == Code::unsupported) {
      ++stats_.refused;
      if (pace_.may(now_us())) {
        logger_.warn("peer_refused", {{"address", connection.address()},
                                      {"why", why.message},
                                      {"hidden", pace_.take_hidden()}});
      }
    }
    dial_failed(connection, why);
    return;
  }
  if (why.code == Code::corrupt && pace_.may(now_us())) {
    logger_.warn("peer_talks_nonsense", {{"peer", peer->identity.to_string()},
                                         {"address", connection.address()},
                                         {"why", why.message}});
  }
  const bool planned = connection.planned_close();
  const bool was_control = peer->control == &connection;
  unlink(*peer, connection, planned, planned ? "it said goodbye" : why.message);
  if (!was_control || planned || why.code != Code::closed) return;
  peer->closed_by_peer = true;
  peer->closed_us = now_us();
  peer->proof_redials = 0;
  if (peer->answered == peer->incarnation) seek_proof(*peer);
}

// Its side closed without goodbye: if its address refuses now, the process is gone.
void Mesh::Impl::seek_proof(Peer& peer) {
  if (leaving_ || peer.control != nullptr || peer.address.empty()) return;
  dial(peer.address);
}

// A dial or a handshake came to nothing.
void Mesh::Impl::dial_failed(const Connection& connection, const Error& why) {
  if (!connection.dialled()) return;
  const uint64_t now = now_us();
  Peer* const peer = peers_.find(connection.expected());
  if (connection.role() == Role::bulk) {
    if (peer == nullptr) return;
    peer->bulk_dialling = false;
    peer->bulk_backoff_us = std::clamp(2 * peer->bulk_backoff_us, kRedialUsMin, kRedialUsMax);
    peer->bulk_dial_us = now + peer->bulk_backoff_us;
    return;
  }
  dialler_.failed(connection.address(), now);
  if (!connection.proven()) note_absent(connection.address(), Identity());
  const bool asks_proof = peer != nullptr && peer->closed_by_peer && peer->control == nullptr &&
                          peer->address == connection.address() &&
                          peer->answered == peer->incarnation &&
                          connection.began_us() >= peer->closed_us;
  if (!asks_proof) return;
  if (why.code == Code::refused) {
    prove_death(*peer);
  } else if (why.code == Code::closed && peer->proof_redials < kProofRedialsMax) {
    // It was still half there: a process that is being killed closes one thing after the other.
    PROBE("mesh: a redial met a dying process");
    const uint64_t wait = kProofRedialUs << static_cast<unsigned>(peer->proof_redials++);
    clock_.at(now + wait, [this, id = peer->identity, alive = std::weak_ptr<int>(alive_)] {
      if (alive.expired() || stopped_) return;
      if (Peer* const again = peers_.find(id)) seek_proof(*again);
    });
  }
}

void Mesh::Impl::prove_death(Peer& peer) {
  if (peer.gone == peer.incarnation) return;
  peer.gone = peer.incarnation;
  const Identity identity = peer.identity;
  const Incarnation incarnation = peer.incarnation;
  logger_.warn("peer_gone", {{"peer", identity.to_string()}, {"address", peer.address}});
  events_.on_gone(identity, incarnation);
}

}  // namespace doozer::transport
