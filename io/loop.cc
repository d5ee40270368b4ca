#include "io/loop.h"

#include <time.h>

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "io/poller.h"

namespace doozer::io {
namespace {

// A turn that took less wall time cannot be of interest; the CPU clock, which is a system call, is
// not asked.
constexpr uint64_t kShortTurnUs = 300;
// But for one of so many: what the poller uses between turns would else add up and be taken for
// the next long turn's.
constexpr uint64_t kUnsampledTurnsMax = 16;

constexpr size_t kTlsRecordBytes = 16 * kKiB;  // RFC 8446, section 5.1

uint64_t clock_us(clockid_t clock) {
  timespec time{};
  CHECK(clock_gettime(clock, &time) == 0);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000 +
         static_cast<uint64_t>(time.tv_nsec) / 1000;
}

}  // namespace

Result<std::unique_ptr<Loop>> Loop::create() {
  try {
    return std::unique_ptr<Loop>(new Loop(std::make_unique<Poller>()));
  } catch (const std::exception& thrown) {
    return fail(Code::io_error, std::string("cannot make an event loop: ") + thrown.what());
  }
}

Loop::Loop(std::unique_ptr<Poller> poller)
    : poller_(std::move(poller)), read_buffer_(kReadChunkBytes), record_buffer_(kTlsRecordBytes) {}

// What callables own may reach back into the loop, so they go first, while all of it still stands.
Loop::~Loop() {
  inbox_.clear();
  slices_.clear();
  hooks_.clear();
  while (timers_.take_due(UINT64_MAX)) {
  }
}

uint64_t Loop::now_us() const { return clock_us(CLOCK_MONOTONIC); }

int64_t Loop::wall_us() const { return static_cast<int64_t>(clock_us(CLOCK_REALTIME)); }

env::TimerId Loop::at(uint64_t when_us, UniqueFunction<void()> then) {
  // A timer that is set into the past by a timer must wait for the next turn.
  return timers_.add(std::max(when_us, timers_due_us_ + 1), std::move(then));
}

void Loop::cancel(env::TimerId timer) { timers_.cancel(timer); }

void Loop::post(UniqueFunction<void()> slice) {
  CHECK(static_cast<bool>(slice));
  slices_.push_back(std::move(slice));
}

void Loop::at_turn_end(UniqueFunction<void()> hook) {
  CHECK(static_cast<bool>(hook));
  hooks_.push_back(std::move(hook));
}

void Loop::run() {
  sampled(clock_us(CLOCK_THREAD_CPUTIME_ID));
  while (!stop_.exchange(false)) turn_once(-1);
}

bool Loop::run_for(uint64_t us) {
  sampled(clock_us(CLOCK_THREAD_CPUTIME_ID));
  const uint64_t end_us = now_us() + us;
  while (!stop_.exchange(false)) {
    const uint64_t now = now_us();
    if (now >= end_us) return false;
    turn_once(static_cast<int64_t>(end_us - now));
  }
  return true;
}

void Loop::stop() {
  stop_.store(true);
  poller_->wake();
}

void Loop::post_from_any_thread(UniqueFunction<void()> then) {
  CHECK(static_cast<bool>(then));
  bool first = false;
  {
    const std::lock_guard lock(inbox_mutex_);
    first = inbox_.empty();
    inbox_.push_back(std::move(then));
  }
  // Who finds the inbox filled knows that a wake-up is already under way.
  if (first) poller_->wake();
}

void Loop::enqueue(env::StreamClass stream_class, Ready& item) {
  if (item.linked()) return;
  switch (stream_class) {
    case env::StreamClass::control: control_.push_back(item); return;
    case env::StreamClass::bulk: bulk_.push_back(item); return;
    case env::StreamClass::client: clients_.push_back(item); return;
  }
  UNREACHABLE();
}

bool Loop::take_handshake_step() {
  if (handshake_steps_ >= kHandshakesPerTurn) {
    ++stats_.handshakes_put_off;
    return false;
  }
  ++handshake_steps_;
  ++stats_.handshake_steps;
  return true;
}

// How long nothing will be there to do: 0 if there is something, -1 if only the world can tell.
int64_t Loop::block_us(uint64_t now_us) const {
  if (!control_.empty() || !bulk_.empty() || !clients_.empty() || !slices_.empty()) return 0;
  if (timers_.empty()) return -1;
  const uint64_t first_us = timers_.first_us();
  return first_us <= now_us ? 0 : static_cast<int64_t>(first_us - now_us);
}

void Loop::turn_once(int64_t block_us_max) {
  int64_t block = block_us(timers_.empty() ? 0 : now_us());
  if (block_us_max >= 0) block = block < 0 ? block_us_max : std::min(block, block_us_max);
  if (block != 0) ++stats_.wake_ups;
  poller_->wait(block);

  const uint64_t began_us = now_us();
  ++turn_;
  handshake_steps_ = 0;
  ran_ = false;
  timers_due_us_ = began_us;
  const size_t slices = slices_.size();
  run_timers();
  run_all(control_);
  run_inbox();
  run_all(bulk_);
  run_clients();
  run_slices(slices);
  if (!ran_) return;
  // By number: a hook may add another one.
  for (size_t i = 0; i < hooks_.size(); ++i) hooks_[i]();
  ++stats_.turns;
  account(began_us);
}

void Loop::run_timers() {
  while (UniqueFunction<void()> then = timers_.take_due(timers_due_us_)) {
    ran_ = true;
    then();
  }
}

// What is enqueued meanwhile waits for the next turn.
void Loop::run_all(ReadyList& list) {
  ReadyList now;
  now.prepend(list);
  while (Ready* item = now.pop()) {
    ran_ = true;
    item->on_ready();
  }
}

void Loop::run_inbox() {
  std::vector<UniqueFunction<void()>> now;
  {
    const std::lock_guard lock(inbox_mutex_);
    now.swap(inbox_);
  }
  for (UniqueFunction<void()>& then : now) {
    ran_ = true;
    then();
    then = {};
  }
}

// Whoever does not get his turn now comes first in the next one.
void Loop::run_clients() {
  if (clients_.empty()) return;
  ReadyList now;
  now.prepend(clients_);
  const uint64_t end_us = now_us() + kClientsPerTurnUs;
  do {
    Ready* const item = now.pop();
    if (item == nullptr) break;
    ran_ = true;
    item->on_ready();
  } while (now_us() < end_us);
  clients_.prepend(now);
}

// Only those that were posted before this turn: a slice that posts itself again runs once a turn.
void Loop::run_slices(size_t count) {
  if (count == 0) return;
  const uint64_t end_us = now_us() + kSlicesPerTurnUs;
  size_t done = 0;
  do {
    UniqueFunction<void()> slice = std::move(slices_[done++]);
    ran_ = true;
    slice();
  } while (done < count && now_us() < end_us);
  slices_.erase(slices_.begin(), slices_.begin() + static_cast<std::ptrdiff_t>(done));
}

void Loop::sampled(uint64_t cpu_us) {
  cpu_sample_us_ = cpu_us;
  sampled_turn_ = turn_;
  unsampled_wall_us_ = 0;
}

// Finds the longest turn while asking for the CPU time, a system call, hardly more often than after
// turns that were long by the wall clock. A short turn is taken to have used all of its wall time,
// so that the figure of a later long turn is never too high.
void Loop::account(uint64_t turn_began_us) {
  const uint64_t wall_us = now_us() - turn_began_us;
  const bool is_short = wall_us < kShortTurnUs;
  if (is_short && turn_ - sampled_turn_ < kUnsampledTurnsMax) {
    unsampled_wall_us_ += wall_us;
    return;
  }
  const uint64_t used_us = clock_us(CLOCK_THREAD_CPUTIME_ID) - cpu_sample_us_;
  const uint64_t turn_us =
      std::min(wall_us, used_us > unsampled_wall_us_ ? used_us - unsampled_wall_us_ : 0);
  sampled(cpu_sample_us_ + used_us);
  if (is_short) return;
  stats_.turn_cpu_us_max = std::max(stats_.turn_cpu_us_max, turn_us);
  if (turn_us > kLoopTurnMaxMs * 1000) ++stats_.turns_over_limit;
}

}  // namespace doozer::io
