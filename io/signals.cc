#include "io/signals.h"

#include <asio/signal_set.hpp>
#include <csignal>
#include <exception>
#include <utility>
#include <vector>

#include "io/poller.h"
#include "io/ready.h"

namespace doozer::io {

// Shared with Asio's handler, which may find us gone.
struct Signals::State final : Ready {
  State(Loop& loop, UniqueFunction<void(int)> heard)
      : loop(loop),
        heard(std::move(heard)),
        set(loop.poller().context(), SIGINT, SIGTERM, SIGHUP) {}

  static void wait(const std::shared_ptr<State>& self) {
    self->set.async_wait([self](const asio::error_code& error, int signal) {
      if (error || self->ended) return;
      self->pending.push_back(signal);
      self->loop.enqueue(env::StreamClass::control, *self);
      wait(self);
    });
  }

  void on_ready() override {
    const std::shared_ptr<State> alive = keep.lock();
    for (const int signal : std::exchange(pending, {})) {
      if (!ended) heard(signal);
    }
  }

  Loop& loop;
  UniqueFunction<void(int)> heard;
  asio::basic_signal_set<asio::io_context::executor_type> set;
  std::vector<int> pending;
  std::weak_ptr<State> keep;
  bool ended = false;
};

Result<std::unique_ptr<Signals>> Signals::watch(Loop& loop, UniqueFunction<void(int)> heard) {
  std::signal(SIGPIPE, SIG_IGN);
  try {
    auto state = std::make_shared<State>(loop, std::move(heard));
    state->keep = state;
    State::wait(state);
    return std::unique_ptr<Signals>(new Signals(std::move(state)));
  } catch (const std::exception& thrown) {
    return fail(Code::io_error, std::string("cannot watch signals: ") + thrown.what());
  }
}

Signals::Signals(std::shared_ptr<State> state) : state_(std::move(state)) {}

Signals::~Signals() {
  state_->ended = true;
  state_->unlink();
  asio::error_code ignored;
  state_->set.cancel(ignored);
  state_->set.clear(ignored);
}

}  // namespace doozer::io
