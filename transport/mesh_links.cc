// Connections become links: who is admitted, and which of two connections stays.

#include <utility>

#include "base/check.h"
#include "base/probe.h"
#include "transport/mesh_impl.h"

namespace doozer::transport {

Hello Mesh::Impl::make_hello(const Connection& connection, const Hello* theirs) {
  Hello hello;
  hello.role = theirs == nullptr ? connection.role() : theirs->role;
  hello.never_lead = options_.never_lead;
  hello.cluster = self_.cluster;
  hello.identity = self_.identity;
  hello.incarnation = self_.incarnation;
  hello.life = self_.life;
  hello.cluster_version_max = options_.cluster_version_max;
  hello.address = self_.address;
  if (connection.dialled()) hello.other_address = connection.address();
  hello.expected = connection.expected();
  hello.nonce = nonces_.next();
  return hello;
}

std::string Mesh::Impl::forbidden(const std::string& address, bool certified) {
  return forbidden_peer({.address = address,
                         .certified = certified,
                         .certificates = options_.certificates,
                         .trusting = !options_.secret.empty() || options_.insecure_peers});
}

Peer* Mesh::Impl::peer_of(const Connection& connection) {
  if (!connection.proven()) return nullptr;
  Peer* const peer = peers_.find(connection.theirs().identity);
  if (peer == nullptr) return nullptr;
  return peer->control == &connection || peer->bulk == &connection ? peer : nullptr;
}

void Mesh::Impl::fatal(const std::string& message, bool rolled_back) {
  logger_.error("must_not_go_on", {{"why", message}});
  events_.on_fatal({Code::conflict, message}, rolled_back);
}

void Mesh::Impl::on_proven(Connection& connection) {
  const Hello theirs = connection.theirs();
  if (connection.dialled()) note_absent(connection.address(), theirs.identity);
  if (theirs.role == Role::ask && !connection.dialled()) {
    connection.accept();  // it has learned all that it wants
    return;
  }
  if (theirs.cluster.none()) {
    // A server that waits for a cluster: it knows now where one is, and will come.
    dial_failed(connection, {Code::not_found, "it has no cluster yet"});
    connection.close();
    return;
  }
  if (const auto refusal = admit(connection)) {
    reject(connection, *refusal);
    return;
  }
  learn(*find_or_add(theirs.identity), theirs);
  note_answer(connection);
  connection.accept();
}

// Why the connection may not be; nullopt: it may.
std::optional<Refusal> Mesh::Impl::admit(Connection& connection) {
  const Hello& theirs = connection.theirs();
  Peer* const known = peers_.find(theirs.identity);
  const bool lives = known != nullptr && this->lives(*known);
  if (auto refusal = judge(self_, theirs, connection.address(), known, lives)) return refusal;
  if (known != nullptr && theirs.incarnation > known->incarnation) {
    if (auto refusal = contest(*known, theirs, connection.address())) return refusal;
  }
  Peer* const peer = find_or_add(theirs.identity);
  if (peer == nullptr) {
    return Refusal{RefusalCode::full, "server " + self_.identity.to_string() + " at " +
                                          self_.address + " knows " + std::to_string(kServersMax) +
                                          " servers already, " + theirs.identity.to_string() +
                                          " would be one more"};
  }
  const bool bulk = connection.role() == Role::bulk;
  if (bulk && (peer->control == nullptr || peer->life != theirs.life)) {
    PROBE("mesh: a bulk connection without its control connection");
    return Refusal{RefusalCode::unexpected, "a bulk connection without its control connection"};
  }
  if (!new_one_stays(*peer, connection)) {
    return Refusal{RefusalCode::duplicate, "another connection of this link stays"};
  }
  return std::nullopt;
}

// What happens between servers that are well. Of connections that are made at the same time none
// knows what becomes of the others: a bulk connection may come when its control connection has just
// ended, and is dialled again.
bool Mesh::Impl::ordinary(const Refusal& refusal, const Connection& connection) {
  if (refusal.code == RefusalCode::unexpected) return connection.role() == Role::bulk;
  return refusal.code == RefusalCode::duplicate || refusal.code == RefusalCode::itself ||
         refusal.code == RefusalCode::not_yet;
}

void Mesh::Impl::reject(Connection& connection, const Refusal& refusal) {
  ++stats_.refused;
  const Hello theirs = connection.theirs();
  if (refusal.code == RefusalCode::duplicate) note_answer(connection);
  if (!ordinary(refusal, connection) && pace_.may(now_us())) {
    logger_.warn("peer_refused", {{"peer", theirs.identity.to_string()},
                                  {"address", connection.address()},
                                  {"code", refusal_name(refusal.code)},
                                  {"why", refusal.reason},
                                  {"hidden", pace_.take_hidden()}});
  }
  if (refusal.code == RefusalCode::itself && connection.dialled()) {
    dialler_.rest(connection.address(), now_us() + kSelfDialUs);
  } else {
    dial_failed(connection, {Code::conflict, refusal.reason});
  }
  connection.refuse(refusal);
  if (refusal.code == RefusalCode::copied && theirs.identity != self_.identity) {
    Peer* const peer = peers_.find(theirs.identity);
    // An earlier life beside a later one that was believed: a process that did not hear that it was
    // replaced. It goes, the later one stays.
    if (theirs.incarnation < peer->incarnation) return;
    // Neither claimant is to be believed.
    for (Connection* other : {peer->bulk, peer->control}) {
      if (other == nullptr) continue;
      unlink(*peer, *other, true, "two servers claim its identity");
      other->refuse(refusal);
    }
    return;
  }
  const bool unmounted = refusal.code == RefusalCode::other_cluster && options_.booted_alone &&
                         !theirs.expected.none();
  if (refusal.code == RefusalCode::copied || unmounted) fatal(refusal.reason);
}

// Two connections for one use: a fresh one replaces one that is dead or of the same dialler, else
// the one that the lower identity dialled stays. Both sides come to the same answer.
bool Mesh::Impl::new_one_stays(const Peer& peer, const Connection& fresh) const {
  const bool bulk = fresh.role() == Role::bulk;
  const Connection* const old = bulk ? peer.bulk : peer.control;
  if (old == nullptr || old == &fresh || peer.life != fresh.theirs().life) return true;
  const bool good = bulk ? peer.bulk_good : peer.health.fresh(now_us());
  // What is young may not have been heard yet, on a machine that starves; the other side would then
  // give up the other one.
  const bool alive = good || now_us() - old->established_us() <= kStaleConnectionUs;
  if (!alive || old->dialled() == fresh.dialled()) return true;
  return fresh.dialled() ? self_.identity < peer.identity : peer.identity < self_.identity;
}

// Another process: what was told to the old one, and what it had told, is of no use.
void Mesh::Impl::begin_life(Peer& peer, Incarnation incarnation, uint64_t life) {
  peer.incarnation = incarnation;
  peer.life = life;
  for (Connection* old : {peer.bulk, peer.control}) {
    if (old == nullptr) continue;
    unlink(peer, *old, true, "it has started anew");
    old->cut();
  }
  peer.health.forgive();
  peer.closed_by_peer = false;
  reassembly_.forget(peer.identity);
}

void Mesh::Impl::learn(Peer& peer, const Hello& theirs) {
  peer.heard_us = now_us();
  if (theirs.incarnation != peer.incarnation || theirs.address != peer.address) {
    known_changed_ = peers_changed_ = true;
    dialler_.move(peer.identity, theirs.address);
  }
  if (theirs.life != peer.life) begin_life(peer, theirs.incarnation, theirs.life);
  peer.address = theirs.address;
  peer.version = theirs.cluster_version_max;
  peer.never_lead = theirs.never_lead;
  tell_changes();
}

// The peer lives at the address that it tells: only there a refused redial proves something.
void Mesh::Impl::note_answer(const Connection& connection) {
  Peer* const peer = peers_.find(connection.theirs().identity);
  if (peer == nullptr || !connection.dialled()) return;
  dialler_.learned(connection.address(), peer->identity);
  if (connection.address() == peer->address) peer->answered = connection.theirs().incarnation;
}

void Mesh::Impl::on_established(Connection& connection) {
  const Hello& theirs = connection.theirs();
  Peer* const peer = peers_.find(theirs.identity);
  if (connection.role() == Role::ask || peer == nullptr || peer->life != theirs.life) {
    if (connection.role() != Role::ask) connection.close();
    return;
  }
  if (connection.dialled()) dialler_.succeeded(connection.address());
  if (leaving_) connection.say_goodbye();
  if (!new_one_stays(*peer, connection)) {
    reject(connection, {RefusalCode::duplicate, "another connection of this link stays"});
  } else if (connection.role() == Role::bulk) {
    link_bulk(*peer, connection);
  } else {
    link_control(*peer, connection);
  }
}

void Mesh::Impl::link_control(Peer& peer, Connection& connection) {
  if (Connection* const old = std::exchange(peer.control, &connection)) {
    PROBE("mesh: a connection took the place of another");
    old->refuse({RefusalCode::duplicate, "another connection of this link stays"});
  }
  peer.closed_by_peer = false;
  peer.health.connect(now_us());
  // Who accepted control dials bulk: so each side has reached the other once, and a redial that is
  // refused proves something.
  peer.bulk_dial_us = now_us() + (connection.dialled() ? kBulkDialUs : 0);
  peer.bulk_backoff_us = 0;
  send_beat(peer);
  send_all_states(peer);
  if (!connection.dialled()) dial_due(now_us());
}

void Mesh::Impl::link_bulk(Peer& peer, Connection& connection) {
  if (connection.dialled()) peer.bulk_dialling = false;
  if (peer.control == nullptr) {
    connection.close();
    return;
  }
  if (Connection* const old = std::exchange(peer.bulk, &connection)) {
    old->refuse({RefusalCode::duplicate, "another connection of this link stays"});
  }
  peer.bulk_backoff_us = 0;
  peer.bulk_good = true;
  peer.bulk_acknowledged = 0;
  peer.bulk_progress_us = now_us();
  links_dirty_ = true;
}

void Mesh::Impl::on_frame(Connection& connection, const FrameReader::Frame& frame) {
  if (stopped_) return;
  Peer* const peer = peer_of(connection);
  if (peer == nullptr) return;  // it was replaced
  stats_.bytes_received += kFrameHeadBytes + frame.body.size();
  peer->heard_us = now_us();
  const bool bulk_frame = frame.type == FrameType::part || frame.type == FrameType::relayed_part;
  if (bulk_frame != (peer->bulk == &connection)) {
    if (pace_.may(now_us())) {
      logger_.warn("peer_talks_nonsense", {{"peer", peer->identity.to_string()},
                                           {"address", connection.address()},
                                           {"why", "a frame on the wrong connection"}});
    }
    unlink(*peer, connection, true, "a frame on the wrong connection");
    connection.refuse({RefusalCode::unexpected, "a frame on the wrong connection"});
    return;
  }
  switch (frame.type) {
    case FrameType::beat: on_beat(*peer, frame.body); return;
    case FrameType::link_state: on_link_state(*peer, frame.body); return;
    case FrameType::message:
      ++stats_.messages_received;
      events_.on_message(peer->identity, peer->incarnation, Channel::control, frame.body);
      return;
    case FrameType::part: on_part(peer->identity, peer->incarnation, frame.body); return;
    case FrameType::relayed:
    case FrameType::relayed_part: on_relayed(*peer, frame.type, frame.body); return;
    case FrameType::hello:
    case FrameType::proof:
    case FrameType::welcome:
    case FrameType::refusal:
    case FrameType::goodbye: break;
  }
  UNREACHABLE();
}

}  // namespace doozer::transport
