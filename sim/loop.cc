#include "sim/loop.h"

#include <algorithm>

#include "base/check.h"
#include "sim/disk.h"

namespace doozer::sim {

SimClock::SimClock(const SimClockOptions& options)
    : options_(options),
      now_us_(options.start_us),
      wall_offset_us_(options.wall_start_us - static_cast<int64_t>(options.start_us)) {}

uint64_t SimClock::now_us() const {
  const auto passed = static_cast<int64_t>(now_us_ - options_.start_us);
  return now_us_ + static_cast<uint64_t>(passed * options_.drift_ppm / 1'000'000);
}

/// The first moment of the world at which the own clock shows `own_us`.
uint64_t SimClock::world_at(uint64_t own_us) const {
  if (options_.drift_ppm == 0) return own_us;
  if (own_us <= now_us()) return own_us < now_us_ ? own_us : now_us_;
  const uint64_t passed = own_us - options_.start_us;
  const auto rate = static_cast<uint64_t>(1'000'000 + options_.drift_ppm);
  // Far beyond any run: a timer that is never due.
  if (passed > UINT64_MAX / 1'000'000) return UINT64_MAX;
  return options_.start_us + (passed * 1'000'000 + rate - 1) / rate;
}

env::TimerId SimClock::at(uint64_t when_us, UniqueFunction<void()> then) {
  const Key key{world_at(when_us), ++sequence_};
  const env::TimerId id = key.sequence;
  timers_.emplace(id, key);
  events_.emplace(key, Event{Phase::timers, [this, id, then = std::move(then)]() mutable {
                               timers_.erase(id);
                               then();
                             }});
  return id;
}

void SimClock::cancel(env::TimerId timer) {
  const auto found = timers_.find(timer);
  if (found == timers_.end()) return;
  events_.erase(found->second);
  timers_.erase(found);
}

void SimClock::post(UniqueFunction<void()> slice) {
  enqueue(Phase::posted, now_us_, std::move(slice));
}

void SimClock::at_turn_end(UniqueFunction<void()> hook) { hooks_.push_back(std::move(hook)); }

void SimClock::enqueue(Phase phase, uint64_t when_us, UniqueFunction<void()> then) {
  events_.emplace(Key{when_us, ++sequence_}, Event{phase, std::move(then)});
}

void SimClock::beside(uint64_t when_us, UniqueFunction<void()> then) {
  beside_.emplace(Key{when_us, ++sequence_}, std::move(then));
}

std::optional<uint64_t> SimClock::next_us() const {
  std::optional<uint64_t> next;
  if (!events_.empty()) next = std::max(events_.begin()->first.when_us, stalled_until_us_);
  if (!beside_.empty()) {
    next = std::min(next.value_or(UINT64_MAX), beside_.begin()->first.when_us);
  }
  if (next) next = std::max(*next, now_us_);
  return next;
}

bool SimClock::run_turn() {
  const auto next = next_us();
  if (!next) return false;
  now_us_ = *next;
  while (!beside_.empty() && beside_.begin()->first.when_us <= now_us_) {
    UniqueFunction<void()> then = std::move(beside_.begin()->second);
    beside_.erase(beside_.begin());
    then();
  }
  if (now_us_ < stalled_until_us_) return true;
  // What becomes due during the turn belongs to the next one.
  std::vector<Key> due;
  for (const auto& [key, event] : events_) {
    if (key.when_us > now_us_) break;
    due.push_back(key);
  }
  if (due.empty()) return true;
  ++turns_;
  for (const Phase phase :
       {Phase::timers, Phase::control, Phase::disk, Phase::bulk, Phase::clients, Phase::posted}) {
    run_phase(phase, due);
  }
  for (UniqueFunction<void()>& hook : hooks_) hook();
  now_us_ += options_.turn_us + options_.event_us * due.size();
  return true;
}

void SimClock::run_phase(Phase phase, const std::vector<Key>& due) {
  for (const Key& key : due) {
    const auto found = events_.find(key);  // one that an earlier event cancelled is gone
    if (found == events_.end() || found->second.phase != phase) continue;
    UniqueFunction<void()> then = std::move(found->second.then);
    events_.erase(found);
    then();
  }
}

void SimClock::run_until(uint64_t until_us) {
  for (auto next = next_us(); next && *next <= until_us; next = next_us()) run_turn();
  now_us_ = std::max(now_us_, until_us);
}

bool SimClock::run_until_done(const std::function<bool()>& done, uint64_t turns_max) {
  for (uint64_t i = 0; i < turns_max; ++i) {
    if (done()) return true;
    if (!run_turn()) return done();
  }
  return done();
}

// --- Lanes

struct SimLanes::State {
  struct Job {
    UniqueFunction<Result<void>()> job;
    UniqueFunction<void(Result<void>)> done;
  };
  struct LaneState {
    std::deque<Job> waiting;
    bool busy = false;
    uint64_t stalled_until_us = 0;
    size_t unfinished = 0;
  };
  State(SimClock& given_clock, SimDisk* given_disk, const SimLanesOptions& given)
      : clock(given_clock), disk(given_disk), options(given), rng(given.seed) {}
  LaneState& lane(env::Lane which) { return lanes[static_cast<size_t>(which)]; }

  SimClock& clock;
  SimDisk* disk;
  SimLanesOptions options;
  Rng rng;
  bool gone = false;
  LaneState lanes[2];
};

SimLanes::SimLanes(SimClock& clock, SimDisk* disk, const SimLanesOptions& options)
    : state_(std::make_shared<State>(clock, disk, options)) {}

SimLanes::~SimLanes() {
  state_->gone = true;
  for (State::LaneState& lane : state_->lanes) lane.waiting.clear();
}

void SimLanes::submit(env::Lane lane, UniqueFunction<Result<void>()> job,
                      UniqueFunction<void(Result<void>)> done) {
  State::LaneState& at = state_->lane(lane);
  at.waiting.push_back({std::move(job), std::move(done)});
  ++at.unfinished;
  if (!at.busy) begin_next(state_, lane);
}

void SimLanes::begin_next(const std::shared_ptr<State>& state, env::Lane lane) {
  State::LaneState& at = state->lane(lane);
  at.busy = !at.waiting.empty();
  if (!at.busy) return;
  const uint64_t begin_us = std::max(state->clock.world_us(), at.stalled_until_us);
  state->clock.beside(begin_us, [state, lane] {
    if (state->gone) return;
    State::LaneState& here = state->lane(lane);
    if (state->clock.world_us() < here.stalled_until_us) {  // stalled meanwhile
      begin_next(state, lane);
      return;
    }
    auto [job, done] = std::move(here.waiting.front());
    here.waiting.pop_front();
    if (state->disk != nullptr) state->disk->take_spent_us();
    Result<void> result = job();
    uint64_t took_us = state->options.job_us;
    if (state->disk != nullptr) took_us += state->disk->take_spent_us();
    if (state->options.job_jitter_us > 0) {
      took_us += state->rng.below(state->options.job_jitter_us + 1);
    }
    const uint64_t end_us = state->clock.world_us() + took_us;
    state->clock.enqueue(
        Phase::disk, end_us,
        [state, lane, heard = std::move(done), result = std::move(result)]() mutable {
          if (state->gone) return;
          --state->lane(lane).unfinished;
          heard(std::move(result));
        });
    state->clock.beside(end_us, [state, lane] {
      if (!state->gone) begin_next(state, lane);
    });
  });
}

void SimLanes::stall_until(env::Lane lane, uint64_t until_us) {
  state_->lane(lane).stalled_until_us = until_us;
}

size_t SimLanes::unfinished(env::Lane lane) const { return state_->lane(lane).unfinished; }

// --- Work

SimWork::SimWork(SimClock& clock, uint64_t job_us) : clock_(clock), job_us_(job_us) {}

void SimWork::submit(UniqueFunction<void()> job, UniqueFunction<void()> done) {
  job();
  clock_.enqueue(Phase::disk, clock_.world_us() + job_us_, std::move(done));
}

}  // namespace doozer::sim
