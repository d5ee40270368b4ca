// A directory is exchanged whole or not at all, wherever the machine crashes.
#include "storage/exchange.h"

#include <gtest/gtest.h>

#include "storage/storage_fixture.h"

namespace doozer::storage {
namespace {

using sim::SimDisk;

const Ownership kNewOwner{.cluster = test_identity(0xC2), .identity = test_identity(0x2D)};
const Index kNewIndex(5'000);

SalvagedState new_state(Index index = kNewIndex) {
  SalvagedState state;
  state.header = Process::header_at(index, Term(9));
  state.header.cluster = kNewOwner.cluster;
  state.header.identity = kNewOwner.identity;
  state.header.point.configuration = {.voters = {kNewOwner.identity}, .old_voters = {}};
  state.image = [chunks = 3]() mutable -> Result<std::optional<std::string>> {
    if (chunks-- == 0) return std::nullopt;
    return std::string(1'000, static_cast<char>('a' + chunks));
  };
  return state;
}

/// Several segments, a snapshot, a cache of addresses, somebody else's file; three starts.
void make_old(SimDisk& disk) {
  for (int life = 0; life < 3; ++life) {
    {
      Process process(disk);
      if (life == 0) {
        ASSERT_TRUE(process.create());
      }
      ASSERT_TRUE(process.open());
      for (int i = 0; i < 20; ++i) ASSERT_TRUE(process.put(std::string(4'000, 'x')));
      process.set_hard_state(process.term(), process.last());
      ASSERT_TRUE(process.settle());
      if (life == 1) {
        ASSERT_TRUE(
            process.snapshot(Process::header_at(process.last(), process.term()), {"image"}));
      }
      process.run_for(2 * kIdleMarkerUs);
    }
    if (life < 2) {
      disk.crash(sim::CrashKind::process);
      disk.restart();
    }
  }
  ASSERT_TRUE(env::replace_file(disk, "", "peers", "an address of the old cluster\n"));
  ASSERT_TRUE(env::replace_file(disk, "log", "log/README", "somebody else's\n"));
  disk.crash(sim::CrashKind::process);
  disk.restart();
}

struct Seen {
  Ownership owner;
  Index last;
  Incarnation incarnation;
  size_t snapshots = 0;
};

/// What a start makes of it.
Seen open(SimDisk& disk) {
  Process process(disk);
  const auto opened = process.open();
  EXPECT_TRUE(opened.has_value()) << (opened ? "" : opened.error().message);
  if (!opened) return {};
  const Recovered& recovered = process.recovered();
  EXPECT_EQ(recovered.trust, raft::LogTrust::sound);
  const auto entries = process.entries();
  EXPECT_TRUE(entries.has_value()) << (entries ? "" : entries.error().message);
  return {.owner = recovered.owner,
          .last = recovered.last_index,
          .incarnation = recovered.incarnation,
          .snapshots = recovered.snapshots.size()};
}

std::vector<std::string> names_left(SimDisk& disk) {
  std::vector<std::string> all;
  for (const std::string directory : {"", "log", "snap"}) {
    const auto names = disk.list(directory);
    for (const std::string& name : *names) all.push_back(directory + "/" + name);
  }
  return all;
}

bool any_next(SimDisk& disk) {
  for (const std::string& name : names_left(disk)) {
    if (name.find(".next") != std::string::npos) return true;
  }
  return false;
}

TEST(Exchange, TheNewStateIsAllThatIsLeft) {
  SimDisk disk;
  make_old(disk);
  const auto done = exchange_directory(disk, new_state());
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_FALSE(*exchange_decided(disk));
  EXPECT_FALSE(any_next(disk));
  EXPECT_FALSE(*disk.exists("peers")) << "addresses of the old cluster";
  EXPECT_TRUE(*disk.exists("log/README")) << "not ours";
  EXPECT_EQ(disk.list("log")->size(), 2U);
  EXPECT_EQ(disk.list("snap")->size(), 1U);
  disk.crash(sim::CrashKind::machine_lost);
  disk.restart();
  const Seen seen = open(disk);
  EXPECT_EQ(seen.owner.cluster, kNewOwner.cluster);
  EXPECT_EQ(seen.owner.identity, kNewOwner.identity);
  EXPECT_EQ(seen.last, kNewIndex);
  EXPECT_EQ(seen.snapshots, 1U);
  EXPECT_EQ(seen.incarnation, Incarnation(4)) << "starts go on being counted";
}

TEST(Exchange, WhereverItCrashesADirectoryIsTheOldOneOrTheNew) {
  SimDisk prepared;
  make_old(prepared);
  uint64_t operations = 0;
  {
    const auto disk = prepared.clone(1);
    const uint64_t before = disk->operations();
    ASSERT_TRUE(exchange_directory(*disk, new_state()));
    operations = disk->operations() - before;
  }
  ASSERT_GT(operations, 25U);
  size_t old_ones = 0;
  size_t new_ones = 0;
  size_t decided_ones = 0;
  for (const sim::CrashKind kind : sim::kCrashKinds) {
    for (const sim::Moment moment : {sim::Moment::before, sim::Moment::during}) {
      for (uint64_t number = 1; number <= operations; ++number) {
        SCOPED_TRACE(std::string(sim::crash_kind_name(kind)) + " " +
                     std::string(sim::moment_name(moment)) + " " + std::to_string(number));
        const auto disk = prepared.clone(number);
        disk->crash_at(disk->operations() + number, kind, moment);
        EXPECT_FALSE(exchange_directory(*disk, new_state()).has_value() && !disk->crashed());
        disk->restart();
        const bool decided = *exchange_decided(*disk);
        decided_ones += decided ? 1 : 0;
        // A reader that changes nothing is never told that it is broken.
        EXPECT_EQ(inspect_directory(*disk)->state, DirectoryState::initialized);
        const Seen seen = open(*disk);
        const bool is_new = seen.owner.cluster == kNewOwner.cluster;
        EXPECT_EQ(seen.last, is_new ? kNewIndex : Index(61));
        EXPECT_EQ(seen.incarnation, Incarnation(4));
        EXPECT_EQ(seen.snapshots, 1U);
        if (decided) {
          EXPECT_TRUE(is_new);
        }
        EXPECT_FALSE(any_next(*disk)) << "nothing is left lying about";
        (is_new ? new_ones : old_ones) += 1;
      }
    }
  }
  EXPECT_GT(old_ones, 50U);
  EXPECT_GT(new_ones, 50U);
  EXPECT_GT(decided_ones, 50U);
}

TEST(Exchange, CrashesWhileAStartEndsItChangeNothing) {
  SimDisk prepared;
  make_old(prepared);
  // Just decided.
  uint64_t decided_at = 0;
  {
    const auto disk = prepared.clone(1);
    const uint64_t before = disk->operations();
    ASSERT_TRUE(exchange_directory(*disk, new_state()));
    for (const sim::Operation& operation : disk->log()) {
      if (operation.to == "identity.next") decided_at = operation.number - before;
    }
  }
  ASSERT_NE(decided_at, 0U);
  const auto half = prepared.clone(2);
  half->crash_at(half->operations() + decided_at + 1, sim::CrashKind::machine_kept);
  ASSERT_FALSE(exchange_directory(*half, new_state()));
  half->restart();
  ASSERT_TRUE(*exchange_decided(*half));
  EXPECT_EQ(exchange_directory(*half, new_state()).error().code, Code::conflict);
  uint64_t operations = 0;
  {
    const auto disk = half->clone(1);
    const uint64_t before = disk->operations();
    ASSERT_TRUE(*settle_exchange(*disk));
    operations = disk->operations() - before;
  }
  for (const sim::CrashKind kind : sim::kCrashKinds) {
    for (uint64_t number = 1; number <= operations; ++number) {
      SCOPED_TRACE(std::string(sim::crash_kind_name(kind)) + " " + std::to_string(number));
      const auto disk = half->clone(number);
      disk->crash_at(disk->operations() + number, kind, sim::Moment::during);
      EXPECT_FALSE(settle_exchange(*disk).has_value() && !disk->crashed());
      disk->restart();
      const Seen seen = open(*disk);
      EXPECT_EQ(seen.owner.cluster, kNewOwner.cluster);
      EXPECT_EQ(seen.last, kNewIndex);
      EXPECT_FALSE(any_next(*disk));
    }
  }
}

TEST(Exchange, ADiskThatFailsLeavesTheOldDirectoryUntilItIsDecided) {
  SimDisk prepared;
  make_old(prepared);
  const auto probe = prepared.clone(1);
  const uint64_t before = probe->operations();
  ASSERT_TRUE(exchange_directory(*probe, new_state()));
  const uint64_t operations = probe->operations() - before;
  for (uint64_t number = 1; number <= operations; ++number) {
    SCOPED_TRACE(number);
    const auto disk = prepared.clone(number);
    disk->fail_at(disk->operations() + number, Code::no_space);
    const auto done = exchange_directory(*disk, new_state());
    const bool decided = *exchange_decided(*disk);
    disk->crash(sim::CrashKind::process);
    disk->restart();
    const bool is_new = open(*disk).owner.cluster == kNewOwner.cluster;
    const bool only_the_last_sync_failed = number == operations;
    EXPECT_EQ(is_new, decided || done.has_value() || only_the_last_sync_failed);
  }
}

TEST(Exchange, ASnapshotThatIsNotOlderThanTheNewOneIsRefused) {
  SimDisk disk;
  make_old(disk);
  const auto done = exchange_directory(disk, new_state(Index(41)));
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code, Code::conflict);
  EXPECT_FALSE(any_next(disk));
}

}  // namespace
}  // namespace doozer::storage
