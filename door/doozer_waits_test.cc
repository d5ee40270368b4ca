// WAIT: from history and from the future, and the events of transactions.

#include <gtest/gtest.h>

#include "door/door_testing.h"

namespace doozer::door {
namespace {

core::TransactionView sets(const std::vector<std::string>& paths) {
  core::TransactionView transaction;
  for (const std::string& path : paths) {
    core::OperationView operation;
    operation.path = path;
    operation.value = path;
    transaction.operations.push_back(operation);
  }
  return transaction;
}

TEST(DoozerWait, TheFirstEventAtOrAfterRevWhosePathMatchesFromHistory) {
  TestHost host;
  TestClient client(host);
  host.set("/a", "1");
  host.set("/b", "2");
  host.set("/a", "3");
  host.apply(core::DelView{"/a", -1});
  EXPECT_EQ(client.ask(wait("/a", 1)), "flags=4 rev=1 path=\"/a\" value=\"1\"");
  EXPECT_EQ(client.ask(wait("/a", 2)), "flags=4 rev=3 path=\"/a\" value=\"3\"");
  EXPECT_EQ(client.ask(wait("/*", 2)), "flags=4 rev=2 path=\"/b\" value=\"2\"");
  EXPECT_EQ(client.ask(wait("/a", 4)), "flags=8 rev=4 path=\"/a\" value=\"\"");
  EXPECT_EQ(client.ask(wait("/a", 5)), "");
}

TEST(DoozerWait, OrFromTheFutureOneShot) {
  TestHost host;
  TestClient client(host);
  const int32_t next = client.send(wait("/a", 1));
  const int32_t later = client.send(wait("/a", 3));
  const int32_t never = client.send(wait("/b*", 1));
  host.run_machine();
  EXPECT_EQ(client.count(), 0U);
  host.set("/c", "");
  host.set("/a", "2");
  host.set("/a", "3");
  host.set("/a", "4");
  host.run_machine();
  EXPECT_EQ(client.text(next), "flags=4 rev=2 path=\"/a\" value=\"2\"");
  EXPECT_EQ(client.text(later), "flags=4 rev=3 path=\"/a\" value=\"3\"");
  EXPECT_EQ(client.text(never), "");
  EXPECT_EQ(client.count(), 2U);
  EXPECT_GT(client.told(), 0);
}

TEST(DoozerWait, Flags4Set8DelAnd0NopWhosePathIsTheRoot) {
  TestHost host;
  TestClient client(host);
  host.apply(core::NopView{});
  for (const char* glob : {"/**", "/*", "/"}) {
    EXPECT_EQ(client.ask(wait(glob, 1)), "flags=0 rev=1 path=\"/\" value=\"\"") << glob;
  }
  EXPECT_EQ(client.ask(wait("/?", 1)), "");
  EXPECT_EQ(client.ask(wait("/a*", 1)), "");
}

TEST(DoozerWait, RevUpTo1IsFromTheFirst) {
  TestHost host;
  TestClient client(host);
  host.set("/a", "1");
  for (const int64_t rev : {int64_t{1}, int64_t{0}, int64_t{-1}, INT64_MIN}) {
    EXPECT_EQ(client.ask(wait("/a", rev)), "flags=4 rev=1 path=\"/a\" value=\"1\"");
  }
}

TEST(DoozerWait, RefusedWritesAndDelsOfNothingAreNoEvents) {
  TestHost host;
  TestClient client(host);
  const int32_t waiting = client.send(wait("/**", 1));
  EXPECT_EQ(client.ask(del("/nope", 0)), "ok");
  EXPECT_EQ(client.ask(set("/a", -5, "")), "error=REV_MISMATCH");
  EXPECT_EQ(client.text(waiting), "");
}

TEST(DoozerWait, TheAnswersRevIsTheEventsAndManyWaitersHearOfOneEvent) {
  TestHost host;
  TestClient old(host);
  TestClient extended(host);
  std::vector<int32_t> tags;
  for (int i = 0; i < 10; ++i) tags.push_back(old.send(wait(i % 2 == 0 ? "/a" : "/**", 1)));
  const int32_t more = extended.send(wait("/a", 1).mode(2));
  host.set("/a", "x");
  host.set("/b", "x");
  host.run_machine();
  for (const int32_t tag : tags) {
    EXPECT_EQ(old.text(tag), "flags=4 rev=1 path=\"/a\" value=\"x\"");
  }
  EXPECT_EQ(extended.text(more),
            "flags=4 rev=1 path=\"/a\" value=\"x\" store_rev=2 cluster=\"abcdefghij\"");
}

TEST(DoozerWait, LenTellsHowManyMoreOfThatRevisionMatchAndAWaitForTheNextRevTakesThem) {
  TestHost host;
  TestClient client(host);
  host.apply(sets({"/a/1", "/b", "/a/2", "/a/3"}));
  host.set("/a/4", "last");
  EXPECT_EQ(client.ask(wait("/a/*", 1)), "flags=4 rev=1 path=\"/a/1\" value=\"/a/1\" len=2");
  EXPECT_EQ(client.ask(wait("/a/*", 2)), "flags=4 rev=1 path=\"/a/2\" value=\"/a/2\" len=1");
  EXPECT_EQ(client.ask(wait("/a/*", 2)), "flags=4 rev=1 path=\"/a/3\" value=\"/a/3\"");
  EXPECT_EQ(client.ask(wait("/a/*", 2)), "flags=4 rev=2 path=\"/a/4\" value=\"last\"");
}

TEST(DoozerWait, AContinuationIsTakenByOneWaitWithTheSameGlobAndRevPlus1Only) {
  TestHost host;
  TestClient client(host);
  TestClient other(host);
  host.apply(sets({"/a", "/b"}));
  host.set("/c", "");
  EXPECT_EQ(client.ask(wait("/**", 1)), "flags=4 rev=1 path=\"/a\" value=\"/a\" len=1");
  EXPECT_EQ(client.ask(wait("/*", 2)), "flags=4 rev=2 path=\"/c\" value=\"\"");
  EXPECT_EQ(other.ask(wait("/**", 2)), "flags=4 rev=2 path=\"/c\" value=\"\"");
  EXPECT_EQ(client.ask(wait("/**", 2)), "flags=4 rev=1 path=\"/b\" value=\"/b\"");
  EXPECT_EQ(client.ask(wait("/**", 2)), "flags=4 rev=2 path=\"/c\" value=\"\"");
}

TEST(DoozerWait, TwoWaitersOfOneGlobLeaveAContinuationEach) {
  TestHost host;
  TestClient client(host);
  const int32_t one = client.send(wait("/**", 1));
  const int32_t two = client.send(wait("/**", 1));
  host.apply(sets({"/a", "/b"}));
  host.run_machine();
  EXPECT_EQ(client.text(one), "flags=4 rev=1 path=\"/a\" value=\"/a\" len=1");
  EXPECT_EQ(client.text(two), "flags=4 rev=1 path=\"/a\" value=\"/a\" len=1");
  EXPECT_EQ(client.ask(wait("/**", 2)), "flags=4 rev=1 path=\"/b\" value=\"/b\"");
  EXPECT_EQ(client.ask(wait("/**", 2)), "flags=4 rev=1 path=\"/b\" value=\"/b\"");
  EXPECT_EQ(client.ask(wait("/**", 2)), "");
}

TEST(DoozerWait, WaitersOfSeveralGlobsHearTheirOwnEventsOfOneTransaction) {
  TestHost host;
  TestClient client(host);
  // What doors share of an answer is of one event and one count of further ones.
  const int32_t a = client.send(wait("/a", 1));
  const int32_t b = client.send(wait("/b", 1));
  const int32_t all = client.send(wait("/**", 1));
  const int32_t some = client.send(wait("/?", 1));
  host.apply(sets({"/a", "/b", "/long"}));
  host.run_machine();
  EXPECT_EQ(client.text(a), "flags=4 rev=1 path=\"/a\" value=\"/a\"");
  EXPECT_EQ(client.text(b), "flags=4 rev=1 path=\"/b\" value=\"/b\"");
  EXPECT_EQ(client.text(all), "flags=4 rev=1 path=\"/a\" value=\"/a\" len=2");
  EXPECT_EQ(client.text(some), "flags=4 rev=1 path=\"/a\" value=\"/a\" len=1");
}

TEST(DoozerWait, WaitersOfTwoFilesOfOneTransactionHearEachTheirOwn) {
  TestHost host;
  TestClient client(host);
  const int32_t a = client.send(wait("/a", 1));
  const int32_t b = client.send(wait("/b", 1));
  host.apply(sets({"/a", "/b"}));
  host.run_machine();
  EXPECT_EQ(client.text(a), "flags=4 rev=1 path=\"/a\" value=\"/a\"");
  EXPECT_EQ(client.text(b), "flags=4 rev=1 path=\"/b\" value=\"/b\"");
}

TEST(DoozerWait, OffsetSkipsThatManyEventsOfRev) {
  TestHost host;
  TestClient client(host);
  host.apply(sets({"/a", "/b", "/c"}));
  host.set("/d", "");
  EXPECT_EQ(client.ask(wait("/**", 1).offset(0)), "flags=4 rev=1 path=\"/a\" value=\"/a\" len=2");
  EXPECT_EQ(client.ask(wait("/**", 1).offset(1)), "flags=4 rev=1 path=\"/b\" value=\"/b\" len=1");
  EXPECT_EQ(client.ask(wait("/**", 1).offset(2)), "flags=4 rev=1 path=\"/c\" value=\"/c\"");
  EXPECT_EQ(client.ask(wait("/**", 1).offset(3)), "flags=4 rev=2 path=\"/d\" value=\"\"");
  EXPECT_EQ(client.ask(wait("/**", 1).offset(-3)), "flags=4 rev=1 path=\"/a\" value=\"/a\" len=2");
}

TEST(DoozerWait, FutureTransactionsAreHeardWholeToo) {
  TestHost host;
  TestClient client(host);
  const int32_t first = client.send(wait("/**", 1));
  host.apply(sets({"/a", "/b", "/c"}));
  host.run_machine();
  EXPECT_EQ(client.text(first), "flags=4 rev=1 path=\"/a\" value=\"/a\" len=2");
  EXPECT_EQ(client.ask(wait("/**", 2)), "flags=4 rev=1 path=\"/b\" value=\"/b\" len=1");
  EXPECT_EQ(client.ask(wait("/**", 2)), "flags=4 rev=1 path=\"/c\" value=\"/c\"");
}

TEST(DoozerWait, OneThatFallsOutOfHistoryIsTooLate) {
  core::MachineOptions options;
  options.history_revisions = 3;
  TestHost host(options);
  TestClient client(host);
  for (int i = 0; i < 3; ++i) host.set("/a", "");
  const int32_t waiting = client.send(wait("/b", 1));  // it has not begun to search
  for (int i = 0; i < 50; ++i) host.set("/a", "");
  host.run_machine();
  // Found nothing in what was kept, or was told that it is too late: never silently skipped.
  if (!client.text(waiting).empty()) {
    EXPECT_EQ(client.text(waiting), "error=TOO_LATE");
  }
  EXPECT_EQ(client.ask(wait("/a", 1)), "error=TOO_LATE");
}

TEST(DoozerWait, AClosedConnectionHearsNothingOfItsWaits) {
  TestHost host;
  TestClient client(host);
  for (int i = 0; i < 100; ++i) client.send(wait("/**", 1));
  EXPECT_EQ(host.machine().stats().waits, 100U);
  client.close();
  EXPECT_EQ(host.machine().stats().waits, 0U);
  host.set("/a", "");
  host.run_machine();
}

TEST(DoozerHalfClose, PendingAnswersComeExceptWaitsAndReadsOfTheFuture) {
  TestHost host;
  TestClient client(host);
  host.set("/a", "1");
  const int32_t write = client.send(set("/a", -1, "2"));
  const int32_t linearizable = client.send(get("/a").mode(1));
  const int32_t future = client.send(get("/a").rev(9));
  const int32_t later = client.send(get("/a").min_rev(9).mode(1));
  const int32_t waiting = client.send(wait("/a", 9));
  client.door().end_of_input();
  EXPECT_FALSE(client.door().finished());
  EXPECT_EQ(host.machine().stats().waits, 0U);
  host.settle();
  EXPECT_FALSE(client.door().finished());
  host.answer_reads();
  EXPECT_TRUE(client.door().finished());
  EXPECT_EQ(client.text(write), "rev=2");
  EXPECT_EQ(client.text(linearizable), "rev=2 value=\"2\"");
  EXPECT_EQ(client.text(future), "");
  EXPECT_EQ(client.text(later), "");
  EXPECT_EQ(client.text(waiting), "");
}

TEST(DoozerHalfClose, ManyWaitsAreGivenUpInSlicesAndNoneIsAnswered) {
  TestHost host;
  TestClient client(host);
  constexpr size_t kMany = 1'000;
  int32_t last_wait = 0;
  int32_t last_read = 0;
  for (size_t i = 0; i < kMany; ++i) {
    last_wait = client.send(wait("/a", 1));
    last_read = client.send(get("/a").rev(1));
  }
  EXPECT_EQ(host.machine().stats().waits, 2 * kMany);
  client.door().end_of_input();
  EXPECT_GT(host.machine().stats().waits, kMany);
  EXPECT_FALSE(client.door().finished());
  EXPECT_TRUE(client.door().has_work());
  host.set("/a", "");  // those that are left hear of it, and say nothing
  Budget budget(kSliceSteps);
  host.machine().run(budget);
  client.run();
  host.run_machine();
  EXPECT_TRUE(client.door().finished());
  EXPECT_EQ(host.machine().stats().waits, 0U);
  EXPECT_EQ(client.text(last_wait), "");
  EXPECT_EQ(client.text(last_read), "");
}

TEST(DoozerHalfClose, AListingUnderWayIsFinished) {
  TestHost host;
  TestClient client(host);
  for (int i = 0; i < 5'000; ++i) host.set("/d/" + std::to_string(i), "");
  host.set("/d/z", "");
  const int32_t sparse = client.send(walk("/d/*z", 0));
  client.door().end_of_input();
  EXPECT_FALSE(client.door().finished());
  client.run();
  EXPECT_TRUE(client.door().finished());
  EXPECT_EQ(client.text(sparse), "flags=4 rev=5001 path=\"/d/z\" value=\"\"");
}

}  // namespace
}  // namespace doozer::door
