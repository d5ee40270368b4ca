// A follower whose log conflicts with the leader's: suffixes that reach back over several segments
// are cut and replaced, several times in flight, and a crash at any operation leaves the log as it
// was after one of the steps.
#include <gtest/gtest.h>

#include "storage/storage_fixture.h"

namespace doozer::storage {
namespace {

struct State {
  std::vector<raft::Entry> entries;
  Term term;
};

class Follower {
 public:
  explicit Follower(sim::SimDisk& disk) : disk_(disk), process_(disk) {}

  /// 40 durable entries of term 1 in several segments, committed to 5.
  bool begin() {
    if (!process_.create() || !process_.open()) return false;
    State state{.entries = {{Index(1), Term(1), raft::EntryKind::configuration,
                             raft::encode_configuration(kTestConfiguration)}},
                .term = Term(1)};
    states_.push_back(state);
    process_.set_hard_state(Term(1), Index(1));
    for (int i = 0; i < 39; ++i) append();
    process_.set_hard_state(Term(1), Index(5));
    durable_ = states_.size() - 1;
    return process_.settle();
  }

  /// What an append request of a new leader does: one batch.
  void replace_from(Index from, int count) {
    State state = states_.back();
    state.term = state.term + 1;
    process_.set_hard_state(state.term, Index(5));
    states_.push_back(state);
    process_.truncate(from);
    state.entries.resize(from.value() - 1);
    states_.push_back(state);
    for (int i = 0; i < count; ++i) append();
    process_.flush();
  }

  bool settle() {
    const size_t asked = states_.size() - 1;
    const bool settled = process_.settle();
    if (settled) durable_ = asked;
    return settled;
  }

  /// What another process recovers is one of the states that may be.
  void expect_one_of_the_states() {
    Process next(disk_);
    const auto opened = next.open();
    ASSERT_TRUE(opened) << opened.error().message;
    const auto entries = next.entries();
    ASSERT_TRUE(entries) << entries.error().message;
    EXPECT_EQ(next.storage().take_retained(), *entries);
    for (size_t at = durable_; at < states_.size(); ++at) {
      if (states_[at].entries == *entries && states_[at].term == next.recovered().hard_state.term) {
        EXPECT_TRUE(next.put("it goes on"));
        return;
      }
    }
    FAIL() << "a log to " << next.recovered().last_index.value() << " of term "
           << next.recovered().last_term.value() << " that never was";
  }
  const State& newest() const { return states_.back(); }

 private:
  void append() {
    State state = states_.back();
    process_.set_term(state.term);
    process_.add(std::string(5'000, static_cast<char>('a' + states_.size() % 26)));
    state.entries.push_back({process_.last(), state.term, raft::EntryKind::command,
                             std::string(5'000, static_cast<char>('a' + states_.size() % 26))});
    states_.push_back(std::move(state));
  }

  sim::SimDisk& disk_;
  Process process_;
  std::vector<State> states_;  ///< after each record
  size_t durable_ = 0;
};

void conflict(Follower& follower) {
  // Each reaches below what the one before has written, and the last two below all of it.
  follower.replace_from(Index(38), 4);
  follower.replace_from(Index(40), 3);
  follower.replace_from(Index(25), 9);
  follower.replace_from(Index(25), 1);
  follower.settle();
  follower.replace_from(Index(7), 14);
  follower.replace_from(Index(6), 2);
  follower.replace_from(Index(8), 3);
  follower.settle();
}

TEST(Truncation, ConflictingSuffixesAreReplacedAcrossSegments) {
  sim::SimDisk disk;
  Follower follower(disk);
  ASSERT_TRUE(follower.begin());
  conflict(follower);
  EXPECT_EQ(follower.newest().entries.size(), 10U);
  disk.crash(sim::CrashKind::machine_lost);
  disk.restart();
  follower.expect_one_of_the_states();
}

TEST(Truncation, ACrashAtAnyOperationLeavesOneOfTheStates) {
  uint64_t first = 0;
  uint64_t last = 0;
  {
    sim::SimDisk disk;
    Follower follower(disk);
    ASSERT_TRUE(follower.begin());
    first = disk.operations() + 1;
    conflict(follower);
    last = disk.operations();
  }
  ASSERT_GT(last, first + 8);
  for (uint64_t number = first; number <= last; ++number) {
    for (const sim::CrashKind kind : sim::kCrashKinds) {
      for (const sim::Moment moment : sim::kMoments) {
        const uint64_t turn = number + static_cast<uint64_t>(kind) + static_cast<uint64_t>(moment);
        if (turn % 3 != 0) continue;  // each kind at one of the moments
        SCOPED_TRACE("operation " + std::to_string(number) + " " +
                     std::string(sim::crash_kind_name(kind)) + " " +
                     std::string(sim::moment_name(moment)));
        sim::SimDisk disk({.seed = number});
        disk.crash_at(number, kind, moment);
        Follower follower(disk);
        ASSERT_TRUE(follower.begin());
        conflict(follower);
        ASSERT_TRUE(disk.crashed());
        disk.restart();
        follower.expect_one_of_the_states();
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace doozer::storage
