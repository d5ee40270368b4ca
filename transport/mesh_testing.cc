#include "transport/mesh_testing.h"

#include <algorithm>

#include "base/check.h"
#include "transport/limits.h"

namespace doozer::transport {
namespace {

constexpr size_t kKernelBufferBytes = 256 * kKiB;
constexpr size_t kSmallMtu = 1'000;
constexpr uint64_t kHurtTickUs = 1'000;

std::string host_of(const std::string& address) { return address.substr(0, address.rfind(':')); }

}  // namespace

// Holds back what may not pass now, and looks again every millisecond.
class HurtStream final : public env::Stream {
 public:
  HurtStream(HurtNet& net, std::string to) : net_(net), to_(std::move(to)) {}
  ~HurtStream() override {
    net_.clock_.cancel(timer_);
    if (inner_ != nullptr && blocked()) {
      inner_->redirect(silence());
      net_.zombies_.push_back(std::move(inner_));
    }
  }
  void set_inner(std::unique_ptr<env::Stream> inner) { inner_ = std::move(inner); }
  void write(std::string bytes) override {
    if (net_.hurts_.small_mtu.contains(pair()) && bytes.size() > kSmallMtu) stuck_ = true;
    if (!bytes.empty() && net_.hurts_.corrupt.erase(pair()) > 0) {
      bytes.back() = static_cast<char>(bytes.back() ^ 1);
    }
    held_ += bytes;
    push();
  }
  size_t unsent() const override {
    const size_t waits = held_.size() + (inner_ == nullptr ? 0 : inner_->unsent());
    return waits - std::min(waits, kKernelBufferBytes);
  }
  void shutdown() override {
    ended_ = true;
    push();
  }
  void redirect(env::StreamEvents& events) override {
    if (inner_ != nullptr) inner_->redirect(events);
  }
  void set_class(env::StreamClass stream_class) override {
    if (inner_ != nullptr) inner_->set_class(stream_class);
  }
  void pause_reading() override { inner_->pause_reading(); }
  void resume_reading() override { inner_->resume_reading(); }
  const std::string& peer() const override { return inner_ == nullptr ? to_ : inner_->peer(); }
  bool certified() const override { return inner_ != nullptr && inner_->certified(); }

 private:
  struct Silence final : env::StreamEvents {
    void on_bytes(std::string_view /*bytes*/) override {}
    void on_end() override {}
    void on_failed(const Error& /*error*/) override {}
  };
  static env::StreamEvents& silence() {
    static Silence silence;
    return silence;
  }
  std::pair<std::string, std::string> pair() const { return {net_.host_, host_of(to_)}; }
  bool blocked() const { return stuck_ || net_.hurts_.blocked.contains(pair()); }
  void push() {
    if (inner_ == nullptr) return;
    if (!blocked()) {
      const auto slow = net_.hurts_.bytes_per_ms.find(pair());
      size_t size = held_.size();
      if (slow != net_.hurts_.bytes_per_ms.end()) {
        size = net_.clock_.now_us() < next_us_ ? 0 : std::min<size_t>(size, slow->second);
        if (size > 0) next_us_ = net_.clock_.now_us() + kHurtTickUs;
      }
      if (size > 0) inner_->write(held_.substr(0, size));
      held_.erase(0, size);
      if (held_.empty() && ended_) inner_->shutdown();
    }
    if (held_.empty() || timer_ != 0) return;
    timer_ = net_.clock_.at(net_.clock_.now_us() + kHurtTickUs, [this] {
      timer_ = 0;
      push();
    });
  }
  HurtNet& net_;
  std::string to_;
  std::unique_ptr<env::Stream> inner_;
  std::string held_;
  bool stuck_ = false;
  bool ended_ = false;
  env::TimerId timer_ = 0;
  uint64_t next_us_ = 0;
};

HurtNet::HurtNet(sim::SimNetwork& network, sim::SimClock& clock, Hurts& hurts, std::string host)
    : net_(network, clock, host), clock_(clock), hurts_(hurts), host_(std::move(host)) {}

Result<std::unique_ptr<env::Listener>> HurtNet::listen(const env::ListenOptions& options,
                                                       env::AcceptEvents& events) {
  return net_.listen(options, events);
}

std::unique_ptr<env::Stream> HurtNet::dial(const env::DialOptions& options,
                                           env::StreamEvents& events) {
  auto stream = std::make_unique<HurtStream>(*this, options.address);
  const std::string to = host_of(options.address);
  // Behind a blocked direction a dial is silent until somebody gives it up.
  if (hurts_.blocked.contains({host_, to}) || hurts_.blocked.contains({to, host_})) return stream;
  stream->set_inner(net_.dial(options, events));
  return stream;
}

std::unique_ptr<env::Stream> HurtNet::attach(env::AcceptedStream& accepted,
                                             env::StreamEvents& events) {
  auto stream = std::make_unique<HurtStream>(*this, accepted.peer());
  stream->set_inner(accepted.attach(events));
  return stream;
}

Node::Node(sim::SimNetwork& network, Hurts& hurts, uint64_t start_us, MeshOptions options,
           std::string host)
    : clock_({.start_us = start_us}),
      net_(network, clock_, hurts, std::move(host)),
      options_(options),
      logger_(*this, context_, LogLevel::debug) {
  mesh_ = std::make_unique<Mesh>(clock_, net_, std::move(options), *this, logger_);
  auto listener = net_.listen({.address = options_.advertise}, *this);
  CHECK(listener.has_value());
  listener_ = std::move(*listener);
  clock_.at_turn_end([this] {
    if (mesh_ != nullptr) mesh_->turn_end();
    std::erase_if(waiting_, [](const auto& w) { return w.second->gone; });
  });
  clock_.post([this] { mesh_->start(); });
}

Node::~Node() {
  mesh_.reset();
  waiting_.clear();
}

PeerInfo Node::peer(const Identity& identity) const {
  for (const PeerInfo& info : mesh_->peers()) {
    if (info.identity == identity) return info;
  }
  return {};
}

void Node::Waiting::on_bytes(std::string_view bytes) {
  gone = true;
  std::unique_ptr<env::Stream> mine = std::move(stream);
  node.mesh_->adopt(std::move(mine), std::string(bytes));
}

void Node::on_accept(std::unique_ptr<env::AcceptedStream> stream) {
  auto waiting = std::make_unique<Waiting>(*this);
  waiting->stream = net_.attach(*stream, *waiting);
  waiting_.emplace(waiting.get(), std::move(waiting));
}

void Node::on_message(const Identity& from, Incarnation incarnation, Channel channel,
                      std::string_view payload) {
  heard.push_back({from, incarnation, channel, std::string(payload)});
  if (then) then(heard.back());
}

void Node::on_gone(const Identity& identity, Incarnation incarnation) {
  gone.emplace_back(identity, incarnation);
  gone_us.push_back(clock_.now_us());
}

void Node::write(const LogRecord& record) {
  std::string line(record.event);
  for (const LogField& field : record.fields) {
    line += " " + std::string(field.key) + "=";
    if (const auto* text = std::get_if<std::string_view>(&field.value)) line += *text;
    if (const auto* number = std::get_if<uint64_t>(&field.value)) line += std::to_string(*number);
  }
  log.push_back(std::move(line));
}

Identity MeshWorld::id(size_t i) {
  return Identity::from_bytes("server-" + std::string(i < 10 ? "00" : "0") + std::to_string(i));
}

MeshOptions MeshWorld::options(size_t i, uint64_t incarnation) {
  MeshOptions options;
  options.cluster = cluster();
  options.self = id(i);
  options.incarnation = Incarnation(incarnation);
  options.advertise = address(i);
  options.seeds = {address(0)};
  options.secret = "sesame";
  options.seed = 1000 * i + incarnation;
  options.cluster_version_max = 7;
  return options;
}

void MeshWorld::start(size_t i, MeshOptions options) {
  nodes_[i] = std::make_unique<Node>(*network_, hurts_, now_us_, std::move(options), host(i));
}

void MeshWorld::start_all(size_t count) {
  for (size_t i = 0; i < count; ++i) start(i, options(i));
}

void MeshWorld::kill(size_t i, bool silent) {
  node(i).net().die(silent);
  nodes_.erase(i);
}

void MeshWorld::heal(size_t a, size_t b) {
  hurts_.blocked.erase({host(a), host(b)});
  hurts_.blocked.erase({host(b), host(a)});
}

void MeshWorld::only(size_t count, const std::set<std::pair<size_t, size_t>>& links) {
  hurts_.blocked.clear();
  for (size_t a = 0; a < count; ++a) {
    for (size_t b = a + 1; b < count; ++b) {
      if (!links.contains({a, b})) cut(a, b);
    }
  }
}

// One turn of whoever is next; of those at one time, the first.
bool MeshWorld::step(uint64_t until_us) {
  Node* next = nullptr;
  uint64_t when = until_us;
  for (const auto& [i, each] : nodes_) {
    const auto due = each->clock().next_us();
    if (due && *due <= until_us && (next == nullptr || *due < when)) {
      next = each.get();
      when = *due;
    }
  }
  if (next == nullptr) return false;
  now_us_ = std::max(now_us_, when);
  ++steps_;
  next->clock().run_turn();
  return true;
}

void MeshWorld::run_for(uint64_t us) {
  const uint64_t until = now_us_ + us;
  while (step(until)) {
  }
  now_us_ = until;
  for (const auto& [i, each] : nodes_) each->clock().run_until(until);
}

bool MeshWorld::run_until(const std::function<bool()>& done, uint64_t us_max) {
  const uint64_t until = now_us_ + us_max;
  while (!done()) {
    if (!step(until)) return done();
  }
  return true;
}

bool MeshWorld::connected(size_t count) {
  for (size_t a = 0; a < count; ++a) {
    for (size_t b = 0; b < count; ++b) {
      if (a != b && !mesh(a).reachable(id(b))) return false;
    }
  }
  return true;
}

void MeshWorld::send(size_t from, size_t to, std::string payload, Channel channel) {
  // In a turn of the sender, as everything is.
  node(from).clock().enqueue(sim::Phase::posted, now_us_,
                             [this, from, to, channel, payload = std::move(payload)]() mutable {
                               mesh(from).send(id(to), channel, std::move(payload));
                             });
}

bool MeshWorld::heard(size_t at, size_t from, std::string_view payload) {
  const auto& all = node(at).heard;
  return std::any_of(all.begin(), all.end(),
                     [&](const Heard& h) { return h.from == id(from) && h.payload == payload; });
}

size_t MeshWorld::count_heard(size_t at, std::string_view payload) {
  const auto& all = node(at).heard;
  return static_cast<size_t>(
      std::count_if(all.begin(), all.end(), [&](const Heard& h) { return h.payload == payload; }));
}

}  // namespace doozer::transport
