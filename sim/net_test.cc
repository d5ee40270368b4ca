// Streams on paths with faults: what is lost, held, late, reset, and what hears of it.
#include "sim/net.h"

#include <gtest/gtest.h>

namespace doozer::sim {
namespace {

constexpr const char* kA = "10.0.0.1";
constexpr const char* kB = "10.0.0.2";
constexpr const char* kAddressB = "10.0.0.2:1";

/// Notes what one stream hears, with the time since the start in milliseconds.
struct Ear final : env::StreamEvents {
  explicit Ear(SimClock& given) : clock(given), start_us(given.world_us()) {}
  void note(const std::string& what) {
    heard += std::to_string((clock.world_us() - start_us) / 1000) + ":" + what + " ";
  }
  void on_connected() override { note("connected"); }
  void on_bytes(std::string_view bytes) override {
    got += bytes;
    note(bytes.size() > 8 ? std::to_string(bytes.size()) : std::string(bytes));
  }
  void on_end() override { note("end"); }
  void on_failed(const Error& error) override {
    failed = error.code;
    note(error.code == Code::refused     ? "refused"
         : error.code == Code::timed_out ? "timed_out"
                                         : "reset");
  }
  SimClock& clock;
  uint64_t start_us;
  std::string heard = {};
  std::string got = {};
  std::optional<Code> failed = {};
};

struct Process final : env::AcceptEvents {
  Process(SimNetwork& network, const char* host, uint64_t start_us = 1'000'000)
      : clock({.start_us = start_us}), net(network, clock, host), ear(clock) {}
  void on_accept(std::unique_ptr<env::AcceptedStream> stream) override {
    accepted = stream->attach(ear);
  }
  void on_refused(const Error&, uint64_t) override {}
  SimClock clock;
  SimNet net;
  Ear ear;
  std::unique_ptr<env::Stream> accepted;
};

/// A dials B, which listens.
struct Pair {
  Pair() {
    auto listening = b->net.listen({.address = kAddressB}, *b);
    CHECK(listening.has_value());
    listener = std::move(*listening);
  }
  void dial() {
    stream = a.net.dial({.address = kAddressB}, a.ear);
    run(10);
  }
  void run(uint64_t ms) {
    now_us += ms * 1000;
    for (;;) {
      const auto at_a = a.clock.next_us();
      const auto at_b = b ? b->clock.next_us() : std::nullopt;
      if (std::min(at_a.value_or(UINT64_MAX), at_b.value_or(UINT64_MAX)) > now_us) break;
      if (at_a.value_or(UINT64_MAX) <= at_b.value_or(UINT64_MAX)) {
        a.clock.run_turn();
      } else {
        b->clock.run_turn();
      }
    }
    a.clock.advance_to(now_us);
    if (b) b->clock.advance_to(now_us);
  }
  void there(const PathFaults& faults) { network.set_faults(kA, kB, faults, now_us); }
  void back(const PathFaults& faults) { network.set_faults(kB, kA, faults, now_us); }
  void kill(bool silent) {
    b->net.die(silent);
    listener.reset();
    b.reset();
  }
  void restart() {
    b = std::make_unique<Process>(network, kB, now_us);
    listener = std::move(*b->net.listen({.address = kAddressB}, *b));
  }

  uint64_t now_us = 1'000'000;
  SimNetwork network{{.seed = 3}};
  Process a{network, kA};
  std::unique_ptr<Process> b = std::make_unique<Process>(network, kB);
  std::unique_ptr<env::Listener> listener;
  std::unique_ptr<env::Stream> stream;
};

TEST(SimNetFaults, ACutHoldsWhatIsSentAndTheHealDeliversItInOrder) {
  Pair pair;
  pair.dial();
  pair.there({.cut = true});
  pair.stream->write("one");
  pair.stream->write("two");
  pair.run(5'000);
  EXPECT_EQ(pair.b->ear.heard, "");
  EXPECT_FALSE(pair.a.ear.failed.has_value()) << "nobody is told";
  pair.there({});
  pair.run(1'100);
  EXPECT_EQ(pair.b->ear.got, "onetwo");
}

TEST(SimNetFaults, AOneWayCutLetsTheOtherWayPass) {
  Pair pair;
  pair.dial();
  pair.there({.cut = true});
  pair.b->accepted->write("back");
  pair.stream->write("there");
  pair.run(100);
  EXPECT_EQ(pair.a.ear.got, "back");
  EXPECT_EQ(pair.b->ear.got, "");
}

TEST(SimNetFaults, ConnectingThroughACutTimesOut) {
  for (const bool way_back : {false, true}) {
    Pair pair;
    way_back ? pair.back({.cut = true}) : pair.there({.cut = true});
    pair.stream = pair.a.net.dial({.address = kAddressB, .timeout_us = 2'500'000}, pair.a.ear);
    pair.run(10'000);
    EXPECT_EQ(pair.a.ear.heard, "2500:timed_out ");
    EXPECT_EQ(pair.b->accepted, nullptr);
  }
}

TEST(SimNetFaults, ASynIsSentAgainAndWhatWasWrittenMeanwhileFollows) {
  Pair pair;
  pair.there({.cut = true});
  pair.stream = pair.a.net.dial({.address = kAddressB}, pair.a.ear);
  pair.stream->write("early");
  pair.run(500);
  pair.there({});
  pair.run(700);
  EXPECT_EQ(pair.a.ear.heard, "1000:connected ");
  EXPECT_EQ(pair.b->ear.got, "early");
}

TEST(SimNetFaults, ARejectedPathRefusesAndResets) {
  Pair pair;
  pair.dial();
  pair.there({.reject = true});
  pair.stream->write("x");
  pair.run(10);
  EXPECT_EQ(pair.a.ear.failed, Code::closed);
  EXPECT_EQ(pair.b->ear.failed, Code::closed);
  pair.a.ear.failed.reset();
  pair.stream = pair.a.net.dial({.address = kAddressB}, pair.a.ear);
  pair.run(10);
  EXPECT_EQ(pair.a.ear.failed, Code::refused);
}

TEST(SimNetFaults, AClogReleasesAllAtOnce) {
  Pair pair;
  pair.dial();
  pair.there({.clogged = true});
  for (int i = 0; i < 3; ++i) {
    pair.stream->write("x");
    pair.run(100);
  }
  pair.there({});
  pair.run(1);
  EXPECT_EQ(pair.b->ear.heard, "310:x 310:x 310:x ");
}

TEST(SimNetFaults, DelaysAddUpAndASlowPathIsSharedByItsStreams) {
  Pair pair;
  pair.dial();
  pair.there({.delay_us = 50'000});
  pair.stream->write("late");
  pair.run(100);
  EXPECT_EQ(pair.b->ear.heard, "60:late ");
  pair.there({.bytes_per_second = 1'000'000});
  pair.stream->write(std::string(50'000, 'x'));
  pair.stream->write(std::string(50'000, 'y'));
  pair.run(200);
  EXPECT_EQ(pair.b->ear.heard, "60:late 160:50000 210:50000 ");
}

TEST(SimNetFaults, AnMtuHoleSwallowsLargePiecesAndStallsTheirStream) {
  Pair pair;
  pair.dial();
  pair.there({.mtu_bytes = 1'000});
  pair.stream->write("small");
  pair.stream->write(std::string(4'000, 'x'));
  pair.stream->write("behind");
  pair.run(3'000);
  EXPECT_EQ(pair.b->ear.got, "small");
  pair.there({});
  pair.run(1'100);
  EXPECT_EQ(pair.b->ear.got.size(), 4'011U);
}

TEST(SimNetFaults, LossDelaysAndNeverLosesOrReorders) {
  Pair pair;
  pair.dial();
  pair.there({.jitter_us = 5'000, .loss_per_mille = 300});
  std::string sent;
  for (char c = 'a'; c <= 'z'; ++c) {
    pair.stream->write(std::string(1, c));
    sent += c;
  }
  pair.run(200);
  EXPECT_LT(pair.b->ear.got.size(), sent.size()) << "a third of 26 pieces was lost at first";
  pair.run(20'000);
  EXPECT_EQ(pair.b->ear.got, sent);
}

TEST(SimNetFaults, ResetsBreakBothSides) {
  Pair pair;
  pair.dial();
  pair.there({.resets_per_10k = 10'000});
  pair.stream->write("x");
  pair.run(10);
  EXPECT_EQ(pair.a.ear.heard, "0:connected 10:reset ");
  EXPECT_EQ(pair.b->ear.heard, "10:reset ");
}

TEST(SimNetFaults, AMachineThatVanishedIsSilentUntilItIsBack) {
  Pair pair;
  pair.dial();
  pair.kill(true);
  pair.stream->write("x");
  pair.run(5'000);
  EXPECT_FALSE(pair.a.ear.failed.has_value());
  Ear other(pair.a.clock);
  auto second = pair.a.net.dial({.address = kAddressB, .timeout_us = 300'000}, other);
  pair.run(1'000);
  EXPECT_EQ(other.failed, Code::timed_out);
  pair.restart();
  pair.run(1'100);
  EXPECT_EQ(pair.a.ear.failed, Code::closed) << "its system does not know the connection";
}

TEST(SimNetFaults, AResetThatACutSwallowedComesWhenSomethingIsSentAfterTheHeal) {
  Pair pair;
  pair.dial();
  pair.back({.cut = true});
  pair.kill(false);
  pair.run(1'000);
  EXPECT_FALSE(pair.a.ear.failed.has_value());
  pair.back({});
  pair.run(1'000);
  EXPECT_FALSE(pair.a.ear.failed.has_value()) << "nothing was sent that could be answered";
  pair.stream->write("x");
  pair.run(10);
  EXPECT_EQ(pair.a.ear.failed, Code::closed);
}

TEST(SimNetFaults, AStoppedProcessIsConnectedToAndTakesAWindow) {
  Pair pair;
  pair.b->clock.stall_until(pair.now_us + 1'000'000);
  pair.dial();
  EXPECT_EQ(pair.a.ear.heard, "0:connected ") << "its system answers";
  pair.stream->write(std::string(300 * 1024, 'x'));
  EXPECT_EQ(pair.stream->unsent(), 44 * 1024U);
  pair.run(900);
  EXPECT_EQ(pair.b->ear.got, "");
  pair.run(200);
  EXPECT_EQ(pair.b->ear.got.size(), 300 * 1024U);
}

TEST(SimNetFaults, TheDigestKnowsEveryPieceAndItsTime) {
  const auto digest = [](uint64_t ms, const char* text) {
    Pair pair;
    pair.dial();
    pair.run(ms);
    pair.stream->write(text);
    pair.run(10);
    return pair.network.digest();
  };
  EXPECT_EQ(digest(1, "a"), digest(1, "a"));
  EXPECT_NE(digest(1, "a"), digest(2, "a"));
  EXPECT_NE(digest(1, "a"), digest(1, "b"));
}

}  // namespace
}  // namespace doozer::sim
