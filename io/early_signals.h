// The signals that end a server, while its loop does not turn yet: a start that reads for minutes
// must end when it is told to.
#pragma once

#include <signal.h>

#include <memory>
#include <thread>

#include "base/function.h"
#include "base/result.h"
#include "io/fd.h"

namespace doozer::io {

class EarlySignals {
 public:
  /// Holds SIGINT and SIGTERM back from this thread and from those that it begins from now on, for
  /// good, and tells the first one to `heard`, on a thread of its own. Errors: io_error.
  static Result<std::unique_ptr<EarlySignals>> watch(UniqueFunction<void(int)> heard);
  /// This thread takes them again: those that come from now on are for Signals. Waits for `heard`
  /// if that runs.
  ~EarlySignals();
  EarlySignals(const EarlySignals&) = delete;
  EarlySignals& operator=(const EarlySignals&) = delete;

 private:
  EarlySignals() = default;

  sigset_t mask_before_{};
  UniqueFd signals_;
  UniqueFd end_;  ///< readable: the thread is to end
  std::thread thread_;
};

}  // namespace doozer::io
