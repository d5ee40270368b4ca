// The parts of a link, each alone: health, outbox, reassembly, dialler, and the judgement of peers.

#include <gtest/gtest.h>

#include "transport/dialler.h"
#include "transport/health.h"
#include "transport/limits.h"
#include "transport/outbox.h"
#include "transport/peers.h"
#include "transport/reassembly.h"

namespace doozer::transport {
namespace {

Identity id(size_t i) {
  std::string text = "node------";
  text[9] = static_cast<char>('A' + i);
  return Identity::from_bytes(text);
}

/// Two ends with clocks of different origin, and beats that take `delay_us` each way.
struct TwoEnds {
  static constexpr uint64_t kSkew = 777'777'777;
  LinkHealth a;
  LinkHealth b;
  uint64_t now = 1'000'000;
  bool ab = true;  ///< beats of a reach b
  bool ba = true;

  TwoEnds() {
    a.connect(now);
    b.connect(now + kSkew);
  }
  void beat(uint64_t delay_us) {
    const Beat from_a = a.make_beat(now);
    now += delay_us;
    if (ab) b.on_beat(from_a, now + kSkew);
    const Beat from_b = b.make_beat(now + kSkew);
    now += delay_us;
    if (ba) a.on_beat(from_b, now);
    now += kBeatUs - std::min(kBeatUs, 2 * delay_us);
    a.update(now, false);
    b.update(now + kSkew, false);
  }
  void beats(int count, uint64_t delay_us = 100) {
    for (int i = 0; i < count; ++i) beat(delay_us);
  }
};

TEST(Health, ComesUpByEchoesAndMeasuresRoundTripsWithoutComparingClocks) {
  TwoEnds ends;
  EXPECT_FALSE(ends.a.up());
  ends.beats(3);
  EXPECT_TRUE(ends.a.up() && ends.b.up());
  EXPECT_EQ(ends.a.rtt_us(), 200U);
  EXPECT_EQ(ends.b.rtt_us(), 200U);
}

TEST(Health, AStallOfEitherDirectionTakesBothSidesDown) {
  for (const bool forward : {true, false}) {
    TwoEnds ends;
    ends.beats(10);
    (forward ? ends.ab : ends.ba) = false;
    const uint64_t began = ends.now;
    while ((ends.a.up() || ends.b.up()) && ends.now - began < 1'000'000) ends.beat(100);
    EXPECT_LE(ends.now - began, kLinkDownUs + 2 * kBeatUs) << forward;
  }
}

TEST(Health, LateEchoesAreNoLinkAndSlowOnesAre) {
  TwoEnds slow;
  slow.beats(20, kEchoAgeUsMax / 2 - 100'000);
  EXPECT_TRUE(slow.a.up());
  TwoEnds late;
  late.beats(20, kEchoAgeUsMax / 2 + 1'000);
  EXPECT_FALSE(late.a.up());
}

TEST(Health, EchoesOfWhatWasNeverSaidOrOnceMoreProveNothing) {
  LinkHealth health;
  health.connect(1'000);
  health.on_beat({.stamp_us = 1, .echo_us = 5'000'000}, 6'000'000);
  EXPECT_FALSE(health.fresh(6'000'000));
  const Beat mine = health.make_beat(6'000'000);
  health.on_beat({.stamp_us = 2, .echo_us = mine.stamp_us}, 6'000'100);
  EXPECT_TRUE(health.fresh(6'000'100));
  health.on_beat({.stamp_us = 3, .echo_us = mine.stamp_us}, 6'000'100 + kLinkDownUs);
  EXPECT_FALSE(health.fresh(6'000'101 + kLinkDownUs));
}

TEST(Health, WhatTheOwnLoopSleptIsNoSilence) {
  TwoEnds ends;
  ends.beats(5);
  const uint64_t rest = 10 * kLinkDownUs;
  ends.now += rest;
  ends.a.away(rest, ends.now);
  EXPECT_FALSE(ends.a.update(ends.now, false));
  EXPECT_TRUE(ends.a.up());
  // The rest of the silence counts as before, and no more than that was forgiven.
  ends.a.update(ends.now + kLinkDownUs, false);
  EXPECT_FALSE(ends.a.up());
  // Of a connection that is down for long too: it is not given up for what nobody waited for.
  const uint64_t down = ends.a.down_since_us();
  ends.a.away(rest, ends.now + kLinkDownUs + rest);
  EXPECT_EQ(ends.a.down_since_us(), down + rest);
}

TEST(Health, StuckBytesTakeItDownThoughEchoesAreFresh) {
  TwoEnds ends;
  ends.beats(5);
  EXPECT_TRUE(ends.a.update(ends.now, true));
  EXPECT_FALSE(ends.a.up());
}

TEST(Health, FlapsDampOneSecondDoublingToThirtyAndAreForgiven) {
  TwoEnds ends;
  ends.beats(5);
  EXPECT_FALSE(ends.a.damped(ends.now));
  for (const uint64_t wanted : {1U, 2U, 4U, 8U, 16U, 30U, 30U}) {
    EXPECT_TRUE(ends.a.disconnect(false));
    ends.a.connect(ends.now);
    ends.beats(3);
    ASSERT_TRUE(ends.a.damped(ends.now));
    const uint64_t began = ends.now;
    while (ends.a.damped(ends.now)) ends.beat(100);
    EXPECT_NEAR(static_cast<double>(ends.now - began), static_cast<double>(wanted) * 1e6, 2e5);
  }
  const auto beats = static_cast<int>(kDampForgetFactor * kDampUsMax / kBeatUs);
  ends.beats(beats + 10);
  ends.a.disconnect(false);
  ends.a.connect(ends.now);
  ends.beats(3);
  EXPECT_LE(ends.a.damped_until_us(), ends.now + kDampUsMin) << "from the beginning again";
}

TEST(Health, APlannedEndOrAnotherConnectionIsNoFlap) {
  TwoEnds ends;
  ends.beats(5);
  ends.a.connect(ends.now);
  EXPECT_TRUE(ends.a.up()) << "it has some time to prove itself";
  ends.beats(3);
  EXPECT_FALSE(ends.a.damped(ends.now));
  ends.a.disconnect(true);
  ends.a.connect(ends.now);
  ends.beats(3);
  EXPECT_TRUE(ends.a.up());
  EXPECT_FALSE(ends.a.damped(ends.now));
}

std::vector<std::pair<FrameType, std::string>> frames_of(const std::string& bytes) {
  FrameReader reader(kFrameBodyBytesMax);
  reader.feed(std::string(kPreamble) + bytes);
  std::vector<std::pair<FrameType, std::string>> frames;
  FrameReader::Frame frame;
  while (*reader.next(frame)) frames.emplace_back(frame.type, std::string(frame.body));
  return frames;
}

TEST(OutboxTest, UrgentFirstThenInOrderAndLargeOnesInParts) {
  RelayLedger ledger;
  Outbox out(ledger);
  Outbox::Item small;
  small.payload = "small";
  Outbox::Item large;
  large.type = FrameType::part;
  large.parts = true;
  large.payload = std::string(2 * kPartBytesMax + 1, 'l');
  out.push(small);
  out.push(large);
  out.push_urgent(FrameType::beat, "beat");
  EXPECT_EQ(out.bytes(), 5 + large.payload.size());
  std::string bytes;
  while (!out.empty()) {
    std::string some;
    out.fill(some, 1'000);
    EXPECT_LE(some.size(), 1'000 + kFrameBodyBytesMax + kFrameHeadBytes);
    bytes += some;
  }
  const auto frames = frames_of(bytes);
  ASSERT_EQ(frames.size(), 5U);
  EXPECT_EQ(frames[0], std::pair(FrameType::beat, std::string("beat")));
  EXPECT_EQ(frames[1], std::pair(FrameType::message, std::string("small")));
  EXPECT_EQ(frames[4].second.size(), 16U + 1);
  EXPECT_EQ(out.bytes(), 0U);
}

TEST(OutboxTest, CountsWhatIsRelayedByPairUntilItLeaves) {
  RelayLedger ledger;
  const Pair pair{id(1), id(2)};
  {
    Outbox out(ledger);
    for (int i = 0; i < 3; ++i) {
      Outbox::Item item;
      item.from = id(1);
      item.to = id(2);
      item.payload = "12345";
      out.push(item);
    }
    Outbox::Item other;
    other.from = id(1);
    other.to = id(3);
    other.payload = "other";
    out.push(other);
    EXPECT_EQ(ledger.bytes(pair), 15U);
    std::string some;
    out.fill(some, 1);
    EXPECT_EQ(ledger.bytes(pair), 10U);
    EXPECT_EQ(out.drop_pair(pair), 2U);
    EXPECT_EQ(ledger.bytes(pair), 0U);
    EXPECT_EQ(out.bytes(), 5U);
  }
  EXPECT_TRUE(ledger.empty()) << "an outbox that is destroyed gives back";
}

TEST(OutboxTest, UrgentFramesAreBounded) {
  RelayLedger ledger;
  Outbox out(ledger);
  for (int i = 0; i < 10'000; ++i) out.push_urgent(FrameType::beat, std::string(40, 'b'));
  std::string bytes;
  out.fill(bytes, 1);
  EXPECT_LE(bytes.size(), kUrgentBytesMax + 100);
}

PartView part(uint64_t message, uint32_t total, uint32_t offset, std::string_view bytes) {
  return {.message = message, .total = total, .offset = offset, .bytes = bytes};
}

TEST(ReassemblyTest, PartsInOrderMakeAMessageAlsoBetweenOthers) {
  Reassembly all;
  const Incarnation one(1);
  EXPECT_EQ(all.add(id(1), one, part(1, 3, 0, "abc"), 0), "abc");
  EXPECT_EQ(all.add(id(1), one, part(2, 0, 0, ""), 0), "");
  EXPECT_FALSE(all.add(id(1), one, part(3, 4, 0, "ab"), 0));
  EXPECT_FALSE(all.add(id(2), one, part(3, 4, 0, "xy"), 0));
  EXPECT_FALSE(all.add(id(1), Incarnation(2), part(3, 4, 0, "no"), 0));
  EXPECT_EQ(all.add(id(1), one, part(3, 4, 2, "cd"), 0), "abcd");
  EXPECT_EQ(all.add(id(2), one, part(3, 4, 2, "zz"), 0), "xyzz");
  EXPECT_EQ(all.bytes(), 2U);
  EXPECT_EQ(all.dropped(), 0U);
}

TEST(ReassemblyTest, AGapARepetitionOrAnotherTotalDropsTheMessage) {
  struct Case {
    const char* what;
    PartView second;
  };
  for (const Case& bad : {Case{"gap", part(1, 9, 6, "789")}, Case{"repeated", part(1, 9, 0, "123")},
                          Case{"total", part(1, 8, 3, "456")}}) {
    Reassembly all;
    EXPECT_FALSE(all.add(id(1), Incarnation(1), part(1, 9, 0, "123"), 0));
    EXPECT_FALSE(all.add(id(1), Incarnation(1), bad.second, 0)) << bad.what;
    EXPECT_EQ(all.dropped(), 1U) << bad.what;
    EXPECT_EQ(all.messages(), 0U) << bad.what;
    EXPECT_FALSE(all.add(id(1), Incarnation(1), part(1, 9, 3, "456"), 0));
    EXPECT_EQ(all.messages(), 0U) << "a rest without its beginning is not kept";
  }
}

TEST(ReassemblyTest, IsBoundedBySenderBytesAndTime) {
  Reassembly all;
  for (uint64_t message = 1; message <= kReassemblyMessagesMax + 1; ++message) {
    all.add(id(1), Incarnation(1), part(message, 9, 0, "123"), message);
  }
  EXPECT_EQ(all.messages(), kReassemblyMessagesMax);
  EXPECT_FALSE(all.add(id(1), Incarnation(1), part(1, 9, 3, "456"), 9)) << "the oldest went";
  const std::string chunk(kPartBytesMax, 'c');
  constexpr auto kTotal = static_cast<uint32_t>(kMessageBytesMax);
  for (uint32_t offset = 0; offset + chunk.size() < kTotal; offset += kPartBytesMax) {
    for (size_t sender = 1; sender < 8; ++sender) {
      all.add(id(sender), Incarnation(1), part(100, kTotal, offset, chunk), 100 + offset);
      ASSERT_LE(all.bytes(), kReassemblyBytesMax);
    }
  }
  all.expire(100 + kTotal + kReassemblyUsMax + 1);
  EXPECT_EQ(all.messages(), 0U);
  EXPECT_EQ(all.bytes(), 0U);
}

TEST(DiallerTest, IsFastFirstThenSlowerToABound) {
  Dialler dialler(1);
  dialler.add_seed("a:1");
  uint64_t now = 0;
  uint64_t last_wait = 0;
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(dialler.due(now), std::vector<std::string>{"a:1"});
    dialler.begin("a:1");
    EXPECT_TRUE(dialler.due(now + 99'000'000).empty()) << "one dial at a time";
    dialler.failed("a:1", now);
    last_wait = dialler.find("a:1")->next_us - now;
    if (i == 0) {
      EXPECT_GE(last_wait, kRedialUsMin / 2);
      EXPECT_LE(last_wait, kRedialUsMin * 3 / 2);
    }
    now += last_wait;
  }
  EXPECT_GE(last_wait, kRedialUsMax / 2);
  EXPECT_LE(last_wait, kRedialUsMax * 3 / 2);
  dialler.succeeded("a:1");
  EXPECT_EQ(dialler.due(now).size(), 1U);
}

TEST(DiallerTest, APeerThatMovesIsDialledAtItsNewAddressOnlyAndSeedsStay) {
  Dialler dialler(1);
  dialler.add_seed("seed:1");
  dialler.move(id(1), "old:1");
  dialler.move(id(1), "new:1");
  EXPECT_EQ(dialler.due(0), (std::vector<std::string>{"new:1", "seed:1"}));
  dialler.move(id(1), "seed:1");
  EXPECT_EQ(dialler.due(0), std::vector<std::string>{"seed:1"});
  EXPECT_EQ(dialler.find("seed:1")->identity, id(1));
  dialler.move(id(1), "");
  EXPECT_EQ(dialler.due(0), std::vector<std::string>{"seed:1"});
  EXPECT_EQ(dialler.find("seed:1")->identity, Identity());
}

TEST(Judge, TellsWhoMayBeAPeerAndNamesBothSides) {
  const Self self{.cluster = id(20),
                  .identity = id(0),
                  .incarnation = Incarnation(5),
                  .life = 50,
                  .address = "us:1"};
  RelayLedger ledger;
  Peer known(id(1), ledger);
  known.incarnation = Incarnation(7);
  known.life = 70;
  known.address = "old:1";
  Hello good;
  good.cluster = id(20);
  good.identity = id(1);
  good.incarnation = Incarnation(7);
  good.life = 70;
  good.address = "them:1";
  bool lives = false;
  const auto code = [&](auto change, const Peer* peer) -> int {
    Hello hello = good;
    change(hello);
    const auto refusal = judge(self, hello, "from:1", peer, lives);
    if (!refusal) return 0;
    EXPECT_NE(refusal->reason.find(id(0).to_string()), std::string::npos) << refusal->reason;
    EXPECT_NE(refusal->reason.find(hello.identity.to_string()), std::string::npos);
    return static_cast<int>(refusal->code);
  };
  const auto is = [](RefusalCode c) { return static_cast<int>(c); };
  EXPECT_EQ(code([](Hello&) {}, &known), 0);
  EXPECT_EQ(code([](Hello&) {}, nullptr), 0);
  EXPECT_EQ(code([](Hello& h) { h.incarnation = Incarnation(8), h.life = 80; }, &known), 0);
  EXPECT_EQ(code([](Hello& h) { h.cluster = id(21); }, &known), is(RefusalCode::other_cluster));
  EXPECT_EQ(code([](Hello& h) { h.incarnation = Incarnation(6); }, &known),
            is(RefusalCode::rolled_back));
  EXPECT_EQ(code([](Hello& h) { h.life = 71; }, &known), is(RefusalCode::rolled_back))
      << "it came to this start before: its disk is one that was set back";
  lives = true;
  EXPECT_EQ(code([](Hello& h) { h.life = 71; }, &known), is(RefusalCode::copied));
  EXPECT_EQ(code([](Hello& h) { h.incarnation = Incarnation(6); }, &known),
            is(RefusalCode::copied));
  EXPECT_EQ(code([](Hello& h) { h.incarnation = Incarnation(8), h.life = 80; }, &known), 0)
      << "the mesh waits for the end of the known life";
  lives = false;
  EXPECT_EQ(code([](Hello& h) { h.identity = id(0), h.life = 50; }, nullptr),
            is(RefusalCode::itself));
  EXPECT_EQ(code([](Hello& h) { h.identity = id(0); }, nullptr), is(RefusalCode::copied));
  known.life = 0;
  EXPECT_EQ(code([](Hello& h) { h.life = 71; }, &known), 0) << "from the cache: not met yet";
}

}  // namespace
}  // namespace doozer::transport
