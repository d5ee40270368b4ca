#include "sim/host.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace doozer::sim {
namespace {

constexpr int64_t kWallStartUs = 1'750'000'000'000'000;
constexpr uint64_t kTurnUs = 5;   ///< what a turn of a server's loop takes
constexpr uint64_t kEventUs = 3;  ///< and each thing in it

}  // namespace

Host::Host(SimNetwork& network, const HostOptions& options)
    : network_(network), options_(options), rng_(options.seed) {
  adopt(new_disk());
}

Host::~Host() { process_.reset(); }

std::unique_ptr<SimDisk> Host::new_disk() {
  return std::make_unique<SimDisk>(
      SimDiskOptions{.seed = rng_.next(), .sync_us = options_.sync_us});
}

void Host::adopt(std::unique_ptr<SimDisk> disk) {
  CHECK(!up());
  if (disk_ != nullptr) past_disks_digest_ += disk_->digest();
  disk_ = std::move(disk);
  disk_->on_operation([this](const Operation& operation) { return judge(operation); });
}

Fate Host::judge(const Operation& operation) {
  Fate fate;
  if (operation.kind == DiskOp::read) {
    if (trouble_.read_fails_per_mille > 0 && rng_.chance(trouble_.read_fails_per_mille, 1000)) {
      fate.kind = Fate::Kind::fail;
    }
    return fate;
  }
  if (armed_ && (operation.kind == DiskOp::write || operation.kind == DiskOp::sync)) {
    const CrashKind kind = *std::exchange(armed_, std::nullopt);
    const Moment moment = rng_.chance(1, 3) ? Moment::before : Moment::during;
    return {.kind = Fate::Kind::crash, .crash = kind, .moment = moment};
  }
  if (operation.kind != DiskOp::sync && operation.kind != DiskOp::sync_directory) return fate;
  fate.extra_us = trouble_.sync_extra_us;
  if (operation.path.starts_with("log")) fate.extra_us += trouble_.log_sync_extra_us;
  if (up()) {
    const uint64_t now_us = process_->clock().world_us();
    if (trouble_.stuck_until_us > now_us) fate.extra_us += trouble_.stuck_until_us - now_us;
  }
  if (std::exchange(trouble_.fail_next_sync, false)) fate.kind = Fate::Kind::fail;
  return fate;
}

Result<void> Host::start(uint64_t now_us) {
  CHECK(!up());
  if (lives_ > 0 || disk_->crashed()) disk_->restart();
  ++lives_;
  server::Config config = options_.config;
  if (native_ != nullptr) {  // a stranger's first boot
    config.boot = true;
    config.slots = 1;
    config.attach.clear();
    config.cluster = "foreign";
  }
  process_ = std::make_unique<ServerProcess>(
      network_, *disk_,
      ServerProcessOptions{
          .address = options_.address,
          .own_host = {},
          .seed = rng_.next(),
          .start_us = now_us,
          .config = config,
          .secrets = {},
          .snapshots = options_.snapshots,
          .clock = {.wall_start_us = kWallStartUs + static_cast<int64_t>(now_us) + wall_ahead_us_,
                    .drift_ppm = options_.drift_ppm,
                    .turn_us = kTurnUs,
                    .event_us = kEventUs},
          .log_level = options_.config.log_level,
          .retention = options_.retention,
          .observer = options_.observer,
          .log_listener = options_.log_listener});
  stall_lanes();
  auto started = process_->start();
  if (!started) process_.reset();
  return started;
}

void Host::kill(uint64_t now_us) {
  armed_.reset();
  if (!up()) return;
  process_->clock().advance_to(now_us);
  process_.reset();
  paused_until_us_ = 0;
}

void Host::crash(CrashKind kind, uint64_t now_us) {
  if (up()) {
    process_->clock().advance_to(now_us);
    process_->vanish();
    process_.reset();
  }
  paused_until_us_ = 0;
  armed_.reset();
  ++crashes_;
  if (!disk_->crashed()) disk_->crash(kind);
}

void Host::pause(uint64_t until_us) {
  if (!up()) return;
  paused_until_us_ = std::max(paused_until_us_, until_us);
  process_->clock().stall_until(paused_until_us_);
  stall_lanes();
}

void Host::stall_lanes() {
  process_->lanes().stall_until(env::Lane::log, paused_until_us_);
  process_->lanes().stall_until(env::Lane::bulk, std::max(paused_until_us_, bulk_stuck_us_));
}

void Host::stick_bulk(uint64_t until_us) {
  bulk_stuck_us_ = std::max(bulk_stuck_us_, until_us);
  if (up()) stall_lanes();
}

void Host::stall(uint64_t until_us) {
  if (!up()) return;
  paused_until_us_ = std::max(paused_until_us_, until_us);
  process_->clock().stall_until(paused_until_us_);
}

bool Host::is_done() { return up() && (disk_->crashed() || process_->stopped().has_value()); }

void Host::jump_wall(int64_t by_us) {
  wall_ahead_us_ += by_us;
  if (up()) process_->clock().set_wall(process_->clock().wall_us() + by_us);
}

std::optional<uint64_t> Host::next_us() const {
  return process_ == nullptr ? std::nullopt : process_->clock().next_us();
}

void Host::wipe() {
  adopt(new_disk());
  own_disk_ = true;
}

void Host::save() {
  if (!disk_->crashed()) saved_ = disk_->clone(rng_.next());
}

bool Host::restore_saved() {
  if (saved_ == nullptr) return false;
  adopt(std::move(saved_));
  own_disk_ = false;
  return true;
}

void Host::take_copy(const Host& other) {
  adopt(other.disk_->clone(rng_.next()));
  own_disk_ = false;
}

void Host::set_foreign(bool foreign) {
  CHECK(!up());
  if (foreign == (native_ != nullptr)) return;
  if (foreign) {
    if (disk_->crashed()) disk_->restart();
    auto own = std::move(disk_);
    adopt(new_disk());
    native_ = std::move(own);
    own_disk_ = false;
  } else {
    adopt(std::move(native_));
    own_disk_ = true;
  }
}

uint64_t Host::disk_digest() const {
  return past_disks_digest_ + disk_->digest() + (native_ != nullptr ? native_->digest() : 0);
}

}  // namespace doozer::sim
