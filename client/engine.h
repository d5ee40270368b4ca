// Where a blocking client's core runs: a loop on a thread of its own. The facade knows only this;
// client/facade.cc makes it of the real loop and the real net.
#pragma once

#include <memory>

#include "base/function.h"
#include "client/core.h"

namespace doozer::client {

class Engine {
 public:
  /// What is to be done with the core, on its thread; null: the engine is closed.
  using Task = UniqueFunction<void(Core*)>;

  virtual ~Engine() = default;
  /// Runs the task once: soon on the engine's thread, or at once, here, with null. From any thread;
  /// the tasks of one thread keep their order.
  virtual void post(Task task) = 0;
  virtual bool on_own_thread() const = 0;
  /// REQUIRES on_own_thread().
  virtual Core& core() = 0;
  /// Ends everything that is outstanding and then the thread. From any thread but its own; a second
  /// call waits for the first.
  virtual void close() = 0;
  /// Returns when the thread has ended, if close() was begun by somebody.
  virtual void await_closed() = 0;
};

/// Errors: bad_argument (options), io_error (no file descriptors).
Result<std::shared_ptr<Engine>> make_engine(Options options);

}  // namespace doozer::client
