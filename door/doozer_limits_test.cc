// What a connection may hold: outstanding requests, unsent bytes, waits.

#include <gtest/gtest.h>

#include "base/probe.h"
#include "door/door_testing.h"
#include "door/slab.h"

namespace doozer::door {
namespace {

TEST(DoozerLimits, TooManyOutstandingWritesBlockTheDoorUntilSomeAreAnswered) {
  TestHost host;
  host.test_limits.outstanding_max = 10;
  TestClient client(host);
  for (int i = 0; i < 25; ++i) client.send(set("/a", -1, "x"));
  EXPECT_EQ(host.writes(), 10U);
  EXPECT_TRUE(client.door().blocked());
  host.apply_one();
  EXPECT_FALSE(client.door().blocked());
  client.feed();
  EXPECT_EQ(host.writes(), 10U);
  for (int i = 0; i < 5; ++i) {
    host.settle();
    client.run();
  }
  EXPECT_EQ(client.count(), 25U);
}

TEST(DoozerLimits, LinearizableReadsAreOutstandingReadsOfTheFutureAreWaits) {
  TestHost host;
  host.test_limits.outstanding_max = 2;
  TestClient client(host);
  client.send(get("/a").rev(99));
  client.send(wait("/a", 99));
  client.send(get("/a").rev(99));
  EXPECT_FALSE(client.door().blocked());
  client.send(get("/a").mode(1));
  EXPECT_FALSE(client.door().blocked());
  client.send(get("/a").mode(1));
  EXPECT_TRUE(client.door().blocked());
  host.answer_reads();
  EXPECT_FALSE(client.door().blocked());
}

TEST(DoozerLimits, TooManyWaitsAreRefusedWithTheLimit) {
  TestHost host;
  host.test_limits.waits_max = 3;
  TestClient client(host);
  client.send(wait("/a", 5));
  client.send(get("/a").rev(9));
  client.send(wait("/a", 5));
  EXPECT_EQ(client.detail(wait("/a", 5)), "busy: 3 waits on this connection, the limit is 3");
  EXPECT_EQ(client.detail(get("/a").rev(5)), "busy: 3 waits on this connection, the limit is 3");
  EXPECT_EQ(client.ask(get("/a")), "rev=0 value=\"\"");
  for (int i = 0; i < 5; ++i) host.set("/a", "");
  host.run_machine();
  client.all();
  EXPECT_EQ(client.ask(wait("/a", 1)), "flags=4 rev=1 path=\"/a\" value=\"\"");
}

TEST(DoozerLimits, TheDefaultsAdmit10000WaitsAnd1000OutstandingRequests) {
  TestHost host;
  TestClient client(host);
  std::string bytes;
  for (int i = 0; i < 10'000; ++i) bytes += wait("/a", 1).tag(i + 1).frame();
  client.receive(bytes);
  EXPECT_EQ(host.machine().stats().waits, 10'000U);
  for (int i = 0; i < 1'000; ++i) client.send(set("/b", -1, ""));
  EXPECT_EQ(host.writes(), 1'000U);
  host.set("/a", "x");
  host.run_machine();
  EXPECT_EQ(client.count(), 10'000U);
}

TEST(DoozerLimits, AClientThatReadsNothingCostsLittleMoreThanTheSoftLimit) {
  TestHost host;
  TestClient client(host);
  host.set("/a", std::string(kValueBytesMax, 'x'));
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes += get("/a").tag(i + 1).frame();
  const Result<size_t> taken = client.door().receive(bytes);
  ASSERT_TRUE(taken.has_value());
  EXPECT_LT(*taken, bytes.size());
  EXPECT_TRUE(client.door().blocked());
  EXPECT_LT(client.door().output().size(), 2 * kMiB + kKiB);
  // What the server has taken but the system has not counts too.
  client.door().output().clear();
  client.door().set_unsent(kUnsentBytesSoft);
  EXPECT_TRUE(client.door().blocked());
  client.door().set_unsent(0);
  EXPECT_FALSE(client.door().blocked());
}

TEST(DoozerLimits, EventsForAClientThatReadsNothingAreNotKeptButComeWhenItReads) {
  TestHost host;
  TestClient client(host);
  const std::string value(kValueBytesMax, 'x');
  for (int i = 0; i < 50; ++i) client.send(wait("/a", 1));
  host.set("/a", value);
  host.set("/a", "later");
  host.run_machine();
  EXPECT_LE(client.door().output().size(), 2 * kMiB + kKiB);
  EXPECT_TRUE(client.door().blocked());
  EXPECT_FALSE(client.door().has_work());
  EXPECT_GT(Probe::reached("door: an event came while there was no room"), 0U);
  for (int turn = 0; turn < 1'000 && client.answers().size() < 50; ++turn) {
    client.run();
    host.run_machine();
    EXPECT_LE(client.door().output().size(), 2 * kMiB + kKiB);
  }
  const auto answers = client.all();
  ASSERT_EQ(answers.size(), 50U);
  for (const std::string& answer : answers) EXPECT_EQ(answer.substr(0, 14), "flags=4 rev=1 ");
  EXPECT_FALSE(client.door().has_work());
}

TEST(DoozerLimits, ADeferredEventThatLeavesTheHistoryIsTooLate) {
  core::MachineOptions options;
  options.history_revisions = 3;
  TestHost host(options);
  TestClient client(host);
  const int32_t waiting = client.send(wait("/a", 1));
  client.door().set_unsent(kUnsentBytesSoft);
  for (int i = 0; i < 3; ++i) {
    host.set("/a", std::to_string(i));
    host.run_machine();
  }
  for (int i = 0; i < 20; ++i) host.set("/b", "");
  host.run_machine();
  EXPECT_EQ(client.text(waiting), "");
  client.door().set_unsent(0);
  EXPECT_TRUE(client.door().has_work());
  client.run();
  EXPECT_EQ(client.text(waiting), "error=TOO_LATE");
}

TEST(DoozerLimits, ReadsThatBecomeReadyWithoutRoomComeWhenTheClientReads) {
  TestHost host;
  TestClient client(host);
  host.set("/a", "x");
  const int32_t future = client.send(get("/a").rev(2));
  const int32_t linearizable = client.send(get("/a").mode(1));
  client.door().set_unsent(kUnsentBytesSoft);
  host.set("/a", "y");
  host.run_machine();
  host.answer_reads();
  EXPECT_EQ(client.count(), 0U);
  EXPECT_FALSE(client.door().has_work());
  client.door().set_unsent(0);
  EXPECT_TRUE(client.door().has_work());
  client.run();
  EXPECT_EQ(client.text(future), "rev=2 value=\"y\"");
  EXPECT_EQ(client.text(linearizable), "rev=2 value=\"y\"");
}

TEST(DoozerLimits, ListingsStopWhileThereIsNoRoom) {
  TestHost host;
  TestClient client(host);
  const std::string value(kValueBytesMax, 'x');
  for (int i = 0; i < 5; ++i) host.set("/d/" + std::to_string(i), value);
  std::string bytes;
  for (int32_t i = 0; i < 5; ++i) bytes += walk("/d/*", i).tag(i + 1).frame();
  client.receive(bytes);
  EXPECT_LE(client.door().output().size(), 2 * kMiB + kKiB);
  client.run();
  for (int32_t i = 0; i < 5; ++i) {
    ASSERT_NE(client.find(i + 1), nullptr) << i;
    EXPECT_EQ(client.find(i + 1)->view.path, "/d/" + std::to_string(i));
  }
}

TEST(DoozerLimits, AFrameMayExceedTheValueLimitByItsOverhead) {
  TestHost host;
  host.test_limits.value_bytes_max = 1000;
  TestClient client(host);
  const std::string path = "/" + std::string(kPathBytesMax - 1, 'p');
  EXPECT_EQ(client.ask(set(path, 0, std::string(1000, 'x'))), "rev=1");
  client.receive(set("/a", 0, std::string(1000 + kFrameOverheadBytes, 'x')).frame());
  ASSERT_TRUE(client.failed().has_value());
  EXPECT_EQ(client.failed()->code, Code::too_large);
}

/// A literal glob of 4 KiB, and one full of stars, which costs several times that.
std::string long_literal(int number) {
  std::string path = "/" + std::to_string(number) + "-";
  return path + std::string(kPathBytesMax - path.size(), 'x');
}
std::string long_glob(int number) {
  std::string glob = "/" + std::to_string(number);
  while (glob.size() + 2 <= kPathBytesMax) glob += "x*";
  return glob;
}

TEST(DoozerLimits, WhatTheGlobsOfAConnectionsWaitsHoldIsBoundedAndGivenBack) {
  for (const auto& make : {long_literal, long_glob}) {
    TestHost host;
    host.test_limits.wait_bytes_max = 1 * kMiB + 100;
    TestClient client(host);
    int admitted = 0;
    while (client.ask(wait(make(admitted), 1)).empty()) ++admitted;
    EXPECT_GT(admitted, 50);
    EXPECT_LE(admitted, 128) << "each is kept twice";
    EXPECT_LE(host.wait_bytes(), host.test_limits.wait_bytes_max);
    const std::string refused = client.detail(wait(make(admitted), 1));
    EXPECT_EQ(refused.substr(0, 63),
              "busy: the globs and paths of the waits on this connection hold ");
    EXPECT_NE(refused.find("the limit is 1048676"), std::string::npos);
    EXPECT_EQ(client.ask(wait("/short", 1)), "") << "there is room for a short one";
    // One that is told makes room for one.
    std::string path = make(0);
    std::erase(path, '*');
    host.set(path, "");
    host.run_machine();
    client.run();
    EXPECT_EQ(client.ask(wait(make(admitted), 99)), "");
    client.door().end_of_input();
    client.run();
    EXPECT_EQ(host.wait_bytes(), 0U);
  }
}

TEST(DoozerLimits, ReadsOfTheFutureHoldTheirPathsToo) {
  TestHost host;
  host.test_limits.wait_bytes_max = 10 * kPathBytesMax;
  TestClient client(host);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(client.ask(get(long_literal(i)).rev(1)), "");
  EXPECT_EQ(client.ask(get(long_literal(10)).rev(1)), "error=OTHER");
  EXPECT_EQ(client.ask(walk("/*", 0).rev(1)), "error=OTHER");
  host.set("/a", "");
  host.run_machine();
  client.run();
  EXPECT_EQ(host.wait_bytes(), 0U);
  EXPECT_EQ(client.ask(get(long_literal(10)).rev(2)), "");
  client.close();
  EXPECT_EQ(host.wait_bytes(), 0U);
}

TEST(DoozerLimits, WhenAllWaitsTogetherHoldTooMuchEachConnectionMayStillHoldALittle) {
  TestHost host;
  host.test_limits.wait_bytes_all_max = 1 * kMiB;
  TestClient greedy(host);
  int admitted = 0;
  while (greedy.ask(wait(long_literal(admitted), 1)).empty()) ++admitted;
  EXPECT_LE(host.wait_bytes(), host.test_limits.wait_bytes_all_max);
  EXPECT_NE(greedy.detail(wait(long_literal(admitted), 1)).find("on all connections"),
            std::string::npos);
  TestClient other(host);
  EXPECT_EQ(other.ask(wait(long_literal(-1), 1)), "");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(other.ask(wait("/w" + std::to_string(i), 1)), "");
  greedy.close();
  EXPECT_EQ(other.ask(wait(long_literal(0), 1)), "");
  EXPECT_EQ(other.ask(wait(long_literal(1), 1)), "");
}

TEST(DoozerLimits, TheDefaultsAdmitAllWaitsOnGlobsOfAUsualSize) {
  TestHost host;
  TestClient client(host);
  for (size_t i = 0; i < kWaitsPerConnectionMax; ++i) {
    client.send(wait("/service/" + std::to_string(i) + std::string(100, 'n') + "/*/address", 1));
  }
  EXPECT_EQ(client.count(), 0U);
  EXPECT_EQ(host.machine().stats().waits, kWaitsPerConnectionMax);
}

TEST(Slab, PlacesAreReusedAndFound) {
  Slab<int> slab;
  const uint32_t a = slab.put(1);
  const uint32_t b = slab.put(2);
  EXPECT_NE(a, b);
  EXPECT_EQ(slab.take(a), 1);
  EXPECT_FALSE(slab.holds(a));
  EXPECT_TRUE(slab.holds(b));
  EXPECT_EQ(slab.put(3), a);
  EXPECT_EQ(slab.at(a), 3);
  EXPECT_EQ(slab.ids(), (std::vector<uint32_t>{a, b}));
  EXPECT_EQ(slab.live(), 2U);
}

TEST(Slab, GivesItsMemoryBackWhenItIsEmptyAndBegunAnew) {
  Slab<int> slab;
  for (int round = 0; round < 3; ++round) {
    std::vector<uint32_t> ids;
    for (int i = 0; i < 1'000; ++i) ids.push_back(slab.put(i));
    for (int i = 0; i < 1'000; ++i) EXPECT_EQ(slab.take(ids[static_cast<size_t>(i)]), i);
    EXPECT_EQ(slab.live(), 0U);
    EXPECT_TRUE(slab.ids().empty());
  }
}

}  // namespace
}  // namespace doozer::door
