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
  auto seen = std::make_shared<Space>(space_);
  auto job = [&disk = disk_, seen]() -> Result<void> {
    TRY_ASSIGN(*seen, look_at_space(disk));
    return {};
  };
  lanes_.submit(env::Lane::bulk, std::move(job),
                [this, alive = std::weak_ptr<int>(alive_), seen](const Result<void>&) {
                  if (alive.expired()) return;
                  running_ = false;
                  space_ = *seen;
                  if (on_refresh_) on_refresh_();
                  if (!again_) return;
                  again_ = false;
                  refresh();
                });
}

void SpaceGauge::restore_ballast(uint64_t bytes) {
  if (std::exchange(restoring_, true)) return;
  lanes_.submit(
      env::Lane::bulk, [&disk = disk_, bytes] { return make_ballast(disk, bytes); },
      [this, alive = std::weak_ptr<int>(alive_)](const Result<void>& made) {
        if (alive.expired()) return;
        restoring_ = false;
        if (made) refresh();  // otherwise the next look tries again
      });
}

}  // namespace doozer::storage
