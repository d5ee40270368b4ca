// Power goes at all members, one never comes back, and the others' logs end in bytes that do not
// check: nobody can know what was acknowledged, so they wait, say for whom, and take a person's
// word.
#include "server/server.h"
#include "sim/world_fixture.h"

namespace doozer::sim {
namespace {

constexpr uint64_t kServers = 3;

struct Ignored final : door::WriteCompletion {
  void on_written(uint64_t, const door::WriteOutcome&) override {}
};

class LogInDoubtTest : public WorldFixture {
 protected:
  LogInDoubtTest() : WorldFixture(kServers) {}
  void SetUp() override {
    boot();
    gone_ = leader();
    gone_identity_ = identity(gone_);
    process(gone_).server().submit(core::NopView{}, ignored_, 0);
    run_for(3'000);
    for (uint64_t number = 1; number <= kServers; ++number) {
      world_.hold(number);
      world_.kill(number);
      damage_last_batch(world_.host(number).disk());
    }
    for (const uint64_t number : left()) world_.release(number);
    ASSERT_TRUE(
        until([this] { return cluster(left()[0]) != nullptr && cluster(left()[1]) != nullptr; }));
    for (const uint64_t number : left()) {
      ASSERT_EQ(core(number).trust(), raft::LogTrust::doubtful);
    }
  }
  /// In its marker: nothing behind it vouches for that.
  static void damage_last_batch(SimDisk& disk) {
    std::string path;
    size_t marker = 0;
    const std::vector<std::string> names = *disk.list("log");
    for (const std::string& name : names) {
      const size_t found = disk.peek("log/" + name)->rfind("doozsync");
      if (found == std::string::npos) continue;
      path = "log/" + name;
      marker = found;
    }
    disk.flip_bit(path, marker + 20, 0);
  }
  std::vector<uint64_t> left() const {
    std::vector<uint64_t> numbers;
    for (uint64_t number = 1; number <= kServers; ++number) {
      if (number != gone_) numbers.push_back(number);
    }
    return numbers;
  }
  const raft::Core& core(uint64_t number) { return cluster(number)->replica().core(); }
  void restart(uint64_t number) {
    world_.hold(number);
    world_.kill(number);
    world_.release(number);
    ASSERT_TRUE(until([&] { return cluster(number) != nullptr; }));
  }

  Ignored ignored_;
  uint64_t gone_ = 0;
  std::string gone_identity_;
};

TEST_F(LogInDoubtTest, TheyWaitForAllAndSayHowToGoOnWithoutOne) {
  run_for(40'000'000);
  EXPECT_EQ(leader(), 0U);
  for (const uint64_t number : left()) {
    const std::vector<std::string> told = logged(number, "no_leader");
    ASSERT_EQ(told.size(), 1U);
    EXPECT_NE(told[0].find("log=doubtful"), std::string::npos) << told[0];
    EXPECT_NE(told[0].find("away=" + gone_identity_), std::string::npos) << told[0];
    const std::string flag = "--trust-log " + std::to_string(core(number).last_index().value());
    EXPECT_NE(told[0].find(flag), std::string::npos) << told[0];
  }
  for (const uint64_t number : left()) {
    world_.host(number).config().trust_log = core(number).last_index().value();
    restart(number);
    EXPECT_EQ(logged(number, "log_trusted").size(), 1U);
    EXPECT_EQ(core(number).trust(), raft::LogTrust::sound);
  }
  EXPECT_TRUE(until([this] { return leader() != 0; }));
  run_for(2'000'000);
  // What a person said stays said, and the flag left where it was does nothing more.
  const uint64_t one = left()[0];
  restart(one);
  EXPECT_EQ(core(one).trust(), raft::LogTrust::sound);
  EXPECT_EQ(logged(one, "log_trusted").size(), 1U);
  EXPECT_EQ(logged(one, "log_not_trusted").size(), 1U);
}

TEST_F(LogInDoubtTest, WithAllMembersTheyGoOnByThemselves) {
  world_.release(gone_);
  EXPECT_TRUE(until([this] { return leader() != 0; }));
  EXPECT_TRUE(until([this] {
    return core(left()[0]).trust() == raft::LogTrust::sound &&
           core(left()[1]).trust() == raft::LogTrust::sound;
  }));
}

TEST_F(LogInDoubtTest, TheWordMustNameTheEntryAtWhichTheLogEnds) {
  const uint64_t one = left()[0];
  world_.host(one).config().trust_log = core(one).last_index().value() + 1;
  restart(one);
  EXPECT_EQ(core(one).trust(), raft::LogTrust::doubtful);
  ASSERT_EQ(logged(one, "log_not_trusted").size(), 1U);
  EXPECT_NE(logged(one, "log_not_trusted")[0].find("ends elsewhere"), std::string::npos);
}

}  // namespace
}  // namespace doozer::sim
