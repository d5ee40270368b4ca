// The real event loop: one thread, turns in the order of env/clock.h.
//
// How it is used. A server's main makes a Loop, then RealNet, RealDisk and ThreadLanes over it,
// hands these to the server as env::…, and calls run(). The blocking client library runs a Loop of
// its own on a thread of its own and talks to it by post_from_any_thread(). Nothing is global:
// several loops live in one process without knowing of each other.
//
// All calls belong to the loop's thread (before run(): the thread that made it), except for
// post_from_any_thread() and stop(). Everything made over a loop must be destroyed before it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/function.h"
#include "base/result.h"
#include "env/clock.h"
#include "env/net.h"
#include "io/ready.h"
#include "io/timer_heap.h"

namespace doozer::io {

class Poller;

struct LoopStats {
  uint64_t turns = 0;               ///< in which something ran
  uint64_t wake_ups = 0;            ///< times that the loop had blocked
  uint64_t turn_cpu_us_max = 0;     ///< the longest turn, in CPU time of the thread
  uint64_t turns_over_limit = 0;    ///< turns over kLoopTurnMaxMs of CPU time
  uint64_t handshake_steps = 0;     ///< costly steps of TLS handshakes
  uint64_t handshakes_put_off = 0;  ///< steps that had to wait for a later turn
};

class Loop final : public env::Clock {
 public:
  /// Errors: io_error (no file descriptors left).
  static Result<std::unique_ptr<Loop>> create();
  ~Loop() override;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // env::Clock
  uint64_t now_us() const override;
  int64_t wall_us() const override;
  env::TimerId at(uint64_t when_us, UniqueFunction<void()> then) override;
  void cancel(env::TimerId timer) override;
  void post(UniqueFunction<void()> slice) override;
  void at_turn_end(UniqueFunction<void()> hook) override;

  /// Runs turns until stop(). A stop() that came before makes it return at once (and is used up).
  void run();
  /// Runs turns until stop() or until `us` have passed; true if it was stopped. For tests and
  /// tools.
  bool run_for(uint64_t us);
  /// Ends run() after the current turn. From any thread.
  void stop();
  /// Runs `then` in a later turn, where disk and work completions have their place. From any
  /// thread; calls of one thread keep their order. What was not run when the loop dies is dropped.
  void post_from_any_thread(UniqueFunction<void()> then);

  LoopStats stats() const { return stats_; }
  /// Begins the search for the longest turn anew, so that a metric can tell it by the minute.
  void forget_longest_turn() { stats_.turn_cpu_us_max = 0; }

  // For the streams and listeners of io/ only.
  /// Handles `item` in this turn if the part for its class is still to come, else in the next.
  /// Enqueuing it again before that changes nothing.
  void enqueue(env::StreamClass stream_class, Ready& item);
  /// kReadChunkBytes that all streams of the loop read into; good until the callback returns.
  std::span<char> read_buffer() { return read_buffer_; }
  /// Room for one TLS record; as read_buffer(), which holds what is being decrypted meanwhile.
  std::span<char> record_buffer() { return record_buffer_; }
  /// Takes one of the kHandshakesPerTurn steps of this turn; false if they are used up.
  bool take_handshake_step();
  Poller& poller() { return *poller_; }
  /// The number of the current turn.
  uint64_t turn() const { return turn_; }

 private:
  explicit Loop(std::unique_ptr<Poller> poller);
  void turn_once(int64_t block_us_max);
  int64_t block_us(uint64_t now_us) const;
  void run_timers();
  void run_all(ReadyList& list);
  void run_inbox();
  void run_clients();
  void run_slices(size_t count);
  void account(uint64_t turn_began_us);
  void sampled(uint64_t cpu_us);

  // Fixed after construction.
  std::unique_ptr<Poller> poller_;
  std::vector<char> read_buffer_;
  std::vector<char> record_buffer_;

  // Of the loop's thread.
  TimerHeap timers_;
  uint64_t timers_due_us_ = 0;  // timers up to here have run or are running
  ReadyList control_;
  ReadyList bulk_;
  ReadyList clients_;
  std::vector<UniqueFunction<void()>> slices_;
  std::vector<UniqueFunction<void()>> hooks_;
  uint64_t turn_ = 0;
  size_t handshake_steps_ = 0;  // in this turn
  bool ran_ = false;            // in this turn
  LoopStats stats_;
  uint64_t cpu_sample_us_ = 0;      // CPU time of the thread when it was last asked for
  uint64_t sampled_turn_ = 0;       // the turn at whose end that was
  uint64_t unsampled_wall_us_ = 0;  // spent in turns since then

  // Shared with other threads.
  std::atomic<bool> stop_{false};
  std::mutex inbox_mutex_;
  std::vector<UniqueFunction<void()>> inbox_;
};

}  // namespace doozer::io
