// A snapshot of another server is installed: the log is kept if it reaches the snapshot's entry,
// else it begins anew behind it. Crashes at every operation: sim/storage_crash_test.cc.
#include <gtest/gtest.h>

#include "base/probe.h"
#include "storage/snapshot_format.h"
#include "storage/storage_fixture.h"

namespace doozer::storage {
namespace {

const std::vector<std::string> kChunks = {std::string(300, 'a'), std::string(70'000, 'b')};
const raft::Configuration kThree{
    .voters = {kTestOwner.identity, test_identity(0x2D), test_identity(0x3D)}, .old_voters = {}};

SnapshotHeader received_at(Index index, Term term) {
  SnapshotHeader header = Process::header_at(index, term);
  header.point.configuration = kThree;
  return header;
}

/// Entries 2 .. 11 of term 1 behind the configuration, then 12 .. 21 of term 2.
class ReceivedTest : public testing::Test {
 protected:
  void SetUp() override {
    process_ = std::make_unique<Process>(disk_);
    ASSERT_TRUE(process_->create());
    ASSERT_TRUE(process_->open());
    for (const Term term : {Term(1), Term(2)}) {
      process_->set_hard_state(term, process_->last());
      for (int i = 0; i < 10; ++i) process_->add(std::string(3'000, 'x'));
      ASSERT_TRUE(process_->settle());
    }
    ASSERT_EQ(process_->last(), Index(21));
  }
  void restart(sim::CrashKind kind = sim::CrashKind::machine_lost) {
    process_.reset();
    disk_.crash(kind);
    disk_.restart();
    process_ = std::make_unique<Process>(disk_);
    ASSERT_TRUE(process_->open());
  }
  size_t files(std::string_view directory) { return disk_.list(directory)->size(); }

  sim::SimDisk disk_;
  std::unique_ptr<Process> process_;
};

TEST_F(ReceivedTest, WithAMatchingEntryTheLogIsKept) {
  ASSERT_TRUE(process_->receive(received_at(Index(15), Term(2)), kChunks));
  EXPECT_EQ(process_->storage().first_index(), Index(1));
  EXPECT_EQ(process_->storage().last_index(), Index(21));
  ASSERT_TRUE(process_->put("behind"));
  restart();
  const Recovered& recovered = process_->recovered();
  EXPECT_EQ(recovered.first_index, Index(1));
  EXPECT_EQ(recovered.last_index, Index(22));
  EXPECT_EQ(recovered.hard_state.commit, Index(15));
  ASSERT_EQ(recovered.snapshots.size(), 1U);
  EXPECT_EQ(recovered.snapshots[0], received_at(Index(15), Term(2)));
  EXPECT_EQ(recovered.configuration, kThree);
}

struct Mismatch {
  const char* name;
  Index index;
  Term term;
};
constexpr Mismatch kMismatches[] = {{"beyond the log", Index(400), Term(2)},
                                    {"right behind the log", Index(22), Term(2)},
                                    {"another term at that index", Index(15), Term(3)}};

TEST_F(ReceivedTest, WithoutAMatchingEntryTheWholeLogIsDiscarded) {
  for (const Mismatch& mismatch : kMismatches) {
    SCOPED_TRACE(mismatch.name);
    disk_.~SimDisk();
    new (&disk_) sim::SimDisk;
    SetUp();
    process_->set_hard_state(Term(4), Index(11), test_identity(9));
    ASSERT_TRUE(process_->receive(received_at(mismatch.index, mismatch.term), kChunks));
    EXPECT_EQ(process_->storage().first_index(), mismatch.index + 1);
    EXPECT_EQ(process_->storage().last_index(), mismatch.index);
    process_->run_for(1'000'000);
    EXPECT_EQ(process_->storage().stats().segments, 1U) << "what was is removed";
    EXPECT_LE(files("log"), 2U);
    restart();
    EXPECT_EQ(process_->recovered().last_index, mismatch.index);
    EXPECT_EQ(process_->recovered().last_term, mismatch.term);
    EXPECT_EQ(process_->recovered().first_index, mismatch.index + 1);
    EXPECT_EQ(
        process_->recovered().hard_state,
        (raft::HardState{.term = Term(4), .vote = test_identity(9), .commit = mismatch.index}));
    EXPECT_EQ(process_->recovered().trust, raft::LogTrust::sound);
    EXPECT_EQ(process_->recovered().configuration, kThree);
    EXPECT_EQ(process_->recovered().configurations,
              (std::vector<ConfigurationAt>{{mismatch.index, kThree}}));
  }
}

TEST_F(ReceivedTest, TheLogGoesOnBehindTheSnapshot) {
  process_->set_hard_state(Term(5), Index(11));
  ASSERT_TRUE(process_->receive(received_at(Index(100), Term(4)), kChunks));
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(process_->put(std::string(5'000, 'y')));
  EXPECT_GT(process_->storage().stats().segments, 2U);
  restart();
  EXPECT_EQ(process_->recovered().first_index, Index(101));
  EXPECT_EQ(process_->recovered().last_index, Index(160));
  const auto entries = process_->entries();
  ASSERT_TRUE(entries);
  EXPECT_EQ(entries->size(), 60U);
  EXPECT_EQ(entries->front().payload, std::string(5'000, 'y'));
}

TEST_F(ReceivedTest, ItReadsBackAndOlderSnapshotsGoWithTheLog) {
  ASSERT_TRUE(process_->snapshot(Process::header_at(Index(10), Term(1)), kChunks));
  ASSERT_TRUE(process_->receive(received_at(Index(100), Term(2)), kChunks));
  process_->run_for(1'000'000);
  EXPECT_EQ(disk_.list("snap"), std::vector<std::string>({"0000000000000064.snap"}));
  ASSERT_EQ(process_->storage().snapshots().size(), 1U);
  auto reader = process_->storage().read_snapshot(Index(100));
  ASSERT_TRUE(reader);
  for (const std::string& chunk : kChunks) EXPECT_EQ((*reader)->next(), chunk);
  EXPECT_EQ((*reader)->next(), std::nullopt);
}

TEST_F(ReceivedTest, StatesAndTagsOfTheMeantimeTakeEffectBehindIt) {
  process_->set_hard_state(Term(4), Index(11));
  process_->add("on its way");
  auto writer = process_->storage().write_received_snapshot(received_at(Index(100), Term(4)));
  ASSERT_TRUE(writer);
  std::optional<Result<void>> done;
  (*writer)->finish([&](Result<void> result) { done = std::move(result); });
  for (uint64_t term = 5; !done; ++term) {
    process_->set_hard_state(Term(term), Index(11), test_identity(7));
    process_->flush();
    process_->run_for(20);
  }
  ASSERT_TRUE(*done);
  const Term term = process_->term();
  EXPECT_GT(term, Term(8)) << "some of them met the installation";
  ASSERT_TRUE(process_->settle());
  restart();
  EXPECT_EQ(process_->recovered().hard_state,
            (raft::HardState{.term = term, .vote = test_identity(7), .commit = Index(100)}));
}

struct Refusal {
  const char* name;
  Index index;
  Term term;
};

TEST_F(ReceivedTest, WhatCannotBeIsRefusedAndHarmsNothing) {
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(process_->put(std::string(3'000, 'x')));
  ASSERT_TRUE(process_->snapshot(Process::header_at(Index(40), Term(2)), kChunks));
  process_->storage().purge(Index(40));
  process_->set_hard_state(Term(3), Index(50));
  for (const Refusal& refusal :
       {Refusal{"older than the log", Index(3), Term(1)},
        Refusal{"contradicts a committed entry", Index(45), Term(3)},
        Refusal{"of a term that was never heard of", Index(100), Term(4)}}) {
    const auto received = process_->receive(received_at(refusal.index, refusal.term), kChunks);
    ASSERT_FALSE(received) << refusal.name;
    EXPECT_EQ(received.error().code, Code::conflict) << received.error().message;
  }
  SnapshotHeader foreign = received_at(Index(100), Term(3));
  foreign.identity = test_identity(0x2D);
  EXPECT_EQ(process_->receive(foreign, kChunks).error().code, Code::conflict);
  ASSERT_TRUE(process_->put("on"));
  restart();
  EXPECT_EQ(process_->recovered().last_index, Index(52));
  EXPECT_EQ(files("snap"), 1U);
}

TEST_F(ReceivedTest, OneAtATime) {
  auto first = process_->storage().write_received_snapshot(received_at(Index(100), Term(2)));
  ASSERT_TRUE(first);
  const auto second = process_->storage().write_received_snapshot(received_at(Index(90), Term(2)));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::conflict);
  first->reset();
  EXPECT_TRUE(process_->storage().write_received_snapshot(received_at(Index(90), Term(2))));
}

TEST_F(ReceivedTest, AFullDiskRefusesItAndTheLogGoesOn) {
  disk_.leave_free(30'000);
  const auto received = process_->receive(received_at(Index(100), Term(2)), {std::string(10, 'a')});
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code, Code::no_space);
  disk_.set_capacity(uint64_t{1} << 40U);
  ASSERT_TRUE(process_->put("on"));
  restart();
  EXPECT_EQ(process_->recovered().last_index, Index(22));
  EXPECT_EQ(files("snap"), 0U);
}

TEST_F(ReceivedTest, AStateMeantForTheNewLogIsCutToTheOldOneIfThatStays) {
  process_->run_for(1'000'000);
  int refused = 0;
  disk_.on_operation([&](const sim::Operation& operation) -> sim::Fate {
    if (!operation.path.ends_with(".wal.tmp")) return {};
    if (refused++ == 0) process_->set_hard_state(Term(2), Index(100), test_identity(7));
    sim::Fate fate;
    fate.kind = sim::Fate::Kind::fail;
    fate.code = Code::no_space;
    return fate;
  });
  EXPECT_EQ(process_->receive(received_at(Index(100), Term(2)), kChunks).error().code,
            Code::no_space);
  EXPECT_EQ(refused, 2) << "a smaller segment was tried, too";
  disk_.clear_plans();
  ASSERT_TRUE(process_->put("on"));
  restart();
  EXPECT_EQ(process_->recovered().hard_state,
            (raft::HardState{.term = Term(2), .vote = test_identity(7), .commit = Index(21)}));
}

}  // namespace
}  // namespace doozer::storage
