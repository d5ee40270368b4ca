// Life and timers of the mesh, and what it tells its owner.

#include "transport/mesh.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "transport/mesh_impl.h"

namespace doozer::transport {

Mesh::Mesh(env::Clock& clock, env::Net& net, MeshOptions options, MeshEvents& events,
           const Logger& logger)
    : impl_(std::make_unique<Impl>(clock, net, std::move(options), events, logger)) {}
Mesh::~Mesh() = default;
void Mesh::start() { impl_->start(); }
void Mesh::send(const Identity& to, Channel channel, std::string payload) {
  impl_->send(to, channel, std::move(payload));
}
void Mesh::turn_end() { impl_->turn_end(); }
void Mesh::adopt(std::unique_ptr<env::Stream> stream, std::string first_bytes) {
  CHECK(!first_bytes.empty());
  CHECK(static_cast<uint8_t>(first_bytes.front()) >= kPeerFirstByte);
  impl_->adopt(std::move(stream), first_bytes);
}
void Mesh::accept(std::unique_ptr<env::AcceptedStream> accepted) { impl_->accept(*accepted); }
void Mesh::goodbye() { impl_->goodbye(); }
void Mesh::stop() { impl_->stop(); }
void Mesh::forget(const Identity& identity) { impl_->forget(identity); }
void Mesh::keep(std::vector<Identity> members) { impl_->keep(std::move(members)); }
bool Mesh::linked(const Identity& identity) const { return impl_->linked(identity); }
bool Mesh::reachable(const Identity& identity) const { return impl_->reachable(identity); }
std::vector<PeerInfo> Mesh::peers() const { return impl_->peers(); }
std::vector<KnownPeer> Mesh::known() const { return impl_->known(); }
const MeshStats& Mesh::stats() const { return impl_->stats(); }

Mesh::Impl::Impl(env::Clock& clock, env::Net& net, MeshOptions options, MeshEvents& events,
                 const Logger& logger)
    : clock_(clock),
      options_(std::move(options)),
      events_(events),
      logger_(logger),
      nonces_(options_.secret, options_.self, options_.incarnation, options_.seed),
      peers_(ledger_),
      dialler_(options_.seed),
      pool_(*this, net) {
  CHECK(!options_.cluster.none());
  CHECK(!options_.self.none());
  CHECK(options_.advertise.size() <= kAddressBytesMax);
  CHECK(options_.seeds.size() <= kSeedsMax);
  self_ = {.cluster = options_.cluster,
           .identity = options_.self,
           .incarnation = options_.incarnation,
           .life = nonces_.life(),
           .address = options_.advertise};
  own_.cluster = options_.cluster;
  own_.identity = options_.self;
  own_.incarnation = options_.incarnation;
  own_.life = nonces_.life();
  own_.address = options_.advertise;
  own_.version = options_.cluster_version_max;
  own_.never_lead = options_.never_lead;
  for (const std::string& seed : options_.seeds) dialler_.add_seed(seed);
  for (const KnownPeer& entry : options_.known) {
    if (entry.identity == options_.self) continue;
    if (peers_.full()) break;
    Peer* peer = peers_.find(entry.identity);
    if (peer == nullptr) peer = &peers_.add(entry.identity);
    peer->address = entry.address;
    peer->incarnation = entry.incarnation;
    dialler_.move(entry.identity, entry.address);
  }
}

Mesh::Impl::~Impl() { stop(); }

void Mesh::Impl::start() {
  CHECK(!started_);
  started_ = true;
  tick();
}

void Mesh::Impl::stop() {
  if (stopped_) return;
  stopped_ = true;
  if (timer_ != 0) clock_.cancel(timer_);
  for (const auto& [id, peer] : peers_.all()) {
    peer->control = nullptr;
    peer->bulk = nullptr;
    peer->control_out.clear();
    peer->bulk_out.clear();
  }
  pool_.cut_all();
}

void Mesh::Impl::goodbye() {
  leaving_ = true;
  pool_.for_each([](Connection& connection) { connection.say_goodbye(); });
}

void Mesh::Impl::adopt(std::unique_ptr<env::Stream> stream, const std::string& first_bytes) {
  if (stopped_) return;
  const std::string from = stream->peer();
  if (!pool_.adopt(std::move(stream), first_bytes)) note_crowd(from);
  arm_tick();
}

void Mesh::Impl::accept(env::AcceptedStream& accepted) {
  if (!stopped_ && !pool_.accept(accepted)) note_crowd(accepted.peer());
  arm_tick();
}

void Mesh::Impl::note_crowd(const std::string& from) {
  ++stats_.refused;
  if (pace_.may(now_us())) {
    logger_.warn("peer_refused", {{"peer", from}, {"why", "too many wait for their proof"}});
  }
}

void Mesh::Impl::forget(const Identity& identity) {
  Peer* const peer = peers_.find(identity);
  if (peer == nullptr || stopped_) return;
  for (Connection* connection : {peer->bulk, peer->control}) {
    if (connection == nullptr) continue;
    unlink(*peer, *connection, true, "forgotten");
    connection->close();
  }
  dialler_.move(identity, "");
  reassembly_.forget(identity);
  states_.erase(identity);
  peers_.erase(identity);
  graph_dirty_ = peers_changed_ = known_changed_ = true;
  tell_changes();
}

// A server that knows of no other, and that nobody calls, wakes for nothing.
bool Mesh::Impl::nobody_there() const {
  return peers_.all().empty() && dialler_.empty() && pool_.count() == 0 && states_.all().empty();
}

void Mesh::Impl::arm_tick() {
  if (timer_ != 0 || stopped_ || !started_) return;
  if (nobody_there()) {
    ticked_us_ = 0;  // what follows a rest is no stall
    return;
  }
  timer_ = clock_.at(now_us() + kBeatUs, [this] {
    timer_ = 0;
    tick();
  });
}

// Everything that is a matter of time, for all links in one turn. Beats leave at once; who has been
// silent is judged once all is read that came by now: a loop serves its timers first.
void Mesh::Impl::tick() {
  const uint64_t now = now_us();
  arm_tick();
  const uint64_t since = ticked_us_ == 0 ? 0 : now - ticked_us_;
  if (since > kBeatUs) note_rest(since - kBeatUs, now);
  ticked_us_ = now;
  for (const auto& [id, peer] : peers_.all()) {
    if (peer->control != nullptr) send_beat(*peer);
  }
  refresh_own(now - own_sent_us_ >= kLinkStateRefreshUs);
  dial_due(now);
  tell_changes();
  if (std::exchange(checking_, true)) return;
  clock_.post([this, now, alive = std::weak_ptr<int>(alive_)] {
    if (alive.expired() || stopped_) return;
    checking_ = false;
    check_links(now);
  });
}

// This loop did not run for so long: that was no silence of others, and what they hear late from
// us they should hear at once.
void Mesh::Impl::note_rest(uint64_t us, uint64_t now) {
  for (const auto& [id, peer] : peers_.all()) {
    if (peer->rival_since_us != 0) peer->rival_since_us = std::min(peer->rival_since_us + us, now);
    if (peer->control == nullptr) continue;
    if (us > kBeatUs / 2) peer->answer_next = true;
    peer->health.away(us, now);
    peer->control->away(us);
    if (peer->bulk != nullptr) peer->bulk_progress_us = std::min(peer->bulk_progress_us + us, now);
  }
}

// At `now` it is known who has been silent until then; other things may be newer.
void Mesh::Impl::check_links(uint64_t now) {
  pool_.tick();
  if (stopped_) return;
  for (const auto& [id, peer] : peers_.all()) {
    if (peer->control != nullptr) check_link(*peer, now);
  }
  if (states_.expire(now_us())) graph_dirty_ = true;
  reassembly_.expire(now_us());
  tell_changes();
}

bool Mesh::Impl::bytes_stuck(const Peer& peer, uint64_t now) {
  const uint64_t since = peer.control->stalled_since_us();
  return since != 0 && now > since + kStallUs;
}

void Mesh::Impl::check_link(Peer& peer, uint64_t now) {
  const bool stuck = bytes_stuck(peer, now);
  if (peer.health.update(now, stuck)) {
    set_up(peer, peer.health.up(), stuck ? "bytes are stuck" : "no echo");
  }
  // The end of a damping shows in our record.
  const uint64_t until = peer.health.damped_until_us();
  if (until != 0 && now >= until && now - until <= 2 * kBeatUs)
    links_dirty_ = peers_changed_ = true;
  const uint64_t down_since = peer.health.down_since_us();
  if (down_since != 0 && now > down_since + kStaleConnectionUs) {
    Connection& stale = *peer.control;
    unlink(peer, stale, false, "no echo for too long");
    stale.close();
    return;
  }
  if (peer.bulk != nullptr) check_bulk(peer, now);
}

void Mesh::Impl::check_bulk(Peer& peer, uint64_t now) {
  const uint64_t sent = peer.bulk->bytes_sent();
  if (sent == peer.bulk_acknowledged && peer.bulk->unsent() == 0) peer.bulk_progress_us = now;
  const uint64_t waits = now - std::min(now, peer.bulk_progress_us);
  const bool good = waits <= kStallUs;
  if (good != peer.bulk_good) {
    peer.bulk_good = good;
    links_dirty_ = true;
    if (!good) enqueue_again(peer.bulk_out.take_all(), EdgesFor::bulk);
  }
  if (waits > kBulkStaleUs) {
    Connection& stale = *peer.bulk;
    unlink(peer, stale, false, "bulk is stuck");
    stale.close();
  }
}

void Mesh::Impl::dial_due(uint64_t now) {
  if (leaving_) return;
  for (const std::string& address : dialler_.due(now)) {
    const Dialler::Target* const target = dialler_.find(address);
    const Peer* const peer = peers_.find(target->identity);
    if (peer == nullptr || peer->control == nullptr) dial(address);
  }
  for (const auto& [id, peer] : peers_.all()) {
    const bool wanted = peer->control != nullptr && peer->bulk == nullptr && !peer->bulk_dialling;
    if (!wanted || now < peer->bulk_dial_us || peer->address.empty()) continue;
    peer->bulk_dialling = true;
    ++stats_.dials;
    pool_.dial(options_.dial, peer->address, Role::bulk, peer->identity);
  }
}

void Mesh::Impl::turn_end() {
  if (stopped_) {
    pool_.reap();
    return;
  }
  if (links_dirty_) refresh_own(false);
  if (graph_dirty_) update_routes();
  more_to_send_ = false;
  for (const auto& [id, peer] : peers_.all()) flush(*peer);
  pool_.reap();
  if (more_to_send_) clock_.post([] {});
  tell_changes();
}

// In a turn of its own, so that the owner hears nothing inside its own calls.
void Mesh::Impl::tell_changes() {
  if (telling_ || (!peers_changed_ && !known_changed_)) return;
  telling_ = true;
  clock_.post([this, alive = std::weak_ptr<int>(alive_)] {
    if (alive.expired() || stopped_) return;
    telling_ = false;
    if (std::exchange(known_changed_, false)) events_.on_known_changed();
    if (!stopped_ && std::exchange(peers_changed_, false)) events_.on_peers_changed();
  });
}

bool Mesh::Impl::linked(const Identity& identity) const {
  const Peer* const peer = peers_.find(identity);
  return peer != nullptr && peer->control != nullptr && peer->health.up();
}

std::vector<PeerInfo> Mesh::Impl::peers() {
  std::vector<PeerInfo> all;
  for (const auto& [id, peer] : peers_.all()) {
    PeerInfo info;
    info.identity = id;
    info.incarnation = peer->incarnation;
    info.address = peer->address;
    info.direct = peer->control != nullptr && peer->health.up();
    info.damped = info.direct && peer->health.damped(now_us());
    if (const Route* const way = route(id, EdgesFor::control)) {
      info.up = true;
      info.hops = way->hops;
      info.rtt_us = way->hops == 1 ? peer->health.rtt_us() : way->rtt_us;
    }
    info.answered = peer->answered == peer->incarnation && peer->life != 0;
    info.version = peer->version;
    info.never_lead = peer->never_lead;
    info.last_heard_us = peer->heard_us;
    all.push_back(std::move(info));
  }
  return all;
}

std::vector<KnownPeer> Mesh::Impl::known() const {
  std::vector<KnownPeer> all;
  for (const auto& [id, peer] : peers_.all()) all.push_back({id, peer->address, peer->incarnation});
  return all;
}

const MeshStats& Mesh::Impl::stats() {
  stats_.dropped_reassembly = reassembly_.dropped();
  return stats_;
}

}  // namespace doozer::transport
