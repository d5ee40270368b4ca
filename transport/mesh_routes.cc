// Link-state: what this server tells of its links, what it hears of others', and the routes.

#include <algorithm>
#include <bit>
#include <utility>

#include "base/probe.h"
#include "transport/mesh_impl.h"

namespace doozer::transport {
namespace {

bool same_but_for_round_trips(const std::vector<Neighbour>& a, const std::vector<Neighbour>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Neighbour& x, const Neighbour& y) {
                      return x.identity == y.identity && x.damped == y.damped && x.bulk == y.bulk;
                    });
}

bool same_but_for_round_trips(const std::map<Identity, Route>& a,
                              const std::map<Identity, Route>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.next == y.second.next && x.second.hops == y.second.hops;
  });
}

}  // namespace

// Floods our own record if it has changed, or because it is time.
void Mesh::Impl::refresh_own(bool periodic) {
  links_dirty_ = false;
  std::vector<Neighbour> neighbours;
  for (const auto& [id, peer] : peers_.all()) {
    if (peer->control == nullptr || !peer->health.up()) continue;
    neighbours.push_back({.identity = id,
                          .rtt_log2 = static_cast<uint8_t>(std::bit_width(peer->health.rtt_us())),
                          .damped = peer->health.damped(now_us()),
                          .bulk = peer->bulk != nullptr && peer->bulk_good});
  }
  const bool same = same_but_for_round_trips(neighbours, own_.neighbours);
  if (same && !periodic) return;
  if (neighbours != own_.neighbours) graph_dirty_ = true;
  own_.neighbours = std::move(neighbours);
  ++own_.sequence;
  own_sent_us_ = now_us();
  pass_on(own_, encode_link_state(own_), nullptr);
}

void Mesh::Impl::on_link_state(Peer& from, std::string_view body) {
  Result<LinkState> state = decode_link_state(body);
  if (!state || state->cluster != self_.cluster) return;
  if (state->identity == self_.identity) {
    if (state->life != self_.life && state->incarnation >= self_.incarnation) {
      fatal("two servers live with one identity (a copied disk): " + self_.identity.to_string() +
            " (start " + std::to_string(self_.incarnation.value()) + ") at " + self_.address +
            " and one with start " + std::to_string(state->incarnation.value()) + " at " +
            state->address);
    }
    return;
  }
  const Peer* const known = peers_.find(state->identity);
  if (known != nullptr && state->incarnation < known->incarnation) return;
  // A later life is believed once the link of the earlier one is down.
  if (known != nullptr && state->incarnation > known->incarnation && lives(*known)) return;
  // Of two that claim one incarnation the first is believed, until the second comes itself.
  const bool claimed = known != nullptr && known->life != 0 && known->life != state->life;
  if (claimed && state->incarnation == known->incarnation) return;
  const LinkStateTable::Verdict verdict = states_.take(*state, now_us());
  if (verdict == LinkStateTable::Verdict::stale || verdict == LinkStateTable::Verdict::full) return;
  if (verdict == LinkStateTable::Verdict::changed) graph_dirty_ = true;
  note_state(*state);
  pass_on(*state, body, &from);
}

// What a record says of its server, for the table of peers.
void Mesh::Impl::note_state(const LinkState& state) {
  Peer* const peer = find_or_add(state.identity);
  if (peer == nullptr) return;
  peer->heard_us = now_us();
  if (state.incarnation < peer->incarnation) return;
  const bool moved = state.incarnation > peer->incarnation || state.address != peer->address;
  if (state.life != peer->life) begin_life(*peer, state.incarnation, state.life);
  if (moved) {
    peer->address = state.address;
    dialler_.move(state.identity, state.address);
    known_changed_ = peers_changed_ = true;
  }
  if (state.version != peer->version || state.never_lead != peer->never_lead) {
    peer->version = state.version;
    peer->never_lead = state.never_lead;
    peers_changed_ = true;
  }
  tell_changes();
}

// To everybody but where it came from, and but those to whom its server tells it directly.
void Mesh::Impl::pass_on(const LinkState& state, std::string_view body, const Peer* from) {
  for (const auto& [id, peer] : peers_.all()) {
    if (peer.get() == from || peer->control == nullptr || id == state.identity) continue;
    if (from != nullptr && !peer->health.up()) continue;
    const bool told =
        from != nullptr &&
        std::any_of(state.neighbours.begin(), state.neighbours.end(),
                    [&](const Neighbour& n) { return n.identity == id && !n.damped; });
    if (!told) peer->control_out.push_urgent(FrameType::link_state, body);
  }
}

void Mesh::Impl::send_all_states(Peer& peer) {
  peer.control_out.push_urgent(FrameType::link_state, encode_link_state(own_));
  for (const auto& [id, held] : states_.all()) {
    if (id == peer.identity) continue;
    peer.control_out.push_urgent(FrameType::link_state, encode_link_state(held.state));
  }
}

const Route* Mesh::Impl::route(const Identity& to, EdgesFor use) {
  if (links_dirty_) refresh_own(false);
  if (graph_dirty_) update_routes();
  const auto& routes = use == EdgesFor::bulk ? bulk_routes_ : control_routes_;
  const auto found = routes.find(to);
  return found == routes.end() ? nullptr : &found->second;
}

void Mesh::Impl::update_routes() {
  graph_dirty_ = false;
  std::vector<const LinkState*> all;
  bool own_placed = false;
  for (const auto& [id, held] : states_.all()) {
    if (!own_placed && self_.identity < id) {
      all.push_back(&own_);
      own_placed = true;
    }
    all.push_back(&held.state);
  }
  if (!own_placed) all.push_back(&own_);
  std::map<Identity, Route> control = find_routes(self_.identity, all, EdgesFor::control);
  if (!same_but_for_round_trips(control, control_routes_)) {
    peers_changed_ = true;
    tell_changes();
  }
  control_routes_ = std::move(control);
  bulk_routes_ = find_routes(self_.identity, all, EdgesFor::bulk);
}

// The peer, made if need be: for a newcomer the one that was silent longest is forgotten. Null if
// all places are taken by servers that live.
Peer* Mesh::Impl::find_or_add(const Identity& identity) {
  if (Peer* const found = peers_.find(identity)) return found;
  if (!peers_.full()) return &peers_.add(identity);
  const Peer* oldest = nullptr;
  for (const auto& [id, peer] : peers_.all()) {
    if (peer->control != nullptr || states_.find(id) != nullptr) continue;
    if (std::find(members_.begin(), members_.end(), id) != members_.end()) continue;
    if (oldest == nullptr || peer->heard_us < oldest->heard_us) oldest = peer.get();
  }
  if (oldest == nullptr) return nullptr;
  PROBE("mesh: a silent server was forgotten for a newcomer");
  forget(Identity(oldest->identity));
  return &peers_.add(identity);
}

}  // namespace doozer::transport
