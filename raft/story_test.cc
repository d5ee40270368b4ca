// Stories of small clusters, told in full and compared with raft/testdata/*.txt. When a change of
// the core changes a story: DOOZER_GOLDEN=write raft_test --gtest_filter='Story*', read the
// difference, and commit it only if it is understood.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/limits.h"
#include "raft/testing/logbook.h"

namespace doozer::raft {
namespace {

constexpr uint64_t kSecond = 1'000'000;

std::string file_of(const std::string& name) {
  return std::string(DOOZER_RAFT_TESTDATA) + "/" + name + ".txt";
}

void expect_story(const std::string& name, const Network& network, const Logbook& logbook) {
  ASSERT_FALSE(network.failure()) << *network.failure();
  const char* const mode = std::getenv("DOOZER_GOLDEN");
  if (mode != nullptr && std::string(mode) == "write") {
    std::ofstream(file_of(name)) << logbook.text();
    return;
  }
  std::ifstream file(file_of(name));
  std::stringstream wanted;
  wanted << file.rdbuf();
  EXPECT_EQ(logbook.text(), wanted.str()) << file_of(name);
}

/// Runs until somebody leads and everybody has all of its log.
void settle(Network& network) {
  const bool settled = network.run_until(
      [&] {
        if (network.leader() == 0) return false;
        const Core& leader = network.core(network.leader());
        for (size_t n = 1; n <= network.size(); ++n) {
          if (!network.is_up(n) || network.core(n).leader() != leader.self()) continue;
          if (network.core(n).commit() != leader.last_index()) return false;
        }
        return leader.commit() == leader.last_index();
      },
      10 * kSecond);
  EXPECT_TRUE(settled);
  network.run(5'000);
}

TEST(Story, ThreeServersElectALeaderAndTakeAWrite) {
  Network network(1, 3, 3, {});
  Logbook logbook(network);
  logbook.say("three servers start");
  settle(network);
  logbook.say("a client writes");
  network.propose(network.leader(), "hello");
  settle(network);
  expect_story("election_and_write", network, logbook);
}

TEST(Story, TheProcessOfTheLeaderIsKilledAndProvenGone) {
  Network network(2, 3, 3, {});
  settle(network);
  Logbook logbook(network);
  const size_t old = network.leader();
  const uint64_t before = network.now_us();
  logbook.say("the leader, n" + std::to_string(old) + ", is killed; its port refuses");
  network.crash(old, false);
  network.prove_gone(old);
  settle(network);
  EXPECT_LT(network.now_us() - before, 50'000U) << "kill -9 interrupts writes for less than 50 ms";
  logbook.say("it comes back");
  network.restart(old);
  network.run(kHeartbeatUs * 2);
  expect_story("leader_killed", network, logbook);
}

TEST(Story, ALeaderIsCutOffWithAWriteThatNobodyElseHas) {
  Network network(3, 3, 3, {});
  settle(network);
  Logbook logbook(network);
  const size_t old = network.leader();
  logbook.say("the leader, n" + std::to_string(old) + ", is cut off; a client writes to it");
  network.isolate(old);
  network.propose(old, "lost");
  network.run(2 * kSecond);
  logbook.say("another client writes to the new leader");
  ASSERT_NE(network.leader(), old);
  network.propose(network.leader(), "kept");
  network.run(20'000);
  logbook.say("the network heals");
  network.heal();
  network.run(300'000);
  expect_story("leader_cut_off", network, logbook);
}

TEST(Story, TheLeaderIsReplacedByAStandby) {
  Network network(4, 4, 3, {});
  settle(network);
  const size_t old = network.leader();
  network.give(old, SetStandbys{{server_id(4)}});
  network.run(200'000);
  Logbook logbook(network);
  logbook.say("n" + std::to_string(old) +
              " leads, n4 is a standby that has all; the leader's slot " + "is given to n4");
  ChangeVoters change;
  for (size_t n = 1; n <= 4; ++n) {
    if (n != old) change.voters.push_back(server_id(n));
  }
  network.give(old, change);
  network.run(200'000);
  expect_story("leader_replaced", network, logbook);
}

TEST(Story, AFollowerReads) {
  Network network(5, 3, 3, {});
  settle(network);
  Logbook logbook(network);
  logbook.rounds(true);
  const size_t reader = network.leader() == 1 ? 2 : 1;
  logbook.say("three clients read at n" + std::to_string(reader) + ", n" +
              std::to_string(network.leader()) + " leads");
  for (int i = 0; i < 3; ++i) network.read(reader);
  network.run_until([&] { return network.reads_answered() == 3; }, kSecond);
  expect_story("follower_reads", network, logbook);
}

TEST(Story, TheLeaderHandsOver) {
  Network network(6, 3, 3, {});
  settle(network);
  Logbook logbook(network);
  const size_t old = network.leader();
  logbook.say("n" + std::to_string(old) + " leads; it is told to hand over");
  network.give(old, TransferLeadership{});
  logbook.say("a client writes to it meanwhile");
  network.propose(old, "too late");
  network.run(30'000);
  EXPECT_NE(network.leader(), old);
  expect_story("hand_over", network, logbook);
}

TEST(Story, AServerThatWasAwayNeedsASnapshot) {
  Network network(7, 3, 3, {.snapshot_every = 4}, {.entries = 2, .pinned_entries = 2});
  settle(network);
  const size_t away = network.leader() == 3 ? 2 : 3;
  network.crash(away, false);
  for (int i = 0; i < 9; ++i) {
    network.propose(network.leader(), "w" + std::to_string(i));
    settle(network);
  }
  Logbook logbook(network);
  logbook.say("n" + std::to_string(away) + " was away for nine writes; the others have forgotten " +
              "all but two");
  network.restart(away);
  network.run(200'000);
  expect_story("snapshot", network, logbook);
}

TEST(Story, APowerCutTearsTheLogOfEverybody) {
  Network network(8, 3, 3, {});
  settle(network);
  for (size_t n = 1; n <= 3; ++n) network.crash(n, true);
  for (size_t n = 1; n <= 3; ++n) network.damage(n, 0, LogTrust::doubtful);
  Logbook logbook(network);
  logbook.say("the power comes back; all three found a torn tail");
  for (size_t n = 1; n <= 3; ++n) network.restart(n);
  network.run(5 * kSecond);
  EXPECT_NE(network.leader(), 0U);
  expect_story("power_cut", network, logbook);
}

TEST(Story, OneServerLostWhatItHadPromised) {
  Network network(9, 3, 3, {});
  settle(network);
  for (int i = 0; i < 3; ++i) {
    network.propose(network.leader(), "w" + std::to_string(i));
    settle(network);
  }
  const size_t broken = network.leader() == 1 ? 2 : 1;
  network.crash(broken, true);
  network.damage(broken, 2, LogTrust::doubtful);
  Logbook logbook(network);
  logbook.say("n" + std::to_string(broken) + " starts; its disk lost two entries that it had " +
              "acknowledged");
  network.restart(broken);
  network.run(200'000);
  expect_story("doubtful_log", network, logbook);
}

}  // namespace
}  // namespace doozer::raft
