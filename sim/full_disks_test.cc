// Disks that somebody else fills up while the leader's has room: the servers say so, writes are
// refused rather than left unknown, deletions go on, also after a restart, and it ends by itself.
#include <gtest/gtest.h>

#include "sim/world_fixture.h"

namespace doozer::sim {
namespace {

constexpr uint64_t kServers = 3;
constexpr size_t kValueBytes = 20'000;
constexpr uint64_t kEveryUs = 2'000;  ///< between two writes: 10 MB/s
constexpr uint64_t kNoticedWithinUs = 1'500'000;

using Kind = door::WriteOutcome::Kind;

struct Write final : door::WriteCompletion {
  void on_written(uint64_t, const door::WriteOutcome& told) override { outcome = told; }
  uint64_t sent_us = 0;
  std::optional<door::WriteOutcome> outcome;

  bool refused() const { return outcome && outcome->kind == Kind::refused; }
  bool applied() const { return outcome && outcome->kind == Kind::applied; }
};

class FullDisksTest : public WorldFixture {
 protected:
  FullDisksTest() : WorldFixture(kServers) {}
  void SetUp() override {
    boot();
    leader_ = leader();
    for (uint64_t number = 1; number <= kServers; ++number) {
      if (number != leader_) followers_.push_back(number);
    }
  }
  Write& submit(const core::BodyView& body) {
    Write& one = *writes_.emplace_back(std::make_unique<Write>());
    one.sent_us = world_.now_us();
    process(leader_).server().submit(body, one, 0);
    return one;
  }
  Write& set() {
    const std::string path = "/big/" + std::to_string(writes_.size() % 50);
    return submit(core::SetView{.path = path, .revision = -1, .value = value_});
  }
  Write& del(int i) {
    const std::string path = "/big/" + std::to_string(i);
    return submit(core::DelView{.path = path, .revision = -1});
  }
  bool full(uint64_t number) { return cluster(number) != nullptr && cluster(number)->full(); }
  void fill(uint64_t number) { world_.host(number).disk().leave_free(0); }
  void empty(uint64_t number) { world_.host(number).disk().set_capacity(uint64_t{1} << 40U); }
  void set_for(uint64_t us) {
    for (const uint64_t end_us = world_.now_us() + us; world_.now_us() < end_us;) {
      set();
      run_for(kEveryUs);
    }
  }
  void expect_deletions(int from, int count) {
    for (int i = from; i < from + count; ++i) {
      Write& one = del(i);
      ASSERT_TRUE(until([&] { return one.outcome.has_value(); }));
      ASSERT_TRUE(one.applied()) << i << " " << one.outcome->error.message;
    }
  }

  const std::string value_ = std::string(kValueBytes, 'x');
  uint64_t leader_ = 0;
  std::vector<uint64_t> followers_;
  std::vector<std::unique_ptr<Write>> writes_;
};

TEST_F(FullDisksTest, AFullMajorityOfFollowersRefusesSetsTakesDelsAndRecovers) {
  set_for(500'000);
  for (const uint64_t number : followers_) fill(number);
  const uint64_t filled_us = world_.now_us();
  set_for(5'000'000);
  run_for(3'000'000);
  for (const auto& one : writes_) {
    const auto at_ms = static_cast<int64_t>(one->sent_us - filled_us) / 1'000;
    ASSERT_TRUE(one->outcome.has_value()) << at_ms;
    EXPECT_TRUE(one->applied() || one->refused()) << at_ms << " ms: neither done nor refused";
    if (one->sent_us < filled_us + kNoticedWithinUs) continue;
    ASSERT_TRUE(one->refused()) << at_ms;
    EXPECT_EQ(one->outcome->error.code, Code::no_space) << one->outcome->error.message;
  }
  EXPECT_FALSE(full(leader_));
  for (const uint64_t number : followers_) EXPECT_TRUE(full(number)) << number;
  expect_deletions(0, 10);

  // Killed, they come back, on disks that are as full as before.
  for (const uint64_t number : followers_) {
    world_.kill(number);
    ASSERT_TRUE(until([&] { return world_.host(number).serving(); })) << number;
    // A start gives back what was prepared, and a snapshot the log behind it.
    run_for(2'000'000);
    fill(number);
    run_for(2'000'000);
    EXPECT_TRUE(full(number)) << number;
  }
  ASSERT_EQ(leader(), leader_);
  expect_deletions(10, 10);

  for (const uint64_t number : followers_) empty(number);
  ASSERT_TRUE(until([&] { return !full(followers_[0]) && !full(followers_[1]); }));
  run_for(500'000);
  Write& again = set();
  run_for(1'000'000);
  EXPECT_TRUE(again.applied());
}

}  // namespace
}  // namespace doozer::sim
