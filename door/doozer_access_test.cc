// The order of checks, and secrets.

#include <gtest/gtest.h>

#include "door/access.h"
#include "door/door_testing.h"

namespace doozer::door {
namespace {

constexpr const char* kDenied = "error=OTHER";

std::vector<Ask> reads() {
  return {get("/a"),      stat("/a"),     getdir("/", 0),
          walk("/**", 0), wait("/**", 1), Ask(wire::Verb::status)};
}
std::vector<Ask> writes() { return {set("/a", -1, "x"), del("/b", -1), nop()}; }

bool allowed(TestClient& client, const std::vector<Ask>& asks) {
  size_t denied = 0;
  for (const Ask& ask : asks) {
    if (client.ask(ask) == kDenied) {
      EXPECT_EQ(client.detail(ask), "permission denied");
      ++denied;
    }
  }
  EXPECT_TRUE(denied == 0 || denied == asks.size());
  return denied == 0;
}

TEST(DoozerAccess, NoneSetEverythingIsOpenAndAccessWithAnEmptyValueIsOk) {
  TestHost host;
  host.set("/a", "x");
  TestClient client(host);
  EXPECT_TRUE(allowed(client, reads()));
  EXPECT_TRUE(allowed(client, writes()));
  EXPECT_EQ(client.ask(access("")), "ok");
  EXPECT_EQ(client.ask(Ask(wire::Verb::access)), "ok");
  EXPECT_EQ(client.ask(access("x")), kDenied);  // an error that changes nothing
  EXPECT_TRUE(allowed(client, reads()));
  EXPECT_TRUE(allowed(client, writes()));
}

TEST(DoozerAccess, OnlyTheRwSecretSetAnyoneMayRead) {
  TestHost host;
  host.set("/a", "x");
  host.test_secrets.read_write = "rw";
  TestClient client(host);
  EXPECT_TRUE(allowed(client, reads()));
  EXPECT_FALSE(allowed(client, writes()));
  EXPECT_EQ(client.ask(access("wrong")), kDenied);
  EXPECT_FALSE(allowed(client, writes()));
  EXPECT_EQ(client.ask(access("rw")), "ok");
  EXPECT_TRUE(allowed(client, writes()));
}

TEST(DoozerAccess, BothSetEachGivesItsRightsAndRightsOnceGrantedStay) {
  TestHost host;
  host.set("/a", "x");
  host.test_secrets = {"rw", "ro"};
  TestClient client(host);
  EXPECT_FALSE(allowed(client, reads()));
  EXPECT_FALSE(allowed(client, writes()));
  EXPECT_EQ(client.ask(access("")), kDenied);
  EXPECT_EQ(client.ask(access("ro")), "ok");
  EXPECT_TRUE(allowed(client, reads()));
  EXPECT_FALSE(allowed(client, writes()));
  EXPECT_EQ(client.ask(access("rw")), "ok");
  EXPECT_EQ(client.ask(access("wrong")), kDenied);
  EXPECT_EQ(client.ask(access("ro")), "ok");
  EXPECT_TRUE(allowed(client, reads()));
  EXPECT_TRUE(allowed(client, writes()));
  TestClient other(host);
  EXPECT_FALSE(allowed(other, reads()));  // rights are of a connection
}

TEST(DoozerAccess, OnlyTheRoSecretSetNobodyMayWrite) {
  TestHost host;
  host.test_secrets.read_only = "ro";
  TestClient client(host);
  EXPECT_EQ(client.ask(access("")), kDenied);
  EXPECT_FALSE(allowed(client, writes()));
  EXPECT_EQ(client.ask(access("ro")), "ok");
  EXPECT_FALSE(allowed(client, writes()));
}

TEST(DoozerAccess, AccessRevAndSelfNeedNoAccess) {
  TestHost host;
  host.test_secrets = {"rw", "ro"};
  TestClient client(host);
  EXPECT_EQ(client.ask(rev()), "rev=0");
  EXPECT_NE(client.ask(self()), kDenied);
}

TEST(DoozerAccess, SecretsAreComparedWhole) {
  for (const auto& [secret, given, equal] : std::vector<std::tuple<std::string, std::string, bool>>{
           {"", "", true},
           {"a", "a", true},
           {"a", "", false},
           {"", "a", false},
           {"ab", "aa", false},
           {"ab", "a", false},
           {"ab", "abab", false},
           {"ab", "aba", false},
           {"abc", "ab", false},
           {"secret", "secret", true},
           {std::string("a\0b", 3), std::string("a\0b", 3), true},
           {"a", std::string("a\0", 2), false},
           {"x", std::string(kSecretBytesMax + 1, 'x'), false}}) {
    EXPECT_EQ(equal_in_constant_time(secret, given), equal) << secret << " " << given;
  }
}

TEST(DoozerAccess, ChecksComeInTheirOrder) {
  TestHost host;
  host.test_secrets = {"rw", "ro"};
  host.is_writable = false;
  TestClient client(host);
  using wire::Verb;
  // access before READONLY before MISSING_ARG
  EXPECT_EQ(client.ask(Ask(Verb::set)), "error=OTHER");
  EXPECT_EQ(client.ask(Ask(Verb::get)), "error=OTHER");
  EXPECT_EQ(client.ask(access("rw")), "ok");
  EXPECT_EQ(client.ask(Ask(Verb::set)), "error=READONLY");
  EXPECT_EQ(client.ask(Ask(Verb::del)), "error=READONLY");
  EXPECT_EQ(client.ask(nop()), "error=READONLY");
  host.is_writable = true;
  EXPECT_EQ(client.ask(Ask(Verb::set)), "error=MISSING_ARG");
  // MISSING_ARG before glob before negative offset before revision
  EXPECT_EQ(client.ask(Ask(Verb::walk).path("bad")), "error=MISSING_ARG");
  EXPECT_EQ(client.detail(walk("bad", -1)), "invalid glob pattern: bad");
  EXPECT_EQ(client.ask(walk("/**", -1).rev(1'000'000)), "error=RANGE");
  EXPECT_EQ(client.detail(wait("bad", 1'000'000)), "invalid glob pattern: bad");
  // a revision to come before the rest
  EXPECT_EQ(client.ask(walk("/**", 0).rev(1'000'000)), "");
  EXPECT_EQ(client.ask(get("bad").rev(1'000'000)), "");
}

TEST(DoozerAccess, ReadonlyIsForWritesThatWereGivenToNoLogReadsGoOn) {
  TestHost host;
  host.set("/a", "x");
  host.is_writable = false;
  TestClient client(host);
  EXPECT_EQ(client.ask(set("/a", -1, "y")), "error=READONLY");
  EXPECT_EQ(host.writes(), 0U);
  EXPECT_EQ(client.ask(get("/a")), "rev=1 value=\"x\"");
  EXPECT_EQ(client.ask(wait("/a", 1)), "flags=4 rev=1 path=\"/a\" value=\"x\"");
}

TEST(DoozerAccess, ReadonlyTellsAStopFromALostMajority) {
  TestHost host;
  host.is_writable = false;
  TestClient client(host);
  EXPECT_EQ(client.detail(set("/a", -1, "y")),
            "no majority of the servers can be reached; the write was given to no log");
  host.is_stopping = true;
  EXPECT_EQ(client.detail(set("/a", -1, "y")),
            "the server is stopping; the write was given to no log");
}

TEST(DoozerAccess, ALargeRequestOfWhoMayNotWriteIsRefusedBeforeItIsWhole) {
  TestHost host;
  host.test_secrets.read_write = "rw";
  TestClient client(host);
  const std::string frame = set("/a", -1, std::string(kValueBytesMax, 'x')).tag(77).frame();
  client.receive(frame.substr(0, kStrangerFrameBytesMax - 1));
  EXPECT_EQ(client.count(), 0U) << "it might still be one of those that are served";
  for (size_t at = kStrangerFrameBytesMax - 1; at < frame.size(); at += kReadChunkBytes) {
    client.receive(frame.substr(at, kReadChunkBytes));
    EXPECT_EQ(client.pending_bytes(), 0U);
    EXPECT_EQ(client.count(), 1U);
  }
  ASSERT_NE(client.find(77), nullptr);
  EXPECT_EQ(client.find(77)->detail(), "permission denied");
  EXPECT_EQ(client.ask(get("/a")), "rev=0 value=\"\"") << "what follows is served";
  EXPECT_EQ(client.ask(access("rw")), "ok");
  EXPECT_EQ(client.ask(set("/a", -1, std::string(kValueBytesMax, 'x'))), "rev=1");
}

TEST(DoozerAccess, AccessAndALargeRequestMayComeTogether) {
  TestHost host;
  host.test_secrets.read_write = "rw";
  TestClient client(host);
  client.receive(access("rw").tag(1).frame() +
                 set("/a", -1, std::string(kValueBytesMax, 'x')).tag(2).frame());
  host.settle();
  client.run();
  EXPECT_EQ(client.text(2), "rev=1");
}

TEST(DoozerAccess, ALargeFrameOfAStrangerThatDoesNotSayWhatItIsEndsTheConnection) {
  TestHost host;
  host.test_secrets.read_write = "rw";
  TestClient client(host);
  std::string frame(4, '\0');
  overwrite_be32(frame, 0, static_cast<uint32_t>(kValueBytesMax));
  client.receive(frame + std::string(kStrangerFrameBytesMax, '\xFF'));
  ASSERT_TRUE(client.failed().has_value());
  EXPECT_NE(client.failed()->message.find("the limit is 16384"), std::string::npos);
}

}  // namespace
}  // namespace doozer::door
