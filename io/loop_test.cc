#include "io/loop.h"

#include <poll.h>
#include <time.h>

#include <functional>
#include <thread>

#include "base/limits.h"
#include "base/rng.h"
#include "io/io_testing.h"
#include "io/ready.h"
#include "io/timer_heap.h"

namespace doozer::io {
namespace {

struct Item : Ready {
  Item(std::string name, std::vector<std::string>& trace) : name(std::move(name)), trace(trace) {}
  void on_ready() override {
    trace.push_back(name);
    if (then) then();
  }
  std::string name;
  std::vector<std::string>& trace;
  std::function<void()> then;
};

using Trace = std::vector<std::string>;

TEST(TimerHeap, GivesTimersInOrderAndForgetsCancelledOnes) {
  TimerHeap heap;
  Rng rng(1);
  std::vector<std::pair<uint64_t, env::TimerId>> kept;
  std::vector<uint64_t> ran;
  for (int i = 0; i < 2000; ++i) {
    const uint64_t when = rng.below(500);
    const env::TimerId id = heap.add(when, [&ran, when] { ran.push_back(when); });
    if (rng.chance(1, 3)) {
      heap.cancel(id);
      heap.cancel(id);
    } else {
      kept.emplace_back(when, id);
    }
  }
  EXPECT_EQ(heap.size(), kept.size());
  while (auto then = heap.take_due(499)) then();
  EXPECT_TRUE(heap.empty());
  EXPECT_EQ(ran.size(), kept.size());
  EXPECT_TRUE(std::is_sorted(ran.begin(), ran.end()));
  for (const auto& [when, id] : kept) heap.cancel(id);  // outdated ids name nothing
}

TEST(TimerHeap, RunsEqualTimesInTheOrderOfAdding) {
  TimerHeap heap;
  std::string ran;
  for (char c = 'a'; c <= 'z'; ++c) heap.add(7, [&ran, c] { ran += c; });
  EXPECT_FALSE(heap.take_due(6));
  while (auto then = heap.take_due(7)) then();
  EXPECT_EQ(ran, "abcdefghijklmnopqrstuvwxyz");
}

TEST_F(LoopTest, ATurnGoesTimersControlCompletionsBulkClientsSlicesHooks) {
  Trace trace;
  Item control("control", trace);
  Item bulk("bulk", trace);
  Item client("client", trace);
  loop_->at_turn_end([&] { trace.push_back("hook"); });
  loop_->post([&] { trace.push_back("slice"); });
  loop_->enqueue(env::StreamClass::client, client);
  loop_->enqueue(env::StreamClass::bulk, bulk);
  loop_->post_from_any_thread([&] { trace.push_back("completion"); });
  loop_->enqueue(env::StreamClass::control, control);
  loop_->enqueue(env::StreamClass::control, control);
  loop_->at(0, [&] { trace.push_back("timer"); });
  ASSERT_TRUE(until([&] { return !trace.empty(); }));
  EXPECT_EQ(trace, (Trace{"timer", "control", "completion", "bulk", "client", "slice", "hook"}));
}

TEST_F(LoopTest, WhatIsPostedInATurnRunsInTheNext) {
  Trace trace;
  int turns = 0;
  loop_->at_turn_end([&] { trace.push_back("end " + std::to_string(++turns)); });
  loop_->post([&] {
    trace.push_back("first");
    loop_->post([&] { trace.push_back("second"); });
  });
  ASSERT_TRUE(until([&] { return trace.size() == 3; }));
  EXPECT_EQ(trace, (Trace{"first", "end 1", "second", "end 2"}));
}

TEST_F(LoopTest, ATimerSetIntoThePastByATimerWaitsForTheNextTurn) {
  Trace trace;
  int turns = 0;
  loop_->at_turn_end([&] { ++turns; });
  std::function<void()> again = [&] {
    trace.push_back(std::to_string(turns));
    if (trace.size() < 4) loop_->at(0, [&] { again(); });
  };
  loop_->at(0, [&] { again(); });
  ASSERT_TRUE(until([&] { return trace.size() == 4; }));
  EXPECT_EQ(trace, (Trace{"0", "1", "2", "3"}));
}

TEST_F(LoopTest, ATimerNeverRunsBeforeItsTimeAndACancelledOneNever) {
  const uint64_t when = loop_->now_us() + 5'000;
  uint64_t ran = 0;
  bool cancelled_ran = false;
  const env::TimerId cancelled = loop_->at(when - 1'000, [&] { cancelled_ran = true; });
  loop_->at(when, [&] { ran = loop_->now_us(); });
  loop_->cancel(cancelled);
  loop_->cancel(0);
  ASSERT_TRUE(until([&] { return ran != 0; }));
  EXPECT_GE(ran, when);
  EXPECT_FALSE(cancelled_ran);
}

TEST_F(LoopTest, AnItemMayDestroyItselfAndOthersOfItsList) {
  Trace trace;
  auto first = std::make_unique<Item>("first", trace);
  auto second = std::make_unique<Item>("second", trace);
  Item third("third", trace);
  for (Item* item : {first.get(), second.get(), &third}) {
    loop_->enqueue(env::StreamClass::control, *item);
  }
  first->then = [&] {
    second.reset();
    first.reset();
  };
  ASSERT_TRUE(until([&] { return trace.size() == 2; }));
  EXPECT_EQ(trace, (Trace{"first", "third"}));
}

// Burns so much of this thread's time by the wall clock.
void burn_us(uint64_t us) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000 +
           static_cast<uint64_t>(time.tv_nsec) / 1000;
  };
  const uint64_t end = now() + us;
  while (now() < end) {
  }
}

TEST_F(LoopTest, ClientsShareATurnAndNobodyStarves) {
  Trace trace;
  std::vector<std::unique_ptr<Item>> clients;
  for (const char* name : {"a", "b", "c"}) {
    clients.push_back(std::make_unique<Item>(name, trace));
    Item& item = *clients.back();
    // Each one uses up the whole part of the turn and always has more to do.
    item.then = [this, &item] {
      burn_us(kClientsPerTurnUs);
      loop_->enqueue(env::StreamClass::client, item);
    };
    loop_->enqueue(env::StreamClass::client, item);
  }
  loop_->at_turn_end([&] { trace.push_back("|"); });
  ASSERT_TRUE(until([&] { return trace.size() >= 12; }));
  trace.resize(12);
  EXPECT_EQ(trace, (Trace{"a", "|", "b", "|", "c", "|", "a", "|", "b", "|", "c", "|"}));
}

TEST_F(LoopTest, TheLongestTurnIsToldInCpuTime) {
  bool done = false;
  loop_->post([&] {
    burn_us(20'000);
    done = true;
  });
  ASSERT_TRUE(until([&] { return done; }));
  // A machine that is busy elsewhere gives us less CPU than wall time, never more.
  EXPECT_GT(loop_->stats().turn_cpu_us_max, 0U);
  EXPECT_LT(loop_->stats().turn_cpu_us_max, 20'000'000U);
  loop_->forget_longest_turn();
  EXPECT_EQ(loop_->stats().turn_cpu_us_max, 0U);
}

TEST_F(LoopTest, WaitingIsNoCpuTime) {
  bool done = false;
  loop_->at(loop_->now_us() + 50'000, [&] { done = true; });
  ASSERT_TRUE(until([&] { return done; }));
  EXPECT_LT(loop_->stats().turn_cpu_us_max, 50'000U);
  EXPECT_GE(loop_->stats().wake_ups, 1U);
}

TEST_F(LoopTest, WhatManyShortTurnsUseBetweenThemIsNotTakenForALongOne) {
  constexpr int kTurns = 5'000;  // before each of which the loop sleeps and is woken
  int turns = 0;
  bool done = false;
  std::function<void()> next = [&] {
    if (++turns < kTurns) {
      loop_->at(loop_->now_us() + 20, [&] { next(); });
      return;
    }
    EXPECT_EQ(::poll(nullptr, 0, 100), 0);  // long by the wall clock, and no CPU time
    done = true;
  };
  loop_->post([&] { next(); });
  ASSERT_TRUE(until([&] { return done; }));
  EXPECT_LT(loop_->stats().turn_cpu_us_max, 5'000U);
}

TEST_F(LoopTest, PostsOfOtherThreadsArriveInOrderAndWakeTheLoop) {
  constexpr int kThreads = 4;
  constexpr int kPosts = 2000;
  std::vector<std::vector<int>> heard(kThreads);
  int total = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) {
        loop_->post_from_any_thread([&, t, i] {
          heard[static_cast<size_t>(t)].push_back(i);
          ++total;
        });
      }
    });
  }
  EXPECT_TRUE(until([&] { return total == kThreads * kPosts; }));
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<int>& one : heard) EXPECT_TRUE(std::is_sorted(one.begin(), one.end()));
}

TEST_F(LoopTest, StopFromAnotherThreadEndsRunAndAnEarlyStopCounts) {
  std::thread other([this] { loop_->stop(); });
  loop_->run();
  other.join();
  loop_->stop();
  loop_->run();
  EXPECT_FALSE(loop_->run_for(1'000));
}

TEST(Loop, TwoLoopsInOneProcessDoNotKnowOfEachOther) {
  const std::unique_ptr<Loop> one = std::move(*Loop::create());
  const std::unique_ptr<Loop> two = std::move(*Loop::create());
  std::string order;
  std::thread thread([&] { two->run(); });
  for (int i = 0; i < 100; ++i) {
    two->post_from_any_thread([&] {
      one->post_from_any_thread([&] {
        order += 'x';
        if (order.size() == 100) one->stop();
      });
    });
  }
  EXPECT_TRUE(one->run_for(kTestLimitUs));
  two->stop();
  thread.join();
  EXPECT_EQ(order.size(), 100U);
}

TEST(Loop, WhatWasNotRunIsFreedWithTheLoop) {
  auto kept = std::make_shared<int>(1);
  {
    const std::unique_ptr<Loop> loop = std::move(*Loop::create());
    loop->post([kept] {});
    loop->post_from_any_thread([kept] {});
    loop->at(loop->now_us() + 1'000'000, [kept] {});
    EXPECT_EQ(kept.use_count(), 4);
  }
  EXPECT_EQ(kept.use_count(), 1);
}

}  // namespace
}  // namespace doozer::io
