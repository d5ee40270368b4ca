#include "sim/history.h"

#include <gtest/gtest.h>

#include "sim/history_text.h"

namespace doozer::sim {
namespace {

History every_field() {
  History history;
  history.ops.push_back({.kind = Action::set,
                         .client = 3,
                         .session = 9,
                         .server = "10.0.0.1:8046",
                         .path = "/a b",
                         .value = "c3-17 %\xff=@",
                         .length = 8,
                         .cas = 4,
                         .invoked_us = 1'000,
                         .completed_us = 1'250,
                         .outcome = Outcome::ok,
                         .revision = 5,
                         .store_rev = 6});
  history.ops.push_back({.kind = Action::walk,
                         .path = "/**",
                         .linearizable = true,
                         .min_rev = 4,
                         .at_rev = 5,
                         .offset = 2,
                         .outcome = Outcome::refused,
                         .code = Code::too_late,
                         .listed = {{"/a@b", 5, "x=y"}, {"/c", 4, ""}}});
  history.ops.push_back({.kind = Action::nop, .invoked_us = 7});
  history.streams.push_back({.client = 4, .glob = "/**", .from = 3});
  history.streams.push_back({.client = 5, .glob = "/a?"});
  history.streams[1].notes = {{.at_us = 1,
                               .revision = 5,
                               .sub = 1,
                               .change = WatchNote::Change::set,
                               .path = "/ab",
                               .value = "v"},
                              {.kind = WatchNote::Kind::gap, .revision = 9},
                              {.kind = WatchNote::Kind::resumed, .revision = 9, .server = "h:1"},
                              {.kind = WatchNote::Kind::through, .at_us = kNever, .revision = 12}};
  history.replicas = {{.kind = ReplicaNote::Kind::started, .server = "A", .incarnation = 1},
                      {.server = "A", .incarnation = 1, .index = 1, .term = 2, .command = 3},
                      {.kind = ReplicaNote::Kind::digest,
                       .server = "A",
                       .incarnation = 1,
                       .index = 1,
                       .chain = UINT64_MAX,
                       .state = 5}};
  return history;
}

TEST(History, SurvivesItsText) {
  const History history = every_field();
  const std::string text = to_text(history);
  const auto parsed = parse_history(text);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(*parsed, history) << text;
  EXPECT_EQ(to_text(*parsed), text);
}

TEST(History, TextIsOneLineAThingAndLeavesDefaultsOut) {
  History history;
  history.ops.push_back(
      {.kind = Action::del, .client = 2, .path = "/a", .cas = 7, .invoked_us = 10});
  EXPECT_EQ(to_text(history), "op kind=del client=2 path=/a cas=7 invoked=10\n");
}

TEST(History, BadTextIsToldWithItsLine) {
  const struct {
    std::string_view text;
    std::string_view complaint;
  } kCases[] = {
      {"op kind=set\nop kind=put\n", "line 2: field \"kind\": bad value \"put\""},
      {"# fine\n\nfrobnicate\n", "line 3: a line begins with op, watch, note or replica"},
      {"op colour=red\n", "line 1: field \"colour\": unknown here"},
      {"op client=3x\n", "line 1: field \"client\": bad value"},
      {"op client=-1\n", "line 1: field \"client\": bad value"},
      {"op path=%4\n", "line 1: field \"path\": bad value"},
      {"op path=%zz\n", "line 1: field \"path\": bad value"},
      {"op linearizable=yes\n", "line 1: field \"linearizable\": bad value"},
      {"op listed=/a\n", "line 1: field \"listed\": bad value"},
      {"watch id=1 glob=/a\n", "line 1: watches are numbered from 0"},
      {"note watch=0 revision=3\n", "line 1: no watch has the id 0"},
      {"note revision=3\n", "line 1: the first field must be watch=NUMBER"},
  };
  for (const auto& bad : kCases) {
    const auto parsed = parse_history(bad.text);
    ASSERT_FALSE(parsed) << bad.text;
    EXPECT_EQ(parsed.error().message.substr(0, bad.complaint.size()), bad.complaint);
  }
}

TEST(History, TagsOfDifferentValuesDiffer) {
  EXPECT_EQ(value_tag("short"), "short");
  const std::string large(1'000, 'x');
  EXPECT_LT(value_tag(large).size(), 60U);
  EXPECT_EQ(value_tag(large), value_tag(std::string(1'000, 'x')));
  EXPECT_NE(value_tag(large), value_tag(std::string(1'001, 'x')));
  EXPECT_NE(value_tag(large), value_tag(std::string(999, 'x') + "y"));
}

}  // namespace
}  // namespace doozer::sim
