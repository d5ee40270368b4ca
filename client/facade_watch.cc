// The two ways to hear a watch from other threads: asked for one event at a time, or called.
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

#include "base/bytes.h"
#include "client/facade_impl.h"
#include "client/limits.h"

namespace doozer {

using client::Core;
using client::Watcher;

// --- Asked for

/// Shared by the thread that asks and the engine's thread that fills.
struct Watch::State {
  explicit State(std::shared_ptr<client::Engine> engine) : engine(std::move(engine)) {}

  const std::shared_ptr<client::Engine> engine;

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Event> buffer;
  size_t buffered_bytes = 0;
  std::optional<Error> over = {};  ///< told when the buffer is empty
  Position position = {};          ///< after the last event given out
  bool paused = false;

  std::shared_ptr<Watcher> watcher = {};  ///< of the engine's thread

  bool full() const {
    return buffer.size() >= client::kWatchBufferedEvents ||
           buffered_bytes >= client::kWatchBufferedBytes;
  }
  /// On the engine's thread.
  void take(Result<Event> event) {
    const std::lock_guard lock(mutex);
    if (!event) {
      if (!over) over = std::move(event).error();
    } else {
      buffered_bytes += event->value.size() + event->path.size();
      buffer.push_back(std::move(*event));
      if (full()) {
        paused = true;
        watcher->pause();
      }
    }
    changed.notify_all();
  }
};

Watch::Watch(std::shared_ptr<State> state) : state_(std::move(state)) {}

Watch::~Watch() { cancel(); }

Watch& Watch::operator=(Watch&& other) noexcept {
  if (this != &other) {
    cancel();
    state_ = std::move(other.state_);
  }
  return *this;
}

Result<Event> Watch::next(Duration timeout) {
  if (state_ == nullptr) return fail(Code::closed, "no watch");
  State& state = *state_;
  if (state.engine->on_own_thread()) {
    return fail(Code::bad_argument, "Watch::next() from inside a callback would wait for itself");
  }
  std::unique_lock lock(state.mutex);
  const auto ready = [&state] { return !state.buffer.empty() || state.over.has_value(); };
  // A deadline so far away that a clock could not hold it is none.
  constexpr Duration kForEver = std::chrono::hours(24 * 365 * 100);
  if (timeout > kForEver) {
    state.changed.wait(lock, ready);
  } else if (!state.changed.wait_for(lock, std::max(timeout, Duration::zero()), ready)) {
    return fail(Code::timed_out, "no event within the time limit");
  }
  if (state.buffer.empty()) return fail(*state.over);
  Event event = std::move(state.buffer.front());
  state.buffer.pop_front();
  state.buffered_bytes -= event.value.size() + event.path.size();
  state.position = event.next();
  if (state.paused && !state.full()) {
    state.paused = false;
    state.engine->post([state = state_](Core* core) {
      if (core != nullptr && state->watcher != nullptr) state->watcher->resume();
    });
  }
  return event;
}

Position Watch::position() const {
  if (state_ == nullptr) return {};
  const std::lock_guard lock(state_->mutex);
  return state_->position;
}

void Watch::cancel() {
  if (state_ == nullptr) return;
  {
    const std::lock_guard lock(state_->mutex);
    if (!state_->over) state_->over = Error{Code::closed, "the watch was cancelled"};
    state_->buffer.clear();
    state_->buffered_bytes = 0;
    state_->changed.notify_all();
  }
  state_->engine->post([state = state_](Core* /*core*/) {
    if (state->watcher != nullptr) state->watcher->cancel();
    state->watcher.reset();
  });
}

Result<Watch> Client::watch(std::string_view glob, Position from) {
  auto state = std::make_shared<Watch::State>(impl_->engine);
  state->position = from;
  impl_->engine->post([state, glob = std::string(glob), from](Core* core) mutable {
    if (core == nullptr) {
      state->take(fail(Code::closed, "the client is closed"));
      return;
    }
    state->watcher = core->watch(std::move(glob), from,
                                 [state](Result<Event> event) { state->take(std::move(event)); });
    state->watcher->on_beginning([state](Position position) {
      const std::lock_guard lock(state->mutex);
      state->position = position;
    });
  });
  return Watch(std::move(state));
}

// --- Called

struct WatchHandle::State {
  explicit State(std::shared_ptr<client::Engine> engine) : engine(std::move(engine)) {}

  const std::shared_ptr<client::Engine> engine;
  std::shared_ptr<Watcher> watcher = {};  ///< of the engine's thread
  bool cancelled = false;                 ///< likewise
};

WatchHandle::WatchHandle(std::shared_ptr<State> state) : state_(std::move(state)) {}

WatchHandle::~WatchHandle() { cancel(); }

WatchHandle& WatchHandle::operator=(WatchHandle&& other) noexcept {
  if (this != &other) {
    cancel();
    state_ = std::move(other.state_);
  }
  return *this;
}

void WatchHandle::cancel() {
  if (state_ == nullptr) return;
  const std::shared_ptr<State> state = std::move(state_);
  state_.reset();
  const auto stop = [state] {
    state->cancelled = true;
    if (state->watcher != nullptr) state->watcher->cancel();
    state->watcher.reset();
  };
  if (state->engine->on_own_thread()) {
    stop();
    return;
  }
  std::promise<bool> stopped;
  state->engine->post([&stopped, stop](Core* core) {
    if (core != nullptr) stop();
    stopped.set_value(core != nullptr);
  });
  // An engine that is closing may still be in the handler.
  if (!stopped.get_future().get()) state->engine->await_closed();
}

Result<WatchHandle> Client::watch(std::string_view glob, Position from,
                                  std::function<void(Result<Event>)> handler) {
  auto state = std::make_shared<WatchHandle::State>(impl_->engine);
  impl_->engine->post(
      [state, glob = std::string(glob), from, handler = std::move(handler)](Core* core) mutable {
        if (core == nullptr) {
          handler(fail(Code::closed, "the client is closed"));
          return;
        }
        if (state->cancelled) return;
        state->watcher = core->watch(std::move(glob), from, std::move(handler));
      });
  return WatchHandle(std::move(state));
}

}  // namespace doozer
