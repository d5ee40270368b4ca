// The loop of one simulated server in virtual time, and the lanes and helpers beside it: what io/
// does with epoll and threads, done one step after the other in an order that is always the same.
//
// A SimClock belongs to one process: destroying it (and its lanes) is how a process dies, and what
// was to run then never runs. Nothing runs but inside run_turn(); time passes only between turns,
// by charge() and by stall_until().
//
// There are two times. The world's is one for all processes and orders everything in sim/:
// world_us(), enqueue(), next_us(). The server's own is what its hardware makes of it, faster or
// slower by a drift: now_us(), at(). Without drift and offset they are the same number.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/rng.h"
#include "env/clock.h"
#include "env/disk.h"
#include "env/work.h"

namespace doozer::sim {

class SimDisk;

/// The parts of a turn, in their order (env/clock.h).
enum class Phase : uint8_t { timers, control, disk, bulk, clients, posted };

struct SimClockOptions {
  uint64_t start_us = 1'000'000;  ///< of the world's time
  int64_t wall_start_us = 1'750'000'000'000'000;
  int64_t drift_ppm = 0;  ///< the own clock gains so many microseconds in a second of the world
  uint64_t turn_us = 0;   ///< what each turn of the loop takes
  uint64_t event_us = 0;  ///< and each thing done in it
};

class SimClock final : public env::Clock {
 public:
  explicit SimClock(const SimClockOptions& options = {});

  // --- env::Clock
  uint64_t now_us() const override;
  int64_t wall_us() const override { return static_cast<int64_t>(now_us()) + wall_offset_us_; }
  env::TimerId at(uint64_t when_us, UniqueFunction<void()> then) override;
  void cancel(env::TimerId timer) override;
  void post(UniqueFunction<void()> slice) override;
  void at_turn_end(UniqueFunction<void()> hook) override;

  // --- For the rest of sim/, in the world's time
  uint64_t world_us() const { return now_us_; }
  /// The clock of a process that had nothing to do goes on to the present. Never back.
  void advance_to(uint64_t us) { now_us_ = us > now_us_ ? us : now_us_; }
  /// Runs `then` in that phase of a turn at or after `when_us`.
  void enqueue(Phase phase, uint64_t when_us, UniqueFunction<void()> then);
  /// Runs `then` at `when_us`, beside the loop (a helper thread): not in a turn, no hooks.
  void beside(uint64_t when_us, UniqueFunction<void()> then);
  /// Lets the wall clock jump; now_us() does not.
  void set_wall(int64_t wall_us) { wall_offset_us_ = wall_us - static_cast<int64_t>(now_us()); }
  /// The step that runs takes so long.
  void charge(uint64_t us) { now_us_ += us; }
  /// The loop's thread gets no time before `until_us`; what runs beside it does.
  void stall_until(uint64_t until_us) { stalled_until_us_ = until_us; }

  // --- Driving
  /// When something is to run next; nullopt if nothing ever is.
  std::optional<uint64_t> next_us() const;
  /// Goes to next_us() and runs what is due: first beside the loop, then one turn of it. False if
  /// there was nothing.
  bool run_turn();
  /// Runs turns until none is due before `until_us`, then lets the time be that.
  void run_until(uint64_t until_us);
  /// Runs turns until `done()`; false after `turns_max` turns or when nothing is left to run.
  bool run_until_done(const std::function<bool()>& done, uint64_t turns_max = 100'000);
  uint64_t turns() const { return turns_; }

 private:
  struct Key {
    uint64_t when_us;
    uint64_t sequence;
    auto operator<=>(const Key&) const = default;
  };
  struct Event {
    Phase phase;
    UniqueFunction<void()> then;
  };
  void run_phase(Phase phase, const std::vector<Key>& due);
  uint64_t world_at(uint64_t own_us) const;

  SimClockOptions options_;
  uint64_t now_us_;  ///< of the world
  int64_t wall_offset_us_;
  uint64_t stalled_until_us_ = 0;
  uint64_t sequence_ = 0;
  uint64_t turns_ = 0;
  std::map<Key, Event> events_;
  std::map<env::TimerId, Key> timers_;
  std::map<Key, UniqueFunction<void()>> beside_;
  std::deque<UniqueFunction<void()>> hooks_;
};

struct SimLanesOptions {
  uint64_t seed = 1;
  uint64_t job_us = 20;        ///< the least that a job takes, with its hand-over
  uint64_t job_jitter_us = 0;  ///< and up to so much more, drawn for each
};

/// Each lane runs one job at a time, in order: at a virtual time after submit(), beside the loop;
/// `done` is heard when the job's time (with what the disk says it took) is over. Destroying it
/// drops the jobs that have not begun and every `done`.
class SimLanes final : public env::Lanes {
 public:
  /// `disk` may be nullptr: then jobs take job_us.
  SimLanes(SimClock& clock, SimDisk* disk, const SimLanesOptions& options = {});
  ~SimLanes() override;
  SimLanes(const SimLanes&) = delete;
  SimLanes& operator=(const SimLanes&) = delete;

  void submit(env::Lane lane, UniqueFunction<Result<void>()> job,
              UniqueFunction<void(Result<void>)> done) override;
  /// No job of the lane begins before then.
  void stall_until(env::Lane lane, uint64_t until_us);
  /// Jobs submitted whose `done` was not yet called.
  size_t unfinished(env::Lane lane) const;

 private:
  struct State;
  static void begin_next(const std::shared_ptr<State>& state, env::Lane lane);
  std::shared_ptr<State> state_;
};

/// Runs a job in submit()'s turn, `done` in a later one.
class SimWork final : public env::Work {
 public:
  explicit SimWork(SimClock& clock, uint64_t job_us = 20);
  void submit(UniqueFunction<void()> job, UniqueFunction<void()> done) override;

 private:
  SimClock& clock_;
  uint64_t job_us_;
};

}  // namespace doozer::sim
