// One test for each sentence of the protocol's semantics that the machine keeps; names are the
// sentences. (What a door alone decides is tested in door/.)
#include <gtest/gtest.h>

#include "core/testing.h"

namespace doozer::core {
namespace {

using Names = std::vector<std::string>;

/// "ok", or the code of the refusal.
std::string outcome(const Applied& applied) {
  return applied.refused ? std::string(code_name(applied.refused->code)) : "ok";
}

constexpr int64_t kMin = INT64_MIN;
constexpr int64_t kMax = INT64_MAX;

TEST(Semantics, SetPassesIfTheGivenRevisionIsAtLeastTheFilesAndAMissingFileCountsAsZero) {
  struct Case {
    int64_t given;
    const char* on_file;  // of revision 2
    const char* on_missing;
  };
  for (const Case& each : std::vector<Case>{{2, "ok", "ok"},
                                            {3, "ok", "ok"},
                                            {kMax, "ok", "ok"},
                                            {1, "revision_mismatch", "ok"},
                                            {0, "revision_mismatch", "ok"},
                                            {-1, "ok", "ok"},
                                            {-2, "revision_mismatch", "revision_mismatch"},
                                            {-3, "revision_mismatch", "revision_mismatch"},
                                            {kMin, "revision_mismatch", "revision_mismatch"}}) {
    Driver driver;
    driver.nop();
    driver.set("/f", 0, "v");
    EXPECT_EQ(outcome(driver.set("/f", each.given, "w")), each.on_file) << each.given;
    EXPECT_EQ(outcome(driver.set("/new", each.given, "w")), each.on_missing) << each.given;
  }
}

TEST(Semantics, SetOnADirectoryOrTheRootIsIsdirButBelowMinusTwoRevMismatch) {
  for (const char* path : {"/", "/d", "/d/e"}) {
    for (const int64_t given : {int64_t{0}, int64_t{-1}, int64_t{-2}, kMax}) {
      Driver driver;
      driver.set("/d/e/f", 0, "v");
      EXPECT_EQ(outcome(driver.set(path, given, "w")), "is_directory") << path << given;
      EXPECT_EQ(outcome(driver.del(path, given)), "is_directory") << path << given;
    }
    for (const int64_t given : {int64_t{-3}, kMin}) {
      Driver driver;
      driver.set("/d/e/f", 0, "v");
      EXPECT_EQ(outcome(driver.set(path, given, "w")), "revision_mismatch") << path << given;
      EXPECT_EQ(outcome(driver.del(path, given)), "revision_mismatch") << path << given;
    }
  }
}

TEST(Semantics, SetBelowAFileIsNotdirBeforeRevIsLookedAt) {
  Driver driver;
  driver.set("/s", 0, "v");
  for (const char* path : {"/s/x", "/s/x/y/z"}) {
    for (const int64_t given : {int64_t{0}, int64_t{-1}, int64_t{-3}}) {
      EXPECT_EQ(outcome(driver.set(path, given, "w")), "not_directory") << path << given;
    }
  }
}

TEST(Semantics, SetAndDelOfAnyOtherPathAreBadPath) {
  Driver driver;
  driver.set("/a", 0, "v");
  for (const char* path : {"", "a", "//", "/a/", "/a//b", "/a b", "/a*", "/a?", "/[", "/\xff\xfe",
                           "/a\n", "/\xc2\xa0", "/a\\"}) {
    for (const int64_t given : {int64_t{0}, int64_t{-1}, int64_t{-3}}) {
      EXPECT_EQ(outcome(driver.set(path, given, "w")), "bad_path") << path;
      EXPECT_EQ(outcome(driver.del(path, given)), "bad_path") << path;
    }
  }
  EXPECT_EQ(outcome(driver.set("/" + std::string(kPathBytesMax, 'x'), 0, "w")), "bad_path");
  EXPECT_EQ(outcome(driver.set("/" + std::string(kPathBytesMax - 1, 'x'), 0, "w")), "ok");
}

TEST(Semantics, DotAndDotDotArePlainNames) {
  Driver driver;
  EXPECT_EQ(outcome(driver.set("/.", 0, "v")), "ok");
  EXPECT_EQ(outcome(driver.set("/p/..", 0, "v")), "ok");
  EXPECT_EQ(driver.list("/"), (Names{".", "p"}));
}

TEST(Semantics, TheRevisionGrowsByOneForEachChange) {
  Driver driver;
  EXPECT_EQ(driver.set("/a", 0, "v").revision, Revision(1));
  EXPECT_EQ(driver.set("/a", 1, "v").revision, Revision(2));  // the same value again is a change
  EXPECT_EQ(driver.nop().revision, Revision(3));
  EXPECT_EQ(driver.del("/a", 2).revision, Revision(4));
  EXPECT_EQ(driver.machine->revision(), Revision(4));
}

TEST(Semantics, ARefusedSetOrDelAndADelOfAMissingFileTakeNoRevisionAndChangeNothing) {
  Driver driver;
  driver.set("/a", 0, "v");
  const Digests before = driver.machine->digests();
  for (const Applied& applied : {driver.set("/a", 0, "w"), driver.del("/a", 0),
                                 driver.del("/none", 0), driver.del("/none/deep", 7)}) {
    EXPECT_FALSE(applied.changed);
    EXPECT_EQ(applied.revision, Revision(1));
  }
  EXPECT_EQ(driver.machine->digests().state, before.state);
  EXPECT_EQ(driver.look("/"), "directory 1");
  EXPECT_EQ(driver.machine->stats().history_events, 1U);
}

TEST(Semantics, DelHasTheSameRevRuleAndMissingIsOk) {
  struct Case {
    const char* path;
    int64_t given;
    const char* expected;
  };
  for (const Case& each : std::vector<Case>{{"/x", 1, "ok"},
                                            {"/x", 100, "ok"},
                                            {"/x", -1, "ok"},
                                            {"/x", 0, "revision_mismatch"},
                                            {"/x", -2, "revision_mismatch"},
                                            {"/none", 0, "ok"},
                                            {"/none", -1, "ok"},
                                            {"/none", 7, "ok"},
                                            {"/none", -2, "revision_mismatch"}}) {
    Driver driver;
    driver.set("/x", 0, "v");
    EXPECT_EQ(outcome(driver.del(each.path, each.given)), each.expected) << each.given;
  }
}

TEST(Semantics, ADelOfAPathBelowAFileIsADelOfAMissingFile) {
  Driver driver;
  driver.set("/h/k", 0, "v");
  EXPECT_EQ(outcome(driver.del("/h/k/l/m", -1)), "ok");
  EXPECT_EQ(outcome(driver.del("/h/k/l", 0)), "ok");
  EXPECT_EQ(driver.look("/h/k"), "file v @1");
  EXPECT_EQ(driver.look("/h"), "directory 1");
}

TEST(Semantics, ADirectoryVanishesWithItsLastFileUpwardsToo) {
  Driver driver;
  driver.set("/d/e/f", 0, "v");
  driver.set("/d/g", 0, "v");
  driver.del("/d/e/f", -1);
  EXPECT_EQ(driver.look("/d/e"), "missing");
  EXPECT_EQ(driver.look("/d"), "directory 1");
  driver.del("/d/g", -1);
  EXPECT_EQ(driver.look("/d"), "missing");
  EXPECT_EQ(driver.look("/"), "directory 0");
  EXPECT_EQ(driver.machine->stats().directories, 0U);
  EXPECT_EQ(outcome(driver.set("/d", 0, "now a file")), "ok");
  EXPECT_EQ(driver.look("/d"), "file now a file @5");
  EXPECT_EQ(driver.look("/d", 2), "directory 2");
  EXPECT_EQ(driver.look("/d", 3), "directory 1");
  EXPECT_EQ(driver.look("/d", 4), "missing");
}

TEST(Semantics, AReadWithRevIsTheStateAsOfExactlyThatRevision) {
  Driver driver;
  driver.set("/a", 0, "one");
  driver.set("/a", -1, "two");
  driver.del("/a", -1);
  driver.set("/a", 0, "three");
  const char* expected[] = {"file one @1", "file one @1", "file two @2", "missing",
                            "file three @4"};
  for (int64_t at = 0; at <= 4; ++at) {  // rev <= 1 means 1
    EXPECT_EQ(driver.look("/a", at), expected[at]) << at;
  }
  EXPECT_EQ(driver.look("/a", -5), "file one @1");
}

TEST(Semantics, NowMinusHistIsTooLateAndNowMinusHistPlusOneIsKept) {
  for (const int64_t history : {1, 2, 10}) {
    Driver driver({.history_revisions = history});
    for (int64_t now = 1; now <= 30; ++now) {
      driver.set("/a", -1, std::to_string(now));
      const int64_t oldest = std::max(int64_t{1}, now - history + 1);
      EXPECT_EQ(driver.machine->oldest().value(), oldest);
      EXPECT_TRUE(driver.machine->check_kept(Revision(oldest)).has_value());
      EXPECT_EQ(driver.look("/a", oldest),
                "file " + std::to_string(oldest) + " @" + std::to_string(oldest));
      if (now - history >= 1) {
        const Result<void> late = driver.machine->check_kept(Revision(now - history));
        ASSERT_FALSE(late.has_value());
        EXPECT_EQ(late.error().code, Code::too_late);
        EXPECT_NE(late.error().message.find(std::to_string(oldest)), std::string::npos);
      }
    }
  }
}

TEST(Semantics, TheFutureIsNoErrorAndRevOneIsKeptWhileNothingHappened) {
  Driver driver;
  EXPECT_TRUE(driver.machine->check_kept(Revision(-1)).has_value());
  EXPECT_TRUE(driver.machine->check_kept(Revision(1)).has_value());
  EXPECT_TRUE(driver.machine->check_kept(Revision(99)).has_value());
}

TEST(Semantics, HistoryIsAlsoBoundedByBytes) {
  Driver driver({.history_revisions = 1'000'000, .history_bytes = 100'000});
  const std::string value(1000, 'v');
  for (int i = 0; i < 1000; ++i) {
    driver.set("/a", -1, value);
  }
  EXPECT_GT(driver.machine->oldest(), Revision(900));
  EXPECT_LT(driver.machine->oldest(), Revision(920));
  EXPECT_LE(driver.machine->stats().history_bytes, 110'000U);
  Driver tiny({.history_revisions = 10, .history_bytes = 0});
  tiny.set("/a", -1, "1");
  tiny.set("/a", -1, "2");
  EXPECT_EQ(tiny.machine->oldest(), Revision(2));  // the newest always stays
}

TEST(Semantics, GetdirGivesBareNamesInByteOrderDirectoriesToo) {
  Driver driver;
  for (const char* path : {"/d/b", "/d/a/x", "/d/a-b", "/d/a.c", "/d/Z", "/d/ü", "/d/a0/y"}) {
    driver.set(path, 0, "v");
  }
  EXPECT_EQ(driver.list("/d"), (Names{"Z", "a", "a-b", "a.c", "a0", "b", "ü"}));
  EXPECT_EQ(driver.list("/d", 2), (Names{"a", "b"}));
  EXPECT_EQ(driver.look("/d"), "directory 7");
}

TEST(Semantics, WalkGivesFilesOnlyInByteOrderOfTheWholePath) {
  Driver driver;
  for (const char* path : {"/a/x", "/a-b", "/a.c", "/a0", "/b"}) {
    driver.set(path, 0, "v");
  }
  EXPECT_EQ(driver.walk("/**"), (Names{"/a-b=v", "/a.c=v", "/a/x=v", "/a0=v", "/b=v"}));
  EXPECT_EQ(driver.walk("/*"), (Names{"/a-b=v", "/a.c=v", "/a0=v", "/b=v"}));
  EXPECT_EQ(driver.walk("/a"), Names{});  // a directory never matches
  EXPECT_EQ(driver.walk("/a/x"), (Names{"/a/x=v"}));
  EXPECT_EQ(driver.walk("/**", 2), (Names{"/a-b=v", "/a/x=v"}));
}

TEST(Semantics, AClientMayOnlyEmptyASlotOrCreateAnEmptyOne) {
  struct Case {
    const char* path;
    const char* value;  // null: DEL
    const char* expected;
  };
  // Before: /ctl/cal/0 = A, /ctl/cal/1 = B, /ctl/cal/2 empty.
  for (const Case& each : std::vector<Case>{{"/ctl/cal/0", "A", "ok"},
                                            {"/ctl/cal/0", "", "ok"},
                                            {"/ctl/cal/0", nullptr, "ok"},
                                            {"/ctl/cal/0", "B", "other"},
                                            {"/ctl/cal/2", "B", "other"},
                                            {"/ctl/cal/2", "", "ok"},
                                            {"/ctl/cal/2", nullptr, "ok"},
                                            {"/ctl/cal/3", "", "ok"},
                                            {"/ctl/cal/3", "C", "other"},
                                            {"/ctl/cal/3/x", "C", "ok"},
                                            {"/ctl/calx", "C", "ok"},
                                            {"/ctl/node/A/addr", "C", "ok"}}) {
    for (const bool in_transaction : {false, true}) {
      Driver driver;
      driver.system_set("/ctl/cal/0", "A");
      driver.system_set("/ctl/cal/1", "B");
      driver.system_set("/ctl/cal/2", "");
      const bool set = each.value != nullptr;
      const std::string value = set ? each.value : "";
      Applied applied;
      if (in_transaction) {
        applied = driver.apply(TransactionView{
            .guards = {}, .operations = {{.set = set, .path = each.path, .value = value}}});
      } else {
        applied = set ? driver.set(each.path, -1, value) : driver.del(each.path, -1);
      }
      EXPECT_EQ(outcome(applied), each.expected) << each.path << " " << value;
    }
  }
}

TEST(Semantics, EmptyingOrDeletingTheLastFilledSlotIsOther) {
  Driver driver;
  driver.system_set("/ctl/cal/0", "A");
  driver.system_set("/ctl/cal/1", "B");
  EXPECT_EQ(outcome(driver.apply(
                TransactionView{.guards = {},
                                .operations = {{.set = false, .path = "/ctl/cal/0", .value = ""},
                                               {.set = true, .path = "/ctl/cal/1", .value = ""}}})),
            "other");
  EXPECT_EQ(driver.look("/ctl/cal/0"), "file A @1");
  EXPECT_EQ(outcome(driver.set("/ctl/cal/0", 1, "")), "ok");
  EXPECT_EQ(outcome(driver.set("/ctl/cal/1", 2, "")), "other");
  EXPECT_EQ(outcome(driver.del("/ctl/cal/1", 2)), "other");
  EXPECT_EQ(outcome(driver.set("/ctl/cal/1", 2, "B")), "ok");
  EXPECT_EQ(outcome(driver.set("/ctl/cal/1", 1, "B")), "revision_mismatch");  // before the rule
  EXPECT_EQ(outcome(driver.system_set("/ctl/cal/1", "")), "ok");
}

TEST(Semantics, ATransactionSharesOneRevisionAndIsAllOrNothing) {
  Driver driver;
  driver.set("/a", 0, "1");
  driver.set("/dir/x", 0, "1");
  const TransactionView good{
      .guards = {{Compare::equal, "/a", 1},
                 {Compare::missing, "/b", 0},
                 {Compare::exists, "/a", 0}},
      .operations = {
          {true, "/b", "2"}, {false, "/a", ""}, {false, "/none", ""}, {true, "/a/c", "3"}}};
  const Applied applied = driver.apply(good);
  EXPECT_EQ(outcome(applied), "ok");
  EXPECT_EQ(applied.revision, Revision(3));
  EXPECT_EQ(driver.look("/a/c"), "file 3 @3");  // the file above went first
  EXPECT_EQ(driver.machine->stats().history_events, 5U);
  const Digests before = driver.machine->digests();
  for (const auto& [expected, bad] : std::vector<std::pair<std::string, TransactionView>>{
           {"revision_mismatch", {.guards = {{Compare::equal, "/b", 2}}, .operations = {}}},
           {"revision_mismatch", {.guards = {{Compare::at_most, "/b", 2}}, .operations = {}}},
           {"revision_mismatch", {.guards = {{Compare::missing, "/b", 0}}, .operations = {}}},
           {"revision_mismatch", {.guards = {{Compare::exists, "/z", 0}}, .operations = {}}},
           {"not_directory",
            {.guards = {}, .operations = {{true, "/n/m", "1"}, {true, "/n/m/o", "1"}}}},
           {"is_directory", {.guards = {}, .operations = {{true, "/n/m", "1"}, {true, "/n", "1"}}}},
           {"bad_path", {.guards = {}, .operations = {{false, "/b", ""}, {true, "/n//", "1"}}}},
           {"other", {.guards = {}, .operations = {{false, "/q", ""}, {true, "/q", "1"}}}}}) {
    EXPECT_EQ(outcome(driver.apply(bad)), expected);
    EXPECT_EQ(driver.machine->digests().state, before.state);
    EXPECT_EQ(driver.machine->revision(), Revision(3));
    EXPECT_EQ(driver.look("/n"), "missing");
    EXPECT_EQ(driver.list("/"), (Names{"a", "b", "dir"}));
  }
  EXPECT_FALSE(driver.apply(TransactionView{}).changed);
}

}  // namespace
}  // namespace doozer::core
