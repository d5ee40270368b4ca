// What a server promised, its term, its vote and the configuration it took, is told to be durable
// only once something newer in the log vouches for it (docs/wal-format.md, "Writing"): whatever is
// lost of it then is corruption, and never taken for a tail that nobody was told of.
#include <gtest/gtest.h>

#include "storage/storage_fixture.h"
#include "storage/wal_format.h"

namespace doozer::storage {
namespace {

const raft::Configuration kTwo{.voters = {kTestOwner.identity, test_identity(0x77)},
                               .old_voters = {}};

class PromiseTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(process_->create());
    ASSERT_TRUE(process_->open());
    // Past the segment that was made at start, so that the next batch finds an ordinary one.
    ASSERT_TRUE(process_->put("x"));
    process_->run_for(1'000'000);
    operations_ = disk_.operations();
  }
  void add_configuration() {
    process_->add_entry(raft::EntryKind::configuration, raft::encode_configuration(kTwo));
  }
  uint64_t syncs() { return process_->storage().stats().syncs; }
  /// The first write since SetUp(): the batch with the promise.
  sim::Operation batch() const {
    for (size_t i = operations_; i < disk_.log().size(); ++i) {
      if (disk_.log()[i].kind == sim::DiskOp::write) return disk_.log()[i];
    }
    ADD_FAILURE() << "nothing was written";
    return {};
  }
  /// The process ends at once. Then every byte from the batch on is damaged, each in a copy.
  void expect_lost_only_as_corruption(const std::function<bool(const Recovered&)>& kept) {
    const sim::Operation written = batch();
    process_.reset();
    disk_.crash(sim::CrashKind::machine_lost);
    disk_.restart();
    const size_t end = disk_.peek(written.path)->rfind("doozsync") + kSectorBytes;
    ASSERT_GT(end, written.offset + kSectorBytes);
    int refused = 0;
    for (uint64_t at = written.offset; at < end; ++at) {
      const auto copy = disk_.clone(1);
      copy->flip_bit(written.path, at, at % 8);
      Process next(*copy);
      const auto opened = next.open();
      if (!opened) {
        EXPECT_EQ(opened.error().code, Code::corrupt);
        ++refused;
      } else {
        EXPECT_TRUE(kept(next.recovered()) || next.recovered().trust == raft::LogTrust::repairing)
            << "byte " << at - written.offset << " of the batch";
      }
    }
    EXPECT_GT(refused, 100);
  }

  sim::SimDisk disk_;
  std::unique_ptr<Process> process_ = std::make_unique<Process>(disk_);
  size_t operations_ = 0;
};

TEST_F(PromiseTest, ATermThatWasToldIsNeverLostAsATornTail) {
  process_->set_hard_state(Term(7), Index(1), test_identity(0x77));
  ASSERT_TRUE(process_->settle());
  expect_lost_only_as_corruption([](const Recovered& recovered) {
    return recovered.hard_state.term == Term(7) && recovered.hard_state.vote == test_identity(0x77);
  });
}

TEST_F(PromiseTest, AVoteThatWasToldIsNeverLostAsATornTail) {
  process_->set_hard_state(Term(1), Index(1), test_identity(0x77));
  ASSERT_TRUE(process_->settle());
  expect_lost_only_as_corruption(
      [](const Recovered& recovered) { return recovered.hard_state.vote == test_identity(0x77); });
}

TEST_F(PromiseTest, AConfigurationThatWasToldIsNeverLostAsATornTail) {
  add_configuration();
  ASSERT_TRUE(process_->settle());
  expect_lost_only_as_corruption(
      [](const Recovered& recovered) { return recovered.configuration == kTwo; });
}

TEST_F(PromiseTest, OnlyWhatPromisesCostsASecondSync) {
  uint64_t before = syncs();
  ASSERT_TRUE(process_->put("an entry"));
  EXPECT_EQ(syncs(), before + 1);
  process_->run_for(1'000'000);
  before = syncs();
  process_->set_hard_state(Term(1), Index(2), {});
  ASSERT_TRUE(process_->settle());
  EXPECT_EQ(syncs(), before + 1) << "a commit index is a hint";
  process_->run_for(1'000'000);
  before = syncs();
  process_->set_hard_state(Term(2), Index(2), {});
  ASSERT_TRUE(process_->settle());
  EXPECT_EQ(syncs(), before + 2);
  process_->run_for(1'000'000);
  EXPECT_EQ(syncs(), before + 2) << "the marker is the idle one too";
}

TEST_F(PromiseTest, ABatchThatFollowsAtOnceVouches) {
  const uint64_t before = syncs();
  process_->set_hard_state(Term(2), Index(1), {});
  process_->flush();
  process_->add("an entry");
  ASSERT_TRUE(process_->settle());
  EXPECT_EQ(process_->persisted(), 3U);
  EXPECT_EQ(syncs(), before + 2);
}

TEST_F(PromiseTest, IsToldInItsTurnAndNotBefore) {
  process_->set_hard_state(Term(2), Index(1), {});
  const uint64_t tag = process_->flush();
  const uint64_t before = syncs();
  ASSERT_TRUE(process_->clock().run_until_done([&] { return syncs() == before + 1; }));
  EXPECT_LT(process_->persisted(), tag) << "it is durable, but nothing vouches for it";
  ASSERT_TRUE(process_->clock().run_until_done([&] { return process_->persisted() == tag; }));
  EXPECT_EQ(syncs(), before + 2);
}

TEST_F(PromiseTest, SeveralInARowAreToldOneByOne) {
  std::vector<uint64_t> told;
  process_->storage().on_persisted([&](const Result<uint64_t>& tag) { told.push_back(*tag); });
  for (uint64_t term = 2; term <= 4; ++term) {
    process_->set_hard_state(Term(term), Index(1), {});
    process_->storage().flush(10 * term);
    const uint64_t before = syncs();
    ASSERT_TRUE(process_->clock().run_until_done([&] { return syncs() > before; }));
  }
  ASSERT_TRUE(process_->clock().run_until_done([&] { return told.size() == 3; }));
  EXPECT_EQ(told, (std::vector<uint64_t>{20, 30, 40}));
}

// The batch behind it cannot go yet: there is no segment that could hold it.
TEST_F(PromiseTest, IsToldWhileTheNextBatchWaitsForASegment) {
  process_->set_hard_state(Term(2), Index(1), {});
  const uint64_t tag = process_->flush();
  process_->lanes().stall_until(env::Lane::bulk, process_->clock().now_us() + 5'000'000);
  process_->add(std::string(4 * kSegmentBytesMin, 'x'));
  process_->flush();
  process_->run_for(1'000'000);
  EXPECT_EQ(process_->persisted(), tag);
  ASSERT_TRUE(process_->settle());
}

TEST_F(PromiseTest, ALogThatBeginsAnewVouches) {
  const auto header = Process::header_at(Index(50), Term(2));
  auto writer = process_->storage().write_received_snapshot(header);
  ASSERT_TRUE(writer);
  ASSERT_TRUE(process_->clock().run_until_done([&] { return (*writer)->ready(); }));
  (*writer)->add("state");
  ASSERT_TRUE(process_->clock().run_until_done([&] { return (*writer)->ready(); }));
  process_->set_hard_state(Term(5), Index(1), test_identity(0x77));
  const uint64_t tag = process_->flush();
  bool installed = false;
  (*writer)->finish([&](const Result<void>& done) { installed = done.has_value(); });
  ASSERT_TRUE(process_->clock().run_until_done([&] { return installed; }));
  process_->run_for(1'000);
  EXPECT_EQ(process_->persisted(), tag);
  process_.reset();
  disk_.crash(sim::CrashKind::machine_lost);
  disk_.restart();
  Process next(disk_);
  ASSERT_TRUE(next.open());
  EXPECT_EQ(next.recovered().hard_state.term, Term(5));
  EXPECT_EQ(next.recovered().hard_state.vote, test_identity(0x77));
}

}  // namespace
}  // namespace doozer::storage
