#include "sim/net.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"

namespace doozer::sim {

namespace net_detail {

// One side of a connection. Lives while a stream or an event that is under way needs it.
struct End : std::enable_shared_from_this<End> {
  SimNetwork* network = nullptr;
  SimClock* clock = nullptr;            ///< null once the process is gone
  env::StreamEvents* events = nullptr;  ///< null: not attached yet, or the stream is destroyed
  env::StreamClass stream_class = env::StreamClass::client;
  std::weak_ptr<End> peer;
  std::string peer_address;

  // Sending.
  std::string unsent;
  size_t in_flight = 0;  ///< sent and not yet read by the peer
  bool shut = false;     ///< no more bytes after `unsent`
  bool end_sent = false;
  uint64_t last_arrival_us = 0;  ///< at the peer: pieces keep their order

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

  // Runs `then` at the other side, after the latency, in order, unless its process is gone.
  template <typename F>
  void at_peer(F then) {
    const auto other = peer.lock();
    if (!other || other->clock == nullptr || clock == nullptr) return;
    last_arrival_us = std::max(last_arrival_us, clock->now_us() + network->latency());
    other->clock->enqueue(other->phase(), last_arrival_us,
                          [other, run = std::move(then)]() mutable { run(*other); });
  }

  void push() {
    const size_t window = network->options_.window_bytes;
    while (!unsent.empty() && in_flight < window) {
      const size_t size = std::min({unsent.size(), window - in_flight, kReadChunkBytes});
      std::string piece = unsent.substr(0, size);
      unsent.erase(0, size);
      in_flight += size;
      at_peer([piece = std::move(piece)](End& other) mutable { other.arrive(std::move(piece)); });
    }
    if (unsent.empty() && shut && !end_sent) {
      end_sent = true;
      at_peer([](End& other) { other.arrive_end(); });
    }
  }

  void arrive(std::string piece) {
    if (dead) {
      // Nobody is here any more: as TCP does, the sender is told by a reset.
      at_peer([](End& other) { other.fail({Code::closed, "connection reset by peer"}); });
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
      at_peer([size = piece.size()](End& other) { other.taken(size); });
      if (!arrived.empty() || end_arrived) schedule_delivery();
      events->on_bytes(piece);
    } else if (end_arrived) {
      end_arrived = false;
      events->on_end();
    }
  }

  void schedule_delivery() {
    delivering = true;
    clock->enqueue(phase(), clock->now_us(), [self = shared_from_this()] {
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
  env::AcceptEvents* events = nullptr;
  env::StreamClass stream_class = env::StreamClass::client;
  std::vector<std::weak_ptr<End>>* ends = nullptr;
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
      end_->at_peer([](End& other) { other.fail({Code::closed, "connection reset by peer"}); });
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
SimNetwork::~SimNetwork() = default;

uint64_t SimNetwork::latency() {
  return options_.latency_us + (options_.jitter_us > 0 ? rng_.below(options_.jitter_us + 1) : 0);
}

SimNet::SimNet(SimNetwork& network, SimClock& clock, std::string host)
    : network_(network), clock_(clock), host_(std::move(host)) {}

SimNet::~SimNet() { die(false); }

void SimNet::die(bool silent) {
  for (const auto& weak : ends_) {
    const auto end = weak.lock();
    if (!end || end->clock == nullptr) continue;
    if (!silent && !end->dead) {
      end->at_peer([](End& other) { other.fail({Code::closed, "connection reset by peer"}); });
    }
    end->dead = true;
    end->events = nullptr;
    end->clock = nullptr;
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
  port->events = &events;
  port->stream_class = options.stream_class;
  port->ends = &ends_;
  network_.ports_[address] = port;
  listening_.push_back(port);
  return std::make_unique<net_detail::SimListener>(address, port);
}

std::unique_ptr<env::Stream> SimNet::dial(const env::DialOptions& options,
                                          env::StreamEvents& events) {
  auto mine = std::make_shared<End>();
  mine->network = &network_;
  mine->clock = &clock_;
  mine->events = &events;
  mine->stream_class = options.stream_class;
  mine->peer_address = options.address;
  ends_.push_back(mine);
  const auto found = network_.ports_.find(options.address);
  const uint64_t arrival = clock_.now_us() + network_.latency();
  if (found == network_.ports_.end() || found->second->events == nullptr) {
    clock_.enqueue(mine->phase(), arrival, [mine, address = options.address] {
      mine->fail({Code::refused, "cannot connect to " + address + ": connection refused"});
    });
    return std::make_unique<net_detail::SimStream>(mine);
  }
  const std::shared_ptr<Port> port = found->second;
  auto theirs = std::make_shared<End>();
  theirs->network = &network_;
  theirs->clock = port->clock;
  theirs->stream_class = port->stream_class;
  theirs->peer_address = host_ + ":" + std::to_string(network_.next_port_++);
  theirs->peer = mine;
  mine->peer = theirs;
  port->ends->push_back(theirs);
  mine->last_arrival_us = arrival;
  // The connection keeps the other side alive until it is accepted.
  port->clock->enqueue(theirs->phase(), arrival, [theirs, port] {
    if (port->events == nullptr) {
      theirs->dead = true;
      theirs->at_peer([](End& other) { other.fail({Code::refused, "connection refused"}); });
      return;
    }
    theirs->at_peer([](End& other) {
      if (other.events != nullptr && !other.dead) other.events->on_connected();
    });
    port->events->on_accept(std::make_unique<net_detail::SimAccepted>(theirs));
  });
  return std::make_unique<net_detail::SimStream>(mine);
}

}  // namespace doozer::sim
