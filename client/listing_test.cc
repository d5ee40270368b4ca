// Listings and walks at one revision.
#include <gtest/gtest.h>

#include "client/limits.h"
#include "client/testing/fake_world.h"

namespace doozer::client {
namespace {

using wire::Verb;

std::string name(int n) {
  std::string digits = std::to_string(n);
  return std::string(4 - digits.size(), '0') + digits;
}

void fill(World& world, int count) {
  for (int i = 0; i < count; ++i) world.store->set("/d/" + name(i), "v" + name(i));
}

TEST(Listing, IsCompleteAndOfOneRevisionWhileOthersWrite) {
  for (const int count : {1, 7, 8, 9, 64, 65, 300}) {
    World world;
    fill(world, count);
    world.a.reversed = true;
    Core& core = world.connected();
    // Between any two requests somebody deletes, adds and changes.
    int n = 0;
    world.a.on_request = [&](const Heard& heard) {
      if (heard.verb == static_cast<int32_t>(Verb::rev)) return;
      world.store->commit({{wire::kFlagDel, "/d/" + name(n % count), ""}});
      world.store->set("/d/" + name(9000 + n % 100), "new");
      ++n;
    };
    Box<doozer::Listing> listing;
    core.ls("/d", {}, listing.then());
    ASSERT_TRUE(world.finish(listing)) << listing.error().message;
    EXPECT_EQ(listing.value().revision, count);
    ASSERT_EQ(listing.value().names.size(), static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
      EXPECT_EQ(listing.value().names[static_cast<size_t>(i)], name(i));
    }
    Box<Files> walk;
    core.walk("/d/**", {.revision = count}, walk.then());
    ASSERT_TRUE(world.finish(walk));
    ASSERT_EQ(walk.value().files.size(), static_cast<size_t>(count));
    EXPECT_EQ(walk.value().files.back(),
              (File{"/d/" + name(count - 1), "v" + name(count - 1), count}));
    for (const Heard& heard : world.a.heard()) {
      if (heard.verb == static_cast<int32_t>(Verb::walk) ||
          heard.verb == static_cast<int32_t>(Verb::getdir)) {
        EXPECT_EQ(heard.rev, count);
      }
    }
  }
}

TEST(Listing, IsRightWhateverTheOrderOfAnswers) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    World world;
    const int count = static_cast<int>(seed);
    fill(world, count);
    world.a.shuffle = Rng(seed);
    Core& core = world.connected();
    Box<Files> walk;
    core.walk("/**", {}, walk.then());
    ASSERT_TRUE(world.finish(walk));
    ASSERT_EQ(walk.value().files.size(), static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(walk.value().files[static_cast<size_t>(i)].path, "/d/" + name(i));
    }
  }
}

TEST(Listing, IsPipelinedWithinTheWindow) {
  World world;
  fill(world, 1'000);
  Core& core = world.connected();
  Box<doozer::Listing> listing;
  const uint64_t began = world.clock.now_us();
  core.ls("/d", {}, listing.then());
  ASSERT_TRUE(world.finish(listing));
  EXPECT_EQ(listing.value().names.size(), 1'000U);
  constexpr uint64_t kRoundTripUs = 1'000;
  EXPECT_LT(world.clock.now_us() - began, 30 * kRoundTripUs) << "not one round trip for each entry";
  EXPECT_LE(world.a.heard_of(Verb::getdir), 1'000 + kListWindowMax);
}

TEST(Listing, GoesOnAtTheSameRevisionWhenTheConnectionBreaksAtAnyByte) {
  bool untouched = false;
  for (uint64_t n = 1; !untouched; n += 3) {
    World world;
    fill(world, 20);
    Core& core = world.connected();
    const uint64_t before = world.net.server_bytes();
    world.net.cut_before_server_byte(n);
    Box<Files> walk;
    core.walk("/**", {}, walk.then());
    ASSERT_TRUE(world.finish(walk)) << walk.error().message;
    ASSERT_EQ(walk.value().files.size(), 20U);
    for (int i = 0; i < 20; ++i) {
      ASSERT_EQ(walk.value().files[static_cast<size_t>(i)].path, "/d/" + name(i));
    }
    untouched = world.net.dials().size() == 1;
    ASSERT_LT(n, 10'000U);
    (void)before;
  }
}

TEST(Listing, OfAnOldServerAsksForItsRevisionFirst) {
  World world;
  world.a.extensions = false;
  fill(world, 10);
  Core& core = world.connected();
  Box<doozer::Listing> listing;
  core.ls("/d", {.local = true}, listing.then());
  ASSERT_TRUE(world.finish(listing));
  EXPECT_EQ(listing.value().names.size(), 10U);
  EXPECT_EQ(listing.value().revision, 10);
  ASSERT_EQ(world.a.heard().front().verb, static_cast<int32_t>(Verb::rev));
  Box<doozer::Listing> strong;
  core.ls("/d", {}, strong.then());
  ASSERT_FALSE(world.finish(strong));
  EXPECT_EQ(strong.error().code, Code::unsupported);
}

TEST(Listing, OfALaggingServerIsNotOlderThanWhatWasSeen) {
  World world;
  fill(world, 5);
  Core& core = world.connected();
  Box<int64_t> set;
  core.set("/d/x", "1", kMissing, {}, set.then());
  ASSERT_TRUE(world.finish(set));
  world.a.lag = 3;
  Box<doozer::Listing> listing;
  core.ls("/d", {.local = true}, listing.then());
  world.clock.run_for(100'000);
  EXPECT_FALSE(listing.done());
  world.a.lag = 0;
  world.a.wake();
  ASSERT_TRUE(world.finish(listing));
  EXPECT_EQ(listing.value().names.size(), 6U);
}

TEST(Listing, TellsWhatIsMissingAndWhatIsEmpty) {
  World world;
  Core& core = world.connected();
  Box<Files> nothing_yet;
  core.walk("/**", {}, nothing_yet.then());
  ASSERT_TRUE(world.finish(nothing_yet)) << "a store in which nothing was ever written";
  EXPECT_TRUE(nothing_yet.value().files.empty());
  fill(world, 1);
  Box<doozer::Listing> missing;
  core.ls("/nowhere", {}, missing.then());
  ASSERT_FALSE(world.finish(missing));
  EXPECT_EQ(missing.error().code, Code::not_found);
  EXPECT_NE(missing.error().message.find("ls \"/nowhere\""), std::string::npos)
      << missing.error().message;
  Box<Files> empty;
  core.walk("/nowhere/**", {}, empty.then());
  ASSERT_TRUE(world.finish(empty));
  EXPECT_TRUE(empty.value().files.empty());
  world.a.oldest = 5;
  Box<Files> late;
  core.walk("/**", {.revision = 1}, late.then());
  ASSERT_FALSE(world.finish(late));
  EXPECT_EQ(late.error().code, Code::too_late);
}

TEST(Listing, EndsEarlyWhenItsOwnerHasEnough) {
  World world;
  fill(world, 500);
  Core& core = world.connected();
  int given = 0;
  Box<int64_t> walk;
  core.walk_each(
      "/**", {},
      [&given](const File&) {
        ++given;
        return given < 10;
      },
      walk.then());
  ASSERT_TRUE(world.finish(walk));
  EXPECT_EQ(given, 10);
  world.clock.run_for(1'000'000);
  EXPECT_EQ(given, 10);
  EXPECT_LT(world.a.heard_of(Verb::walk), 100U);
}

TEST(Listing, ManyAtOnceAreEachComplete) {
  World world;
  fill(world, 100);
  Core& core = world.connected();
  std::vector<Box<Files>> boxes(30);
  for (auto& box : boxes) core.walk("/**", {}, box.then());
  for (auto& box : boxes) {
    ASSERT_TRUE(world.finish(box));
    EXPECT_EQ(box.value().files.size(), 100U);
  }
  EXPECT_EQ(world.net.dials().size(), 1U);
}

}  // namespace
}  // namespace doozer::client
