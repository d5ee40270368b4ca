#include "storage/space.h"

namespace doozer::storage {

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
