// What is carried: large messages, full queues, slow and stuck links, relays.

#include "transport/limits.h"
#include "transport/mesh_testing.h"

namespace doozer::transport {
namespace {

class MeshTraffic : public MeshWorld {
 protected:
  /// 0 - 1 - 2: the ends reach each other through the middle only.
  void start_chain() {
    only(3, {{0, 1}, {1, 2}});
    for (size_t i = 0; i < 3; ++i) {
      MeshOptions each = options(i);
      each.seeds = {address(1)};
      start(i, each);
    }
    ASSERT_TRUE(run_until([&] { return connected(3); }, 2'000'000));
    run_for(1'000'000);
  }
};

std::string pattern(size_t size, size_t salt) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 256 + salt);
  return text;
}

TEST_F(MeshTraffic, MessagesOfAllSizesArriveWholeDirectlyAndByRelay) {
  ASSERT_NO_FATAL_FAILURE(start_chain());
  const size_t sizes[] = {
      0, 1, kPartBytesMax - 1, kPartBytesMax, kPartBytesMax + 1, 2 * kPartBytesMax, 700'000};
  for (const size_t size : sizes) {
    for (const Channel channel : {Channel::control, Channel::bulk}) {
      for (const size_t to : {1U, 2U}) {
        node(to).heard.clear();
        send(0, to, pattern(size, to), channel);
        ASSERT_TRUE(run_until([&] { return !node(to).heard.empty(); }, 3'000'000)) << size;
        const Heard& heard = node(to).heard.front();
        EXPECT_TRUE(heard.payload == pattern(size, to)) << size;
        EXPECT_EQ(heard.from, id(0));
        const bool bulk = channel == Channel::bulk || size > kPartBytesMax;
        EXPECT_EQ(heard.channel, bulk ? Channel::bulk : Channel::control) << size;
      }
    }
  }
}

TEST_F(MeshTraffic, TheLargestMessagePassesAndALargerOneIsDroppedAndCounted) {
  start_all(2);
  run_for(1'000'000);
  send(0, 1, std::string(kMessageBytesMax, 'm'), Channel::bulk);
  send(0, 1, std::string(kMessageBytesMax + 1, 'x'), Channel::bulk);
  ASSERT_TRUE(run_until([&] { return !node(1).heard.empty(); }, 5'000'000));
  EXPECT_EQ(node(1).heard.front().payload.size(), kMessageBytesMax);
  run_for(1'000'000);
  EXPECT_EQ(node(1).heard.size(), 1U);
  EXPECT_EQ(mesh(0).stats().dropped_too_large, 1U);
}

TEST_F(MeshTraffic, ControlGoesPastBulkAndTheLinkStaysUp) {
  hurts_.bytes_per_ms[{host(0), host(1)}] = 1'000;  // one megabyte a second, for each stream
  start_all(2);
  run_for(1'000'000);
  send(0, 1, std::string(4 * kMiB, 'b'), Channel::bulk);
  run_for(100'000);
  send(0, 1, "urgent");
  ASSERT_TRUE(run_until([&] { return heard(1, 0, "urgent"); }, 50'000));
  ASSERT_TRUE(run_until([&] { return node(1).heard.size() == 2; }, 6'000'000));
  EXPECT_EQ(mesh(0).stats().links_down + mesh(1).stats().links_down, 0U);
}

TEST_F(MeshTraffic, AStuckBulkConnectionReroutesBulkOnly) {
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  run_for(1'000'000);
  // Only large writes stop: the bulk stream of this direction, and its successors' hellos.
  hurts_.small_mtu.insert({host(0), host(1)});
  send(0, 1, std::string(200'000, 'a'), Channel::bulk);
  run_for(600'000);
  EXPECT_TRUE(mesh(0).linked(id(1)));
  EXPECT_EQ(node(0).peer(id(1)).hops, 1U);
  send(0, 1, "by control");
  send(0, 1, std::string(100'000, 'b'), Channel::bulk);
  ASSERT_TRUE(run_until([&] { return heard(1, 0, std::string(100'000, 'b')); }, 100'000));
  EXPECT_TRUE(heard(1, 0, "by control"));
  EXPECT_GT(mesh(2).stats().frames_relayed, 0U);
  EXPECT_EQ(mesh(0).stats().links_down, 0U);
  EXPECT_EQ(count_heard(1, std::string(200'000, 'a')), 0U);
}

TEST_F(MeshTraffic, WhatWaitedForALinkThatDiedGoesAnotherWay) {
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  run_for(1'000'000);
  // The stream takes nothing any more, so that most of this waits in the mesh's own queue.
  block(0, 1);
  for (int i = 0; i < 40; ++i) send(0, 1, pattern(60'000, static_cast<size_t>(i)));
  run_for(500'000);
  EXPECT_EQ(node(0).peer(id(1)).hops, 2U);
  EXPECT_GE(node(1).heard.size(), 20U);
  EXPECT_TRUE(heard(1, 0, pattern(60'000, 39)));
}

TEST_F(MeshTraffic, ARelayBoundsEachPairAndDropsItsBulkFirst) {
  ASSERT_NO_FATAL_FAILURE(start_chain());
  hurts_.bytes_per_ms[{host(1), host(2)}] = 20'000;
  // More bulk than the relay may hold, then control, which must not be lost for it.
  for (int i = 0; i < 40; ++i) send(0, 2, pattern(60'000, 1), Channel::bulk);
  run_for(2'000);
  for (int i = 0; i < 12; ++i) send(0, 2, "control " + pattern(60'000, 2));
  run_for(3'000'000);
  EXPECT_EQ(count_heard(2, "control " + pattern(60'000, 2)), 12U);
  EXPECT_LT(count_heard(2, pattern(60'000, 1)), 40U);
  EXPECT_GT(mesh(1).stats().dropped_relay_full, 0U);
  EXPECT_EQ(mesh(1).stats().links_down, 0U);
}

TEST_F(MeshTraffic, ALargeMessageGetsThroughARelayWhoseNextLinkIsTheSlowerOne) {
  ASSERT_NO_FATAL_FAILURE(start_chain());
  hurts_.bytes_per_ms[{host(1), host(2)}] = 20'000;
  send(0, 2, pattern(8 * kMiB, 1), Channel::bulk);
  send(0, 2, pattern(kMiB / 2, 2), Channel::bulk);
  run_for(3'000'000);
  EXPECT_TRUE(heard(2, 0, pattern(8 * kMiB, 1)));
  EXPECT_EQ(mesh(1).stats().links_down, 0U);
}

TEST_F(MeshTraffic, AQueueThatIsFullDropsAndSaysSo) {
  start_all(2);
  run_for(1'000'000);
  hurts_.bytes_per_ms[{host(0), host(1)}] = 10;
  for (int i = 0; i < 3; ++i) send(0, 1, std::string(kMessageBytesMax, 'b'), Channel::bulk);
  run_for(1'000);
  EXPECT_EQ(mesh(0).stats().dropped_queue_full, 2U);
}

TEST_F(MeshTraffic, AMessageToAnOlderLifeIsDropped) {
  ASSERT_NO_FATAL_FAILURE(start_chain());
  // Server 0 hears nothing of the change for a while, and still speaks to the first life.
  block(1, 0);
  kill(2);
  MeshOptions again = options(2, 2);
  again.seeds = {address(1)};
  start(2, again);
  ASSERT_TRUE(run_until(
      [&] { return node(1).peer(id(2)).incarnation == Incarnation(2) && mesh(1).reachable(id(2)); },
      100'000));
  ASSERT_TRUE(mesh(0).reachable(id(2)));
  send(0, 2, "for the old life");
  run_for(5'000);
  EXPECT_TRUE(node(2).heard.empty());
  EXPECT_EQ(mesh(2).stats().dropped_incarnation, 1U);
  heal(0, 1);
  ASSERT_TRUE(
      run_until([&] { return node(0).peer(id(2)).incarnation == Incarnation(2); }, 2'000'000));
  send(0, 2, "for the new life");
  run_for(5'000);
  EXPECT_TRUE(heard(2, 0, "for the new life"));
}

TEST_F(MeshTraffic, WhatWaitedForAnOlderLifeIsNotGivenToTheNewOne) {
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  run_for(1'000'000);
  block(0, 1);
  for (int i = 0; i < 20; ++i) send(0, 1, pattern(60'000, static_cast<size_t>(i)));
  run_for(1'000);
  kill(1);
  heal_all();
  start(1, options(1, 2));
  run_for(3'000'000);
  EXPECT_TRUE(connected(3));
  EXPECT_TRUE(node(1).heard.empty());
  EXPECT_EQ(mesh(0).stats().messages_sent + mesh(0).stats().dropped_unreachable +
                mesh(0).stats().dropped_incarnation,
            20U);
}

TEST_F(MeshTraffic, WhatWaitedAtARelayForAnOlderLifeIsNotGivenDirectlyToTheNewOne) {
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  cut(0, 1);
  run_for(2'000'000);
  ASSERT_EQ(node(0).peer(id(1)).hops, 2U);
  block(0, 2);
  for (int i = 0; i < 20; ++i) send(0, 1, pattern(60'000, static_cast<size_t>(i)));
  run_for(1'000);
  kill(1, true);
  heal(0, 1);
  start(1, options(1, 2));
  ASSERT_TRUE(run_until([&] { return node(0).peer(id(1)).hops == 1; }, 100'000));
  ASSERT_TRUE(mesh(0).linked(id(2)));
  ASSERT_TRUE(run_until([&] { return !mesh(0).linked(id(2)); }, 300'000));
  run_for(100'000);
  EXPECT_TRUE(node(1).heard.empty());
  EXPECT_GT(mesh(0).stats().dropped_incarnation, 0U);
}

TEST_F(MeshTraffic, SendingToOneselfOrAStrangerIsDropped) {
  start_all(2);
  run_for(500'000);
  send(0, 0, "self");
  send(0, 9, "stranger");
  run_for(10'000);
  EXPECT_EQ(mesh(0).stats().dropped_unreachable, 2U);
}

TEST_F(MeshTraffic, OneWriteForEachConnectionAndTurn) {
  start_all(2);
  run_for(1'000'000);
  const uint64_t before = steps_;
  node(0).clock().enqueue(sim::Phase::posted, now(), [&] {
    for (int i = 0; i < 100; ++i) mesh(0).send(id(1), Channel::control, std::to_string(i));
  });
  run_for(200);
  EXPECT_EQ(node(1).heard.size(), 100U);
  // A turn to send, one to hear, one to learn that it was taken; the rest is time passing.
  EXPECT_LE(steps_ - before, 5U);
}

}  // namespace
}  // namespace doozer::transport
