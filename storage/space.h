// How much the disk still takes: the last known figure, refreshed on the bulk lane when somebody
// asks and it is older than a second, after every change, and each second while somebody was
// refused and nobody has been told better (otherwise, if nobody asks, nothing is done).
#pragma once

#include <cstdint>
#include <memory>

#include "base/function.h"
#include "env/clock.h"
#include "env/disk.h"
#include "storage/ballast.h"

namespace doozer::storage {

constexpr uint64_t kFreeBytesStaleUs = 1'000'000;

class SpaceGauge {
 public:
  SpaceGauge(env::Disk& disk, env::Lanes& lanes, env::Clock& clock, const Space& space)
      : disk_(disk), lanes_(lanes), clock_(clock), space_(space), asked_us_(clock.now_us()) {}
  ~SpaceGauge();
  SpaceGauge(const SpaceGauge&) = delete;
  SpaceGauge& operator=(const SpaceGauge&) = delete;

  uint64_t free_bytes() const { return space_.free_bytes; }
  uint64_t ballast_bytes() const { return space_.ballast_bytes; }
  /// Hears every new figure.
  void on_refresh(UniqueFunction<void()> handler) { on_refresh_ = std::move(handler); }
  void refresh_if_stale() {
    if (clock_.now_us() - asked_us_ >= kFreeBytesStaleUs) refresh();
  }
  void refresh();
  /// Makes the ballast whole on the bulk lane; then looks again.
  void restore_ballast(uint64_t bytes);
  /// From now on the gauge looks each second by itself, or no longer.
  void watch(bool wanted);

 private:
  void arm();

  env::Disk& disk_;
  env::Lanes& lanes_;
  env::Clock& clock_;
  Space space_;
  uint64_t asked_us_;
  bool running_ = false;
  bool restoring_ = false;
  bool again_ = false;
  bool watched_ = false;
  env::TimerId timer_ = 0;
  UniqueFunction<void()> on_refresh_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace doozer::storage
