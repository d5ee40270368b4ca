// What a start gives to the consensus core: the tail of the log, terms, configurations, the commit.
#include <gtest/gtest.h>

#include "storage/storage_fixture.h"

namespace doozer::storage {
namespace {

raft::Configuration voters(std::initializer_list<uint8_t> numbers) {
  raft::Configuration configuration{.voters = {kTestOwner.identity}, .old_voters = {}};
  for (const uint8_t number : numbers) configuration.voters.push_back(test_identity(number));
  return configuration;
}

class RecoveredTest : public testing::Test {
 protected:
  void SetUp() override {
    process_ = std::make_unique<Process>(disk_);
    ASSERT_TRUE(process_->create());
    ASSERT_TRUE(process_->open());
  }
  void configure(const raft::Configuration& configuration) {
    process_->add_entry(raft::EntryKind::configuration, raft::encode_configuration(configuration));
  }
  void restart(size_t retained_log_bytes = kRetainedLogBytes) {
    process_.reset();
    disk_.crash(sim::CrashKind::machine_lost);
    disk_.restart();
    StorageOptions options = kTestOptions;
    options.retained_log_bytes = retained_log_bytes;
    process_ = std::make_unique<Process>(disk_, options);
    ASSERT_TRUE(process_->open());
  }
  const Recovered& recovered() { return process_->recovered(); }

  sim::SimDisk disk_;
  std::unique_ptr<Process> process_;
};

TEST_F(RecoveredTest, AllConfigurationsThatATruncationMayGoBackToAreThere) {
  process_->set_hard_state(Term(2), Index(1));
  configure(voters({0x2D, 0x3D}));
  process_->add("x");
  configure(voters({0x2D, 0x3D, 0x4D}));
  ASSERT_TRUE(process_->settle());
  restart();
  EXPECT_EQ(recovered().configurations,
            (std::vector<ConfigurationAt>{{Index(1), voters({})},
                                          {Index(2), voters({0x2D, 0x3D})},
                                          {Index(4), voters({0x2D, 0x3D, 0x4D})}}));
  EXPECT_EQ(recovered().configuration, voters({0x2D, 0x3D, 0x4D}));

  process_->truncate(Index(4));
  ASSERT_TRUE(process_->settle());
  restart();
  EXPECT_EQ(recovered().configuration, voters({0x2D, 0x3D}));

  SnapshotHeader header = Process::header_at(Index(3), Term(2));
  header.point.configuration = voters({0x2D, 0x3D});
  ASSERT_TRUE(process_->snapshot(header, {}));
  configure(voters({0x5D}));
  ASSERT_TRUE(process_->settle());
  restart();
  EXPECT_EQ(
      recovered().configurations,
      (std::vector<ConfigurationAt>{{Index(3), voters({0x2D, 0x3D})}, {Index(4), voters({0x5D})}}))
      << "from the newest snapshot on";
  EXPECT_EQ(recovered().hard_state.commit, Index(3)) << "a snapshot is of committed entries";
}

/// In a cluster: 40 entries of 10,000 bytes in terms of ten, committed to 30.
class RetainedTest : public RecoveredTest {
 protected:
  void SetUp() override {
    RecoveredTest::SetUp();
    configure(voters({0x2D, 0x3D}));
    for (uint64_t term = 2; term <= 5; ++term) {
      process_->set_hard_state(Term(term), std::min(process_->last(), Index(30)));
      for (int i = 0; i < 10; ++i) {
        ASSERT_TRUE(process_->put(std::string(10'000, static_cast<char>('a' + i))));
      }
    }
    ASSERT_EQ(process_->last(), Index(42));
  }
  /// Restarts and checks that what is retained is the log from `first` on.
  void expect_from(Index first, size_t bytes, Term before) {
    SCOPED_TRACE(std::to_string(bytes) + " bytes");
    restart(bytes);
    const auto all = process_->entries();
    ASSERT_TRUE(all);
    const std::vector<raft::Entry> kept = process_->storage().take_retained();
    EXPECT_EQ(kept, std::vector<raft::Entry>(
                        all->begin() + static_cast<ptrdiff_t>(first.value() - 1), all->end()));
    EXPECT_EQ(recovered().term_before_retained, before);
    EXPECT_TRUE(process_->storage().take_retained().empty()) << "once";
  }
};

TEST_F(RetainedTest, TheTailIsBoundedByBytesAndHasAllThatMayBeUncommitted) {
  expect_from(Index(1), kRetainedLogBytes, Term(0));
  expect_from(Index(1), 500'000, Term(0));
  expect_from(Index(24), 200'519, Term(4));
  expect_from(Index(23), 200'520, Term(3));
  expect_from(Index(31), 0, Term(4));
  expect_from(Index(31), 100'000, Term(4));
}

TEST_F(RetainedTest, OfASingleVoterAllIsCommitted) {
  configure(voters({}));
  ASSERT_TRUE(process_->settle());
  restart(0);
  EXPECT_TRUE(process_->storage().take_retained().empty());
  EXPECT_EQ(recovered().term_before_retained, recovered().last_term);
}

TEST_F(RetainedTest, OverwrittenEntriesAreNotInIt) {
  process_->set_hard_state(Term(6), Index(30));
  process_->truncate(Index(33));
  process_->add("new");
  process_->truncate(Index(32));
  process_->add("newer");
  ASSERT_TRUE(process_->settle());
  restart(0);
  const auto kept = process_->storage().take_retained();
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_EQ(kept[0].index, Index(31));
  EXPECT_EQ(kept[1], (raft::Entry{.index = Index(32),
                                  .term = Term(6),
                                  .kind = raft::EntryKind::command,
                                  .payload = "newer"}));
}

}  // namespace
}  // namespace doozer::storage
