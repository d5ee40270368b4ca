// The one file that joins the client with the real world: a loop, sockets and a thread. The calls
// of doozer::Client are in facade_client.cc and facade_watch.cc.
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "base/result.h"
#include "client/engine.h"
#include "client/options.h"
#include "io/loop.h"
#include "io/net.h"

namespace doozer::client {
namespace {

class RealEngine final : public Engine {
 public:
  explicit RealEngine(std::unique_ptr<io::Loop> loop) : loop_(std::move(loop)), net_(*loop_) {}
  ~RealEngine() override { close(); }
  RealEngine(const RealEngine&) = delete;
  RealEngine& operator=(const RealEngine&) = delete;

  Result<> start(Options options) {
    std::random_device random;
    const uint64_t seed = (uint64_t{random()} << 32U) | random();
    TRY_ASSIGN(core_, Core::make(*loop_, net_, std::move(options), seed));
    // Signals are the business of the program's own threads.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { loop_->run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    thread_id_ = thread_.get_id();
    return {};
  }

  void post(Task task) override {
    {
      const std::lock_guard lock(mutex_);
      if (state_ == State::open) {
        tasks_.push_back(std::move(task));
        if (std::exchange(scheduled_, true)) return;
        loop_->post_from_any_thread([this] { run_tasks(); });
        return;
      }
    }
    task(nullptr);
  }

  bool on_own_thread() const override { return std::this_thread::get_id() == thread_id_; }

  Core& core() override {
    CHECK(on_own_thread());
    return *core_;
  }

  void close() override {
    if (thread_id_ == std::thread::id()) return;  // never started
    CHECK(!on_own_thread());  // a callback must not close or destroy its own client
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(closing_, true)) {
        // Somebody else is at it.
      } else {
        loop_->post_from_any_thread([this] { close_core(); });
        closer_ = std::this_thread::get_id();
      }
    }
    if (closer_is_me()) {
      thread_.join();
      const std::lock_guard lock(mutex_);
      state_ = State::joined;
      joined_.notify_all();
    } else {
      await_closed();
    }
  }

  void await_closed() override {
    std::unique_lock lock(mutex_);
    joined_.wait(lock, [this] { return state_ == State::joined || !closing_; });
  }

 private:
  enum class State : uint8_t { open, closed, joined };

  bool closer_is_me() {
    const std::lock_guard lock(mutex_);
    const bool mine = closer_ == std::this_thread::get_id();
    if (mine) closer_ = {};
    return mine;
  }

  void run_tasks() {
    std::vector<Task> tasks;
    {
      const std::lock_guard lock(mutex_);
      tasks.swap(tasks_);
      scheduled_ = false;
    }
    for (Task& task : tasks) task(core_.get());
  }

  /// On the loop's thread. Tasks that came before the end are begun, so that their owners hear.
  void close_core() {
    {
      const std::lock_guard lock(mutex_);
      state_ = State::closed;
    }
    run_tasks();
    core_->close();
    // Behind the refusals that were posted just now.
    loop_->post([this] { loop_->stop(); });
  }

  // Destroyed in reverse: the core before the net before the loop.
  const std::unique_ptr<io::Loop> loop_;
  io::RealNet net_;
  std::unique_ptr<Core> core_;
  std::thread thread_;
  std::thread::id thread_id_;  // fixed once started

  std::mutex mutex_;
  std::condition_variable joined_;
  std::vector<Task> tasks_;
  bool scheduled_ = false;
  bool closing_ = false;
  std::thread::id closer_;
  State state_ = State::open;
};

}  // namespace

Result<std::shared_ptr<Engine>> make_engine(Options options) {
  TRY_ASSIGN(std::unique_ptr<io::Loop> loop, io::Loop::create());
  auto engine = std::make_shared<RealEngine>(std::move(loop));
  TRY(engine->start(std::move(options)));
  return engine;
}

}  // namespace doozer::client
