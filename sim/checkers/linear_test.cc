#include "sim/checkers/linear.h"

#include <gtest/gtest.h>

#include "sim/checkers/history_testing.h"

namespace doozer::sim {
namespace {

Report check(const History& history) {
  Report report;
  EXPECT_EQ(check_linear(history, report), 0U);
  return report;
}

void expect(const std::vector<Case>& cases) {
  for (const Case& one : cases) expect_rules(one, check(one.history));
}

const std::vector<std::string> kIllegal = {"linear.illegal"};
const Op kSet1 = set("/a", "1").during(10, 20).ok(1);
const Op kSet2 = set("/a", "2").during(30, 40).ok(2);

TEST(Linear, ReadsSeeTheLastWrite) {
  expect({
      {"nothing yet", history_of({get("/a").lin().during(1, 5).saw("", 0), kSet1})},
      {"the last", history_of({kSet1, kSet2, get("/a").lin().during(50, 60).saw("2", 2)})},
      {"an old one", history_of({kSet1, kSet2, get("/a").lin().during(50, 60).saw("1", 1)}),
       kIllegal},
      {"an old one, locally", history_of({kSet1, kSet2, get("/a").during(50, 60).saw("1", 1)})},
      {"an old one, at its revision",
       history_of({kSet1, kSet2, get("/a").lin().at(1).during(50, 60).saw("1", 1)})},
      {"either, while it is written", history_of({kSet1, set("/a", "2").during(30, 90).ok(2),
                                                  get("/a").lin().during(40, 50).saw("1", 1),
                                                  get("/a").lin().during(60, 70).saw("2", 2)})},
      {"back again, while it is written",
       history_of({kSet1, set("/a", "2").during(30, 90).ok(2),
                   get("/a").lin().during(40, 50).saw("2", 2),
                   get("/a").lin().during(60, 70).saw("1", 1)}),
       kIllegal},
      {"missing", history_of({kSet1, get("/a").lin().during(50, 60).saw("", 0)}), kIllegal},
      {"deleted", history_of({kSet1, del("/a").during(30, 40).ok(),
                              get("/a").lin().during(50, 60).saw("", 0)})},
      {"not deleted",
       history_of(
           {kSet1, del("/a").during(30, 40).ok(), get("/a").lin().during(50, 60).saw("1", 1)}),
       kIllegal},
      {"STAT", history_of({kSet1, kSet2, stat("/a").lin().during(50, 60).ok(1)}), kIllegal},
      {"files do not mix", history_of({kSet1, set("/b", "2").during(30, 40).ok(2),
                                       get("/a").lin().during(50, 60).saw("1", 1)})},
  });
}

TEST(Linear, TheOrderOfRevisionsIsNotTrusted) {
  // Revisions say "2" came last, the reads say otherwise: the search believes the reads.
  expect({
      {"against the revisions",
       history_of({set("/a", "1").during(10, 90).ok(1), set("/a", "2").during(10, 90).ok(2),
                   get("/a").lin().during(20, 30).saw("2", 2),
                   get("/a").lin().during(40, 50).saw("1", 1)})},
  });
}

TEST(Linear, CompareAndSet) {
  expect({
      {"passes", history_of({kSet1, set("/a", "2", 1).during(30, 40).ok(2)})},
      {"both of one revision pass",
       history_of(
           {kSet1, set("/a", "2", 1).during(30, 40).ok(2), set("/a", "3", 1).during(30, 40).ok(3)}),
       kIllegal},
      {"one passes, one is refused", history_of({kSet1, set("/a", "2", 1).during(30, 40).ok(2),
                                                 set("/a", "3", 1).during(30, 40).refused()})},
      {"refused without a reason", history_of({kSet1, set("/a", "3", 1).during(30, 40).refused()}),
       kIllegal},
      {"refused, perhaps because of an unknown write",
       history_of({kSet1, set("/a", "2").lost(25), set("/a", "3", 1).during(30, 40).refused()})},
      {"refused before the unknown write began",
       history_of({kSet1, set("/a", "2").lost(55), set("/a", "3", 1).during(30, 40).refused()}),
       kIllegal},
      {"a delete of what is newer", history_of({kSet1, kSet2, del("/a", 1).during(50, 60).ok()}),
       kIllegal},
      {"a delete of nothing", history_of({del("/a", 0).during(50, 60).ok()})},
  });
}

TEST(Linear, UnknownWritesMayHappenLateOrNeverButOnce) {
  expect({
      {"never", history_of({kSet1, set("/a", "u").lost(30),
                            get("/a").lin().during(9'000, 9'010).saw("1", 1)})},
      {"late",
       history_of({kSet1, set("/a", "u").lost(30), get("/a").lin().during(9'000, 9'010).saw("1", 1),
                   get("/a").lin().during(9'020, 9'030).saw("u", 5)})},
      {"not before it began",
       history_of({kSet1, get("/a").lin().during(22, 25).saw("u", 5), set("/a", "u").lost(30)}),
       kIllegal},
      {"twice",
       history_of({set("/a", "u").lost(30), get("/a").lin().during(40, 50).saw("u", 1),
                   set("/a", "2").during(60, 70).ok(2),
                   get("/a").lin().during(80, 90).saw("u", 3)}),
       kIllegal},
      {"a delete, late",
       history_of({kSet1, del("/a").lost(30), get("/a").lin().during(9'000, 9'010).saw("1", 1),
                   get("/a").lin().during(9'020, 9'030).saw("", 0)})},
  });
}

TEST(Linear, ASearchThatTakesTooLongIsUnknown) {
  // Many writes at once, then a read of what none of them wrote last: everything must be tried.
  std::vector<Op> ops;
  for (int i = 0; i < 24; ++i) {
    ops.push_back(set("/a", std::to_string(i)).during(10, 1'000).ok(i + 1));
  }
  ops.push_back(get("/a").lin().during(2'000, 2'010).saw("", 0));
  const auto verdicts = search_linear(history_of(ops), 10'000);
  ASSERT_EQ(verdicts.size(), 1U);
  EXPECT_EQ(verdicts.front().verdict, Linear::unknown);
  EXPECT_EQ(verdicts.front().steps, 10'001U);
}

TEST(Linear, WhatItMetBeforeItDoesNotTryAgain) {
  // 2^12 subsets, each with 12 last writes at most: without the memory 12! orders.
  std::vector<Op> ops;
  for (int i = 0; i < 12; ++i) {
    ops.push_back(set("/a", std::to_string(i)).during(10, 1'000).ok(i + 1));
  }
  ops.push_back(get("/a").lin().during(2'000, 2'010).saw("", 0));
  const auto verdicts = search_linear(history_of(ops), 1'000'000);
  EXPECT_EQ(verdicts.front().verdict, Linear::illegal);
  EXPECT_EQ(verdicts.front().stuck_at, 12U);
}

}  // namespace
}  // namespace doozer::sim
