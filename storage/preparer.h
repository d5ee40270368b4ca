// Makes the next log segment ahead of need, on the bulk lane: created under a temporary name,
// filled with real zeros a MiB and a sync at a time (reserved blocks would cost the log lane a
// journal commit for every new 4 KiB), renamed, directory synced.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/function.h"
#include "base/result.h"
#include "env/disk.h"

namespace doozer::storage {

class Preparer {
 public:
  Preparer(env::Disk& disk, env::Lanes& lanes) : disk_(disk), lanes_(lanes) {}

  struct Request {
    uint64_t number = 0;
    uint64_t bytes = 0;
    uint64_t bytes_min = 0;  ///< make it that small if there is no room for more
    uint64_t keep_free = 0;  ///< answer no_space rather than leave less than this on the disk
    std::optional<uint64_t> ballast_left = {};  ///< cut the ballast to this before answering so
  };
  /// REQUIRES !running() and !ready(). `done` hears success or the first error (no_space,
  /// io_error), after which no file is left behind.
  void start(const Request& request, UniqueFunction<void(Result<void>)> done);
  bool running() const { return running_; }
  bool ready() const { return ready_ != nullptr; }

  struct Prepared {
    uint64_t number = 0;
    uint64_t bytes = 0;
    std::unique_ptr<env::File> file;
  };
  /// REQUIRES ready().
  const Prepared& peek() const { return *ready_; }
  Prepared take();

 private:
  /// Moves between the lane and the loop, never touched by both at once.
  struct Work {
    Request request;
    uint64_t zeroed = 0;
    std::unique_ptr<env::File> file;
  };
  void step(std::shared_ptr<Work> work);
  void stepped(std::shared_ptr<Work> work, Result<void> result);

  env::Disk& disk_;
  env::Lanes& lanes_;
  bool running_ = false;
  std::unique_ptr<Prepared> ready_;
  UniqueFunction<void(Result<void>)> done_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace doozer::storage
