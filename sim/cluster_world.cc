#include "sim/cluster_world.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace doozer::sim {
namespace {

constexpr uint64_t kRestartUs = 1'000'000;  ///< between the end of a process and its next start
constexpr uint64_t kBootGapUs = 20'000;     ///< between the first starts of two servers

std::string address_of(uint64_t number) { return "10.0.0." + std::to_string(number) + ":8046"; }

}  // namespace

/// What one server logs, as lines of the timeline.
class ClusterWorld::ServerLog final : public LogSink {
 public:
  ServerLog(ClusterWorld& world, uint64_t number) : world_(world), number_(number) {}
  void write(const LogRecord& record) override {
    if (world_.timeline_.on()) world_.say(number_, record_text(record));
  }

 private:
  ClusterWorld& world_;
  uint64_t number_;
};

ClusterWorld::ClusterWorld(const Plan& plan, Timeline& timeline)
    : plan_(plan),
      timeline_(timeline),
      rng_(plan.seed),
      network_(
          {.seed = rng_.next(), .latency_us = plan.latency_us, .jitter_us = plan.latency_us / 2}) {
  for (uint64_t i = 0; i < plan.servers; ++i) make_host();
}

ClusterWorld::~ClusterWorld() = default;

void ClusterWorld::make_host() {
  const uint64_t number = hosts_.size() + 1;
  logs_.push_back(std::make_unique<ServerLog>(*this, number));
  HostOptions options{.number = number,
                      .address = address_of(number),
                      .seed = rng_.next(),
                      .sync_us = plan_.sync_us,
                      .config = {},
                      .snapshots = {},
                      .retention = {},
                      .log_listener = logs_.back().get()};
  if (const auto drift = plan_.drift_ppm.find(number); drift != plan_.drift_ppm.end()) {
    options.drift_ppm = drift->second;
  }
  options.config.slots = plan_.slots;
  options.config.timeout_us = plan_.timeout_us;
  options.config.insecure_peers = true;
  options.config.segment_bytes = kMiB;
  options.config.disk_reserve_bytes = kMiB;
  options.config.log_level = LogLevel::info;
  if (plan_.history != 0) options.config.history = plan_.history;
  if (plan_.snapshot_bytes != 0) options.snapshots.log_bytes = plan_.snapshot_bytes;
  // What a server that answers still needs is kept all the same, or it would never catch up.
  if (plan_.retain_entries != 0) options.retention.entries = plan_.retain_entries;
  // An empty disk may only ever attach to the others, never boot a second cluster.
  for (uint64_t other = 1; other <= std::max(plan_.servers, number); ++other) {
    if (other != number) options.config.attach.push_back(address_of(other));
  }
  hosts_.push_back(std::make_unique<Host>(network_, options));
  holds_.push_back(0);
  starts_.push_back(0);
  if (on_host_) on_host_(*hosts_.back());
}

void ClusterWorld::on_host(std::function<void(Host&)> hook) {
  on_host_ = std::move(hook);
  for (const auto& host : hosts_) on_host_(*host);
}

void ClusterWorld::boot() {
  timeline_.begin(now_us_);
  const server::Config member = host(1).config();
  host(1).config().boot = true;
  host(1).config().attach.clear();
  start(1);
  host(1).config() = member;
  for (uint64_t number = 2; number <= size(); ++number) {
    at(now_us_ + (number - 1) * kBootGapUs, [this, number] { start(number); });
  }
}

uint64_t ClusterWorld::add_server() {
  make_host();
  start(size());
  return size();
}

void ClusterWorld::release(uint64_t number) {
  CHECK(holds_[number - 1] > 0);
  if (--holds_[number - 1] == 0 && !host(number).up()) start(number);
}

void ClusterWorld::kill(uint64_t number) {
  if (!host(number).up()) return;
  host(number).kill(now_us_);
  if (on_life_) on_life_(number, false);
  start_later(number);
}

void ClusterWorld::crash(uint64_t number, CrashKind kind) {
  const bool was_up = host(number).up();
  host(number).crash(kind, now_us_);
  if (was_up && on_life_) on_life_(number, false);
  start_later(number);
}

void ClusterWorld::start(uint64_t number) {
  ++starts_[number - 1];
  if (host(number).up() || holds_[number - 1] > 0) return;
  const auto started = host(number).start(now_us_);
  if (started) {
    say(number, "starts");
    if (on_life_) on_life_(number, true);
  } else {
    say(number, "cannot start: " + started.error().message);
    if (on_giving_up_) on_giving_up_(number, "cannot start: " + started.error().message);
    start_later(number);
  }
}

void ClusterWorld::start_later(uint64_t number) {
  const uint64_t mine = ++starts_[number - 1];
  at(now_us_ + kRestartUs, [this, number, mine] {
    if (starts_[number - 1] == mine) start(number);
  });
}

SimNet& ClusterWorld::client_net(uint64_t number) {
  auto& net = client_nets_[number];
  if (net == nullptr) {
    net = std::make_unique<SimNet>(network_, client_clock_, client_host(number));
  }
  return *net;
}

void ClusterWorld::at(uint64_t when_us, std::function<void()> then) {
  agenda_.emplace(std::max(when_us, now_us_), std::move(then));
}

/// Does what is next, if that is not after `until_us`.
bool ClusterWorld::step(uint64_t until_us) {
  uint64_t next_us = client_clock_.next_us().value_or(UINT64_MAX);
  uint64_t number = 0;  // 0: the clients
  for (uint64_t i = 0; i < hosts_.size(); ++i) {
    const uint64_t theirs = hosts_[i]->next_us().value_or(UINT64_MAX);
    if (theirs < next_us) {
      next_us = theirs;
      number = i + 1;
    }
  }
  if (!agenda_.empty() && agenda_.begin()->first <= next_us) {
    if (agenda_.begin()->first > until_us) return false;
    now_us_ = std::max(now_us_, agenda_.begin()->first);
    const auto then = std::move(agenda_.begin()->second);
    agenda_.erase(agenda_.begin());
    then();
    return true;
  }
  if (next_us > until_us) return false;
  now_us_ = std::max(now_us_, next_us);
  if (number == 0) {
    client_clock_.run_turn();
    return true;
  }
  ++turns_;
  Host& running = host(number);
  running.process().clock().run_turn();
  if (on_turn_) on_turn_(number);
  if (running.is_done()) {
    const auto& stopped = running.process().stopped();
    say(number, !stopped               ? "its disk has crashed"
                : stopped->has_value() ? "has stopped"
                                       : "has died: " + stopped->error().message);
    if (stopped && !stopped->has_value() && !running.disk_crashed() && on_giving_up_) {
      on_giving_up_(number, "has died: " + stopped->error().message);
    }
    running.disk_crashed() ? crash(number, CrashKind::machine_lost) : kill(number);
  }
  return true;
}

void ClusterWorld::run_until(uint64_t until_us) {
  while (step(until_us)) {
  }
  now_us_ = std::max(now_us_, until_us);
}

bool ClusterWorld::run_until(const std::function<bool()>& done, uint64_t until_us,
                             uint64_t look_us) {
  while (!done()) {
    if (now_us_ >= until_us) return false;
    run_until(std::min(until_us, now_us_ + look_us));
  }
  return true;
}

uint64_t ClusterWorld::digest() const {
  uint64_t digest = network_.digest();
  for (const auto& host : hosts_) digest = digest * 0x9E3779B97F4A7C15 + host->disk_digest();
  return digest;
}

}  // namespace doozer::sim
