// Virtual time: turns, their order, and the lanes beside them.
#include "sim/loop.h"

#include <gtest/gtest.h>

#include "sim/disk.h"

namespace doozer::sim {
namespace {

using env::Lane;

/// Writes down who ran, and when after the start.
struct Diary {
  explicit Diary(SimClock& clock) : clock(clock), start_us(clock.now_us()) {}
  UniqueFunction<void()> note(const std::string& what) {
    return [this, what] { add(what); };
  }
  void add(const std::string& what) {
    text += std::to_string(clock.now_us() - start_us) + ":" + what + " ";
  }
  SimClock& clock;
  uint64_t start_us;
  std::string text = {};
};

TEST(SimClock, ATurnRunsItsPhasesInOrderThenTheHooks) {
  SimClock clock;
  Diary diary(clock);
  const uint64_t now = clock.now_us();
  clock.at_turn_end(diary.note("hook1"));
  clock.at_turn_end(diary.note("hook2"));
  clock.post(diary.note("posted"));
  clock.enqueue(Phase::clients, now, diary.note("client"));
  clock.enqueue(Phase::bulk, now, diary.note("bulk"));
  clock.enqueue(Phase::disk, now, diary.note("disk"));
  clock.enqueue(Phase::control, now, diary.note("control"));
  clock.at(now, diary.note("timer"));
  EXPECT_TRUE(clock.run_turn());
  EXPECT_EQ(diary.text, "0:timer 0:control 0:disk 0:bulk 0:client 0:posted 0:hook1 0:hook2 ");
  EXPECT_FALSE(clock.run_turn()) << "nothing is left";
  EXPECT_EQ(clock.turns(), 1U);
}

TEST(SimClock, TimersRunInTheOrderOfTheirTimesAndThenOfTheirMaking) {
  SimClock clock;
  Diary diary(clock);
  const uint64_t now = clock.now_us();
  clock.at(now + 20, diary.note("c"));
  clock.at(now + 10, diary.note("a"));
  clock.at(now + 10, diary.note("b"));
  clock.run_until(now + 15);
  EXPECT_EQ(diary.text, "10:a 10:b ");
  EXPECT_EQ(clock.now_us(), now + 15);
  clock.run_until(now + 100);
  EXPECT_EQ(diary.text, "10:a 10:b 20:c ");
}

TEST(SimClock, ADriftingClockRunsFasterOrSlowerThanTheWorld) {
  struct Case {
    int64_t drift_ppm;
    uint64_t own_us;  ///< after a second of the world
  };
  for (const Case& c : {Case{10'000, 1'010'000}, Case{-10'000, 990'000}, Case{0, 1'000'000}}) {
    SimClock clock({.drift_ppm = c.drift_ppm});
    const uint64_t start = clock.now_us();
    clock.run_until(start + 1'000'000);
    EXPECT_EQ(clock.now_us() - start, c.own_us);
    EXPECT_EQ(clock.world_us() - start, 1'000'000U);
    const uint64_t due = clock.now_us() + 333'333;
    uint64_t ran_at = 0;
    clock.at(due, [&] { ran_at = clock.now_us(); });
    clock.run_turn();
    EXPECT_GE(ran_at, due) << "never early";
    EXPECT_LE(ran_at, due + 1);
    bool ran = false;
    clock.at(clock.now_us() - 1, [&] { ran = true; });
    EXPECT_EQ(clock.next_us(), clock.world_us()) << "what is due is due now";
    clock.run_turn();
    EXPECT_TRUE(ran);
  }
}

TEST(SimClock, TurnsTakeTheirTime) {
  SimClock clock({.turn_us = 10, .event_us = 3});
  const uint64_t start = clock.world_us();
  clock.post([] {});
  clock.post([] {});
  clock.run_turn();
  EXPECT_EQ(clock.world_us() - start, 16U);
}

TEST(SimClock, WhatATurnPostsRunsInTheNext) {
  SimClock clock;
  Diary diary(clock);
  clock.at_turn_end(diary.note("end"));
  clock.post([&] { clock.post(diary.note("second")); });
  clock.run_turn();
  EXPECT_EQ(diary.text, "0:end ");
  clock.run_turn();
  EXPECT_EQ(diary.text, "0:end 0:second 0:end ");
}

TEST(SimClock, ACancelledTimerNeverRunsEvenIfItWasDueInTheSameTurn) {
  SimClock clock;
  Diary diary(clock);
  const uint64_t now = clock.now_us();
  env::TimerId second = 0;
  clock.at(now, [&] { clock.cancel(second); });
  second = clock.at(now, diary.note("second"));
  const env::TimerId third = clock.at(now + 5, diary.note("third"));
  clock.cancel(third);
  clock.cancel(third);
  clock.run_until(now + 100);
  EXPECT_EQ(diary.text, "");
}

TEST(SimClock, TheWallClockMayJumpWithoutMovingTime) {
  SimClock clock;
  const uint64_t now = clock.now_us();
  clock.set_wall(42);
  EXPECT_EQ(clock.wall_us(), 42);
  clock.charge(8);
  EXPECT_EQ(clock.wall_us(), 50);
  EXPECT_EQ(clock.now_us(), now + 8);
}

TEST(SimClock, AStalledLoopRunsItsDueWorkAfterwards) {
  SimClock clock;
  Diary diary(clock);
  const uint64_t now = clock.now_us();
  clock.at(now + 10, diary.note("timer"));
  clock.beside(now + 10, diary.note("beside"));
  clock.stall_until(now + 50);
  clock.run_until(now + 100);
  EXPECT_EQ(diary.text, "10:beside 50:timer ");
}

TEST(SimLanes, AJobRunsBesideTheLoopAndItsDoneInALaterTurn) {
  SimClock clock;
  Diary diary(clock);
  SimLanes lanes(clock, nullptr, {.job_us = 30});
  clock.at_turn_end(diary.note("hook"));
  clock.post([&] {
    lanes.submit(
        Lane::log,
        [&]() -> Result<void> {
          diary.add("job");
          return {};
        },
        [&](Result<void> result) { diary.add(result ? "done" : "failed"); });
    diary.add("submitted");
  });
  EXPECT_EQ(lanes.unfinished(Lane::log), 0U);
  clock.run_turn();
  EXPECT_EQ(lanes.unfinished(Lane::log), 1U);
  while (clock.run_turn()) {
  }
  EXPECT_EQ(diary.text, "0:submitted 0:hook 0:job 30:done 30:hook ");
  EXPECT_EQ(lanes.unfinished(Lane::log), 0U);
}

TEST(SimLanes, ALaneRunsOneJobAtATimeInOrderAndLanesDoNotWaitForEachOther) {
  SimClock clock;
  Diary diary(clock);
  SimLanes lanes(clock, nullptr, {.job_us = 10});
  const auto submit = [&](Lane lane, const std::string& name) {
    lanes.submit(
        lane,
        [&diary, name]() -> Result<void> {
          diary.add(name);
          return {};
        },
        [&diary, name](Result<void>) { diary.add(name + "!"); });
  };
  submit(Lane::log, "a");
  submit(Lane::log, "b");
  submit(Lane::bulk, "x");
  while (clock.run_turn()) {
  }
  EXPECT_EQ(diary.text, "0:a 0:x 10:b 10:a! 10:x! 20:b! ");
}

TEST(SimLanes, TheDiskSaysHowLongAJobTakes) {
  SimClock clock;
  Diary diary(clock);
  SimDisk disk({.sync_us = 100, .write_us = 7, .other_us = 1});
  SimLanes lanes(clock, &disk, {.job_us = 10});
  disk.plan(3, {.extra_us = 1'000'000});
  lanes.submit(
      Lane::log,
      [&]() -> Result<void> {
        TRY_ASSIGN(const auto file, disk.open("a", env::OpenMode::create));
        TRY(file->write_at(0, "x"));
        return file->sync();
      },
      [&](Result<void>) { diary.add("done"); });
  while (clock.run_turn()) {
  }
  EXPECT_EQ(diary.text, "1000118:done ");
}

TEST(SimLanes, AStalledLaneBeginsNothing) {
  SimClock clock;
  Diary diary(clock);
  SimLanes lanes(clock, nullptr, {.job_us = 10});
  lanes.stall_until(Lane::log, clock.now_us() + 500);
  for (const Lane lane : {Lane::log, Lane::bulk}) {
    lanes.submit(
        lane, [] { return Result<void>(); },
        [&diary, lane](Result<void>) { diary.add(lane == Lane::log ? "log" : "bulk"); });
  }
  while (clock.run_turn()) {
  }
  EXPECT_EQ(diary.text, "10:bulk 510:log ");
}

TEST(SimLanes, WhenTheyDieNothingMoreIsHeard) {
  SimClock clock;
  Diary diary(clock);
  auto lanes = std::make_unique<SimLanes>(clock, nullptr);
  for (int i = 0; i < 2; ++i) {
    lanes->submit(
        Lane::log,
        [&]() -> Result<void> {
          diary.add("job");
          return {};
        },
        [&](Result<void>) { diary.add("done"); });
  }
  clock.run_turn();  // the first job begins
  lanes.reset();
  while (clock.run_turn()) {
  }
  EXPECT_EQ(diary.text, "0:job ");
}

TEST(SimLanes, JitterComesFromTheSeed) {
  const auto run = [](uint64_t seed) {
    SimClock clock;
    Diary diary(clock);
    SimLanes lanes(clock, nullptr, {.seed = seed, .job_us = 10, .job_jitter_us = 1'000});
    for (int i = 0; i < 5; ++i) {
      lanes.submit(
          Lane::log, [] { return Result<void>(); }, [&](Result<void>) { diary.add("done"); });
    }
    while (clock.run_turn()) {
    }
    return diary.text;
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TEST(SimWork, DoneComesInALaterTurn) {
  SimClock clock;
  Diary diary(clock);
  SimWork work(clock, 15);
  work.submit(diary.note("job"), diary.note("done"));
  EXPECT_EQ(diary.text, "0:job ");
  while (clock.run_turn()) {
  }
  EXPECT_EQ(diary.text, "0:job 15:done ");
}

}  // namespace
}  // namespace doozer::sim
