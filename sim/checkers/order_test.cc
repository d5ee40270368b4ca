#include "sim/checkers/order.h"

#include <gtest/gtest.h>

#include "sim/checkers/history_testing.h"
#include "sim/history_text.h"

namespace doozer::sim {
namespace {

Report check(const History& history) {
  Report report;
  const Model model(history, report);
  check_order(history, model, report);
  return report;
}

void expect(const std::vector<Case>& cases) {
  for (const Case& one : cases) expect_rules(one, check(one.history));
}

const Op kSetA1 = set("/a", "1").during(10, 20).ok(1);
const Op kSetA2 = set("/a", "2").during(30, 40).ok(2);

TEST(Order, WritesStandInTheOrderOfTime) {
  expect({
      {"one after the other", history_of({kSetA1, kSetA2})},
      {"concurrent, either way round",
       history_of({set("/a", "1").during(10, 30).ok(2), set("/a", "2").during(20, 40).ok(1)})},
      {"begun at the very moment when the other ended",
       history_of({set("/a", "1").during(10, 20).ok(2), set("/a", "2").during(20, 30).ok(1)})},
      {"back in time",
       history_of({set("/a", "1").during(10, 20).ok(2), set("/b", "2").during(30, 40).ok(1)}),
       {"order.write_behind"}},
      {"below what a local read had shown",
       history_of(
           {kSetA1, rev().during(41, 42).ok(7).store(7), set("/a", "3").during(50, 60).ok(5)}),
       {"order.write_behind"}},
      {"unknown, seen, and back in time",
       history_of({kSetA1, kSetA2, set("/b", "3").lost(50),
                   rev().lin().during(45, 46).ok(9).store(9),
                   get("/b").during(60, 70).saw("3", 8).store(9)}),
       {"order.write_behind"}},
      {"unknown, and much later",
       history_of({set("/b", "3").lost(5), kSetA1, kSetA2,
                   get("/b").lin().during(60, 70).saw("3", 3).store(3)})},
  });
}

TEST(Order, WhatOneSessionPipelinesTakesEffectInThatOrder) {
  const auto first = [](int64_t revision) {
    return set("/a", "1").during(10, 40).in(7).on("s1").ok(revision);
  };
  const auto second = [](int64_t revision) {
    return set("/b", "2").during(11, 30).in(7).on("s1").ok(revision);
  };
  expect({
      {"in order", history_of({first(1), second(2)})},
      {"in another order", history_of({first(2), second(1)}), {"order.pipeline_reordered"}},
      {"the first is unknown, and seen later",
       history_of({set("/a", "1").lost(10).in(7).on("s1"), second(1),
                   get("/a").lin().during(2'000, 2'010).saw("1", 2).store(2)}),
       {"order.pipeline_reordered"}},
      {"of two sessions",
       history_of({first(2), set("/b", "2").during(11, 30).in(8).on("s1").ok(1)})},
      {"at two servers",
       history_of({first(2), set("/b", "2").during(11, 30).in(7).on("s2").ok(1)})},
  });
}

TEST(Order, OneRevisionIsOneChange) {
  expect({
      {"two writes of one revision",
       history_of({set("/a", "1").during(10, 30).ok(1), set("/b", "2").during(20, 40).ok(1)}),
       {"model.revision_used_twice"}},
      {"two values of one revision of a file",
       history_of({kSetA1, get("/a").during(30, 40).saw("1", 1).store(1),
                   set("/a", "2").during(10, 30).ok(2),
                   get("/a").during(30, 40).at(2).saw("1x", 2)}),
       {"model.two_contents"}},
      {"revision 0", history_of({set("/a", "1").during(10, 20).ok(0)}), {"model.bad_revision"}},
  });
}

TEST(Order, LinearizableReadsSeeWhatWasAcknowledged) {
  expect({
      {"the newest", history_of({kSetA1, kSetA2, get("/a").lin().during(50, 60).saw("2", 2)})},
      {"the old one, while the new one is written",
       history_of({kSetA1, kSetA2, get("/a").lin().during(25, 60).saw("1", 1)})},
      {"the new one before it is acknowledged, and the old one no more",
       history_of({kSetA1, set("/a", "2").during(30, 90).ok(2),
                   get("/a").lin().during(40, 50).saw("2", 2),
                   get("/a").lin().during(60, 70).saw("1", 1)}),
       {"order.stale_read"}},
      {"stale",
       history_of({kSetA1, kSetA2, get("/a").lin().during(50, 60).saw("1", 1)}),
       {"order.stale_read"}},
      {"stale by store_rev",
       history_of({kSetA1, kSetA2, get("/a").lin().during(50, 60).saw("1", 1).store(1)}),
       {"order.stale_read"}},
      {"missing although it was written",
       history_of({kSetA1, get("/a").lin().during(50, 60).saw("", 0)},
                  {watch("/**").set(1, "/a", "1").through(1)}),
       {"order.stale_read"}},
      {"missing, deleted meanwhile", history_of({kSetA1, del("/a").during(30, 70).ok(),
                                                 get("/a").lin().during(50, 60).saw("", 0)})},
      {"REV that is behind",
       history_of({kSetA1, kSetA2, rev().lin().during(50, 60).ok(1)}),
       {"order.stale_read"}},
      {"STAT that is behind",
       history_of({kSetA1, kSetA2, stat("/a").lin().during(50, 60).ok(1).length_of(1)}),
       {"order.stale_read"}},
      {"refused, by a server that lags",
       history_of(
           {kSetA1, kSetA2, get("/a").lin().during(50, 60).refused(Code::read_only).store(1)})},
      {"busy, at a revision to come",
       history_of({kSetA1, get("/a").at(2).during(22, 25).refused(Code::busy).store(1), kSetA2})},
      {"a directory that was a file by then",
       history_of(
           {kSetA1, kSetA2, get("/a").lin().during(50, 60).refused(Code::is_directory).store(1)}),
       {"order.stale_read"}},
      {"behind what a local read had shown",
       history_of({kSetA1, set("/a", "2").during(30, 99).ok(2),
                   get("/a").during(40, 50).saw("2", 2).store(2),
                   get("/a").lin().during(60, 70).saw("1", 1).store(1)}),
       {"order.stale_read"}},
  });
}

TEST(Order, LocalReadsShowSomeStateAndNeverGoBack) {
  const Op old_read = get("/a").during(50, 60).saw("1", 1).store(1);
  expect({
      {"old, in another session", history_of({kSetA1, kSetA2, old_read})},
      {"a mixture of two states",
       history_of({kSetA1, kSetA2, get("/a").during(50, 60).saw("1", 1).store(2)}),
       {"order.wrong_value"}},
      {"a value before it was there",
       history_of({kSetA1, kSetA2, get("/a").during(50, 60).saw("2", 2).store(1)}),
       {"order.wrong_value"}},
      {"missing in a state in which it was",
       history_of({kSetA1, kSetA2, get("/a").during(50, 60).saw("", 0).store(2)},
                  {watch("/**").set(1, "/a", "1").set(2, "/a", "2").through(2)}),
       {"order.wrong_value"}},
      {"back within a session",
       history_of({kSetA1, kSetA2, rev().in(7).during(41, 42).ok(2).store(2),
                   get("/a").in(7).during(50, 60).saw("1", 1).store(1)}),
       {"order.time_ran_backwards"}},
      {"not its own write",
       history_of({kSetA1, set("/a", "2").in(7).during(30, 40).ok(2),
                   get("/a").in(7).during(50, 60).saw("1", 1).store(1)}),
       {"order.time_ran_backwards"}},
      {"below min_rev",
       history_of({kSetA1, kSetA2, get("/a").min(2).during(50, 60).saw("1", 1).store(1)}),
       {"order.time_ran_backwards"}},
      {"below min_rev, store_rev not told",
       history_of({kSetA1, kSetA2, get("/a").min(2).during(50, 60).saw("1", 1)}),
       {"order.stale_read"}},
      {"STAT with another length",
       history_of({kSetA1, stat("/a").during(50, 60).ok(1).length_of(4).store(1)}),
       {"order.wrong_value"}},
      {"REV that is not the store's",
       history_of({kSetA1, rev().during(50, 60).ok(1).store(2)}),
       {"order.wrong_value"}},
  });
}

TEST(Order, ReadsAtARevisionShowThatState) {
  expect({
      {"the old state for ever",
       history_of({kSetA1, kSetA2, get("/a").at(1).during(50, 60).saw("1", 1).store(2)})},
      {"another state",
       history_of({kSetA1, kSetA2, get("/a").at(1).during(50, 60).saw("2", 2).store(2)}),
       {"order.wrong_value"}},
      {"a revision that was written later",
       history_of({kSetA1, get("/a").at(2).during(22, 25).saw("1", 1), kSetA2}),
       {"order.write_behind", "order.wrong_value"}},
  });
}

TEST(Order, ACompareAndSetPassesOnlyOverWhatIsNotNewer) {
  const auto over_two = [](int64_t cas) {
    return history_of({kSetA1, kSetA2, set("/a", "3", cas).during(50, 60).ok(3)});
  };
  const auto refused_over_two = [](int64_t cas) {
    return history_of({kSetA1, kSetA2, set("/a", "3", cas).during(50, 60).refused()});
  };
  expect({
      {"the file's own", over_two(2)},
      {"higher", over_two(9)},
      {"any", over_two(-1)},
      {"older", over_two(1), {"order.cas_passed"}},
      {"must be missing", over_two(0), {"order.cas_passed"}},
      {"below -1 never", over_two(-2), {"order.cas_passed"}},
      {"missing again", history_of({kSetA1, kSetA2, del("/a").during(41, 42).ok(),
                                    set("/a", "3", 0).during(50, 60).ok(4)})},
      {"unknown, but passed wrongly",
       history_of({kSetA1, kSetA2, set("/a", "3", 1).lost(50),
                   get("/a").lin().during(60, 70).saw("3", 3).store(3)}),
       {"order.cas_passed"}},
      {"refused by what is newer", refused_over_two(1)},
      {"refused although it is not newer",
       history_of({kSetA1, kSetA2, set("/a", "3", 2).during(50, 60).refused()},
                  {watch("/**").set(1, "/a", "1").set(2, "/a", "2").through(2)}),
       {"order.refused_without_reason"}},
      {"refused by what was written meanwhile",
       history_of({kSetA1, set("/a", "3", 1).during(25, 60).refused(), kSetA2})},
      {"refused for another reason, by a server that lags",
       history_of(
           {kSetA1, kSetA2, set("/a", "3", 2).during(50, 60).refused(Code::read_only).store(1)})},
      {"refused for another reason",
       history_of({kSetA1, kSetA2, set("/a", "3", 2).during(50, 60).refused(Code::read_only)})},
  });
}

TEST(Order, WhatWasRefusedIsNeverSeenAndWhatIsUnknownAtMostOnce) {
  const Op refused = set("/a", "r", 0).during(50, 60).refused(Code::read_only);
  expect({
      {"refused and seen",
       history_of({refused, get("/a").during(70, 80).saw("r", 1).store(1)}),
       {"model.refused_write_visible"}},
      {"failed for certain and seen by a watch",
       history_of({[] {
                    Op op = set("/a", "r").during(50, 60);
                    op.outcome = Outcome::failed;
                    return op;
                  }()},
                  {watch("/**").set(1, "/a", "r").through(1)}),
       {"model.refused_write_visible"}},
      {"unknown and seen",
       history_of({set("/a", "u").lost(50), get("/a").during(70, 80).saw("u", 1).store(1)})},
      {"unknown and never seen", history_of({set("/a", "u").lost(50), kSetA1})},
      {"unknown and repeated",
       history_of({set("/a", "u").lost(50)},
                  {watch("/**").set(1, "/a", "u").set(2, "/a", "u").through(2)}),
       {"model.write_repeated"}},
      {"acknowledged and repeated",
       history_of({kSetA1}, {watch("/**").set(1, "/a", "1").set(2, "/a", "1").through(2)}),
       {"model.write_repeated"}},
      {"seen before it was written",
       history_of({get("/a").during(2, 5).saw("1", 1).store(1), kSetA1}),
       {"model.seen_before_written", "order.write_behind"}},
      {"written by nobody",
       history_of({kSetA1, get("/a").during(50, 60).saw("?", 2).store(2)}),
       {"model.value_from_nowhere"}},
      {"files of others are theirs",
       history_of({kSetA1, get("/ctl/name").during(50, 60).saw("local", 2).store(2)})},
      {"at another path",
       history_of({kSetA1, get("/b").during(50, 60).saw("1", 2).store(2)}),
       {"model.value_at_wrong_path"}},
      {"values that are not unique",
       history_of({kSetA1, set("/b", "1").during(30, 40).ok(2)}),
       {"model.value_at_wrong_path", "model.value_not_unique"}},
  });
}

TEST(Order, DeletesAndNopsCount) {
  const auto seen = [] { return watch("/**").set(1, "/a", "1"); };
  expect({
      {"deleted", history_of({kSetA1, del("/a").during(30, 40).ok().store(2)},
                             {seen().del(2, "/a").through(2)})},
      {"deleted what was not there",
       history_of({del("/a").during(2, 4).ok(), kSetA1}, {seen().through(1)})},
      {"acknowledged and not done",
       history_of({kSetA1, del("/a").during(30, 40).ok()}, {seen().through(1)}),
       {"order.write_lost"}},
      {"done only after it was answered",
       history_of({kSetA1, set("/b", "2").during(30, 40).ok(2),
                   del("/a").during(50, 60).ok().store(2), del("/a").during(50, 60).ok()},
                  {seen().set(2, "/b", "2").del(3, "/a").through(3)}),
       {"order.answered_too_early"}},
      {"deleted over what is newer",
       history_of({kSetA1, kSetA2, del("/a", 1).during(50, 60).ok()},
                  {seen().set(2, "/a", "2").del(3, "/a").through(3)}),
       {"order.delete_without_reason"}},
      {"deleted by nobody",
       history_of({kSetA1, set("/b", "2").during(30, 40).ok(2)},
                  {watch("/**").set(1, "/a", "1").set(2, "/b", "2").del(3, "/a").through(3)}),
       {"model.too_many_deletes", "order.delete_without_reason"}},
      {"refused and done",
       history_of({kSetA1, kSetA2, del("/a", 1).during(50, 60).refused(),
                   del("/a", 1).during(50, 60).ok()},
                  {seen().set(2, "/a", "2").del(3, "/a").through(3)}),
       {"order.delete_without_reason"}},
      {"nop", history_of({nop().during(1, 2).ok()}, {watch("/**").nop(1).through(1)})},
      {"nop that never was",
       history_of({kSetA1, nop().during(30, 40).ok()}, {seen().through(1)}),
       {"model.nop_lost", "order.write_lost"}},
      {"unknown nop", history_of({kSetA1, nop().lost(30)}, {seen().nop(2).through(2)})},
      {"nop of nobody", history_of({kSetA1}, {seen().nop(2).through(2)}), {"model.too_many_nops"}},
      {"two nops at once, and one was made",
       history_of({kSetA1, nop().during(30, 40).ok(), nop().during(30, 40).ok()},
                  {seen().nop(2).through(2)}),
       {"model.nop_lost"}},
  });
}

TEST(Order, ListingsAreTheStateOfOneRevision) {
  const std::vector<Op> written = {set("/d/a", "1").during(10, 20).ok(1),
                                   set("/d/b", "2").during(30, 40).ok(2),
                                   set("/d/e/f", "3").during(50, 60).ok(3)};
  const auto with = [&](Op op) {
    std::vector<Op> ops = written;
    op.invoked_us = 70;
    op.completed_us = 80;
    ops.push_back(std::move(op));
    return history_of(std::move(ops));
  };
  const Listed a{.name = "/d/a", .revision = 1, .value = "1"};
  const Listed b{.name = "/d/b", .revision = 2, .value = "2"};
  const Listed f{.name = "/d/e/f", .revision = 3, .value = "3"};
  expect({
      {"walk", with(walk("/d/**").lin().lists({a, b, f}, 3))},
      {"walk, one level", with(walk("/d/*").lists({a, b}, 3))},
      {"walk at a revision", with(walk("/**").at(2).lists({a, b}, 2))},
      {"walk without one", with(walk("/d/**").lists({a, f}, 3)), {"order.wrong_listing"}},
      {"walk with one too many", with(walk("/d/**").lists({a, b, f}, 2)), {"order.wrong_listing"}},
      {"walk out of order", with(walk("/d/**").lists({b, a, f}, 3)), {"order.wrong_listing"}},
      {"stale walk", with(walk("/d/**").lin().lists({a, b}, 2)), {"order.stale_read"}},
      {"one entry", with(walk("/d/**").entry(1).lists({b}).store(3))},
      {"another entry", with(walk("/d/**").entry(1).lists({f}).store(3)), {"order.wrong_listing"}},
      {"past the end", with(walk("/d/*").entry(2).refused(Code::range).store(3))},
      {"not past the end",
       with(walk("/d/*").entry(1).refused(Code::range).store(3)),
       {"order.wrong_listing"}},
      {"entries of a directory", with(getdir("/d").lists({{"a"}, {"b"}, {"e"}}, 3))},
      {"entries of the root", with(getdir("/").lists({{"d"}}, 3))},
      {"an entry too few", with(getdir("/d").lists({{"a"}, {"b"}}, 3)), {"order.wrong_listing"}},
      {"one entry of a directory", with(getdir("/d").entry(2).lists({{"e"}}).store(3))},
  });
}

TEST(Order, AHoleIsHeldAgainstNobody) {
  // Revision 2 was seen by nobody: it may be an unknown delete.
  expect({
      {"missing", history_of({kSetA1, del("/a").lost(22),
                              get("/a").lin().during(50, 60).saw("", 0).store(2)})},
      {"compare-and-set over it",
       history_of({kSetA1, del("/a").lost(22), set("/a", "3", 0).during(50, 60).ok(3)})},
      {"but what is seen is no hole",
       history_of(
           {kSetA1, nop().during(22, 25).ok(), get("/a").lin().during(50, 60).saw("", 0).store(2)},
           {watch("/").nop(2)}),
       {"order.wrong_value"}},
  });
}

TEST(Order, AHistoryOf100000OperationsIsJudgedFast) {
  // Time is not measured here: the work must be linear, and this would take minutes if it were not.
  History history;
  for (int64_t i = 0; i < 100'000; ++i) {
    const auto at = static_cast<uint64_t>(i) * 10;
    const std::string path = "/r/" + std::to_string(i % 3);
    history.ops.push_back(
        i % 2 == 0 ? Op(set(path, std::to_string(i), -1).during(at, at + 8).ok(i / 2 + 1))
                   : Op(rev().lin().during(at, at + 8).ok(i / 2 + 1)));
  }
  EXPECT_TRUE(check(history).ok());
}

}  // namespace
}  // namespace doozer::sim
