// Waits: what the model test cannot enumerate - many waiters, order, callbacks that wait again,
// transactions told event by event, waits that come too late, and what is left behind.
#include "core/watch.h"

#include <gtest/gtest.h>

#include "base/probe.h"
#include "core/testing.h"

namespace doozer::core {
namespace {

using Told = std::vector<std::string>;

/// Writes down what it hears; may wait again from inside.
class Listener : public Waiter {
 public:
  explicit Listener(Machine& machine) : machine_(machine) {}
  void on_event(WatchId, uint64_t cookie, const EventView& event, uint32_t more) override {
    told.push_back(std::to_string(cookie) + " " + std::string(event.path) + " @" +
                   std::to_string(event.position.revision.value()) + "." +
                   std::to_string(event.position.sub) + "+" + std::to_string(more));
    if (again != nullptr) {
      machine_.watches().wait_event(again, {event.position.revision, event.position.sub + 1}, 0,
                                    *this, cookie);
    }
    machine_.watches().cancel(cancel_too);
  }
  void on_revision(WatchId, uint64_t cookie) override {
    told.push_back(std::to_string(cookie) + " revision");
  }
  void on_too_late(WatchId, uint64_t cookie, Revision oldest) override {
    told.push_back(std::to_string(cookie) + " too late " + std::to_string(oldest.value()));
  }

  Told told;
  std::shared_ptr<const Glob> again;
  WatchId cancel_too;

 private:
  Machine& machine_;
};

struct Fixture : Driver {
  explicit Fixture(const MachineOptions& options = {}) : Driver(options), listener(*machine) {}
  WatchId wait(std::string_view pattern, int64_t revision, uint64_t cookie = 0, uint32_t skip = 0) {
    return machine->watches().wait_event(glob(pattern), {Revision(revision), 0}, skip, listener,
                                         cookie);
  }
  Told told() {
    run();
    return std::exchange(listener.told, {});
  }
  Listener listener;
};

TEST(Semantics, WaitGivesTheFirstEventAtOrAfterRevFromHistoryOrTheFuture) {
  Fixture f;
  f.set("/a", -1, "1");
  f.nop();
  f.del("/a", -1);
  f.wait("/a", 0, 1);  // rev <= 1: from the first
  f.wait("/a", 2, 2);
  f.wait("/*", 2, 3);  // a nop's path is "/"
  f.wait("/", 1, 4);
  f.wait("/a", 4, 5);
  f.wait("/b", 1, 6);
  Told told = f.told();
  std::sort(told.begin(), told.end());
  EXPECT_EQ(told, (Told{"1 /a @1.0+0", "2 /a @3.0+0", "3 / @2.0+0", "4 / @2.0+0"}));
  f.set("/b", -1, "1");
  EXPECT_EQ(f.told(), Told{"6 /b @4.0+0"});
  f.set("/a", -1, "1");
  f.set("/a", -1, "2");  // one shot
  EXPECT_EQ(f.told(), Told{"5 /a @5.0+0"});
  EXPECT_EQ(f.machine->watches().count(), 0U);
}

TEST(Semantics, AWaitForAFutureRevisionDoesNotHearEarlierEvents) {
  Fixture f;
  f.wait("/a", 3);
  f.set("/a", -1, "1");
  f.set("/a", -1, "2");
  EXPECT_EQ(f.told(), Told{});
  f.set("/a", -1, "3");
  EXPECT_EQ(f.told(), Told{"0 /a @3.0+0"});
}

TEST(Semantics, ATransactionsEventsAreToldOneByOneWithHowManyMoreMatch) {
  Fixture f;
  const TransactionView three{
      .guards = {},
      .operations = {{true, "/a", "1"}, {true, "/x", "2"}, {true, "/b", "3"}, {true, "/c/d", "4"}}};
  f.wait("/*", 1, 1);
  f.wait("/*", 1, 2, 1);
  f.wait("/*", 1, 3, 2);
  f.wait("/*", 1, 4, 3);
  f.wait("/b", 1, 5);
  f.apply(three);
  f.wait("/*", 1, 6, 1);
  Told told = f.told();
  std::sort(told.begin(), told.end());
  EXPECT_EQ(told,
            (Told{"1 /a @1.0+2", "2 /x @1.1+1", "3 /b @1.2+0", "5 /b @1.2+0", "6 /x @1.1+1"}));
  f.set("/later", -1, "v");  // skip is of that revision only
  EXPECT_EQ(f.told(), Told{"4 /later @2.0+0"});
}

TEST(Watches, AWaiterMayWaitAgainFromInsideWithoutGapOrRepeat) {
  Fixture f;
  f.listener.again = glob("/**");
  f.wait("/**", 1);
  f.set("/a", -1, "1");
  f.apply(TransactionView{.guards = {}, .operations = {{true, "/b", "2"}, {true, "/c", "3"}}});
  f.nop();
  EXPECT_EQ(f.told(), (Told{"0 /a @1.0+0", "0 /b @2.0+1", "0 /c @2.1+0", "0 / @3.0+0"}));
}

TEST(Watches, TellingALargeValueCostsWhatCopyingItCosts) {
  Fixture f;
  constexpr size_t kWaiters = 10;
  for (uint64_t i = 0; i < kWaiters; ++i) f.wait("/big", 1, i);
  f.run();
  f.set("/big", -1, std::string(1 * kMiB, 'b'));
  size_t slices = 0;
  for (bool more = true; more; ++slices) {
    Budget budget(kSliceSteps);
    more = f.machine->run(budget);
    EXPECT_LE(f.listener.told.size(), slices + 1);
  }
  EXPECT_EQ(f.listener.told.size(), kWaiters);
}

TEST(Watches, AWaiterMayCancelAnotherFromInside) {
  Fixture f;
  f.wait("/a", 1, 1);
  f.listener.cancel_too = f.wait("/a", 1, 2);
  f.set("/a", -1, "1");
  EXPECT_EQ(f.told(), Told{"1 /a @1.0+0"});
  EXPECT_EQ(f.machine->watches().count(), 0U);
}

TEST(Watches, CancelledWaitsAreForgottenWhereverTheyStand) {
  Fixture f;
  f.set("/a", -1, "1");
  const WatchId ids[] = {f.wait("/z", 2),
                         f.wait("/z*", 1),
                         f.wait("/a", 1),
                         f.wait("/a", 1000),
                         f.machine->watches().wait_revision(Revision(9), f.listener, 0),
                         f.machine->watches().wait_revision(Revision(1), f.listener, 0)};
  for (const WatchId id : ids) {
    f.machine->watches().cancel(id);
    f.machine->watches().cancel(id);  // over: ignored
  }
  f.machine->watches().cancel(WatchId(0));
  f.machine->watches().cancel(WatchId(12345));
  EXPECT_EQ(f.machine->watches().count(), 0U);
  f.set("/a", -1, "1");
  f.set("/z", -1, "1");
  EXPECT_EQ(f.told(), Told{});
}

TEST(Watches, ARevisionIsToldOnceItIsApplied) {
  Fixture f;
  f.nop();
  f.machine->watches().wait_revision(Revision(1), f.listener, 1);
  f.machine->watches().wait_revision(Revision(3), f.listener, 3);
  EXPECT_EQ(f.told(), Told{"1 revision"});
  f.nop();
  EXPECT_EQ(f.told(), Told{});
  f.nop();
  EXPECT_EQ(f.told(), Told{"3 revision"});
}

TEST(Watches, WhatLeftTheHistoryBeforeItWasToldIsTooLate) {
  Fixture f({.history_revisions = 2});
  f.machine->watches().wait_revision(Revision(1), f.listener, 1);
  f.wait("/a", 1, 2);
  f.wait("/a**", 1, 3);
  f.set("/a", -1, "1");
  f.wait("/z*", 1, 4);
  for (int i = 0; i < 5; ++i) {
    f.nop();
  }
  Told told = f.told();
  std::sort(told.begin(), told.end());
  EXPECT_EQ(told, (Told{"1 too late 5", "2 too late 5", "3 too late 5", "4 too late 5"}));
}

TEST(Watches, OneSweepServesAllSearchesOfAGlobAndLateComersWaitForTheNext) {
  Fixture f;
  for (int i = 0; i < 400; ++i) {
    f.set("/x" + std::to_string(i % 100), -1, "v");
  }
  f.wait("/x7*", 281, 1);
  f.wait("/x*9", 390, 2);
  Budget slice(5);
  EXPECT_TRUE(f.machine->run(slice));
  f.wait("/x7*", 1, 3);    // behind the sweep
  f.wait("/x7*", 399, 4);  // before it
  Told told = f.told();
  std::sort(told.begin(), told.end());
  EXPECT_EQ(told, (Told{"1 /x7 @308.0+0", "2 /x89 @390.0+0", "3 /x7 @8.0+0"}));
  f.set("/x70", -1, "v");
  EXPECT_EQ(f.told(), Told{"4 /x70 @401.0+0"});
}

TEST(Watches, GlobsAreFoundByTheirLiteralPrefixAndNoOtherIsLookedAt) {
  struct Case {
    const char* pattern;
    std::vector<const char*> hears;
  };
  const std::vector<const char*> paths = {"/a",     "/ab",       "/a/b", "/a/bc",
                                          "/a/b/c", "/a/b/cd/e", "/b"};
  for (const Case& each :
       std::vector<Case>{{"/a", {"/a"}},
                         {"/a*", {"/a", "/ab"}},
                         {"/a**", {"/a", "/ab", "/a/b", "/a/bc", "/a/b/c", "/a/b/cd/e"}},
                         {"/a/*", {"/a/b", "/a/bc"}},
                         {"/a/b*", {"/a/b", "/a/bc"}},
                         {"/a/b/c**", {"/a/b/c", "/a/b/cd/e"}},
                         {"/*/b", {"/a/b"}},
                         {"/?", {"/a", "/b"}},
                         {"/a/?/c", {"/a/b/c"}},
                         {"/a/bcd*", {}}}) {
    for (const char* path : paths) {
      Fixture f;
      f.wait(each.pattern, 1, 0);
      f.wait("/a/zz*", 1, 1);
      f.wait("/q/r/s*", 1, 2);
      f.set(path, -1, "v");
      const bool expected = std::find_if(each.hears.begin(), each.hears.end(), [&](const char* p) {
                              return std::string_view(p) == path;
                            }) != each.hears.end();
      EXPECT_EQ(f.told().size(), expected ? 1U : 0U) << each.pattern << " " << path;
    }
  }
}

TEST(Watches, AThousandWaitersAreToldInSlices) {
  Fixture f;
  for (uint64_t i = 0; i < 1000; ++i) {
    f.wait("/a", 1, i);
  }
  f.set("/a", -1, "v");
  for (int slices = 0; slices < 9; ++slices) {
    Budget budget(100);
    EXPECT_TRUE(f.machine->run(budget));
  }
  EXPECT_LT(f.listener.told.size(), 1000U);
  EXPECT_EQ(f.told().size(), 1000U);
}

TEST(Watches, AWaitOnAHotFileFindsItsEventAmongManyVersions) {
  Fixture f;
  for (int i = 0; i < 500; ++i) {
    f.set("/hot", -1, "v");
  }
  f.wait("/hot", 17);
  f.wait("/hot", 490, 1);
  Told told = f.told();
  std::sort(told.begin(), told.end());
  EXPECT_EQ(told, (Told{"0 /hot @17.0+0", "1 /hot @490.0+0"}));
}

}  // namespace
}  // namespace doozer::core
