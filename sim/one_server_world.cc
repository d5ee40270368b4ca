#include "sim/one_server_world.h"

#include <algorithm>
#include <utility>

namespace doozer::sim {

OneServerWorld::OneServerWorld(const SimDiskOptions& disk, ServerProcessOptions server)
    : network_(SimNetworkOptions{.seed = disk.seed}),
      disk_(disk),
      options_(std::move(server)),
      client_net_(network_, client_clock_, "127.0.0.2") {}

OneServerWorld::~OneServerWorld() { kill(); }

Result<void> OneServerWorld::start() {
  options_.start_us = now_us();
  if (lives_++ > 0) disk_.restart();
  process_ = std::make_unique<ServerProcess>(network_, disk_, options_);
  auto started = process_->start();
  if (!started) process_.reset();
  return started;
}

void OneServerWorld::kill() {
  died_us_ = now_us();
  process_.reset();
}

uint64_t OneServerWorld::now_us() const {
  const uint64_t theirs = process_ == nullptr ? died_us_ : process_->clock().now_us();
  return std::max(client_clock_.now_us(), theirs);
}

bool OneServerWorld::step() {
  if (process_ != nullptr && (disk_.crashed() || process_->stopped())) kill();
  const auto theirs = process_ == nullptr ? std::nullopt : process_->clock().next_us();
  const auto ours = client_clock_.next_us();
  if (!theirs && !ours) return false;
  if (theirs && (!ours || *theirs <= *ours)) {
    process_->clock().run_turn();
  } else {
    client_clock_.run_turn();
  }
  return true;
}

bool OneServerWorld::run(const std::function<bool()>& done, uint64_t steps_max) {
  for (uint64_t i = 0; i < steps_max; ++i) {
    if (done()) return true;
    if (!step()) return done();
  }
  return done();
}

void OneServerWorld::run_for(uint64_t us) {
  bool passed = false;
  client_clock_.at(now_us() + us, [&passed] { passed = true; });
  run([&passed] { return passed; });
}

}  // namespace doozer::sim
