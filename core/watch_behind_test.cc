// Waits whose matching would take long: families of globs are left behind and catch up in slices,
// and still each waiter hears exactly its first event.
#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"
#include "core/testing.h"

namespace doozer::core {
namespace {

/// Notes what each waiter heard, by cookie.
class Notes : public Waiter {
 public:
  void on_event(WatchId, uint64_t cookie, const EventView& event, uint32_t more) override {
    ASSERT_TRUE(told.emplace(cookie, event.position).second) << "told twice: " << cookie;
    more_of[cookie] = more;
  }
  void on_revision(WatchId, uint64_t) override { FAIL(); }
  void on_too_late(WatchId, uint64_t, Revision) override { FAIL(); }

  std::map<uint64_t, Position> told;
  std::map<uint64_t, uint32_t> more_of;
};

/// A glob of 4 KB full of stars that matches long paths of x's, and no two of them alike.
std::string heavy_pattern(size_t number) {
  constexpr size_t kStars = 1300;
  std::string pattern = "/x*" + std::string(number, 'x');
  for (size_t i = 0; i < kStars; ++i) pattern += "x*";
  return pattern;
}

TEST(WatchesBehind, ManyHeavyGlobsAreMatchedInSlicesWhileOthersHearTheEventAtOnce) {
  Driver driver;
  Notes notes;
  Watches& watches = driver.machine->watches();
  constexpr uint64_t kHeavy = 100;
  for (uint64_t i = 0; i < kHeavy; ++i) {
    watches.wait_event(glob(heavy_pattern(i)), {Revision(1), 0}, 0, notes, i);
  }
  const std::string path = "/x" + std::string(4000, 'x');
  watches.wait_event(glob(path), {Revision(1), 0}, 0, notes, 1000);
  watches.wait_event(glob("/**"), {Revision(1), 0}, 0, notes, 1001);
  driver.run();
  driver.set(path, -1, "v");
  const int64_t steps = glob(heavy_pattern(0))->steps(path.size());
  ASSERT_GT(steps, 100);
  for (int64_t slices = 1; notes.told.size() < kHeavy + 2; ++slices) {
    Budget budget(kSliceSteps);
    driver.machine->run(budget);
    EXPECT_GE(budget.left(), -steps);
    EXPECT_TRUE(notes.told.contains(1000) && notes.told.contains(1001));
    const auto matched = static_cast<int64_t>(notes.told.size()) - 2;
    ASSERT_LE(matched, slices * (kSliceSteps / steps + 1));
    ASSERT_LT(slices, 2000);
  }
}

TEST(WatchesBehind, HowManyMoreEventsMatchIsCountedInSlices) {
  Driver driver;
  Notes notes;
  const std::string path = "/x" + std::string(4000, 'x');
  std::vector<std::string> paths;
  TransactionView transaction;
  for (int i = 0; i < 50; ++i) paths.push_back(path + std::to_string(i));
  for (const std::string& each : paths) transaction.operations.push_back({true, each, ""});
  driver.machine->watches().wait_event(glob(heavy_pattern(0)), {Revision(1), 0}, 0, notes, 7);
  driver.apply(transaction);
  int slices = 0;
  for (bool more = true; more; ++slices) {
    Budget budget(kSliceSteps);
    more = driver.machine->run(budget);
    EXPECT_GE(budget.left(), -2 * kSliceSteps);
  }
  EXPECT_GT(slices, 20);
  EXPECT_EQ(notes.told[7], (Position{Revision(1), 0}));
  EXPECT_EQ(notes.more_of[7], 49U);
}

TEST(WatchesBehind, ATransactionThatNobodyCanMatchAtOnceIsHeardWhole) {
  Driver driver({.match_work = 1000});
  Notes notes;
  TransactionView transaction;
  std::vector<std::string> paths;
  for (int i = 0; i < 100; ++i) paths.push_back("/d/" + std::to_string(i));
  for (const std::string& each : paths) transaction.operations.push_back({true, each, ""});
  for (uint64_t i = 0; i < 100; ++i) {
    const std::string pattern = "/d/" + std::to_string(i) + "**";
    driver.machine->watches().wait_event(glob(pattern), {Revision(1), 0}, 0, notes, i);
  }
  driver.apply(transaction);
  driver.run();
  ASSERT_EQ(notes.told.size(), 100U);
  for (const auto& [cookie, position] : notes.told) {
    EXPECT_EQ(position, (Position{Revision(1), static_cast<uint32_t>(cookie)}));
  }
}

TEST(WatchesBehind, TheCommandsOfATurnShareWhatMatchingMayCost) {
  Driver driver({.match_work = 1000});
  Notes notes;
  const auto told_at_once = [&](int commands) {
    for (int i = 0; i < commands; ++i) driver.set("/q" + std::to_string(i), -1, "");
    driver.machine->watches().wait_event(glob("/b?"), {driver.machine->revision() + 1, 0}, 0, notes,
                                         notes.told.size());
    const size_t before = notes.told.size();
    driver.set("/b1", -1, "");
    Budget budget(2);  // enough to tell, not to search
    driver.machine->run(budget);
    const bool told = notes.told.size() > before;
    driver.run();
    EXPECT_EQ(notes.told.size(), before + 1);
    return told;
  };
  driver.machine->watches().wait_event(glob("/zz*"), {Revision(1), 0}, 0, notes, 1000);
  EXPECT_TRUE(told_at_once(5));
  EXPECT_FALSE(told_at_once(50));
  EXPECT_TRUE(told_at_once(5));
}

TEST(WatchesBehind, WhatIsLeftBehindIsNotMatchedAtOnceByLaterEvents) {
  Driver driver({.match_work = 200});
  Notes notes;
  driver.machine->watches().wait_event(glob("/b?"), {Revision(1), 0}, 0, notes, 0);
  std::vector<std::string> paths;
  for (int i = 0; i < 10; ++i) paths.push_back("/q" + std::to_string(i));
  TransactionView transaction;
  for (const std::string& each : paths) transaction.operations.push_back({true, each, ""});
  transaction.operations.push_back({true, "/b1", ""});
  driver.apply(transaction);
  Budget none(0);
  driver.machine->run(none);
  driver.set("/b2", -1, "");  // this alone is little work
  driver.run();
  EXPECT_EQ(notes.told[0], (Position{Revision(1), 10}));
}

TEST(WatchesBehind, SearchersAreFoundBehindThoseWhoCancelled) {
  Driver driver({.match_work = 0});
  Notes notes;
  Watches& watches = driver.machine->watches();
  for (uint64_t i = 0; i < 20; ++i) {
    watches.wait_event(glob("/a?" + std::to_string(i)), {Revision(1), 0}, 0, notes, 100 + i);
  }
  const WatchId first = watches.wait_event(glob("/a?"), {Revision(1), 0}, 0, notes, 0);
  driver.set("/q", -1, "");
  Budget one(1);
  driver.machine->run(one);  // sent to search as one of the first, and no more
  watches.wait_event(glob("/a?"), {Revision(2), 0}, 0, notes, 1);
  watches.cancel(first);
  driver.set("/a1", -1, "");
  driver.run();
  EXPECT_EQ(notes.told, (std::map<uint64_t, Position>{{1, {Revision(2), 0}}}));
}

/// Generated waits, cancels and writes, with so little work and so few steps that families are
/// behind most of the time.
class Crowd {
 public:
  explicit Crowd(uint64_t seed)
      : rng_(seed), driver_({.match_work = static_cast<int64_t>(100 * rng_.below(8))}) {}

  void step() {
    for (uint64_t i = rng_.below(12); i > 0; --i) add();
    for (uint64_t i = rng_.below(4); i > 0 && !waits_.empty(); --i) {
      Wait& wait = waits_[rng_.below(waits_.size())];
      driver_.machine->watches().cancel(wait.id);
      wait.cancelled = true;
    }
    if (rng_.chance(1, 3)) {
      events_.push_back("/" + pick("aab") + pick("0123") + pick("0123") + pick("0123"));
      driver_.set(events_.back(), -1, "v");
    }
    Budget budget(rng_.chance(1, 30) ? kSliceSteps : rng_.between(0, 40));
    driver_.machine->run(budget);
  }

  void check() {
    driver_.run();
    for (size_t i = 0; i < waits_.size(); ++i) {
      const Wait& wait = waits_[i];
      size_t first = static_cast<size_t>(wait.from) - 1;
      while (first < events_.size() && !wait.glob->matches(events_[first])) ++first;
      const auto told = notes_.told.find(i);
      if (told != notes_.told.end()) {
        EXPECT_EQ(told->second.revision.value() - 1, static_cast<int64_t>(first));
      } else if (!wait.cancelled) {
        EXPECT_GE(first, events_.size()) << wait.glob->pattern() << " from " << wait.from;
        ++open_;
      }
    }
    EXPECT_EQ(driver_.machine->watches().count(), open_);
  }

 private:
  struct Wait {
    std::shared_ptr<const Glob> glob;
    int64_t from = 0;
    WatchId id;
    bool cancelled = false;
  };
  std::string pick(std::string_view choices) {
    return std::string(1, choices[rng_.below(choices.size())]);
  }
  void add() {
    const int64_t next = static_cast<int64_t>(events_.size()) + 1;
    const std::string pattern =
        "/" + pick("aab") + pick("*?") + pick("01239") + pick("0123?*") + pick("0123*?");
    Wait wait;
    wait.glob = glob(pattern);
    wait.from = rng_.chance(4, 5) ? next : rng_.between(1, next + 2);
    wait.id = driver_.machine->watches().wait_event(wait.glob, {Revision(wait.from), 0}, 0, notes_,
                                                    waits_.size());
    waits_.push_back(wait);
  }

  Rng rng_;
  Notes notes_;
  Driver driver_;
  std::vector<std::string> events_;
  std::vector<Wait> waits_;
  size_t open_ = 0;
};

TEST(WatchesBehind, EachWaiterHearsExactlyItsFirstEventHoweverFarItsFamilyIsBehind) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Crowd crowd(seed);
    for (int i = 0; i < 400; ++i) crowd.step();
    ASSERT_NO_FATAL_FAILURE(crowd.check());
    ASSERT_FALSE(HasFailure());
  }
}

}  // namespace
}  // namespace doozer::core
