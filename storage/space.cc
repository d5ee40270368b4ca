#include "storage/space.h"

#include <utility>

namespace doozer::storage {

SpaceGauge::~SpaceGauge() {
  if (timer_ != 0) clock_.cancel(timer_);
}

void SpaceGauge::watch(bool wanted) {
  watched_ = wanted;
  if (wanted) {
    arm();
  } else if (timer_ != 0) {
    clock_.cancel(std::exchange(timer_, 0));
  }
}

void SpaceGauge::arm() {
  if (timer_ != 0) return;
  timer_ = clock_.at(clock_.now_us() + kFreeBytesStaleUs, [this] {
    timer_ = 0;
    refresh();
    if (watched_) arm();
  });
}

void SpaceGauge::refresh() {
  if (running_) {
    again_ = true;
    return;
  }
  running_ = true;
  asked_us_ = clock_.now_us();
  auto seen = std::make_shared<uint64_t>(free_bytes_);
  auto job = [&disk = disk_, seen]() -> Result<void> {
    TRY_ASSIGN(*seen, disk.free_bytes());
    return {};
  };
  lanes_.submit(env::Lane::bulk, std::move(job),
                [this, alive = std::weak_ptr<int>(alive_), seen](const Result<void>&) {
                  if (alive.expired()) return;
                  running_ = false;
                  free_bytes_ = *seen;
                  if (on_refresh_) on_refresh_();
                  if (!again_) return;
                  again_ = false;
                  refresh();
                });
}

}  // namespace doozer::storage
