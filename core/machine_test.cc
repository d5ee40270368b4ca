// The machine as a whole: exactly-once, time, digests, broken commands, files with very many
// versions, images that are damaged.
#include "core/machine.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/probe.h"
#include "base/rng.h"
#include "core/client_table.h"
#include "core/procedures.h"
#include "core/testing.h"

namespace doozer::core {
namespace {

TEST(ExactlyOnce, ASequenceThatWasAppliedReturnsTheRememberedResultAndChangesNothing) {
  Driver driver;
  const Envelope first = of_client("c1", 5);
  const SetView set{.path = "/a", .revision = 0, .value = "v"};
  const Applied applied = driver.apply(set, first);
  ASSERT_TRUE(applied.changed);
  driver.nop();
  const Applied again = driver.apply(set, first);
  EXPECT_EQ(again.revision, Revision(1));
  EXPECT_TRUE(again.changed);
  EXPECT_FALSE(again.refused.has_value());
  EXPECT_EQ(driver.machine->revision(), Revision(2));
  EXPECT_EQ(driver.apply(set, of_client("c1", 4)).revision, Revision(1));
  // A refusal is remembered too, with its words.
  const Applied refused = driver.apply(set, of_client("c1", 6));
  ASSERT_TRUE(refused.refused.has_value());
  driver.del("/a", -1);
  EXPECT_EQ(driver.apply(set, of_client("c1", 6)).refused, refused.refused);
  EXPECT_TRUE(driver.apply(set, of_client("c2", 6)).changed);
  EXPECT_TRUE(driver.apply(set, of_client("", 0)).refused.has_value());
}

TEST(ExactlyOnce, TheTableSurvivesAnImage) {
  Driver driver;
  driver.apply(SetView{.path = "/a", .revision = 0, .value = "v"}, of_client("c", 9));
  driver.apply(SetView{.path = "/a", .revision = 0, .value = "v"}, of_client("d", 1));
  Driver loaded;
  ASSERT_TRUE(load_image(*loaded.machine, write_image(*driver.machine), 7).has_value());
  const DelView del{.path = "/a", .revision = -1};
  EXPECT_EQ(loaded.apply(del, of_client("c", 9)).revision, Revision(1));
  const Applied refused = loaded.apply(del, of_client("d", 1));
  ASSERT_TRUE(refused.refused.has_value());
  EXPECT_EQ(refused.refused->code, Code::revision_mismatch);
  EXPECT_EQ(loaded.look("/a"), "file v @1");
}

TEST(ExactlyOnce, TheClientWhoseLastCommandIsTheOldestIsForgottenAtTheLimit) {
  ClientTable table;
  for (size_t i = 0; i < kClientsMax; ++i) {
    table.remember("c" + std::to_string(i), {.sequence = 1, .used = Index(i + 1), .result = {}});
  }
  table.remember("c0", {.sequence = 2, .used = Index(kClientsMax + 1), .result = {}});
  table.remember("new", {.sequence = 1, .used = Index(kClientsMax + 2), .result = {}});
  EXPECT_EQ(table.size(), kClientsMax);
  EXPECT_NE(table.remembered("c0", 2), nullptr);
  EXPECT_EQ(table.remembered("c0", 3), nullptr);
  EXPECT_EQ(table.remembered("c1", 1), nullptr);
  EXPECT_NE(table.remembered("c2", 1), nullptr);
}

TEST(Machine, ClusterTimeIsTheGreaterOfPreviousAndProposed) {
  Driver driver;
  driver.apply(NopView{}, at_time(50));
  driver.apply(NopView{}, at_time(20));
  EXPECT_EQ(driver.machine->cluster_time_us(), 50U);
  driver.apply(NopView{}, at_time(51));
  EXPECT_EQ(driver.machine->cluster_time_us(), 51U);
}

TEST(Machine, AnUnknownCommandIsAnErrorAndLeavesTheMachineUnchanged) {
  Driver driver;
  driver.set("/a", 0, "v");
  const Digests before = driver.machine->digests();
  std::string newer = encode(NopView{});
  newer[0] = 2;
  std::string unknown = encode(NopView{});
  unknown.back() = 99;
  for (const std::string& bad :
       {std::string(), std::string("garbage"), newer, unknown, encode(NopView{}).substr(0, 3)}) {
    const auto applied = driver.machine->apply(driver.machine->applied() + 1, bad);
    ASSERT_FALSE(applied.has_value());
    EXPECT_TRUE(applied.error().code == Code::corrupt || applied.error().code == Code::unsupported);
    EXPECT_EQ(driver.machine->digests(), before);
  }
}

TEST(Machine, DigestsTellApartWhatDiffers) {
  Driver one;
  Driver two;
  one.set("/a", 0, "v");
  two.set("/a", 0, "w");
  EXPECT_NE(one.machine->digests().state, two.machine->digests().state);
  EXPECT_NE(one.machine->digests().chain, two.machine->digests().chain);
  one.set("/a", -1, "x");
  two.set("/a", -1, "x");
  EXPECT_EQ(one.machine->digests().state, two.machine->digests().state);
  EXPECT_NE(one.machine->digests().chain, two.machine->digests().chain);
  const Hash128 chain = one.machine->digests().chain;
  one.machine->apply_internal(one.machine->applied() + 1);
  EXPECT_NE(one.machine->digests().chain, chain);
  EXPECT_EQ(one.machine->revision(), Revision(2));
  one.del("/a", -1);
  EXPECT_EQ(one.machine->digests().state, Hash128{});
}

TEST(Machine, AFileWithVeryManyVersionsIsFoundAtEachOfThem) {
  Driver driver({.history_revisions = 500});
  for (int64_t now = 1; now <= 2000; ++now) {
    now % 97 == 0 ? driver.del("/hot", -1) : driver.set("/hot", -1, std::to_string(now));
    if (now % 250 == 0) {
      for (int64_t at = driver.machine->oldest().value(); at <= now; ++at) {
        const std::string text = std::to_string(at);
        ASSERT_EQ(driver.look("/hot", at), at % 97 == 0 ? "missing" : "file " + text + " @" + text);
      }
    }
  }
  EXPECT_GT(Probe::reached("core_hot_file"), 0U);
  for (int i = 0; i < 600; ++i) {
    driver.nop();
  }
  driver.run();
  EXPECT_EQ(driver.machine->stats().history_events, 500U);
  driver.set("/hot", -1, "again");
  // A refused transaction takes its version back.
  const TransactionView refused{.guards = {},
                                .operations = {{true, "/hot", "no"}, {true, "/", "no"}}};
  for (int i = 0; i < 100; ++i) {
    driver.set("/hot", -1, "more");
  }
  EXPECT_TRUE(driver.apply(refused).refused.has_value());
  EXPECT_EQ(driver.look("/hot"), "file more @2701");
  EXPECT_EQ(driver.look("/hot", 2650), "file more @2650");
}

TEST(Machine, TrimmingKeepsPaceWithTransactionsAndLeavesNothingBehind) {
  Driver driver({.history_revisions = 5});
  for (int round = 0; round < 50; ++round) {
    for (const bool set : {true, false}) {
      std::vector<std::string> paths;
      for (int i = 0; i < 20; ++i) {
        paths.push_back("/d" + std::to_string(i % 4) + "/e/" + std::to_string(i));
      }
      TransactionView transaction;
      for (const std::string& path : paths) {
        transaction.operations.push_back({set, path, "v"});
      }
      driver.apply(transaction);
    }
    EXPECT_LE(driver.machine->stats().history_events, 20U * 10U);
  }
  for (int i = 0; i < 10; ++i) {
    driver.nop();
  }
  driver.run();
  EXPECT_EQ(driver.machine->stats().history_events, 5U);
  EXPECT_EQ(driver.machine->stats().directories, 0U);
  EXPECT_EQ(driver.machine->stats().history_bytes, 5U * 32U);
}

std::string sample_image() {
  Driver driver;
  for (int i = 0; i < 20; ++i) {
    driver.set("/d" + std::to_string(i % 3) + "/f" + std::to_string(i), 0, std::string(10, 'v'));
  }
  driver.apply(NopView{}, of_client("client", 3));
  const TransactionView last{.guards = {},
                             .operations = {{false, "/d0/f0", ""}, {true, "/new", "value"}}};
  driver.apply(last);
  return write_image(*driver.machine);
}

TEST(Image, AnEmptyMachineHasOneToo) {
  Driver driver;
  driver.machine->apply_internal(Index(1));
  Driver loaded;
  ASSERT_TRUE(load_image(*loaded.machine, write_image(*driver.machine), 1).has_value());
  EXPECT_EQ(loaded.machine->digests(), driver.machine->digests());
  EXPECT_EQ(loaded.machine->oldest(), Revision(1));
  EXPECT_EQ(loaded.machine->applied(), Index(1));
}

TEST(Image, AfterLoadingTheOldestRevisionIsTheImagesAndItsEventsAreKnown) {
  Driver loaded;
  ASSERT_TRUE(load_image(*loaded.machine, sample_image(), 100).has_value());
  EXPECT_EQ(loaded.machine->oldest(), Revision(22));
  EXPECT_FALSE(loaded.machine->check_kept(Revision(1)).has_value());
  EXPECT_EQ(loaded.machine->stats().history_events, 2U);
  EXPECT_EQ(loaded.look("/d0/f0"), "missing");
  EXPECT_EQ(loaded.look("/new", 22), "file value @22");
  loaded.set("/d0/f0", 0, "again");
  EXPECT_EQ(loaded.look("/d0/f0", 22), "missing");
}

TEST(Image, AnyFlippedBitOrCutIsCorruptAndNeverACheck) {
  const std::string image = sample_image();
  for (size_t at = 0; at < image.size(); ++at) {
    for (const int bit : {0, 3, 7}) {
      std::string bad = image;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      const auto machine = Machine::make({});
      const Result<void> loaded = load_image(*machine, bad, 64);
      ASSERT_FALSE(loaded.has_value()) << at;
      EXPECT_TRUE(loaded.error().code == Code::corrupt || loaded.error().code == Code::unsupported);
    }
    const auto machine = Machine::make({});
    const Result<void> loaded = load_image(*machine, image.substr(0, at), 64);
    ASSERT_FALSE(loaded.has_value()) << at;
    EXPECT_EQ(loaded.error().code, Code::corrupt);
  }
  EXPECT_FALSE(load_image(*Machine::make({}), image + "x", 64).has_value());
}

TEST(Image, DamageBehindAGoodChecksumIsCorruptToo) {
  const std::string image = sample_image();
  const size_t head_bytes = ByteReader(std::string_view(image).substr(12)).u32();
  Rng rng(7);
  for (int i = 0; i < 600; ++i) {
    std::string bad = image;
    const size_t at = 20 + rng.below(head_bytes);
    bad[at] = static_cast<char>(rng.next());
    if (bad == image) {
      continue;
    }
    overwrite_u32(bad, 16, crc32c(std::string_view(bad).substr(20, head_bytes)));
    const auto machine = Machine::make({});
    const Result<void> loaded = load_image(*machine, bad, 64);
    // Numbers that nothing contradicts (such as the time) may differ; most must be refused.
    if (!loaded.has_value()) {
      EXPECT_TRUE(loaded.error().code == Code::corrupt || loaded.error().code == Code::unsupported);
    }
  }
}

TEST(Walk, AGlobThatIsCostlyToMatchGetsAsManyFewerFilesInASlice) {
  Driver driver;
  constexpr int kFiles = 20;
  for (int i = 0; i < kFiles; ++i) {
    driver.set("/" + std::string(4'000, 'a') + std::to_string(i), -1, "");
  }
  std::string stars = "/";
  while (stars.size() < 4'000) stars += "*a";
  const auto cursor = driver.machine->walk(glob(stars + "b"), std::nullopt);
  FileView file;
  int slices = 0;
  for (Seek seek = Seek::more; seek == Seek::more; ++slices) {
    Budget budget(kSliceSteps);
    seek = cursor->seek(0, budget, file);
    ASSERT_LE(slices, 2 * kFiles) << "each slice gets on";
  }
  EXPECT_GE(slices, kFiles / 3);
}

}  // namespace
}  // namespace doozer::core
