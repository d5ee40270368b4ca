// Cut off from the majority: no server takes a write for longer than two seconds, nothing that was
// taken hangs, and the servers say what they wait for.
#include <gtest/gtest.h>

#include "sim/world_fixture.h"

namespace doozer::sim {
namespace {

constexpr uint64_t kServers = 5;
constexpr uint64_t kReadOnlyWithinUs = 2'000'000;
constexpr uint64_t kEveryUs = 50'000;

struct Write final : door::WriteCompletion {
  void on_written(uint64_t, const door::WriteOutcome& told) override {
    ASSERT_FALSE(outcome.has_value());
    outcome = told.kind;
    told_us = world->now_us();
  }
  ClusterWorld* world = nullptr;
  uint64_t sent_us = 0;
  uint64_t told_us = 0;
  std::optional<door::WriteOutcome::Kind> outcome;
};

class MajorityGoneTest : public WorldFixture {
 protected:
  using Kind = door::WriteOutcome::Kind;

  MajorityGoneTest() : WorldFixture(kServers) {}
  void SetUp() override {
    boot();
    leader_ = leader();
    follower_ = leader_ % kServers + 1;
  }
  bool in_minority(uint64_t number) const { return number == leader_ || number == follower_; }
  /// Between the leader with one follower, and the other three.
  void set_cut(bool cut) {
    for (uint64_t a = 1; a <= kServers; ++a) {
      for (uint64_t b = 1; b <= kServers; ++b) {
        if (in_minority(a) == in_minority(b)) continue;
        PathFaults faults;
        faults.cut = cut;
        world_.network().set_faults(world_.host(a).host(), world_.host(b).host(), faults,
                                    world_.now_us());
      }
    }
  }
  Write& write(uint64_t number) {
    Write& one = *writes_.emplace_back(std::make_unique<Write>());
    one.world = &world_;
    one.sent_us = world_.now_us();
    process(number).server().submit(core::NopView{}, one, 0);
    return one;
  }

  std::vector<std::unique_ptr<Write>> writes_;
  uint64_t leader_ = 0;
  uint64_t follower_ = 0;
};

TEST_F(MajorityGoneTest, WithinTwoSecondsNoServerTakesAWriteAndNoneHangs) {
  set_cut(true);
  const uint64_t cut_us = world_.now_us();
  while (world_.now_us() < cut_us + 4 * kReadOnlyWithinUs) {
    for (const uint64_t number : {leader_, follower_}) write(number);
    run_for(kEveryUs);
  }
  for (const auto& one : writes_) {
    const uint64_t at_ms = (one->sent_us - cut_us) / 1'000;
    ASSERT_TRUE(one->outcome.has_value()) << at_ms;
    EXPECT_LE(one->told_us - one->sent_us, kReadOnlyWithinUs + kEveryUs) << at_ms;
    EXPECT_TRUE(*one->outcome == Kind::read_only || *one->outcome == Kind::unknown) << at_ms;
    if (one->sent_us - cut_us < kReadOnlyWithinUs) continue;
    EXPECT_EQ(*one->outcome, Kind::read_only) << at_ms;
    EXPECT_LT(one->told_us - one->sent_us, kEveryUs) << at_ms;
  }
}

TEST_F(MajorityGoneTest, WithinASecondOfItsReturnWritesGoOn) {
  set_cut(true);
  run_for(5'000'000);
  set_cut(false);
  const uint64_t healed_us = world_.now_us();
  uint64_t succeeded_us = 0;
  while (succeeded_us == 0 && world_.now_us() < healed_us + 5'000'000) {
    const Write& one = write(follower_);
    run_for(20'000);
    if (one.outcome == Kind::applied) succeeded_us = one.sent_us;
  }
  EXPECT_NE(succeeded_us, 0U);
  EXPECT_LT(succeeded_us - healed_us, 1'000'000U);
}

TEST_F(MajorityGoneTest, AServerThatNobodyLeadsSaysWhomItMisses) {
  set_cut(true);
  run_for(200'000'000);
  for (uint64_t number = 1; number <= kServers; ++number) {
    const std::vector<std::string> told = logged(number, "no_leader");
    ASSERT_EQ(told.size(), in_minority(number) ? 1U : 0U) << "not again within ten minutes";
    if (told.empty()) continue;
    for (uint64_t other = 1; other <= kServers; ++other) {
      const bool named = told[0].find(identity(other) + " at 10.") != std::string::npos;
      EXPECT_EQ(named, !in_minority(other)) << told[0];
    }
    EXPECT_NE(told[0].find("log=sound"), std::string::npos) << told[0];
  }
}

}  // namespace
}  // namespace doozer::sim
