#include "sim/net.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/limits.h"

namespace doozer::sim {

namespace net_detail {

// One side of a connection. Lives while a stream or an event that is under way needs it.
struct End : std::enable_shared_from_this<End> {
  SimNetwork* network = nullptr;
  SimClock* clock = nullptr;  ///< null once the process is gone
  std::string host;
  env::StreamEvents* events = nullptr;  ///< null: not attached yet, or the stream is destroyed
  env::StreamClass stream_class = env::StreamClass::client;
  std::weak_ptr<End> peer;
  std::string peer_address;
  std::string peer_host;
  Path* path = nullptr;  ///< to the peer
  bool linked = false;   ///< there is, or was, a peer

  // Sending.
  std::string unsent;
  size_t in_flight = 0;  ///< sent and not yet read by the peer
  bool shut = false;     ///< no more bytes after `unsent`
  bool end_sent = false;
  uint64_t last_arrival_us = 0;  ///< at the peer: pieces keep their order

  struct Held {
    uint64_t bytes;
    UniqueFunction<void()> run;
  };
  std::deque<Held> held;  ///< sent, and kept back by the path

  // Receiving.
  std::deque<std::string> arrived;
  bool end_arrived = false;
  bool paused = false;
  bool delivering = false;  ///< a delivery is scheduled
  bool dead = false;        ///< no more events

  Phase phase() const {
    switch (stream_class) {
      case env::StreamClass::control: return Phase::control;
      case env::StreamClass::bulk: return Phase::bulk;
      case env::StreamClass::client: return Phase::clients;
    }
    UNREACHABLE();
  }

  /// Runs `then` at the other side when it gets there, in order; back there it waits for a heal.
  template <typename F>
  void at_peer(F then, uint64_t bytes = 0) {
    const auto other = peer.lock();
    if (clock == nullptr) return;
    if (!other || other->clock == nullptr) return hear_of_the_dead(bytes);
    UniqueFunction<void()> run = [other, step = std::move(then)]() mutable { step(*other); };
    if (held.empty() && !path->faults.holds(bytes)) {
      return travel(*other, clock->world_us(), bytes, std::move(run));
    }
    if (held.empty()) path->holds.push_back(shared_from_this());
    held.push_back({bytes, std::move(run)});
  }

  void travel(End& other, uint64_t now_us, uint64_t bytes, UniqueFunction<void()> run) {
    uint64_t arrival_us = now_us + network->latency();
    if (!path->faults.clear()) arrival_us += path->extra_us(now_us, bytes, network->rng_);
    last_arrival_us = std::max(last_arrival_us, arrival_us);
    other.clock->enqueue(other.phase(), last_arrival_us, std::move(run));
  }

  /// A reset is sent once: what a cut swallows is not sent again.
  void reset_peer() {
    if (path->faults.holds(0)) return;
    at_peer([](End& other) { other.fail({Code::closed, "connection reset by peer"}); });
  }

  /// Bytes to a process that is gone: its machine, if that is up, answers with a reset.
  void hear_of_the_dead(uint64_t bytes) {
    if (bytes == 0 || !linked || network->vanished_.contains(peer_host)) return;
    if (path->faults.holds(bytes) || network->path(peer_host, host).faults.holds(0)) return;
    fail_at(clock->world_us() + 2 * network->latency(), "connection reset by peer");
  }

  void fail_at(uint64_t when_us, const char* why) {
    clock->enqueue(phase(), when_us,
                   [self = shared_from_this(), why] { self->fail({Code::closed, why}); });
  }

  /// What was held goes on, as far as it may.
  void release(uint64_t now_us, uint64_t resend_us) {
    const auto other = peer.lock();
    if (!other || other->clock == nullptr || clock == nullptr) return held.clear();
    while (!held.empty() && !path->faults.holds(held.front().bytes)) {
      travel(*other, now_us + resend_us, held.front().bytes, std::move(held.front().run));
      held.pop_front();
    }
  }

  void push() {
    if (!linked) return;
    const size_t window = network->options_.window_bytes;
    while (!unsent.empty() && in_flight < window) {
      const size_t size = std::min({unsent.size(), window - in_flight, kReadChunkBytes});
      std::string piece = unsent.substr(0, size);
      unsent.erase(0, size);
      in_flight += size;
      network->note(piece, *this);
      if (!path->faults.clear() && breaks()) return;
      at_peer([piece = std::move(piece)](End& other) mutable { other.arrive(std::move(piece)); },
              size);
    }
    if (unsent.empty() && shut && !end_sent) {
      end_sent = true;
      at_peer([](End& other) { other.arrive_end(); });
    }
  }

  /// True if a piece breaks the connection, for both sides.
  bool breaks() {
    const PathFaults& faults = path->faults;
    const bool chance =
        faults.resets_per_10k > 0 && network->rng_.chance(faults.resets_per_10k, 10'000);
    if (!faults.reject && !chance) return false;
    reset_peer();
    fail_at(clock->world_us() + network->latency(), "connection reset by peer");
    return true;
  }

  void arrive(std::string piece) {
    if (dead) {
      reset_peer();  // nobody is here any more
      return;
    }
    arrived.push_back(std::move(piece));
    deliver();
  }

  void arrive_end() {
    end_arrived = true;
    deliver();
  }

  void deliver() {
    if (paused || dead || events == nullptr || delivering || clock == nullptr) return;
    if (!arrived.empty()) {
      const std::string piece = std::move(arrived.front());
      arrived.pop_front();
      acknowledge(piece.size());
      if (!arrived.empty() || end_arrived) schedule_delivery();
      events->on_bytes(piece);
    } else if (end_arrived) {
      end_arrived = false;
      events->on_end();
    }
  }

  /// Tells the sender that so much was read; without an event if it waits for nothing.
  void acknowledge(size_t size) {
    const auto sender = peer.lock();
    if (!sender) return;
    if (sender->unsent.empty() && held.empty() && !path->faults.holds(0)) {
      sender->in_flight -= std::min(size, sender->in_flight);
    } else {
      at_peer([size](End& other) { other.taken(size); });
    }
  }

  void schedule_delivery() {
    delivering = true;
    clock->enqueue(phase(), clock->world_us(), [self = shared_from_this()] {
      self->delivering = false;
      self->deliver();
    });
  }

  // The peer has read `size` bytes.
  void taken(size_t size) {
    in_flight -= std::min(size, in_flight);
    const size_t before = unsent.size();
    push();
    if (events != nullptr && !dead && unsent.size() < before) events->on_progress();
  }

  void fail(const Error& error) {
    if (dead) return;
    dead = true;
    if (events != nullptr) std::exchange(events, nullptr)->on_failed(error);
  }
};

struct Port {
  SimClock* clock = nullptr;
  std::string host;
  env::AcceptEvents* events = nullptr;
  env::StreamClass stream_class = env::StreamClass::client;
  SimNet* net = nullptr;
};

namespace {

class SimStream final : public env::Stream {
 public:
  explicit SimStream(std::shared_ptr<End> end) : end_(std::move(end)) {}
  ~SimStream() override {
    end_->events = nullptr;
    if (end_->dead) return;
    end_->dead = true;
    // Closing with bytes unread or unsent is a reset; otherwise the peer reads an end.
    if (!end_->arrived.empty() || !end_->unsent.empty()) {
      end_->reset_peer();
    } else if (!end_->end_sent) {
      end_->end_sent = true;
      end_->at_peer([](End& other) { other.arrive_end(); });
    }
  }
  void write(std::string bytes) override {
    if (end_->dead || end_->shut) return;
    end_->unsent += bytes;
    end_->push();
  }
  size_t unsent() const override { return end_->unsent.size(); }
  void shutdown() override {
    end_->shut = true;
    end_->push();
  }
  void redirect(env::StreamEvents& events) override {
    if (end_->events != nullptr) end_->events = &events;
  }
  void set_class(env::StreamClass stream_class) override { end_->stream_class = stream_class; }
  void pause_reading() override { end_->paused = true; }
  void resume_reading() override {
    end_->paused = false;
    if (!end_->delivering && !end_->dead && (!end_->arrived.empty() || end_->end_arrived)) {
      end_->schedule_delivery();
    }
  }
  const std::string& peer() const override { return end_->peer_address; }
  bool certified() const override { return end_->network->certified(end_->peer_host); }

 private:
  std::shared_ptr<End> end_;
};

class SimAccepted final : public env::AcceptedStream {
 public:
  explicit SimAccepted(std::shared_ptr<End> end) : end_(std::move(end)) {}
  ~SimAccepted() override {
    if (end_ != nullptr) SimStream refuse(std::move(end_));
  }
  const std::string& peer() const override { return end_->peer_address; }
  std::unique_ptr<env::Stream> attach(env::StreamEvents& events) override {
    end_->events = &events;
    if (!end_->arrived.empty() || end_->end_arrived) end_->schedule_delivery();
    return std::make_unique<SimStream>(std::move(end_));
  }

 private:
  std::shared_ptr<End> end_;
};

class SimListener final : public env::Listener {
 public:
  SimListener(std::string address, std::shared_ptr<Port> port)
      : address_(std::move(address)), port_(std::move(port)) {}
  ~SimListener() override { port_->events = nullptr; }
  const std::string& address() const override { return address_; }

 private:
  std::string address_;
  std::shared_ptr<Port> port_;
};

}  // namespace
}  // namespace net_detail

using net_detail::End;
using net_detail::Port;

SimNetwork::SimNetwork(const SimNetworkOptions& options) : options_(options), rng_(options.seed) {}

SimNetwork::~SimNetwork() {
  for (auto& [hosts, path] : paths_) {
    for (const auto& end : path.holds) end->held.clear();
  }
}

uint64_t SimNetwork::latency() {
  return options_.latency_us + (options_.jitter_us > 0 ? rng_.below(options_.jitter_us + 1) : 0);
}

net_detail::Path& SimNetwork::path(const std::string& from, const std::string& to) {
  return paths_[{from, to}];
}

const PathFaults& SimNetwork::faults(const std::string& from, const std::string& to) const {
  static const PathFaults kNone;
  const auto found = paths_.find({from, to});
  return found == paths_.end() ? kNone : found->second.faults;
}

void SimNetwork::set_faults(const std::string& from, const std::string& to,
                            const PathFaults& faults, uint64_t now_us) {
  net_detail::Path& on = path(from, to);
  const bool resends = on.faults.cut || on.faults.mtu_bytes != 0;
  on.faults = faults;
  auto waiting = std::exchange(on.holds, {});
  for (const auto& end : waiting) {
    const uint64_t resend_us = resends ? rng_.below(net_detail::kResendMostUs + 1) : 0;
    end->release(now_us, resend_us);
    if (!end->held.empty()) on.holds.push_back(end);
  }
  reset_orphans(to, now_us);
  reset_orphans(from, now_us);
}

void SimNetwork::heal(uint64_t now_us) {
  for (auto& [hosts, path] : paths_) {
    if (!path.faults.clear()) set_faults(hosts.first, hosts.second, {}, now_us);
  }
}

void SimNetwork::reset_orphans(const std::string& host, uint64_t now_us) {
  if (vanished_.contains(host)) return;
  for (const auto& weak : ends_.all()) {
    const auto end = weak.lock();
    if (!end || end->dead || end->clock == nullptr || end->peer_host != host || !end->linked)
      continue;
    const auto other = end->peer.lock();
    const bool waits = end->in_flight > 0;  // and so it sends again
    if (!waits || (other && other->clock != nullptr)) continue;
    if (end->path->faults.holds(0) || faults(host, end->host).holds(0)) continue;
    end->fail_at(now_us + rng_.below(net_detail::kResendMostUs + 1), "connection reset by peer");
  }
}

void SimNetwork::note(std::string_view piece, const net_detail::End& from) {
  ++stats_.pieces;
  stats_.bytes += piece.size();
  digest_ = hash64(piece, digest_ ^ from.clock->world_us());
  digest_ = hash64(from.peer_address, digest_);
}

SimNet::SimNet(SimNetwork& network, SimClock& clock, std::string host)
    : network_(network), clock_(clock), host_(std::move(host)) {
  // The machine is up: it answers to what was sent to a process that is no more.
  if (network_.vanished_.erase(host_) > 0) network_.reset_orphans(host_, clock_.world_us());
}

SimNet::~SimNet() { die(false); }

void SimNet::die(bool silent) {
  if (silent) network_.vanished_.insert(host_);
  for (const auto& weak : ends_.all()) {
    const auto end = weak.lock();
    if (!end || end->clock == nullptr) continue;
    if (!silent && !end->dead && end->linked) end->reset_peer();
    end->dead = true;
    end->events = nullptr;
    end->clock = nullptr;
    end->held.clear();
  }
  ends_.clear();
  for (const auto& weak : listening_) {
    if (const auto port = weak.lock()) port->events = nullptr;
  }
  listening_.clear();
}

Result<std::unique_ptr<env::Listener>> SimNet::listen(const env::ListenOptions& options,
                                                      env::AcceptEvents& events) {
  std::string address = options.address;
  if (address.ends_with(":0")) {
    address = address.substr(0, address.size() - 1) + std::to_string(network_.next_port_++);
  }
  const auto old = network_.ports_.find(address);
  if (old != network_.ports_.end() && old->second->events != nullptr) {
    return fail(Code::conflict, "address " + quote(address) + ": in use");
  }
  auto port = std::make_shared<Port>();
  port->clock = &clock_;
  port->host = host_;
  port->events = &events;
  port->stream_class = options.stream_class;
  port->net = this;
  network_.ports_[address] = port;
  listening_.push_back(port);
  return std::make_unique<net_detail::SimListener>(address, port);
}

std::shared_ptr<End> SimNet::make_end(env::StreamClass stream_class, const std::string& peer) {
  auto end = std::make_shared<End>();
  end->network = &network_;
  end->clock = &clock_;
  end->host = host_;
  end->stream_class = stream_class;
  end->peer_address = peer;
  end->peer_host = peer.substr(0, peer.rfind(':'));
  end->path = &network_.path(host_, end->peer_host);
  ends_.add(end);
  network_.ends_.add(end);
  return end;
}

std::unique_ptr<env::Stream> SimNet::dial(const env::DialOptions& options,
                                          env::StreamEvents& events) {
  auto mine = make_end(options.stream_class, options.address);
  mine->events = &events;
  connect(mine, clock_.world_us() + options.timeout_us, 0);
  return std::make_unique<net_detail::SimStream>(mine);
}

/// Sends the `tries`-th SYN (from 0), and the next one when nothing comes of it.
void SimNet::connect(const std::shared_ptr<End>& mine, uint64_t deadline_us, unsigned tries) {
  const uint64_t now_us = clock_.world_us();
  net_detail::Path& there = *mine->path;
  net_detail::Path& back = network_.path(mine->peer_host, host_);
  uint64_t arrival_us = now_us + network_.latency();
  if (!there.faults.clear()) arrival_us += there.extra_us(now_us, 0, network_.rng_);
  uint64_t return_us = arrival_us + network_.latency();
  if (!back.faults.clear()) return_us += back.extra_us(now_us, 0, network_.rng_);
  const bool lost = there.faults.holds(0) || back.faults.holds(0) || return_us >= deadline_us ||
                    network_.vanished_.contains(mine->peer_host);
  if (lost) {
    const uint64_t again_us = now_us + (net_detail::kConnectAgainUs << tries);
    clock_.enqueue(mine->phase(), std::min(again_us, deadline_us),
                   [this, mine, deadline_us, tries, gives_up = again_us >= deadline_us] {
                     if (mine->dead) return;
                     if (!gives_up) return connect(mine, deadline_us, tries + 1);
                     mine->fail({Code::timed_out, "cannot connect to " + mine->peer_address +
                                                      ": connection timed out"});
                   });
    return;
  }
  const auto found = network_.ports_.find(mine->peer_address);
  if (found == network_.ports_.end() || found->second->events == nullptr || there.faults.reject) {
    clock_.enqueue(mine->phase(), return_us, [mine] {
      mine->fail(
          {Code::refused, "cannot connect to " + mine->peer_address + ": connection refused"});
    });
    return;
  }
  link(mine, found->second, arrival_us, return_us);
}

/// Both ends know each other; the listener's system answers even if its process is stopped.
void SimNet::link(const std::shared_ptr<End>& mine, const std::shared_ptr<Port>& port,
                  uint64_t arrival_us, uint64_t return_us) {
  auto theirs =
      port->net->make_end(port->stream_class, host_ + ":" + std::to_string(network_.next_port_++));
  theirs->peer = mine;
  theirs->linked = true;
  theirs->last_arrival_us = return_us;
  mine->peer = theirs;
  mine->linked = true;
  mine->last_arrival_us = arrival_us;
  // The connection keeps the other side alive until it is accepted.
  port->clock->enqueue(theirs->phase(), arrival_us, [theirs, port] {
    if (port->events == nullptr) {
      theirs->dead = true;
      theirs->at_peer([](End& other) { other.fail({Code::refused, "connection refused"}); });
      return;
    }
    port->events->on_accept(std::make_unique<net_detail::SimAccepted>(theirs));
  });
  clock_.enqueue(mine->phase(), return_us, [mine] {
    if (mine->events != nullptr && !mine->dead) mine->events->on_connected();
  });
  mine->push();
}

}  // namespace doozer::sim
