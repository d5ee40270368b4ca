#include "sim/checkers/watches.h"

#include <gtest/gtest.h>

#include "sim/checkers/history_testing.h"

namespace doozer::sim {
namespace {

Report check(const History& history) {
  Report report;
  const Model model(history, report);
  check_watches(history, model, report);
  return report;
}

const Op kA1 = set("/a", "1").during(10, 20).ok(1);
const Op kB2 = set("/b", "2").during(30, 40).ok(2);
const Op kA3 = set("/a", "3").during(50, 60).ok(3);

TEST(Watches, HearEverythingThatMatchesInOrderAndOnce) {
  const std::vector<Op> ops = {kA1, kB2, kA3, nop().during(70, 80).ok()};
  // What one more watch hears, beside one that heard all.
  const auto with = [&](Stream stream) {
    return history_of(
        ops, {watch("/**").set(1, "/a", "1").set(2, "/b", "2").set(3, "/a", "3").nop(4).through(4),
              std::move(stream)});
  };
  const Case kCases[] = {
      {"all of it",
       with(watch("/**").set(1, "/a", "1").set(2, "/b", "2").set(3, "/a", "3").nop(4).through(4))},
      {"one file", with(watch("/a").set(1, "/a", "1").set(3, "/a", "3").through(4))},
      {"from the middle", with(watch("/**", 3).set(3, "/a", "3").nop(4).through(4))},
      {"only nops", with(watch("/").nop(4).through(4))},
      {"nothing that matches", with(watch("/c").through(4))},
      {"not yet all", with(watch("/**").set(1, "/a", "1"))},
      {"one in the middle lost",
       with(watch("/**").set(1, "/a", "1").set(3, "/a", "3")),
       {"watch.lost_event"}},
      {"the first lost", with(watch("/a").set(3, "/a", "3")), {"watch.lost_event"}},
      {"the last lost", with(watch("/a").set(1, "/a", "1").through(4)), {"watch.lost_event"}},
      {"one twice",
       with(watch("/a").set(1, "/a", "1").set(1, "/a", "1").set(3, "/a", "3")),
       {"watch.repeated_event"}},
      {"out of order",
       with(watch("/**", 2).set(3, "/a", "3").set(2, "/b", "2")),
       {"watch.lost_event", "watch.repeated_event"}},
      {"before it began",
       with(watch("/**", 2).set(1, "/a", "1").set(2, "/b", "2")),
       {"watch.repeated_event"}},
      {"one that does not match",
       with(watch("/a").set(1, "/a", "1").set(2, "/b", "2")),
       {"watch.foreign_event"}},
      {"another value", with(watch("/a").set(1, "/a", "3")), {"model.two_contents"}},
      {"another kind", with(watch("/a").del(1, "/a")), {"model.two_contents"}},
      {"an event that never was",
       with(watch("/**", 5).set(5, "/a", "1")),
       {"model.write_repeated"}},
      {"a gap that is told", with(watch("/**").set(1, "/a", "1").gap(4).nop(4).through(4))},
      {"what comes after a gap is not excused",
       with(watch("/**").gap(2).set(3, "/a", "3")),
       {"watch.lost_event"}},
      {"a gap that goes back", with(watch("/a").set(1, "/a", "1").gap(1)), {"watch.gap_backwards"}},
      {"resumed",
       with(watch("/**").set(1, "/a", "1").resumed(2).set(2, "/b", "2").set(3, "/a", "3"))},
      {"lost at a reconnect",
       with(watch("/**").set(1, "/a", "1").resumed(2).set(3, "/a", "3")),
       {"watch.lost_event"}},
      {"repeated at a reconnect",
       with(watch("/**").set(1, "/a", "1").resumed(2).set(1, "/a", "1").set(2, "/b", "2")),
       {"watch.repeated_event"}},
      {"resumed too late",
       with(watch("/**").set(1, "/a", "1").resumed(3)),
       {"watch.resumed_elsewhere"}},
      {"no glob at all", with(watch("//")), {"watch.bad_glob"}},
  };
  for (const Case& one : kCases) expect_rules(one, check(one.history));
}

TEST(Watches, SeveralEventsOfARevisionAreNumbered) {
  // As one command of a server makes them, beside the clients' own writes.
  const auto all = [] {
    return watch("/**").set(1, "/ctl/x", "x", 0).set(1, "/ctl/y", "y", 1).set(1, "/ctl/z", "z", 2);
  };
  const Case kCases[] = {
      {"all", history_of({}, {all().through(1)})},
      {"those that match are numbered alone",
       history_of({}, {all(), watch("/ctl/?").set(1, "/ctl/x", "x").set(1, "/ctl/y", "y", 1)})},
      {"some of them match",
       history_of({}, {all(), watch("/*/z").set(1, "/ctl/z", "z", 0).through(1)})},
      {"what listings show has no order",
       history_of({walk("/**").lists({{"/ctl/x", 1, "x"}, {"/ctl/y", 1, "y"}}, 1)},
                  {watch("/**").set(1, "/ctl/y", "y", 0).set(1, "/ctl/x", "x", 1).through(1)})},
      {"nor do watches of some",
       history_of({walk("/**").lists({{"/ctl/x", 1, "x"}, {"/ctl/y", 1, "y"}}, 1)},
                  {watch("/ctl/?").set(1, "/ctl/y", "y", 0).set(1, "/ctl/x", "x", 1)})},
      {"the second lost",
       history_of({}, {all(), watch("/ctl/*").set(1, "/ctl/x", "x").set(1, "/ctl/z", "z", 2)}),
       {"watch.lost_event"}},
      {"the rest lost",
       history_of({}, {all(), watch("/ctl/*").set(1, "/ctl/x", "x").through(1)}),
       {"watch.lost_event"}},
      {"the second twice",
       history_of({}, {all(), watch("/ctl/*")
                                  .set(1, "/ctl/x", "x")
                                  .set(1, "/ctl/y", "y", 1)
                                  .set(1, "/ctl/y", "y", 1)}),
       {"watch.repeated_event"}},
      {"in another order",
       history_of({}, {all(), watch("/ctl/*").set(1, "/ctl/y", "y", 0)}),
       {"watch.wrong_sub"}},
  };
  for (const Case& one : kCases) expect_rules(one, check(one.history));
}

}  // namespace
}  // namespace doozer::sim
