// Helper threads: the two disk lanes, and one for work on bytes.
//
// Whoever destroys them waits: jobs that were begun or queued on a lane are all done first (what
// was promised to the log is written), but their `done` is no longer called once the destructor
// has begun. The loop must outlive them. Queued jobs of ThreadWork are dropped.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "env/disk.h"
#include "env/work.h"
#include "io/loop.h"

namespace doozer::io {

/// One thread that runs jobs in order and posts their completions to the loop.
class HelperThread {
 public:
  enum class AtEnd : uint8_t { finish, drop };
  /// Errors: io_error (no threads left). `name` shows in ps and top, at most 15 bytes.
  static Result<std::unique_ptr<HelperThread>> start(Loop& loop, const char* name, AtEnd at_end);
  ~HelperThread();
  HelperThread(const HelperThread&) = delete;
  HelperThread& operator=(const HelperThread&) = delete;
  /// `job` runs on the thread and returns what is to run on the loop. From the loop's thread.
  void submit(UniqueFunction<UniqueFunction<void()>()> job);

 private:
  HelperThread(Loop& loop, AtEnd at_end);
  void run();

  Loop& loop_;
  const AtEnd at_end_;
  std::shared_ptr<bool> alive_;  // of the loop's thread; completions ask it
  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<UniqueFunction<UniqueFunction<void()>()>> jobs_;
  bool ending_ = false;
  std::thread thread_;
};

class ThreadLanes final : public env::Lanes {
 public:
  /// Errors: io_error.
  static Result<std::unique_ptr<ThreadLanes>> start(Loop& loop);
  void submit(env::Lane lane, UniqueFunction<Result<void>()> job,
              UniqueFunction<void(Result<void>)> done) override;

 private:
  ThreadLanes() = default;
  std::unique_ptr<HelperThread> log_;
  std::unique_ptr<HelperThread> bulk_;
};

class ThreadWork final : public env::Work {
 public:
  /// Errors: io_error.
  static Result<std::unique_ptr<ThreadWork>> start(Loop& loop);
  void submit(UniqueFunction<void()> job, UniqueFunction<void()> done) override;

 private:
  ThreadWork() = default;
  std::unique_ptr<HelperThread> thread_;
};

}  // namespace doozer::io
