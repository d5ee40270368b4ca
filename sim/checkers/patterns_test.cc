#include "sim/checkers/patterns.h"

#include <gtest/gtest.h>

#include "sim/checkers/history_testing.h"
#include "sim/checkers/judge.h"
#include "sim/checkers/liveness.h"

namespace doozer::sim {
namespace {

TEST(Set, HoldsWhatWasAddedAndNothingElse) {
  const Op one = set("/set/1", "1", 0).during(10, 20).ok(1);
  const Op unknown = set("/set/2", "2", 0).lost(10);
  const Op refused = set("/set/3", "3", 0).during(10, 20).refused(Code::read_only);
  const auto with = [&](std::vector<Listed> entries) {
    return history_of({one, unknown, refused,
                       walk("/set/*").lin().during(9'000, 9'010).lists(std::move(entries), 4)});
  };
  const Case kCases[] = {
      {"without the unknown", with({{"/set/1", 1, "1"}})},
      {"with the unknown", with({{"/set/1", 1, "1"}, {"/set/2", 2, "2"}})},
      {"lost", with({{"/set/2", 2, "2"}}), {"set.lost"}},
      {"with another value", with({{"/set/1", 1, "x"}}), {"set.lost"}},
      {"refused",
       with({{"/set/1", 1, "1"}, {"/set/3", 3, "3"}}),
       {"set.never_added", "set.refused_add_visible"}},
      {"added by nobody", with({{"/set/1", 1, "1"}, {"/set/9", 3, "9"}}), {"set.never_added"}},
  };
  for (const Case& judged : kCases) {
    Report report;
    EXPECT_TRUE(check_set(judged.history, "/set/", report)) << judged.name;
    expect_rules(judged, report);
  }
}

TEST(Set, IsJudgedOnlyByAWalkAfterAll) {
  Report report;
  const Op add = set("/set/1", "1", 0).during(10, 20).ok(1);
  EXPECT_FALSE(check_set(history_of({add}), "/set/", report));
  EXPECT_FALSE(
      check_set(history_of({add, walk("/set/*").lin().during(15, 30).lists({})}), "/set/", report));
  EXPECT_FALSE(
      check_set(history_of({add, walk("/set/*").during(30, 40).lists({})}), "/set/", report));
  EXPECT_FALSE(
      check_set(history_of({add, walk("/r/*").lin().during(30, 40).lists({})}), "/set/", report));
  EXPECT_TRUE(report.ok());
}

TEST(Counter, CountsEachIncrementOnce) {
  const Op one = set("/counter", "1 a", 0).during(10, 20).ok(1);
  const Op two = set("/counter", "2 b", 1).during(30, 40).ok(2);
  const auto seen = [] { return watch("/**").set(1, "/counter", "1 a"); };
  const Case kCases[] = {
      {"two", history_of({one, two}, {seen().set(2, "/counter", "2 b").through(2)})},
      {"two and an unknown one that was made",
       history_of({one, two, set("/counter", "3 c", 2).lost(50)},
                  {seen().set(2, "/counter", "2 b").set(3, "/counter", "3 c").through(3)})},
      {"two and an unknown one that was not made",
       history_of({one, two, set("/counter", "3 c", 2).lost(50)},
                  {seen().set(2, "/counter", "2 b").through(2)})},
      {"lost update",
       history_of({one, two, set("/counter", "2 c", 1).during(50, 60).ok(3)},
                  {seen().set(2, "/counter", "2 b").set(3, "/counter", "2 c").through(3)}),
       {"counter.lost_or_repeated"}},
      {"too high",
       history_of({one, set("/counter", "3 b", 1).during(30, 40).ok(2)},
                  {seen().set(2, "/counter", "3 b").through(2)}),
       {"counter.lost_or_repeated"}},
      {"no number",
       history_of({set("/counter", "x", 0).during(10, 20).ok(1)}),
       {"counter.no_number"}},
      {"deleted",
       history_of({one, del("/counter").during(30, 40).ok()},
                  {seen().del(2, "/counter").through(2)}),
       {"counter.no_number"}},
      {"a hole between may be one that is unknown",
       history_of({one, set("/counter", "2 b", 1).lost(50),
                   set("/counter", "3 c", 2).during(60, 70).ok(3)})},
      {"acknowledged ones are not in the sum",
       history_of({one, set("/counter", "1 b", 1).during(10, 20).ok(0)}),
       {"counter.wrong_sum", "model.bad_revision"}},
  };
  for (const Case& judged : kCases) {
    Report report;
    const Model model(judged.history, report);
    check_counter(judged.history, model, "/counter", report);
    expect_rules(judged, report);
  }
}

TEST(Lock, HasOneHolder) {
  const Op taken = set("/lock", "a", 0).by(1).during(10, 20).ok(1);
  const Op released = del("/lock", 1).by(1).during(50, 60).ok();
  const Case kCases[] = {
      {"one after the other",
       history_of({taken, released, set("/lock", "b", 0).by(2).during(55, 65).ok(3)})},
      {"two at once",
       history_of({taken, released, set("/lock", "b", 0).by(2).during(30, 40).ok(2)}),
       {"lock.two_holders"}},
      {"never released",
       history_of({taken, set("/lock", "b", 0).by(2).during(30, 40).ok(2)}),
       {"lock.two_holders"}},
      {"released by another is not released",
       history_of({taken, del("/lock", 1).by(2).during(25, 26).ok(),
                   set("/lock", "b", 0).by(2).during(30, 40).ok(3)}),
       {"lock.two_holders"}},
      {"an unknown one counts from when its owner knows",
       history_of({set("/lock", "a", 0).by(1).lost(10),
                   set("/lock", "b", 0).by(2).during(12, 14).ok(1),
                   del("/lock", 1).by(2).during(15, 16).ok(),
                   get("/lock").lin().by(1).during(30, 40).saw("a", 3)})},
      {"an unknown one that its owner has seen",
       history_of({set("/lock", "a", 0).by(1).lost(10),
                   get("/lock").lin().by(1).during(30, 40).saw("a", 3),
                   set("/lock", "b", 0).by(2).during(50, 60).ok(4)}),
       {"lock.two_holders"}},
      {"seen by others says nothing",
       history_of({set("/lock", "a", 0).by(1).lost(10),
                   get("/lock").lin().by(2).during(30, 40).saw("a", 3),
                   set("/lock", "b", 0).by(2).during(50, 60).ok(4)})},
  };
  for (const Case& judged : kCases) {
    Report report;
    check_lock(judged.history, "/lock", report);
    expect_rules(judged, report);
  }
}

TEST(Overlap, CountsOperationsUnderWayTogether) {
  const Overlap overlap = count_overlap(history_of(
      {set("/a", "1").by(1).during(10, 20).ok(1), set("/a", "2").by(2).during(15, 40).ok(2),
       get("/a").by(1).during(50, 60).saw("2", 2), get("/a").by(2).during(60, 70).saw("2", 2),
       // Another file, and one that one client has for itself.
       set("/b", "3").by(1).during(12, 70).ok(3), get("/b").by(2).during(80, 90).saw("3", 3),
       set("/c", "4").by(3).during(10, 90).ok(4), set("/c", "5").by(3).during(15, 95).ok(5)}));
  EXPECT_EQ(overlap.operations, 6U);
  EXPECT_EQ(overlap.overlapped, 2U);
  EXPECT_TRUE(overlap.proves_something());
  EXPECT_FALSE((Overlap{.operations = 11, .overlapped = 2}).proves_something());
  Overlap sum{.operations = 10, .overlapped = 1};
  sum += {.operations = 10, .overlapped = 3};
  EXPECT_TRUE(sum.proves_something());
}

TEST(Liveness, TheLongestSilenceLiesWithinTheDuties) {
  const History history =
      history_of({nop().on("A").during(100, 110).ok(), nop().on("A").during(120, 130).ok(),
                  nop().on("A").during(190, 200).ok(), nop().on("B").during(150, 160).ok(),
                  nop().on("A").during(160, 170).refused(Code::read_only), nop().on("A").lost(150),
                  get("/a").on("A").during(150, 155).saw("", 0)});
  const struct {
    std::string name;
    std::vector<Duty> duties;
    std::string server;
    uint64_t from_us;
    uint64_t to_us;
  } kCases[] = {
      {"between two", {{"A", 100, 200}}, "A", 130, 200},
      {"before the first", {{"A", 0, 130}}, "A", 0, 110},
      {"after the last", {{"A", 100, 500}}, "A", 200, 500},
      {"what began before the duty does not count", {{"A", 105, 125}}, "A", 105, 125},
      {"what was answered after it neither", {{"A", 140, 195}}, "A", 140, 195},
      {"the longest of several", {{"A", 100, 140}, {"B", 100, 300}}, "B", 160, 300},
      {"a server that nobody wrote at", {{"C", 7, 9}}, "C", 7, 9},
  };
  for (const auto& one : kCases) {
    const auto silence = longest_silence(history, one.duties);
    ASSERT_TRUE(silence) << one.name;
    EXPECT_EQ(silence->server, one.server) << one.name;
    EXPECT_EQ(silence->from_us, one.from_us) << one.name;
    EXPECT_EQ(silence->to_us, one.to_us) << one.name;
  }
  EXPECT_FALSE(longest_silence(history, {}));
}

TEST(Judge, SaysWhatIsWrongAndHowMuchThereWas) {
  const History good = history_of({set("/a", "1").during(10, 20).ok(1)},
                                  {watch("/**").set(1, "/a", "1").through(1)});
  EXPECT_EQ(judge(good).to_string(),
            "ok operations=1 revisions=1 events=1 overlapped=0/0 linear_unknown=0\n");
  History bad = good;
  bad.ops.push_back(get("/a").lin().during(30, 40).saw("", 0));
  bad.replicas = {{.server = "A", .incarnation = 3, .index = 1}};
  const Verdict verdict = judge(bad);
  EXPECT_FALSE(verdict.ok());
  for (const char* rule : {"order.stale_read", "linear.illegal", "replica.wrong_life"}) {
    EXPECT_TRUE(verdict.report.has(rule)) << rule;
  }
  EXPECT_NE(verdict.to_string().find("\nBAD operations=2"), std::string::npos);
}

}  // namespace
}  // namespace doozer::sim
