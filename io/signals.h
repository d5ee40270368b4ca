// Signals as events of the loop. For a server's main; the client library leaves the signals of its
// process alone.
#pragma once

#include <memory>

#include "base/function.h"
#include "base/result.h"
#include "io/loop.h"

namespace doozer::io {

class Signals {
 public:
  /// From now on SIGINT, SIGTERM and SIGHUP are told to `heard`, in a turn of the loop, before
  /// clients; those that come together may be told once. SIGPIPE is ignored for the whole process,
  /// which stays so. Make it before any other thread. Errors: io_error.
  static Result<std::unique_ptr<Signals>> watch(Loop& loop, UniqueFunction<void(int)> heard);
  /// The signals do again what they did before.
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  struct State;
  explicit Signals(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace doozer::io
