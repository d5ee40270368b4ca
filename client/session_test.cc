// Operations against links that come and go.
#include <gtest/gtest.h>

#include "client/limits.h"
#include "client/testing/fake_world.h"

namespace doozer::client {
namespace {

using wire::Verb;

TEST(Client, SetGetDelStatSelfAndStatusAnswerWhatTheServerSaid) {
  World world;
  Core& core = world.connected();
  Box<int64_t> set;
  core.set("/x", "hello", kMissing, {}, set.then());
  ASSERT_TRUE(world.finish(set));
  EXPECT_EQ(set.value(), 1);
  Box<File> get;
  core.get("/x", {}, get.then());
  ASSERT_TRUE(world.finish(get));
  EXPECT_EQ(get.value(), (File{"/x", "hello", 1}));
  Box<Stat> stat;
  core.stat("/x", {}, stat.then());
  ASSERT_TRUE(world.finish(stat));
  EXPECT_EQ(stat.value(), (Stat{Stat::Kind::file, 1, 5}));
  Box<int64_t> mismatch;
  core.set("/x", "again", kMissing, {}, mismatch.then());
  ASSERT_FALSE(world.finish(mismatch));
  EXPECT_EQ(mismatch.error().code, Code::revision_mismatch);
  EXPECT_EQ(outcome_of(mismatch.error().code), Outcome::refused);
  Box<> del;
  core.del("/x", 1, {}, del.then());
  ASSERT_TRUE(world.finish(del));
  Box<File> gone;
  core.get("/x", {}, gone.then());
  ASSERT_TRUE(world.finish(gone));
  EXPECT_FALSE(gone.value().exists());
  Box<File> old;
  core.get("/x", {.revision = 1}, old.then());
  ASSERT_TRUE(world.finish(old));
  EXPECT_EQ(old.value().value, "hello");
  Box<> nop;
  core.nop({}, nop.then());
  ASSERT_TRUE(world.finish(nop));
  Box<int64_t> rev;
  core.rev({}, rev.then());
  ASSERT_TRUE(world.finish(rev));
  EXPECT_EQ(rev.value(), 3);
  Box<std::string> self;
  core.self({}, self.then());
  ASSERT_TRUE(world.finish(self));
  EXPECT_EQ(self.value(), "FAKESERVERAAAAAA");
  Box<std::string> status;
  core.status({}, status.then());
  ASSERT_TRUE(world.finish(status));
  EXPECT_EQ(status.value(), "{}");
}

TEST(Client, WhatOneTurnStartsLeavesInOneWrite) {
  World world;
  Core& core = world.connected();
  const uint64_t before = world.net.client_writes();
  std::vector<Box<int64_t>> boxes(100);
  for (size_t i = 0; i < boxes.size(); ++i) {
    core.set("/" + std::to_string(i), "v", kMissing, {}, boxes[i].then());
  }
  EXPECT_EQ(world.net.client_writes(), before) << "nothing leaves from inside a call";
  for (const auto& box : boxes) ASSERT_TRUE(world.finish(box));
  EXPECT_EQ(world.net.client_writes(), before + 1);
  for (size_t i = 0; i < boxes.size(); ++i) {
    EXPECT_EQ(boxes[i].value(), static_cast<int64_t>(i) + 1) << "order of sending";
  }
}

TEST(Client, AnswersInAnyOrderFindTheirRequests) {
  World world;
  world.a.reversed = true;
  for (int i = 0; i < 50; ++i) world.store->set("/" + std::to_string(i), std::to_string(i));
  Core& core = world.connected();
  std::vector<Box<File>> boxes(50);
  for (size_t i = 0; i < boxes.size(); ++i) {
    core.get("/" + std::to_string(i), {}, boxes[i].then());
  }
  for (size_t i = 0; i < boxes.size(); ++i) {
    ASSERT_TRUE(world.finish(boxes[i]));
    EXPECT_EQ(boxes[i].value().value, std::to_string(i));
  }
}

TEST(Client, AnswersAreUnderstoodInPiecesOfAnySize) {
  for (size_t piece = 1; piece < 70; ++piece) {
    World world;
    for (int i = 0; i < 20; ++i) world.store->set("/" + std::to_string(i), std::to_string(i));
    world.net.fragment(piece);
    Core& core = world.connected();
    std::vector<Box<File>> boxes(20);
    for (size_t i = 0; i < boxes.size(); ++i) {
      core.get("/" + std::to_string(i), {}, boxes[i].then());
    }
    for (size_t i = 0; i < boxes.size(); ++i) {
      ASSERT_TRUE(world.finish(boxes[i]));
      ASSERT_EQ(boxes[i].value().value, std::to_string(i));
    }
    ASSERT_EQ(world.net.dials().size(), 1U);
  }
}

TEST(Client, NoMoreIsInFlightThanTheLimitAndAllIsAnswered) {
  World world;
  Core& core = world.make();
  size_t answered = 0;
  for (size_t i = 0; i < 3 * kInFlightMax; ++i) {
    core.get("/x", {}, [&answered](const Result<File>& file) {
      ASSERT_TRUE(file);
      ++answered;
    });
  }
  size_t in_one_piece = 0;
  uint64_t piece_at = 0;
  size_t most = 0;
  world.a.on_request = [&](const Heard&) {
    if (world.clock.now_us() != piece_at) in_one_piece = 0;
    piece_at = world.clock.now_us();
    most = std::max(most, ++in_one_piece);
  };
  ASSERT_TRUE(world.clock.run_until([&] { return answered == 3 * kInFlightMax; }));
  EXPECT_EQ(most, kInFlightMax);
}

TEST(Client, MoreThanTheQueueHoldsIsBusyAndChangesNothing) {
  World world;
  world.net.swallow(World::kA);
  Core& core = world.make();
  size_t busy = 0;
  for (size_t i = 0; i < kQueuedMax + 2; ++i) {
    core.set("/x", "v", kAnyRevision, {.timeout = kNoTimeout}, [&busy](const auto& result) {
      if (!result && result.error().code == Code::busy) ++busy;
    });
  }
  world.clock.run_for(1'000);
  EXPECT_EQ(busy, 2U);
}

TEST(Client, AStalledStreamIsGivenNoMoreThanTheLimit) {
  World world;
  Core& core = world.connected();
  world.net.stall_clients(true);
  const std::string value(100'000, 'v');
  size_t done = 0;
  for (int i = 0; i < 100; ++i) {
    core.set("/x", value, kAnyRevision, {}, [&done](const auto& result) {
      ASSERT_TRUE(result) << result.error().message;
      ++done;
    });
  }
  world.clock.run_for(10'000);
  EXPECT_EQ(done, 0U);
  const uint64_t before = world.net.client_bytes();
  world.net.stall_clients(false);
  EXPECT_LT(world.net.client_bytes() - before, kUnsentBytesMax + 2 * value.size());
  ASSERT_TRUE(world.clock.run_until([&] { return done == 100; }));
}

// --- Refused and unknown

TEST(Client, AWriteWhoseConnectionBreaksAfterItWasSentIsUnknownAndNeverSentAgain) {
  World world;
  Core& core = world.connected();
  world.a.silent = true;  // does it, does not say so
  Box<int64_t> set;
  core.set("/x", "1", kAnyRevision, {}, set.then());
  ASSERT_TRUE(world.clock.run_until([&] { return world.a.heard_of(Verb::set) == 1; }));
  world.a.silent = false;
  world.net.reset_all();
  ASSERT_FALSE(world.finish(set));
  EXPECT_EQ(set.error().code, Code::unknown_outcome);
  EXPECT_EQ(outcome_of(set.error().code), Outcome::unknown);
  Box<File> get;
  core.get("/x", {}, get.then());
  ASSERT_TRUE(world.finish(get));
  EXPECT_EQ(get.value().value, "1");
  world.clock.run_for(60'000'000);
  EXPECT_EQ(world.a.heard_of(Verb::set), 1U);
}

TEST(Client, ARequestThatBreaksAtAnyByteIsDoneAtMostOnceAndNeverWronglyCalledRefused) {
  // Each byte of what goes to the server, then each byte of what comes back.
  for (const bool to_server : {true, false}) {
    bool reached_end = false;
    for (uint64_t n = 1; !reached_end; ++n) {
      World world;
      Core& core = world.connected();
      const uint64_t before = to_server ? world.net.client_bytes() : world.net.server_bytes();
      if (to_server) {
        world.net.cut_before_client_byte(n);
      } else {
        world.net.cut_before_server_byte(n);
      }
      Box<int64_t> set;
      core.set("/x", "1", kAnyRevision, {}, set.then());
      Box<File> get;
      core.get("/x", {}, get.then());
      world.finish(set);
      world.finish(get);
      ASSERT_TRUE(get.ok()) << "reads are repeated: " << get.error().message;
      ASSERT_LE(world.store->revision(), 1) << "cut before byte " << n;
      if (set.ok()) {
        ASSERT_EQ(world.store->revision(), 1);
      } else {
        ASSERT_EQ(set.error().code, Code::unknown_outcome);
      }
      const uint64_t after = to_server ? world.net.client_bytes() : world.net.server_bytes();
      reached_end = world.net.dials().size() == 1 && after - before < n;
      ASSERT_LT(n, 1'000U);
    }
  }
}

TEST(Client, AWriteThatWasNotSentStaysQueuedAndIsDone) {
  World world;
  world.net.serve(World::kA, nullptr);
  Core& core = world.make();
  Box<int64_t> set;
  core.set("/x", "1", kMissing, {}, set.then());
  world.clock.run_for(3'000'000);
  EXPECT_FALSE(set.done());
  world.net.serve(World::kA, &world.a);
  ASSERT_TRUE(world.finish(set));
  EXPECT_EQ(world.store->revision(), 1);
}

TEST(Client, ATimeLimitBeforeSendingIsRefusedAndAfterSendingUnknown) {
  World world;
  world.net.serve(World::kA, nullptr);
  Core& core = world.make();
  Box<int64_t> unsent;
  const uint64_t began = world.clock.now_us();
  core.set("/x", "1", kMissing, {.timeout = std::chrono::seconds(2)}, unsent.then());
  ASSERT_FALSE(world.finish(unsent));
  EXPECT_EQ(unsent.error().code, Code::timed_out);
  EXPECT_NE(unsent.error().message.find("connection refused"), std::string::npos)
      << unsent.error().message;
  EXPECT_EQ(world.clock.now_us() - began, 2'000'000U);

  World other;
  Core& second = other.connected();
  other.a.deaf = true;
  Box<int64_t> sent;
  second.set("/x", "1", kMissing, {.timeout = std::chrono::seconds(2)}, sent.then());
  Box<File> get;
  second.get("/x", {.timeout = std::chrono::seconds(2)}, get.then());
  ASSERT_FALSE(other.finish(sent));
  EXPECT_EQ(sent.error().code, Code::unknown_outcome);
  ASSERT_FALSE(other.finish(get));
  EXPECT_EQ(get.error().code, Code::timed_out);
}

TEST(Client, ATimeLimitThatHasPassedAlreadySendsNothing) {
  World world;
  Core& core = world.connected();
  for (const Duration timeout : {Duration(0), Duration(-2)}) {
    Box<int64_t> set;
    core.set("/x", "1", kMissing, {.timeout = timeout}, set.then());
    ASSERT_FALSE(world.finish(set));
    EXPECT_EQ(set.error().code, Code::timed_out);
    EXPECT_EQ(set.error().message, "set: not sent: a time limit of 0 or less has passed already");
    Box<File> get;
    core.get("/x", {.timeout = timeout}, get.then());
    ASSERT_FALSE(world.finish(get));
    EXPECT_EQ(get.error().code, Code::timed_out);
  }
  EXPECT_EQ(world.store->revision(), 0);
}

TEST(Client, ALateAnswerIsNotTakenForAnotherRequests) {
  World world;
  world.store->set("/x", "x");
  world.store->set("/y", "y");
  Core& core = world.connected();
  // The first answer comes after its time limit, while the second request waits.
  world.a.lag = 2;
  Box<File> first;
  core.get("/x", {.revision = 2, .timeout = std::chrono::seconds(1)}, first.then());
  ASSERT_FALSE(world.finish(first));
  Box<File> second;
  core.get("/y", {.revision = 2}, second.then());
  world.clock.run_for(1'000'000);
  world.a.lag = 0;
  world.a.wake();
  ASSERT_TRUE(world.finish(second));
  EXPECT_EQ(second.value().value, "y");
}

TEST(Client, CloseTellsUnsentClosedAndSentWritesUnknown) {
  World world;
  Core& core = world.connected();
  world.a.deaf = true;
  Box<int64_t> sent;
  core.set("/x", "1", kMissing, {}, sent.then());
  Box<File> read;
  core.get("/x", {}, read.then());
  world.clock.run_for(10'000);
  Box<int64_t> unsent;
  core.set("/x", "2", kMissing, {}, unsent.then());
  core.close();
  EXPECT_EQ(sent.error().code, Code::unknown_outcome);
  EXPECT_EQ(read.error().code, Code::closed);
  EXPECT_EQ(unsent.error().code, Code::closed);
  Box<int64_t> late;
  core.set("/x", "2", kMissing, {}, late.then());
  ASSERT_FALSE(world.finish(late));
  EXPECT_EQ(late.error().code, Code::closed);
  world.clock.run_for(60'000'000);
  EXPECT_EQ(world.net.open(), 0U);
}

TEST(Client, CloseFromInsideACallbackIsSafeAndStillTellsTheTruth) {
  World world;
  Core& core = world.connected();
  world.a.deaf = true;
  Box<int64_t> first;
  Box<int64_t> second;
  core.set("/x", "1", kMissing, {}, [&, then = first.then()](Result<int64_t> result) mutable {
    then(std::move(result));
    core.close();
  });
  core.set("/y", "1", kMissing, {}, second.then());
  world.clock.run_for(10'000);
  world.net.reset_all();
  ASSERT_FALSE(world.finish(first));
  ASSERT_FALSE(world.finish(second));
  EXPECT_EQ(first.error().code, Code::unknown_outcome);
  EXPECT_EQ(second.error().code, Code::unknown_outcome) << "it was sent too";
}

TEST(Client, WhatIsTooLargeIsRefusedBeforeItIsSent) {
  World world;
  Core& core = world.connected();
  Box<int64_t> value;
  core.set("/x", std::string(kValueBytesMax + 1, 'v'), kMissing, {}, value.then());
  Box<File> path;
  core.get("/" + std::string(kPathBytesMax, 'p'), {}, path.then());
  Box<doozer::Listing> listing;
  core.ls("/" + std::string(kPathBytesMax, 'p'), {}, listing.then());
  Box<> secret;
  core.access(std::string(kSecretBytesMax + 1, 's'), {}, secret.then());
  ASSERT_FALSE(world.finish(value));
  ASSERT_FALSE(world.finish(path));
  ASSERT_FALSE(world.finish(listing));
  ASSERT_FALSE(world.finish(secret));
  EXPECT_EQ(value.error().code, Code::too_large);
  EXPECT_EQ(path.error().code, Code::too_large);
  EXPECT_EQ(listing.error().code, Code::too_large);
  EXPECT_EQ(secret.error().code, Code::too_large);
  EXPECT_TRUE(world.a.heard().empty());
}

// --- READONLY

TEST(Client, AReadOnlyAnswerIsTriedOnceAtEachOtherServer) {
  bool moved = false;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    World world;
    world.options.addresses = {World::kA, World::kB, World::kC};
    world.net.serve(World::kB, &world.b);
    world.net.serve(World::kC, &world.c);
    world.a.writable = false;
    world.b.writable = false;
    Core& core = world.connected(seed);
    moved = moved || core.connection().address != World::kC;
    Box<int64_t> set;
    core.set("/x", "1", kMissing, {}, set.then());
    ASSERT_TRUE(world.finish(set)) << set.error().message;
    EXPECT_EQ(world.store->revision(), 1);

    world.c.writable = false;
    const auto asked = [&world] {
      return world.a.heard_of(Verb::set) + world.b.heard_of(Verb::set) +
             world.c.heard_of(Verb::set);
    };
    const size_t before = asked();
    Box<int64_t> refused;
    core.set("/x", "2", kAnyRevision, {}, refused.then());
    ASSERT_FALSE(world.finish(refused));
    EXPECT_EQ(refused.error().code, Code::read_only);
    EXPECT_EQ(asked() - before, 3U);
  }
  EXPECT_TRUE(moved);
}

TEST(Client, WithOneAddressReadOnlyIsToldAtOnce) {
  World world;
  world.a.writable = false;
  Core& core = world.connected();
  Box<int64_t> set;
  core.set("/x", "1", kMissing, {}, set.then());
  ASSERT_FALSE(world.finish(set));
  EXPECT_EQ(set.error().code, Code::read_only);
  EXPECT_EQ(world.net.dials().size(), 1U);
}

// --- Consistency

TEST(Client, ReadsAreLinearizableUnlessTheyAreCalledLocal) {
  World world;
  world.store->set("/x", "1");
  Core& core = world.connected();
  world.store->set("/x", "2");
  world.a.lag = 1;
  Box<File> strong;
  core.get("/x", {}, strong.then());
  ASSERT_TRUE(world.finish(strong));
  EXPECT_EQ(strong.value().value, "2");
  EXPECT_EQ(world.a.heard().back().mode, 3);
  // What was seen is never unseen: the lagging server waits.
  Box<File> local;
  core.get("/x", {.local = true}, local.then());
  world.clock.run_for(100'000);
  EXPECT_FALSE(local.done());
  EXPECT_EQ(world.a.heard().back().mode, 2);
  EXPECT_EQ(world.a.heard().back().min_rev, 2);
  world.a.lag = 0;
  world.a.wake();
  ASSERT_TRUE(world.finish(local));
  EXPECT_EQ(local.value().value, "2");
}

TEST(Client, TheViewNeverGoesBackWhenTheServerChanges) {
  World world;
  world.options.addresses = {World::kA, World::kB};
  world.net.serve(World::kB, &world.b);
  Core& core = world.connected();
  Box<int64_t> set;
  core.set("/x", "new", kMissing, {}, set.then());
  ASSERT_TRUE(world.finish(set));
  const bool at_a = core.connection().address == World::kA;
  FakeServer& next = at_a ? world.b : world.a;
  next.lag = 1;
  world.net.serve(at_a ? World::kA : World::kB, nullptr);
  world.net.reset_all();
  Box<File> get;
  core.get("/x", {.local = true}, get.then());
  world.clock.run_for(1'000'000);
  EXPECT_FALSE(get.done()) << "the other server has not got there yet";
  next.lag = 0;
  next.wake();
  ASSERT_TRUE(world.finish(get));
  EXPECT_EQ(get.value().value, "new");
}

TEST(Client, AnOldServerIsNotAskedForLinearizableReads) {
  World world;
  world.a.extensions = false;
  world.store->set("/x", "1");
  Core& core = world.connected();
  EXPECT_FALSE(core.connection().extensions);
  Box<File> get;
  core.get("/x", {}, get.then());
  ASSERT_FALSE(world.finish(get));
  EXPECT_EQ(get.error().code, Code::unsupported);
  EXPECT_NE(get.error().message.find("old_server_reads"), std::string::npos);
  EXPECT_TRUE(world.a.heard().empty());
  Box<File> local;
  core.get("/x", {.local = true}, local.then());
  ASSERT_TRUE(world.finish(local));
  Box<File> at;
  core.get("/x", {.revision = 1}, at.then());
  ASSERT_TRUE(world.finish(at));
  for (const Heard& heard : world.a.heard()) {
    EXPECT_FALSE(heard.mode.has_value());
    EXPECT_FALSE(heard.min_rev.has_value());
  }
  Box<std::string> status;
  core.status({}, status.then());
  ASSERT_FALSE(world.finish(status));
  EXPECT_EQ(status.error().code, Code::unsupported);
}

TEST(Client, OldServersAnswerAllReadsIfTheOptionsSaySo) {
  World world;
  world.a.extensions = false;
  world.options.old_server_reads = true;
  world.store->set("/x", "1");
  Core& core = world.connected();
  Box<File> get;
  core.get("/x", {}, get.then());
  ASSERT_TRUE(world.finish(get));
  Box<doozer::Listing> listing;
  core.ls("/", {}, listing.then());
  ASSERT_TRUE(world.finish(listing));
  EXPECT_EQ(listing.value().names, std::vector<std::string>{"x"});
}

TEST(Client, ALinearizableReadWithoutMajorityIsReadOnlyAndALocalOneIsAnswered) {
  World world;
  world.store->set("/x", "1");
  world.a.majority = false;
  Core& core = world.connected();
  Box<File> get;
  core.get("/x", {}, get.then());
  ASSERT_FALSE(world.finish(get));
  EXPECT_EQ(get.error().code, Code::read_only);
  Box<File> local;
  core.get("/x", {.local = true}, local.then());
  ASSERT_TRUE(world.finish(local));
}

// --- Abandoned requests and silence

TEST(Client, ManyAbandonedWaitsAreLeftBehindWithTheirConnection) {
  World world;
  Core& core = world.connected();
  for (size_t i = 0; i < kAbandonedMax; ++i) {
    Box<Event> box;
    core.wait("/never", 1, {.timeout = std::chrono::milliseconds(5)}, box.then());
    ASSERT_FALSE(world.finish(box));
    ASSERT_EQ(box.error().code, Code::timed_out);
  }
  world.clock.run_for(100'000);
  EXPECT_EQ(world.a.connections(), 2U);
  EXPECT_LT(world.a.waiting(), 10U);
  Box<std::string> self;
  core.self({}, self.then());
  ASSERT_TRUE(world.finish(self));
}

TEST(Client, AServerThatFallsSilentIsGivenUp) {
  World world;
  world.options.addresses = {World::kA, World::kB};
  world.net.serve(World::kB, &world.b);
  world.store->set("/x", "1");
  Core& core = world.connected();
  const bool at_a = core.connection().address == World::kA;
  (at_a ? world.a : world.b).deaf = true;
  Box<Event> wait;
  core.wait("/x", 2, {}, wait.then());
  world.clock.run_for(25'000'000);
  EXPECT_EQ(core.connection().address, at_a ? World::kB : World::kA);
  world.store->set("/x", "2");
  (at_a ? world.b : world.a).wake();
  ASSERT_TRUE(world.finish(wait));
  EXPECT_EQ(wait.value().value, "2");
}

TEST(Client, AQuietServerThatAnswersIsKept) {
  World world;
  Core& core = world.connected();
  Box<Event> wait;
  core.wait("/x", 1, {}, wait.then());
  world.clock.run_for(3'600'000'000);
  EXPECT_EQ(core.connection().connects, 1);
  world.store->set("/x", "1");
  world.a.wake();
  ASSERT_TRUE(world.finish(wait));
}

TEST(Client, AServerThatClosesOrTalksNonsenseIsLeft) {
  World world;
  Core& core = world.connected();
  world.a.end_all();
  Box<std::string> self;
  core.self({}, self.then());
  ASSERT_TRUE(world.finish(self));
  EXPECT_EQ(core.connection().connects, 2);
  for (const std::string& nonsense :
       {std::string("\xFF\xFF\xFF\xFF", 4), std::string("\x7F\xFF\xFF\xFF", 4),
        std::string("\0\0\0\1\xFF", 5)}) {
    world.clock.run_for(10'000'000);
    const int64_t before = core.connection().connects;
    world.a.send_all(nonsense);
    ASSERT_TRUE(world.clock.run_until([&] { return core.connection().connects > before; }));
  }
}

}  // namespace
}  // namespace doozer::client
