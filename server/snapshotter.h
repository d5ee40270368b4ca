// Decides when a snapshot is taken, takes it in slices while the server serves, and purges what the
// history no longer needs. Nobody ever does this by hand. On a full disk writes are worth more than
// the past: there a snapshot is taken for less, and what only the history of the next start would
// need is given up.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/log.h"
#include "core/machine.h"
#include "env/clock.h"
#include "server/replica.h"
#include "storage/storage.h"

namespace doozer::server {

struct SnapshotPolicy {
  /// Written since the last snapshot; half of the live data if that is more, so that a large tree
  /// is not written again for every bit of log.
  uint64_t log_bytes = kSnapshotLogBytes;
};

class Snapshotter {
 public:
  /// All borrowed; they outlive the snapshotter.
  Snapshotter(env::Clock& clock, storage::Storage& storage, Replica& replica,
              const SnapshotPolicy& policy, const Logger& logger);
  Snapshotter(const Snapshotter&) = delete;
  Snapshotter& operator=(const Snapshotter&) = delete;
  /// Looks whether it is time and goes on with what is under way; called at the end of each turn.
  void turn_end();
  /// Somebody needs a snapshot that is newer than those there are: takes one when it can.
  void want_one() { wanted_ = true; }
  /// The machine is about to be another one: a snapshot under way is given up.
  void abandon();
  /// A snapshot of another server is the newest now.
  void on_installed();
  /// No further snapshot is begun, and one under way is given up.
  void stop();
  bool running() const { return writer_ != nullptr; }
  uint64_t taken() const { return taken_; }
  uint64_t failed() const { return failed_; }

 private:
  bool due() const;
  uint64_t log_since_last() const;
  void begin();
  void slice();
  bool scan_some();
  void finish();
  void give_up(const Error& error);
  void purge();

  // Fixed after construction.
  env::Clock& clock_;
  storage::Storage& storage_;
  Replica& replica_;
  SnapshotPolicy policy_;
  Logger logger_;

  // Volatile.
  std::unique_ptr<core::ImageWriter> image_;  ///< while the scan is under way
  std::unique_ptr<storage::SnapshotWriter> writer_;
  std::string chunk_;     ///< of the image, not yet given to the writer
  bool scanned_ = false;  ///< all of the image is in chunk_ or with the writer
  uint64_t begun_ = 0;    ///< how many
  uint64_t began_us_ = 0;
  uint64_t bytes_before_ = 0;   ///< log bytes since the newest snapshot, from before this start
  uint64_t bytes_at_last_ = 0;  ///< the storage's written_bytes at the last snapshot
  uint64_t live_at_last_ = 0;   ///< bytes of live data in it
  uint64_t not_before_us_ = 0;  ///< after a failure
  Index purged_to_;
  uint64_t estimated_ = 0;  ///< bytes last told to the storage
  uint64_t taken_ = 0;
  uint64_t failed_ = 0;
  bool stopped_ = false;
  bool wanted_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace doozer::server
