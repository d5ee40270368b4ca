#include "io/lanes.h"

#include <pthread.h>
#include <signal.h>

#include <exception>
#include <string>
#include <utility>

#include "base/check.h"

namespace doozer::io {

Result<std::unique_ptr<HelperThread>> HelperThread::start(Loop& loop, const char* name,
                                                          AtEnd at_end) {
  std::unique_ptr<HelperThread> helper(new HelperThread(loop, at_end));
  // Signals are for the thread that asked for them: the helper inherits a mask that blocks all.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::string failure;
  try {
    helper->thread_ = std::thread([raw = helper.get()] { raw->run(); });
  } catch (const std::exception& thrown) {
    failure = thrown.what();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!failure.empty()) {
    return fail(Code::io_error, std::string("cannot start the thread ") + name + ": " + failure);
  }
  pthread_setname_np(helper->thread_.native_handle(), name);
  return helper;
}

HelperThread::HelperThread(Loop& loop, AtEnd at_end)
    : loop_(loop), at_end_(at_end), alive_(std::make_shared<bool>(true)) {}

HelperThread::~HelperThread() {
  *alive_ = false;
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  filled_.notify_one();
  thread_.join();
}

void HelperThread::submit(UniqueFunction<UniqueFunction<void()>()> job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  filled_.notify_one();
}

void HelperThread::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    filled_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
    if (jobs_.empty() || (ending_ && at_end_ == AtEnd::drop)) return;
    UniqueFunction<UniqueFunction<void()>()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    UniqueFunction<void()> done = job();
    job = {};
    // A completion that reaches the loop after our end is dropped there; `alive_` is only read on
    // the loop's thread.
    loop_.post_from_any_thread([alive = alive_, done = std::move(done)]() mutable {
      if (*alive) done();
    });
    lock.lock();
  }
}

Result<std::unique_ptr<ThreadLanes>> ThreadLanes::start(Loop& loop) {
  std::unique_ptr<ThreadLanes> lanes(new ThreadLanes());
  TRY_ASSIGN(lanes->log_, HelperThread::start(loop, "doozer-log", HelperThread::AtEnd::finish));
  TRY_ASSIGN(lanes->bulk_, HelperThread::start(loop, "doozer-bulk", HelperThread::AtEnd::finish));
  return lanes;
}

void ThreadLanes::submit(env::Lane lane, UniqueFunction<Result<void>()> job,
                         UniqueFunction<void(Result<void>)> done) {
  HelperThread& thread = lane == env::Lane::log ? *log_ : *bulk_;
  thread.submit([job = std::move(job), done = std::move(done)]() mutable -> UniqueFunction<void()> {
    Result<void> result = job();
    // What the job owned is freed here, not on the loop's thread.
    job = {};
    return
        [done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); };
  });
}

Result<std::unique_ptr<ThreadWork>> ThreadWork::start(Loop& loop) {
  std::unique_ptr<ThreadWork> work(new ThreadWork());
  TRY_ASSIGN(work->thread_, HelperThread::start(loop, "doozer-work", HelperThread::AtEnd::drop));
  return work;
}

void ThreadWork::submit(UniqueFunction<void()> job, UniqueFunction<void()> done) {
  thread_->submit(
      [job = std::move(job), done = std::move(done)]() mutable -> UniqueFunction<void()> {
        job();
        job = {};
        return std::move(done);
      });
}

}  // namespace doozer::io
