// The workload against one real server, through crashes and restarts.
#include "sim/workload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "sim/checkers/judge.h"
#include "sim/history_text.h"
#include "sim/server_process.h"

namespace doozer::sim {
namespace {

constexpr uint64_t kSecond = 1'000'000;

/// One server and the workload's clients. Who runs next is decided by virtual time.
class World {
 public:
  explicit World(const WorkloadOptions& options, uint64_t latency_us = 500)
      : network_(SimNetworkOptions{
            .seed = options.seed, .latency_us = latency_us, .jitter_us = latency_us / 2}),
        disk_(SimDiskOptions{.seed = options.seed}) {
    server_.config.segment_bytes = kMiB;
    start_server();
    workload_ = std::make_unique<Workload>(
        options, std::vector<std::string>{server_.address},
        [this](size_t client) {
          nets_.push_back(
              std::make_unique<SimNet>(network_, clock_, "10.1.0." + std::to_string(client + 1)));
          return ClientHost{.clock = &clock_, .net = nets_.back().get()};
        },
        history_);
  }
  ~World() { process_.reset(); }

  void start_server() {
    server_.start_us = clock_.now_us();
    if (lives_++ > 0) disk_.restart();
    process_ = std::make_unique<ServerProcess>(network_, disk_, server_);
    ASSERT_TRUE(process_->start());
  }
  void kill_server() { process_.reset(); }
  /// Nothing of what the server sends arrives any more.
  void cut() {
    const std::string server = server_.address.substr(0, server_.address.rfind(':'));
    for (size_t i = 1; i <= nets_.size(); ++i) {
      network_.set_faults(server, "10.1.0." + std::to_string(i), {.cut = true}, clock_.now_us());
    }
  }
  /// At the address of ours.
  void start_foreign_server() {
    ServerProcessOptions foreign = server_;
    foreign.seed = 77;
    foreign.start_us = clock_.now_us();
    process_ = std::make_unique<ServerProcess>(network_, foreign_disk_, foreign);
    ASSERT_TRUE(process_->start());
  }
  void step() {
    const auto theirs = process_ == nullptr ? std::nullopt : process_->clock().next_us();
    const auto ours = clock_.next_us();
    ASSERT_TRUE(theirs || ours);
    if (theirs && (!ours || *theirs <= *ours)) {
      process_->clock().run_turn();
    } else {
      clock_.run_turn();
    }
  }
  void run_for(uint64_t us) {
    bool passed = false;
    clock_.at(clock_.now_us() + us, [&passed] { passed = true; });
    while (!passed) step();
  }
  /// False if `done` does not come within so much virtual time.
  bool run_until(const std::function<bool()>& done, uint64_t us_max) {
    const uint64_t end = clock_.now_us() + us_max;
    while (!done() && clock_.now_us() < end) step();
    return done();
  }
  /// Stops the clients and lets everything be read.
  void finish() {
    workload_->stop_issuing();
    ASSERT_TRUE(run_until([this] { return workload_->quiesced(); }, 20 * kSecond));
    workload_->audit();
    ASSERT_TRUE(run_until([this] { return workload_->audited(); }, 600 * kSecond));
  }
  Workload& workload() { return *workload_; }
  const History& history() const { return history_; }
  uint64_t now_us() const { return clock_.now_us(); }
  const std::string& address() const { return server_.address; }

 private:
  SimNetwork network_;
  SimDisk disk_;
  SimDisk foreign_disk_{SimDiskOptions{.seed = 77}};
  SimClock clock_;
  ServerProcessOptions server_;
  History history_;
  std::vector<std::unique_ptr<SimNet>> nets_;
  std::unique_ptr<ServerProcess> process_;
  std::unique_ptr<Workload> workload_;
  uint64_t lives_ = 0;
};

TEST(Workload, DoesEverythingAndIsAnswered) {
  World world({});
  world.workload().start();
  world.run_for(5 * kSecond);
  world.finish();
  std::map<Action, uint64_t> ok;
  for (const Op& op : world.history().ops) {
    if (op.outcome == Outcome::ok) ++ok[op.kind];
  }
  for (const Action kind : {Action::set, Action::del, Action::nop, Action::get, Action::stat,
                            Action::walk, Action::getdir, Action::rev}) {
    EXPECT_GT(ok[kind], 10U) << kind_name(kind);
  }
  const WorkloadStatistics& statistics = world.workload().statistics();
  EXPECT_GT(statistics.writes_ok, 500U);
  EXPECT_GT(statistics.refused, 50U);  // compare-and-sets that lost
  EXPECT_EQ(statistics.unknown, 0U);
  EXPECT_GT(statistics.events, 500U);
  const Verdict verdict = judge(world.history());
  EXPECT_TRUE(verdict.ok()) << verdict.to_string();
  EXPECT_EQ(verdict.linear_unknown, 0U);
  EXPECT_TRUE(verdict.overlap.proves_something()) << verdict.to_string();
}

TEST(Workload, WhoeverGetsNoAnswerSaysSo) {
  World world({.slow_readers = 1});
  world.workload().start();
  world.run_for(5 * kSecond);
  EXPECT_TRUE(world.workload().take_silences().empty());
  world.cut();
  world.run_for(10 * kSecond);
  const auto silences = world.workload().take_silences();
  ASSERT_FALSE(silences.empty());
  for (const Workload::Silence& silence : silences) {
    EXPECT_EQ(silence.server, world.address());
    EXPECT_GT(silence.since_us, 0U);
  }
  EXPECT_TRUE(world.workload().take_silences().empty()) << "told twice";
}

TEST(Workload, ASeedDecidesEveryOperation) {
  const auto run = [](uint64_t seed) {
    World world({.seed = seed});
    world.workload().start();
    world.run_for(kSecond);
    return to_text(world.history());
  };
  const std::string first = run(1);
  EXPECT_EQ(run(1), first);
  EXPECT_NE(run(2), first);
}

TEST(Workload, ValuesAreUnique) {
  World world({});
  world.workload().start();
  world.run_for(2 * kSecond);
  std::set<std::string> values;
  for (const Op& op : world.history().ops) {
    if (op.kind != Action::set) continue;
    EXPECT_TRUE(values.insert(op.value).second) << op.value;
  }
}

TEST(Workload, AWriteUnderWayWhenTheServerDiesIsUnknownAndWatchesGoOn) {
  World world({});
  world.workload().start();
  for (int i = 0; i < 5; ++i) {
    world.run_for(kSecond);
    world.kill_server();
    world.run_for(kSecond / 4);
    world.start_server();
  }
  world.finish();
  EXPECT_GT(world.workload().statistics().unknown, 0U);
  for (const Op& op : world.history().ops) {
    EXPECT_FALSE(op.outcome == Outcome::unknown && !is_write(op.kind)) << describe(op);
  }
  for (const Stream& stream : world.history().streams) {
    ASSERT_FALSE(stream.notes.empty());
    EXPECT_EQ(stream.notes.back().kind, WatchNote::Kind::through) << stream.glob;
  }
  const Verdict verdict = judge(world.history());
  EXPECT_TRUE(verdict.ok()) << verdict.to_string();
}

TEST(Workload, AServerOfAnotherClusterIsLeftAlone) {
  World world({});
  world.workload().start();
  world.run_for(kSecond);
  world.kill_server();
  world.start_foreign_server();
  const uint64_t foreign_us = world.now_us();
  world.run_for(2 * kSecond);
  EXPECT_FALSE(world.workload().succeeded_since(world.address(), foreign_us));
  world.kill_server();
  world.start_server();
  world.run_for(kSecond);
  world.finish();
  const Verdict verdict = judge(world.history());
  EXPECT_TRUE(verdict.ok()) << verdict.to_string();
}

TEST(Workload, TheAuditWaitsForAWatchAsLongAsItHearsSomething) {
  // Ten events a second at the most, and 20 seconds of patience.
  World world({.library_clients = 0, .watchers = 1, .burst_us = 500'000}, 50'000);
  world.workload().start();
  world.run_for(8 * kSecond);
  const uint64_t stopped_us = world.now_us();
  world.finish();
  EXPECT_GT(world.now_us() - stopped_us, 60 * kSecond);
  const Verdict verdict = judge(world.history());
  EXPECT_TRUE(verdict.ok()) << verdict.to_string();
}

TEST(Workload, TellsWhenAWriteSucceededAtAServer) {
  World world({});
  EXPECT_FALSE(world.workload().last_success_us(world.address()).has_value());
  world.workload().start();
  world.run_for(kSecond);
  const uint64_t killed = world.now_us();
  ASSERT_TRUE(world.workload().last_success_us(world.address()).has_value());
  EXPECT_GT(*world.workload().last_success_us(world.address()) + kSecond / 4, killed);
  world.kill_server();
  world.run_for(kSecond);
  EXPECT_FALSE(world.workload().succeeded_since(world.address(), killed));
  world.start_server();
  world.run_for(kSecond);
  EXPECT_TRUE(world.workload().succeeded_since(world.address(), killed));
}

}  // namespace
}  // namespace doozer::sim
