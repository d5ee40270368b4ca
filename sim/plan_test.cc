// Plans as text, drawn and named, and cut down.
#include "sim/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "sim/plan_draw.h"
#include "sim/shrink.h"

namespace doozer::sim {
namespace {

TEST(Plan, ThePageOfThePlanReadsAsItSays) {
  const auto plan = parse_plan(
      "# a comment\n"
      "seed 17\n"
      "servers 5\n"
      "slots 3\n"
      "faults 12s   # and another\n"
      "drift s2 -800\n"
      "\n"
      "at 1.5s for 2s cut leader > servers\n"
      "at 300ms crash s3 torn\n"
      "at 2s flap c1 <> s2 250ms\n"
      "at 2s copy s1 s2\n");
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(plan->seed, 17U);
  EXPECT_EQ(plan->servers, 5U);
  EXPECT_EQ(plan->slots, 3U);
  EXPECT_EQ(plan->faults_us, 12'000'000U);
  EXPECT_EQ(plan->drift_ppm.at(2), -800);
  ASSERT_EQ(plan->steps.size(), 4U);
  const Step crash{.at_us = 300'000,
                   .kind = StepKind::crash,
                   .a = {Who::Kind::server, 3},
                   .crash = CrashKind::machine_torn};
  EXPECT_EQ(plan->steps[0], crash) << "steps are in the order of their times";
  const Step cut{.at_us = 1'500'000,
                 .for_us = 2'000'000,
                 .kind = StepKind::cut,
                 .a = {Who::Kind::leader},
                 .b = {Who::Kind::servers},
                 .both = false};
  EXPECT_EQ(plan->steps[1], cut);
}

TEST(Plan, WhatIsWrongIsNamedWithItsLine) {
  struct Case {
    const char* text;
    const char* says;
  };
  const Case cases[] = {
      {"seed x", "line 1: \"x\" is no number"},
      {"\nsede 1", "line 2: \"sede\" is not known"},
      {"at 1 cut s1 <> s2", "\"1\" is no time such as 40us, 300ms or 1.5s"},
      {"at 1s freeze s1", "\"freeze\" is no step"},
      {"at 1s cut s1 s2", "\"s2\" is neither <> (both ways) nor > (one way)"},
      {"at 1s cut s1 <> s10", "\"s10\" is nobody"},
      {"at 1s cut s0 <> s1", "\"s0\" is nobody"},
      {"at 1s kill c1", "kill is done to servers, not to c1"},
      {"at 1s kill clients", "kill is done to servers, not to clients"},
      {"at 1s kill", "\"\" is nobody"},
      {"at 1s crash s1", "\"\" is no crash: lost, kept, torn or mixed"},
      {"at 1s crash s1 process", "\"process\" is no crash"},
      {"at 1s for 2s save s1", "save takes no such `for`"},
      {"at 1s for 0s kill s1", "kill takes no such `for`"},
      {"at 1s kill s1 s2", "\"s2\" is too much"},
      {"at 1s flap s1 <> s2 10us", "more often than once in 1ms"},
      {"drift s1 10001", "\"10001\" is no number from 0 to 10000"},
      {"drift servers 1", "drift: of one server"},
      {"servers 2\nslots 3", "there must be 1 <= slots <= servers"},
      {"servers 0", "there must be 1 <= slots <= servers"},
      {"servers 10", "\"10\" is no number from 0 to 9"},
      {"pulse 0s", "pulse 0s: over 0s, at most 1s"},
      {"timeout 9s", "timeout 9s: at least 10s"},
  };
  for (const Case& c : cases) {
    const auto plan = parse_plan(c.text);
    ASSERT_FALSE(plan.has_value()) << c.text;
    EXPECT_NE(plan.error().message.find(c.says), std::string::npos)
        << c.text << ": " << plan.error().message;
  }
}

TEST(Plan, TimesAreWrittenShortAndReadBack) {
  const std::pair<uint64_t, const char*> cases[] = {{0, "0s"},
                                                    {1, "1us"},
                                                    {1'000, "1ms"},
                                                    {999'000, "999ms"},
                                                    {1'000'000, "1s"},
                                                    {1'500'000, "1.5s"},
                                                    {1'050'000, "1.05s"},
                                                    {61'001'000, "61.001s"},
                                                    {1'000'001, "1000001us"}};
  for (const auto& [us, text] : cases) EXPECT_EQ(time_text(us), text);
}

TEST(Plan, EveryDrawnPlanReadsBackAsItself) {
  std::set<StepKind> seen;
  for (uint64_t seed = 1; seed <= 1'000; ++seed) {
    const Plan plan = draw_plan(seed);
    const auto again = parse_plan(to_string(plan));
    ASSERT_TRUE(again.has_value()) << again.error().message << "\n" << to_string(plan);
    ASSERT_EQ(*again, plan) << to_string(plan);
    for (const Step& step : plan.steps) seen.insert(step.kind);
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(StepKind::burst) + 1) << "some kind is never drawn";
}

TEST(Plan, DrawnPlansTakeTheDiskOfOneServerOnlyAndNotFromTheOnlyOne) {
  for (uint64_t seed = 1; seed <= 2'000; ++seed) {
    const Plan plan = draw_plan(seed);
    std::set<uint64_t> harmed;
    for (const Step& step : plan.steps) {
      const bool of_b = step.kind == StepKind::copy;
      if (rule_of(step.kind).family != StepRule::Family::swap && step.kind != StepKind::rot &&
          step.kind != StepKind::rot_tail) {
        continue;
      }
      ASSERT_EQ(step.a.kind, Who::Kind::server);
      harmed.insert(of_b ? step.b.number : step.a.number);
      EXPECT_GE(plan.slots, of_b ? 5U : 3U) << to_string(plan);
    }
    EXPECT_LE(harmed.size(), 1U) << to_string(plan);
  }
}

TEST(Plan, TheSameSeedDrawsTheSameAndOthersDoNot) {
  EXPECT_EQ(draw_plan(7), draw_plan(7));
  EXPECT_NE(to_string(draw_plan(7)), to_string(draw_plan(8)));
}

TEST(Plan, EveryNamedPlanIsGoodAndReadsBack) {
  for (const std::string_view name : plan_names()) {
    for (const uint64_t servers : {3U, 5U, 7U}) {
      const auto plan = named_plan(name, servers, 4);
      ASSERT_TRUE(plan.has_value()) << name << ": " << plan.error().message;
      EXPECT_EQ(plan->seed, 4U);
      const auto again = parse_plan(to_string(*plan));
      ASSERT_TRUE(again.has_value()) << again.error().message;
      EXPECT_EQ(*again, *plan);
    }
  }
  EXPECT_FALSE(named_plan("nothing", 3, 1).has_value());
}

std::string cuts_of(std::string_view name, uint64_t servers) {
  std::string cuts;
  const auto plan = named_plan(name, servers, 1);
  for (const Step& step : plan->steps) {
    cuts += std::to_string(step.a.number) + "-" + std::to_string(step.b.number) + " ";
  }
  return cuts;
}

TEST(Plan, ShapesCutWhatTheyMust) {
  EXPECT_EQ(cuts_of("chain", 4), "1-3 1-4 2-4 ");
  EXPECT_EQ(cuts_of("ring", 5), "1-3 1-4 2-4 2-5 3-5 ");
  EXPECT_EQ(cuts_of("star", 4), "2-3 2-4 3-4 ");
  EXPECT_EQ(cuts_of("bridge", 5), "1-4 1-5 2-4 2-5 ");
}

TEST(Shrink, LeavesOnlyTheStepsThatMatter) {
  Plan plan = draw_plan(3);
  plan.drift_ppm[1] = 5;
  plan.steps.clear();
  for (uint64_t i = 1; i <= 40; ++i) {
    plan.steps.push_back({.at_us = i * 100'000, .kind = StepKind::kill, .amount = i});
  }
  uint64_t asked = 0;
  // Fails as long as the steps 7 and 29 are there, and two clients.
  const Plan small = shrink_plan(
      plan,
      [&](const Plan& candidate) {
        ++asked;
        const auto has = [&](uint64_t amount) {
          return std::ranges::count(candidate.steps, amount, &Step::amount) > 0;
        };
        return has(7) && has(29) && candidate.clients >= 2;
      },
      1'000);
  ASSERT_EQ(small.steps.size(), 2U);
  EXPECT_EQ(small.steps[0].amount, 7U);
  EXPECT_EQ(small.steps[1].amount, 29U);
  EXPECT_EQ(small.clients, 2U);
  EXPECT_TRUE(small.drift_ppm.empty());
  EXPECT_LT(small.faults_us, 4'000'000U);
  EXPECT_LT(asked, 200U);
}

TEST(Shrink, AsksNoMoreOftenThanItMay) {
  Plan plan;
  plan.steps.resize(100);
  uint64_t asked = 0;
  shrink_plan(plan, [&](const Plan&) { return ++asked % 2 == 0; }, 25);
  EXPECT_EQ(asked, 25U);
}

}  // namespace
}  // namespace doozer::sim
