// Pure functions of bytes, done elsewhere: compression, checksums of megabytes. Results do not
// depend on where or when they run, so a simulator may run them at once.
#pragma once

#include "base/function.h"

namespace doozer::env {

class Work {
 public:
  virtual ~Work() = default;
  /// `job` runs on a helper thread, touching only what it owns; `done` in a later turn of the loop.
  virtual void submit(UniqueFunction<void()> job, UniqueFunction<void()> done) = 0;
};

}  // namespace doozer::env
