// SET, DEL and NOP: their answers, their order, and outcomes that nobody knows.

#include <gtest/gtest.h>

#include <limits>

#include "door/door_testing.h"

namespace doozer::door {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(DoozerSet, PassesIfTheGivenRevIsAtLeastTheFilesAMissingFileCountsAs0) {
  TestHost host;
  TestClient client(host);
  EXPECT_EQ(client.ask(set("/s", 0, "v1")), "rev=1");
  EXPECT_EQ(client.ask(set("/s", 0, "v2")), "error=REV_MISMATCH");
  EXPECT_EQ(client.ask(get("/s")), "rev=1 value=\"v1\"");
  EXPECT_EQ(client.ask(set("/s", 1, "v3")), "rev=2");
  EXPECT_EQ(client.ask(set("/s", 1, "v4")), "error=REV_MISMATCH");
  EXPECT_EQ(client.ask(set("/s", 1000, "v5")), "rev=3");
  EXPECT_EQ(client.ask(set("/s", kMax, "v6")), "rev=4");
  EXPECT_EQ(client.ask(set("/pos", 5, "x")), "rev=5");
}

TEST(DoozerSet, MinusOneClobbersAndLessIsARevMismatchOnAMissingFileToo) {
  TestHost host;
  TestClient client(host);
  EXPECT_EQ(client.ask(set("/s", -1, "x")), "rev=1");
  EXPECT_EQ(client.ask(set("/s", -1, "y")), "rev=2");
  for (const int64_t rev : {int64_t{-2}, int64_t{-3}, kMin}) {
    EXPECT_EQ(client.ask(set("/s", rev, "x")), "error=REV_MISMATCH") << rev;
    EXPECT_EQ(client.ask(set("/none", rev, "x")), "error=REV_MISMATCH") << rev;
    EXPECT_EQ(client.ask(del("/s", rev)), "error=REV_MISMATCH") << rev;
    EXPECT_EQ(client.ask(del("/none", rev)), "error=REV_MISMATCH") << rev;
  }
  EXPECT_EQ(client.ask(rev()), "rev=2");
}

TEST(DoozerSet, OnADirectoryIsdirButARevBelowMinus2IsARevMismatch) {
  TestHost host;
  TestClient client(host);
  host.set("/d/e/f", "x");
  for (const char* path : {"/", "/d", "/d/e"}) {
    for (const int64_t rev : {int64_t{0}, int64_t{-1}, int64_t{-2}, kMax}) {
      EXPECT_EQ(client.ask(set(path, rev, "x")), "error=ISDIR") << path << rev;
      EXPECT_EQ(client.ask(del(path, rev)), "error=ISDIR") << path << rev;
    }
    for (const int64_t rev : {int64_t{-3}, int64_t{-9}, kMin}) {
      EXPECT_EQ(client.ask(set(path, rev, "x")), "error=REV_MISMATCH") << path << rev;
      EXPECT_EQ(client.ask(del(path, rev)), "error=REV_MISMATCH") << path << rev;
    }
  }
}

TEST(DoozerSet, BelowAFileIsNotdirBeforeRevIsLookedAt) {
  TestHost host;
  TestClient client(host);
  host.set("/s", "x");
  for (const int64_t rev : {int64_t{0}, int64_t{-1}, int64_t{-3}, kMin, kMax}) {
    EXPECT_EQ(client.ask(set("/s/x", rev, "")), "error=NOTDIR");
    EXPECT_EQ(client.ask(set("/s/x/y/z", rev, "")), "error=NOTDIR");
  }
}

TEST(DoozerSet, NoValueIsAnEmptyValueAndAnyBytesAreKept) {
  TestHost host;
  TestClient client(host);
  EXPECT_EQ(client.ask(Ask(wire::Verb::set).path("/n").rev(0)), "rev=1");
  EXPECT_EQ(client.ask(get("/n")), "rev=1 value=\"\"");
  const std::string binary("\x00\xFF\n=:/\x80", 7);
  EXPECT_EQ(client.ask(set("/b", 0, binary)), "rev=2");
  EXPECT_EQ(client.ask(get("/b")), "rev=2 value=" + quote(binary));
}

TEST(DoozerSet, WritingTheSameValueAgainIsAChange) {
  TestHost host;
  TestClient client(host);
  EXPECT_EQ(client.ask(set("/same", -1, "x")), "rev=1");
  EXPECT_EQ(client.ask(set("/same", -1, "x")), "rev=2");
}

TEST(DoozerSet, ImpossiblePathsAreBadPathAndGivenToNoLog) {
  TestHost host;
  TestClient client(host);
  const std::vector<std::string> paths = {"",
                                          "abc",
                                          "/abc/",
                                          "/a//b",
                                          "//",
                                          "/a b",
                                          "/a*",
                                          "/a?",
                                          "/[a]",
                                          "/{a}",
                                          "/a\\b",
                                          "/\xFF\xFE",
                                          std::string("/a\0", 3),
                                          "/a\n",
                                          "/" + std::string(kPathBytesMax, 'a')};
  for (const std::string& path : paths) {
    for (const Ask& ask : {set(path, 0, "x"), del(path, 0)}) {
      const int32_t tag = client.send(ask);
      EXPECT_EQ(client.text(tag), "error=BAD_PATH") << quote(path);
      EXPECT_EQ(host.writes(), 0U);
    }
  }
  for (const std::string path :
       {"/.", "/p/..", "/-", "/AZaz09.-", "/a_b", "/a+b", "/a=b", "/a:b", "/\xE4\xB8\x96"}) {
    EXPECT_NE(client.ask(set(path, 0, "x")), "error=BAD_PATH") << path;
  }
  EXPECT_EQ(client.ask(set("/" + std::string(kPathBytesMax - 1, 'a'), 0, "x")), "rev=10");
}

TEST(DoozerSet, AValueOverTheLimitIsOtherWithTheLimitInTheDetailAndGivenToNoLog) {
  TestHost host;
  host.test_limits.value_bytes_max = 1000;
  TestClient client(host);
  EXPECT_EQ(client.ask(set("/a", 0, std::string(1000, 'x'))), "rev=1");
  const int32_t tag = client.send(set("/a", -1, std::string(1001, 'x')));
  EXPECT_EQ(client.text(tag), "error=OTHER");
  EXPECT_EQ(client.find(tag)->detail(), "too_large: value of 1001 bytes, the limit is 1000");
  EXPECT_EQ(host.writes(), 0U);
}

TEST(DoozerDel, AnswersTheTagOnlyAndADelOfAMissingFileTakesNoRevision) {
  TestHost host;
  TestClient client(host);
  host.set("/x", "v");
  EXPECT_EQ(client.ask(del("/nope", 0)), "ok");
  EXPECT_EQ(client.ask(del("/nope/deep", 7)), "ok");
  EXPECT_EQ(client.ask(del("/x", 0)), "error=REV_MISMATCH");
  EXPECT_EQ(client.ask(rev()), "rev=1");
  EXPECT_EQ(client.ask(del("/x", 1)), "ok");
  EXPECT_EQ(client.ask(rev()), "rev=2");
  EXPECT_EQ(client.ask(get("/x")), "rev=0 value=\"\"");
}

TEST(DoozerDel, ADirectoryVanishesWithItsLastFileUpwardsToo) {
  TestHost host;
  TestClient client(host);
  host.set("/d/e/f", "v");
  host.set("/d/g", "v");
  EXPECT_EQ(client.ask(del("/d/e/f", -1)), "ok");
  EXPECT_EQ(client.ask(stat("/d/e")), "rev=0 len=0");
  EXPECT_EQ(client.ask(getdir("/d/e", 0)), "error=NOENT");
  EXPECT_EQ(client.ask(stat("/d")), "rev=-2 len=1");
  EXPECT_EQ(client.ask(del("/d/g", -1)), "ok");
  EXPECT_EQ(client.ask(get("/d")), "rev=0 value=\"\"");
  EXPECT_EQ(client.ask(set("/d", 0, "now a file")), "rev=5");
}

TEST(DoozerDel, OfAPathBelowAFileIsADelOfAMissingFile) {
  TestHost host;
  TestClient client(host);
  host.set("/d", "v");
  EXPECT_EQ(client.ask(del("/d/x", 0)), "ok");
  EXPECT_EQ(client.ask(del("/d/x/y", -1)), "ok");
  EXPECT_EQ(client.ask(get("/d")), "rev=1 value=\"v\"");
  EXPECT_EQ(client.ask(rev()), "rev=1");
}

TEST(DoozerNop, AnswersTheTagOnlyAndTakesARevision) {
  TestHost host;
  TestClient client(host);
  EXPECT_EQ(client.ask(nop()), "ok");
  EXPECT_EQ(client.ask(rev()), "rev=1");
}

TEST(DoozerWrites, RefusedOnesTakeNoRevisionAndChangeNothing) {
  TestHost host;
  TestClient client(host);
  host.set("/a", "x");
  for (const Ask& ask : {set("/a", 0, "y"), set("/", 0, "y"), set("/a/b", 0, "y"), del("/a", 0),
                         del("/", 0), set("/a", -5, "y")}) {
    client.ask(ask);
  }
  EXPECT_EQ(client.ask(rev()), "rev=1");
  EXPECT_EQ(client.ask(get("/a")), "rev=1 value=\"x\"");
  EXPECT_EQ(client.ask(get("/ctl/err")), "rev=0 value=\"\"");
}

TEST(DoozerWrites, OfOneConnectionAreAppliedInTheOrderSent) {
  TestHost host;
  TestClient client(host);
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes += set("/a", i, std::to_string(i)).tag(i + 1).frame();
  client.receive(bytes);
  host.settle();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(client.text(i + 1), "rev=" + std::to_string(i + 1));
}

TEST(DoozerWrites, AGetDoesNotWaitForAnEarlierSetsCommit) {
  TestHost host;
  TestClient client(host);
  const int32_t write = client.send(set("/a", 0, "x"));
  const int32_t read = client.send(get("/a"));
  EXPECT_EQ(client.text(read), "rev=0 value=\"\"");
  EXPECT_EQ(client.text(write), "");
  host.settle();
  EXPECT_EQ(client.text(write), "rev=1");
  EXPECT_EQ(client.told(), 1);
}

TEST(DoozerWrites, AReadAfterAWritesAnswerOnThatConnectionSeesIt) {
  TestHost host;
  TestClient client(host);
  const int32_t write = client.send(set("/a", 0, "x"));
  host.apply_one();
  ASSERT_EQ(client.text(write), "rev=1");
  EXPECT_EQ(client.text(client.send(get("/a"))), "rev=1 value=\"x\"");
}

TEST(DoozerWrites, WhatTheHostRefusesIsAnErrorThatSaysWhy) {
  TestHost host;
  TestClient client(host);
  const int32_t busy = client.send(set("/a", 0, "x"));
  host.end_one(WriteOutcome::Kind::refused, {Code::busy, "64MiB wait to be applied"});
  EXPECT_EQ(client.text(busy), "error=OTHER");
  EXPECT_EQ(client.find(busy)->detail(), "busy: 64MiB wait to be applied");
  const int32_t full = client.send(set("/a", 0, "x").mode(0));
  host.end_one(WriteOutcome::Kind::refused, {Code::no_space, "the disk is full"});
  EXPECT_EQ(client.text(full), "outcome=1 error=OTHER");
  const int32_t read_only = client.send(set("/a", 0, "x"));
  host.end_one(WriteOutcome::Kind::read_only);
  EXPECT_EQ(client.text(read_only), "error=READONLY");
}

TEST(DoozerWrites, AnUnknownOutcomeClosesTheConnectionOfAnOldClient) {
  TestHost host;
  TestClient client(host);
  const int32_t read = client.send(rev());
  const int32_t first = client.send(set("/a", 0, "x"));
  const int32_t second = client.send(set("/a", 0, "y"));
  host.end_one(WriteOutcome::Kind::unknown);
  EXPECT_TRUE(client.door().must_close());
  EXPECT_EQ(client.text(read), "rev=0");
  EXPECT_EQ(client.text(first), "");
  EXPECT_EQ(client.text(second), "");
  // What still comes is neither looked at nor held back.
  client.receive(set("/a", 0, "z").tag(9).frame() + rev().tag(10).frame());
  EXPECT_EQ(client.text(9), "");
  EXPECT_EQ(client.text(10), "");
  EXPECT_EQ(client.pending_bytes(), 0U);
  EXPECT_EQ(host.writes(), 1U);
  EXPECT_FALSE(client.door().blocked());
}

TEST(DoozerWrites, AnUnknownOutcomeGivesAnExtensionClientOtherWithOutcome2) {
  TestHost host;
  TestClient client(host);
  const int32_t write = client.send(set("/a", 0, "x").mode(2));
  host.end_one(WriteOutcome::Kind::unknown);
  EXPECT_FALSE(client.door().must_close());
  EXPECT_EQ(client.text(write), "store_rev=0 outcome=2 cluster=\"abcdefghij\" error=OTHER");
  EXPECT_NE(client.find(write)->detail().find("may have happened"), std::string::npos);
  EXPECT_EQ(wire::error_of(client.find(write)->view).code, Code::unknown_outcome);
}

TEST(DoozerWrites, AfterAnUnknownWriteOfAConnectionNoLaterOneIsSubmitted) {
  TestHost host;
  TestClient client(host);
  client.send(set("/a", 0, "x").mode(0));
  host.end_one(WriteOutcome::Kind::unknown);
  for (const Ask& ask : {set("/a", 0, "y").mode(0), del("/a", 0).mode(0), nop().mode(0)}) {
    const int32_t tag = client.send(ask);
    EXPECT_EQ(client.text(tag), "outcome=1 error=OTHER");
    EXPECT_NE(client.find(tag)->detail().find("earlier write"), std::string::npos);
  }
  EXPECT_EQ(host.writes(), 0U);
  EXPECT_EQ(client.ask(get("/a")), "rev=0 value=\"\"");
  TestClient other(host);
  EXPECT_EQ(other.ask(set("/a", 0, "y")), "rev=1");
}

TEST(DoozerWrites, AClosedConnectionHearsNothingOfItsWrites) {
  TestHost host;
  TestClient client(host);
  client.send(set("/a", 0, "x"));
  client.close();
  host.settle();
  EXPECT_EQ(host.machine().revision(), Revision(1));
}

}  // namespace
}  // namespace doozer::door
