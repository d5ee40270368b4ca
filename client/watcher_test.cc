// Watches: no gap, no repeat, whatever becomes of the connection.
#include <gtest/gtest.h>

#include "base/probe.h"
#include "client/testing/fake_world.h"

namespace doozer::client {
namespace {

using Seen = std::vector<std::string>;

/// "revision.sub path=value" of an event.
std::string line(const Event& event) {
  return std::to_string(event.position.revision) + "." + std::to_string(event.position.sub) + " " +
         event.path + "=" + event.value;
}

struct Listener {
  Watcher::Handler handler() {
    return [this](Result<Event> event) {
      if (event) {
        seen.push_back(line(*event));
        next = event->next();
      } else {
        CHECK(!error.has_value());
        error = event.error();
      }
    };
  }
  Seen seen;
  Position next;
  std::optional<Error> error;
};

/// Revisions of one, three, one, two changes, of which /w/** matches some.
void write_history(World& world) {
  world.store->set("/w/a", "1");
  world.store->commit({{wire::kFlagSet, "/w/a", "2"},
                       {wire::kFlagSet, "/other", "x"},
                       {wire::kFlagSet, "/w/b", "2"},
                       {wire::kFlagDel, "/w/a", ""}});
  world.store->set("/w/c", "3");
  world.store->commit({{wire::kFlagSet, "/w/d", "4"}, {wire::kFlagSet, "/w/e", "4"}});
  world.store->set("/w/f", "5");
}

const Seen kHistory = {"1.0 /w/a=1", "2.0 /w/a=2", "2.1 /w/b=2", "2.2 /w/a=",
                       "3.0 /w/c=3", "4.0 /w/d=4", "4.1 /w/e=4", "5.0 /w/f=5"};

TEST(Watch, TellsEveryMatchingEventOnceInOrder) {
  World world;
  write_history(world);
  Core& core = world.connected();
  Listener listener;
  const auto watcher = core.watch("/w/**", {1, 0}, listener.handler());
  world.clock.run_for(1'000'000);
  EXPECT_EQ(listener.seen, kHistory);
  EXPECT_EQ(watcher->position(), (Position{6, 0}));
  world.store->set("/w/g", "6");
  world.a.wake();
  world.clock.run_for(1'000'000);
  EXPECT_EQ(listener.seen.back(), "6.0 /w/g=6");
  EXPECT_FALSE(listener.error);
}

TEST(Watch, ResumesWithoutGapOrRepeatWhenTheConnectionDiesAtEachByte) {
  for (const bool to_server : {true, false}) {
    bool untouched = false;
    for (uint64_t n = 1; !untouched; ++n) {
      World world;
      write_history(world);
      Core& core = world.connected();
      if (to_server) {
        world.net.cut_before_client_byte(n);
      } else {
        world.net.cut_before_server_byte(n);
      }
      Listener listener;
      const auto watcher = core.watch("/w/**", {1, 0}, listener.handler());
      world.clock.run_for(5'000'000);
      ASSERT_EQ(listener.seen, kHistory) << "cut before byte " << n;
      untouched = world.net.dials().size() == 1;
      ASSERT_LT(n, 2'000U);
    }
  }
}

TEST(Watch, OfAnOldServerResumesAtItsRevision) {
  // Old servers make no transactions.
  for (uint64_t n = 1; n < 200; ++n) {
    World world;
    world.a.extensions = false;
    for (int i = 1; i <= 5; ++i) world.store->set("/w/" + std::to_string(i), "v");
    Core& core = world.connected();
    world.net.cut_before_server_byte(n);
    Listener listener;
    const auto watcher = core.watch("/w/**", {1, 0}, listener.handler());
    world.clock.run_for(5'000'000);
    ASSERT_EQ(listener.seen.size(), 5U);
    ASSERT_EQ(listener.seen.back(), "5.0 /w/5=v");
  }
}

TEST(Watch, BeginsInTheMiddleOfARevisionIfToldTo) {
  for (size_t i = 0; i < kHistory.size(); ++i) {
    World world;
    write_history(world);
    Core& core = world.connected();
    // Where a first watch stood after i events.
    Listener first;
    Position at{1, 0};
    std::shared_ptr<Watcher> watcher;
    size_t count = 0;
    watcher = core.watch("/w/**", {1, 0}, [&](Result<Event> event) {
      ASSERT_TRUE(event);
      if (count++ == i) watcher->cancel();
      at = count <= i ? event->next() : at;
    });
    world.clock.run_for(1'000'000);
    world.net.reset_all();
    Listener second;
    const size_t waits = world.a.heard_of(wire::Verb::wait);
    const auto resumed = core.watch("/w/**", at, second.handler());
    world.clock.run_for(4'000'000);
    EXPECT_EQ(world.a.heard_of(wire::Verb::wait) - waits, kHistory.size() - i + 1)
        << "one question for each event, and one that waits";
    EXPECT_EQ(second.seen, Seen(kHistory.begin() + static_cast<std::ptrdiff_t>(i), kHistory.end()));
  }
}

TEST(Watch, ManyOfOneGlobOnOneConnectionDoNotTakeEachOthersEvents) {
  for (const bool newest_first : {false, true}) {
    World world;
    write_history(world);
    world.a.newest_continuation_first = newest_first;
    Core& core = world.connected();
    std::vector<Listener> listeners(4);
    std::vector<std::shared_ptr<Watcher>> watchers;
    for (Listener& listener : listeners) {
      watchers.push_back(core.watch("/w/**", {1, 0}, listener.handler()));
      world.clock.run_for(300);
    }
    world.clock.run_for(5'000'000);
    for (const Listener& listener : listeners) EXPECT_EQ(listener.seen, kHistory);
  }
  EXPECT_GT(Probe::reached("client.watch_foreign_continuation"), 0U);
}

TEST(Watch, AContinuationLeftByASingleWaitIsRecognised) {
  World world;
  write_history(world);
  Core& core = world.connected();
  Box<Event> wait;
  core.wait("/w/**", 2, {}, wait.then());
  ASSERT_TRUE(world.finish(wait));
  EXPECT_EQ(wait.value().more, 2);
  Listener listener;
  const auto watcher = core.watch("/w/**", {3, 0}, listener.handler());
  world.clock.run_for(5'000'000);
  EXPECT_EQ(listener.seen, Seen(kHistory.begin() + 4, kHistory.end()));
  EXPECT_GT(Probe::reached("client.watch_stale_event"), 0U);
}

TEST(Watch, AServerThatForgetsContinuationsLosesNothing) {
  World world;
  write_history(world);
  world.a.forgets_continuations = true;
  Core& core = world.connected();
  Listener listener;
  const auto watcher = core.watch("/w/**", {1, 0}, listener.handler());
  world.clock.run_for(5'000'000);
  EXPECT_EQ(listener.seen, kHistory);
}

TEST(Watch, FromRevisionZeroTellsWhatHappensAfterNow) {
  for (const bool extensions : {true, false}) {
    World world;
    write_history(world);
    world.a.extensions = extensions;
    Core& core = world.connected();
    Listener listener;
    const auto watcher = core.watch("/w/**", {}, listener.handler());
    world.clock.run_for(1'000'000);
    EXPECT_TRUE(listener.seen.empty());
    world.store->set("/w/g", "6");
    world.a.wake();
    world.clock.run_for(1'000'000);
    EXPECT_EQ(listener.seen, Seen{"6.0 /w/g=6"});
  }
}

TEST(Watch, FromNowBeginsAlsoWhereNoMajorityIs) {
  World world;
  write_history(world);
  world.a.majority = false;
  Core& core = world.connected();
  Listener listener;
  const auto watcher = core.watch("/w/**", {}, listener.handler());
  world.clock.run_for(1'000'000);
  EXPECT_FALSE(listener.error);
  EXPECT_EQ(watcher->position(), (Position{6, 0}));
}

TEST(Watch, TooLateIsToldOnceWithTheOldestRevision) {
  World world;
  write_history(world);
  world.a.oldest = 4;
  Core& core = world.connected();
  Listener listener;
  const auto watcher = core.watch("/w/**", {2, 0}, listener.handler());
  world.clock.run_for(5'000'000);
  ASSERT_TRUE(listener.error);
  EXPECT_EQ(listener.error->code, Code::too_late);
  EXPECT_NE(listener.error->message.find("watch from revision 2"), std::string::npos);
  EXPECT_NE(listener.error->message.find("oldest revision kept is 4"), std::string::npos)
      << listener.error->message;
}

TEST(Watch, PausedItAsksForNothingMore) {
  World world;
  write_history(world);
  Core& core = world.connected();
  Listener listener;
  std::shared_ptr<Watcher> watcher;
  watcher = core.watch("/w/**", {1, 0}, [&](Result<Event> event) {
    listener.handler()(std::move(event));
    watcher->pause();
  });
  for (size_t i = 1; i <= kHistory.size(); ++i) {
    world.clock.run_for(1'000'000);
    EXPECT_EQ(listener.seen.size(), i);
    watcher->resume();
  }
}

TEST(Watch, CancelledItIsSilent) {
  World world;
  Core& core = world.connected();
  Listener listener;
  const auto watcher = core.watch("/w/**", {1, 0}, listener.handler());
  world.clock.run_for(1'000'000);
  watcher->cancel();
  watcher->cancel();
  world.store->set("/w/x", "1");
  world.a.wake();
  world.clock.run_for(1'000'000);
  EXPECT_TRUE(listener.seen.empty());
  EXPECT_FALSE(listener.error);
}

TEST(Watch, ClosingTheClientIsTold) {
  World world;
  Core& core = world.connected();
  Listener listener;
  const auto watcher = core.watch("/w/**", {1, 0}, listener.handler());
  world.clock.run_for(1'000'000);
  core.close();
  ASSERT_TRUE(listener.error);
  EXPECT_EQ(listener.error->code, Code::closed);
}

TEST(Watch, ASetOfValuesThatDifferInKindKeepsKinds) {
  World world;
  world.store->commit({{0, "/", ""}});
  world.store->set("/w/a", "1");
  world.store->commit({{wire::kFlagDel, "/w/a", ""}});
  Core& core = world.connected();
  std::vector<Event::Kind> kinds;
  const auto watcher = core.watch("/**", {1, 0}, [&kinds](Result<Event> event) {
    ASSERT_TRUE(event);
    kinds.push_back(event->kind);
  });
  world.clock.run_for(1'000'000);
  EXPECT_EQ(kinds, (std::vector{Event::Kind::nop, Event::Kind::set, Event::Kind::del}));
}

}  // namespace
}  // namespace doozer::client
