#include "io/lanes.h"

#include <atomic>
#include <latch>
#include <thread>

#include "io/io_testing.h"

namespace doozer::io {
namespace {

class LanesTest : public LoopTest {
 protected:
  std::unique_ptr<ThreadLanes> lanes_ = std::move(*ThreadLanes::start(*loop_));
};

TEST_F(LanesTest, JobsOfALaneRunOneAtATimeAndInOrder) {
  std::vector<int> ran;
  std::vector<int> done;
  std::atomic<int> running{0};
  for (int i = 0; i < 200; ++i) {
    lanes_->submit(
        env::Lane::log,
        [&, i]() -> Result<void> {
          EXPECT_EQ(running.fetch_add(1), 0);
          ran.push_back(i);
          running.fetch_sub(1);
          return {};
        },
        [&, i](Result<void> result) {
          EXPECT_TRUE(result);
          done.push_back(i);
        });
  }
  ASSERT_TRUE(until([&] { return done.size() == 200; }));
  EXPECT_EQ(ran.size(), 200U);
  EXPECT_EQ(ran, done);
  EXPECT_TRUE(std::is_sorted(ran.begin(), ran.end()));
}

TEST_F(LanesTest, ABusyBulkLaneDoesNotHoldUpTheLog) {
  std::latch logged(1);
  std::string order;
  lanes_->submit(
      env::Lane::bulk,
      [&]() -> Result<void> {
        logged.wait();
        return {};
      },
      [&](Result<void>) { order += 'b'; });
  lanes_->submit(
      env::Lane::log, []() -> Result<void> { return {}; },
      [&](Result<void>) {
        order += 'l';
        logged.count_down();
      });
  ASSERT_TRUE(until([&] { return order.size() == 2; }));
  EXPECT_EQ(order, "lb");
}

TEST_F(LanesTest, AnErrorReachesDoneOnTheThreadOfTheLoop) {
  std::optional<Error> error;
  std::thread::id where;
  lanes_->submit(
      env::Lane::bulk, []() -> Result<void> { return fail(Code::no_space, "log: write: full"); },
      [&](Result<void> result) {
        error = result.error();
        where = std::this_thread::get_id();
      });
  ASSERT_TRUE(until([&] { return error.has_value(); }));
  EXPECT_EQ(error, (Error{Code::no_space, "log: write: full"}));
  EXPECT_EQ(where, std::this_thread::get_id());
}

TEST_F(LanesTest, TheEndFinishesTheJobsAndDropsTheirCompletions) {
  // So much to do that the end begins long before the last job.
  constexpr int kJobs = 2000;
  std::atomic<int> ran{0};
  int done = 0;
  for (int i = 0; i < kJobs; ++i) {
    lanes_->submit(
        env::Lane::log,
        [&]() -> Result<void> {
          const uint64_t end = loop_->now_us() + 20;
          while (loop_->now_us() < end) {
          }
          ++ran;
          return {};
        },
        [&](Result<void>) { ++done; });
  }
  lanes_.reset();
  EXPECT_EQ(ran, kJobs);
  settle();
  EXPECT_EQ(done, 0);
}

TEST_F(LanesTest, ACompletionMayEndTheLanes) {
  bool done = false;
  for (int i = 0; i < 3; ++i) {
    lanes_->submit(
        env::Lane::log, []() -> Result<void> { return {}; },
        [&](Result<void>) {
          EXPECT_FALSE(done);
          done = true;
          lanes_.reset();
        });
  }
  ASSERT_TRUE(until([&] { return done; }));
  settle();
}

TEST_F(LoopTest, WorkIsDoneElsewhereAndToldHere) {
  const std::unique_ptr<ThreadWork> work = std::move(*ThreadWork::start(*loop_));
  std::thread::id where;
  bool done = false;
  work->submit([&] { where = std::this_thread::get_id(); }, [&] { done = true; });
  ASSERT_TRUE(until([&] { return done; }));
  EXPECT_NE(where, std::this_thread::get_id());
}

TEST_F(LoopTest, QueuedWorkIsDroppedAtTheEnd) {
  std::unique_ptr<ThreadWork> work = std::move(*ThreadWork::start(*loop_));
  std::latch begun(1);
  std::latch go_on(1);
  std::atomic<int> ran{0};
  work->submit(
      [&] {
        begun.count_down();
        go_on.wait();
        ++ran;
      },
      [] { ADD_FAILURE(); });
  work->submit([&] { ++ran; }, [] { ADD_FAILURE(); });
  begun.wait();
  // The end waits for the job that runs; it is let go once the end has begun.
  std::thread releaser([&] { go_on.count_down(); });
  work.reset();
  releaser.join();
  settle();
  EXPECT_GE(ran, 1);
}

}  // namespace
}  // namespace doozer::io
