// GET, STAT and REV; reads of the past and of the future; what an extension client may add.

#include <gtest/gtest.h>

#include <limits>

#include "door/door_testing.h"

namespace doozer::door {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(DoozerGet, MissingIsRev0AndAnEmptyValueADirectoryIsdir) {
  TestHost host;
  TestClient client(host);
  host.set("/d/f", "v");
  EXPECT_EQ(client.ask(get("/d/f")), "rev=1 value=\"v\"");
  EXPECT_EQ(client.ask(get("/nope")), "rev=0 value=\"\"");
  EXPECT_EQ(client.ask(get("/nope/a/b/c")), "rev=0 value=\"\"");
  EXPECT_EQ(client.ask(get("/d/f/x")), "rev=0 value=\"\"");
  EXPECT_EQ(client.ask(get("/")), "error=ISDIR");
  EXPECT_EQ(client.ask(get("/d")), "error=ISDIR");
  EXPECT_EQ(client.ask(get("/d/f").offset(7).value("zz")), "rev=1 value=\"v\"");
}

TEST(DoozerGet, APathThatIsEmptyOrDoesNotStartWithASlashIsBadPathAnyOtherImpossibleOneIsMissing) {
  TestHost host;
  TestClient client(host);
  host.set("/f1", "v");
  for (const char* path : {"", "f1", "Xf1", "a", "*"}) {
    EXPECT_EQ(client.ask(get(path)), "error=BAD_PATH") << path;
    EXPECT_EQ(client.ask(getdir(path, 0)), "error=BAD_PATH") << path;
    EXPECT_EQ(client.ask(stat(path)), "rev=0 len=0") << path;
  }
  const std::vector<std::string> impossible = {"/f1/",
                                               "//f1",
                                               "//",
                                               "/a b",
                                               "/\xFF\xFE",
                                               std::string("/a\0", 3),
                                               "/*",
                                               "/f1*",
                                               "/" + std::string(kPathBytesMax, 'a'),
                                               "/" + std::string(100'000, 'a')};
  for (const std::string& path : impossible) {
    EXPECT_EQ(client.ask(get(path)), "rev=0 value=\"\"") << quote(path);
    EXPECT_EQ(client.ask(getdir(path, 0)), "error=NOENT") << quote(path);
    EXPECT_EQ(client.ask(stat(path)), "rev=0 len=0") << quote(path);
  }
}

TEST(DoozerStat, FileDirectoryAndMissing) {
  TestHost host;
  TestClient client(host);
  EXPECT_EQ(client.ask(stat("/")), "rev=-2 len=0");
  host.set("/t/a", "hello");
  host.set("/t/b/c", "");
  host.set("/t/a", "longer value");
  EXPECT_EQ(client.ask(stat("/t/a")), "rev=3 len=12");
  EXPECT_EQ(client.ask(stat("/t/a").rev(1)), "rev=1 len=5");
  EXPECT_EQ(client.ask(stat("/t/b/c")), "rev=2 len=0");
  EXPECT_EQ(client.ask(stat("/t")), "rev=-2 len=2");
  EXPECT_EQ(client.ask(stat("/t").rev(1)), "rev=-2 len=1");
  EXPECT_EQ(client.ask(stat("/")), "rev=-2 len=1");
  EXPECT_EQ(client.ask(stat("/").rev(0)), "rev=-2 len=1");
  EXPECT_EQ(client.ask(stat("/zip")), "rev=0 len=0");
  EXPECT_EQ(client.ask(stat("/t/a/x")), "rev=0 len=0");
}

TEST(DoozerRev, AnswersTheLastAppliedOne) {
  TestHost host;
  TestClient client(host);
  EXPECT_EQ(client.ask(rev()), "rev=0");
  host.set("/a", "");
  EXPECT_EQ(client.ask(rev()), "rev=1");
  client.send(set("/a", -1, ""));
  EXPECT_EQ(client.text(client.send(rev().path("/x").rev(99).offset(3))), "rev=1");
}

TEST(DoozerRead, WithRevIsTheStateAsOfExactlyThatRevision) {
  TestHost host;
  TestClient client(host);
  host.set("/first", "1");
  host.set("/f", "two");
  host.apply(core::NopView{});
  host.set("/f", "four");
  host.apply(core::DelView{"/f", -1});
  EXPECT_EQ(client.ask(get("/f").rev(1)), "rev=0 value=\"\"");
  EXPECT_EQ(client.ask(get("/f").rev(2)), "rev=2 value=\"two\"");
  EXPECT_EQ(client.ask(get("/f").rev(3)), "rev=2 value=\"two\"");  // the file's, not the store's
  EXPECT_EQ(client.ask(get("/f").rev(4)), "rev=4 value=\"four\"");
  EXPECT_EQ(client.ask(get("/f").rev(5)), "rev=0 value=\"\"");
  EXPECT_EQ(client.ask(get("/f")), "rev=0 value=\"\"");
  EXPECT_EQ(client.ask(get("/").rev(1)), "error=ISDIR");
  EXPECT_EQ(client.ask(getdir("/", 1).rev(2)), "path=\"first\"");
  EXPECT_EQ(client.ask(getdir("/", 1)), "error=RANGE");
  EXPECT_EQ(client.ask(walk("/**", 1).rev(1)), "error=RANGE");
  EXPECT_EQ(client.ask(walk("/**", 0).rev(2)), "flags=4 rev=2 path=\"/f\" value=\"two\"");
}

TEST(DoozerRead, RevUpTo1Means1) {
  TestHost host;
  TestClient client(host);
  host.set("/a", "1");
  host.set("/a", "2");
  for (const int64_t at : {int64_t{1}, int64_t{0}, int64_t{-1}, kMin}) {
    EXPECT_EQ(client.ask(get("/a").rev(at)), "rev=1 value=\"1\"");
    EXPECT_EQ(client.ask(stat("/a").rev(at)), "rev=1 len=1");
    EXPECT_EQ(client.ask(getdir("/", 0).rev(at)), "path=\"a\"");
    EXPECT_EQ(client.ask(walk("/*", 0).rev(at)), "flags=4 rev=1 path=\"/a\" value=\"1\"");
  }
}

TEST(DoozerRead, AFutureRevWaitsUntilItIsAppliedAndAnswersWithThatState) {
  TestHost host;
  TestClient client(host);
  host.set("/f", "1");
  const int32_t future = client.send(get("/f").rev(3));
  const int32_t far = client.send(get("/f").rev(kMax));
  const int32_t size = client.send(stat("/").rev(3));
  const int32_t entry = client.send(getdir("/", 1).rev(3));
  const int32_t file = client.send(walk("/*", 1).rev(3));
  host.apply(core::NopView{});
  host.run_machine();
  EXPECT_EQ(client.count(), 0U);
  EXPECT_EQ(client.ask(get("/f")), "rev=1 value=\"1\"");
  host.set("/g", "3");
  host.set("/f", "4");
  host.run_machine();
  client.run();
  EXPECT_EQ(client.text(future), "rev=1 value=\"1\"");
  EXPECT_EQ(client.text(size), "rev=-2 len=2");
  EXPECT_EQ(client.text(entry), "path=\"g\"");
  EXPECT_EQ(client.text(file), "flags=4 rev=3 path=\"/g\" value=\"3\"");
  EXPECT_EQ(client.text(far), "");
  EXPECT_GT(client.told(), 0);
  EXPECT_EQ(host.machine().stats().waits, 1U);
}

TEST(DoozerRead, HistoryIsKeptForTheLastHistRevisionsOlderIsTooLate) {
  core::MachineOptions options;
  options.history_revisions = 10;
  TestHost host(options);
  TestClient client(host);
  for (int i = 1; i <= 30; ++i) host.set("/a", std::to_string(i));
  host.run_machine();
  // now - hist is too late, now - hist + 1 is kept
  for (const Ask& ask : {get("/a").rev(20), stat("/a").rev(20), getdir("/", 0).rev(20),
                         walk("/*", 0).rev(20), wait("/a", 20)}) {
    EXPECT_EQ(client.ask(ask), "error=TOO_LATE");
  }
  EXPECT_EQ(client.ask(get("/a").rev(21)), "rev=21 value=\"21\"");
  EXPECT_EQ(client.ask(stat("/a").rev(21)), "rev=21 len=2");
  EXPECT_EQ(client.ask(getdir("/", 0).rev(21)), "path=\"a\"");
  EXPECT_EQ(client.ask(walk("/*", 0).rev(21)), "flags=4 rev=21 path=\"/a\" value=\"21\"");
  EXPECT_EQ(client.ask(wait("/a", 21)), "flags=4 rev=21 path=\"/a\" value=\"21\"");
  EXPECT_EQ(client.ask(get("/a").rev(1)), "error=TOO_LATE");
  EXPECT_EQ(client.ask(get("/a").rev(0)), "error=TOO_LATE");
}

TEST(DoozerRead, WithMinRevWaitsUntilTheServerHasItThenAnswersWithItsNewestState) {
  TestHost host;
  TestClient client(host);
  host.set("/a", "1");
  EXPECT_EQ(client.ask(get("/a").min_rev(1)), "rev=1 value=\"1\"");
  EXPECT_EQ(client.ask(get("/a").min_rev(-5)), "rev=1 value=\"1\"");
  const int32_t read = client.send(get("/a").min_rev(2));
  const int32_t last = client.send(rev().min_rev(2));
  host.run_machine();
  EXPECT_EQ(client.text(read), "");
  host.set("/a", "2");
  host.set("/a", "3");
  host.run_machine();
  EXPECT_EQ(client.text(read), "rev=3 value=\"3\"");
  EXPECT_EQ(client.text(last), "rev=3");
  const int32_t both = client.send(get("/a").rev(2).min_rev(4));
  host.run_machine();
  EXPECT_EQ(client.text(both), "");
  host.set("/a", "4");
  host.run_machine();
  EXPECT_EQ(client.text(both), "rev=2 value=\"2\"");
}

TEST(DoozerRead, LinearizableOnesAskAMajorityFirst) {
  TestHost host;
  TestClient client(host);
  host.set("/a", "1");
  const std::vector<Ask> asks = {get("/a").mode(1), stat("/a").mode(1), getdir("/", 0).mode(1),
                                 walk("/*", 0).mode(1), rev().mode(1)};
  std::vector<int32_t> tags;
  for (const Ask& ask : asks) tags.push_back(client.send(ask));
  EXPECT_EQ(client.count(), 0U);
  EXPECT_EQ(host.reads(), 5U);
  host.set("/a", "22");
  host.answer_reads();
  client.run();
  EXPECT_EQ(client.text(tags[0]), "rev=2 value=\"22\"");
  EXPECT_EQ(client.text(tags[1]), "rev=2 len=2");
  EXPECT_EQ(client.text(tags[2]), "path=\"a\"");
  EXPECT_EQ(client.text(tags[3]), "flags=4 rev=2 path=\"/a\" value=\"22\"");
  EXPECT_EQ(client.text(tags[4]), "rev=2");
}

TEST(DoozerRead, ALinearizableOneWithoutAMajorityIsReadonly) {
  TestHost host;
  TestClient client(host);
  const int32_t read = client.send(get("/a").mode(1));
  host.answer_reads(fail(Code::read_only, "no majority answered"));
  EXPECT_EQ(client.text(read), "outcome=1 error=READONLY");
}

TEST(DoozerRead, AtAGivenRevisionNeedsNoMajority) {
  TestHost host;
  TestClient client(host);
  host.set("/a", "1");
  EXPECT_EQ(client.text(client.send(get("/a").rev(1).mode(1))), "rev=1 value=\"1\"");
  EXPECT_EQ(host.reads(), 0U);
}

TEST(DoozerRead, ALinearizableOneWithMinRevPassesBothGates) {
  TestHost host;
  TestClient client(host);
  host.set("/a", "1");
  const int32_t read = client.send(get("/a").mode(1).min_rev(2));
  host.answer_reads();
  host.run_machine();
  EXPECT_EQ(client.text(read), "");
  host.set("/a", "2");
  host.run_machine();
  EXPECT_EQ(client.text(read), "rev=2 value=\"2\"");
}

TEST(DoozerRead, AClosedConnectionHearsNothingOfItsReads) {
  TestHost host;
  TestClient client(host);
  client.send(get("/a").mode(1));
  client.send(get("/a").rev(5));
  client.close();
  EXPECT_EQ(host.reads(), 0U);
  EXPECT_EQ(host.machine().stats().waits, 0U);
}

}  // namespace
}  // namespace doozer::door
