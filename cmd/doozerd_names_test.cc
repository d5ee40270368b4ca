// Servers that look for each other in a name service, all of it simulated: whoever crashes, and
// whenever, there is one cluster in the end.
#include "cmd/doozerd_names.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "raft/quorum.h"
#include "sim/server_process.h"

namespace doozer::cmd {
namespace {

using sim::ServerProcess;
using sim::ServerProcessOptions;
using sim::SimDisk;

constexpr uint64_t kPatienceUs = 60'000'000;
constexpr std::string_view kNamesAddress = "10.0.9.9:8046";

std::string address_of(uint64_t number) { return "10.0.0." + std::to_string(number) + ":8046"; }

/// Number 0 is the name service.
class World {
 public:
  explicit World(uint64_t seed) : network_({.seed = seed}), rng_(seed) { start(0); }
  ~World() {
    if (up(0)) process(0).server().forget(static_cast<door::WriteCompletion&>(ignored_));
    processes_.clear();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Rng& rng() { return rng_; }
  uint64_t now_us() const { return now_us_; }
  bool up(uint64_t number) const { return processes_.contains(number); }
  ServerProcess& process(uint64_t number) { return *processes_.at(number); }
  bool serving(uint64_t number) { return up(number) && process(number).serving(); }
  SimDisk& disk(uint64_t number) {
    auto& disk = disks_[number];
    if (disk == nullptr) disk = std::make_unique<SimDisk>(sim::SimDiskOptions{.seed = rng_.next()});
    return *disk;
  }
  /// Its directory is lost.
  void wipe(uint64_t number) { disks_.erase(number); }

  void start(uint64_t number, const std::vector<std::string>& attach = {}) {
    ServerProcessOptions options;
    options.address = number == 0 ? std::string(kNamesAddress) : address_of(number);
    options.seed = rng_.next();
    options.start_us = now_us_;
    options.config.insecure_peers = true;
    options.config.slots = number == 0 ? 1 : 3;
    options.config.boot = number == 0;
    options.config.attach = attach;
    options.config.segment_bytes = kMiB;
    options.config.disk_reserve_bytes = kMiB;
    if (number != 0) with_names(options);
    if (lives_[number]++ > 0) disk(number).restart();
    auto process = std::make_unique<ServerProcess>(network_, disk(number), options);
    noted_.erase(number);
    if (process->start()) processes_[number] = std::move(process);
  }
  void kill(uint64_t number) {
    noted_.erase(number);
    processes_.erase(number);
  }

  /// Runs until `done`; false if it is not by then. Whoever ends is started again a second later.
  bool run(const std::function<bool()>& done, uint64_t us = kPatienceUs) {
    const uint64_t until = now_us_ + us;
    while (!done()) {
      if (now_us_ >= until || !step()) return done();
    }
    return true;
  }
  void run_for(uint64_t us) {
    const uint64_t until = now_us_ + us;
    run([&] { return now_us_ >= until; }, us);
  }
  /// Of all servers that ever made a cluster, what it is called.
  const std::set<std::string>& booted() const { return booted_; }

  /// A file at the name service.
  std::string told(const std::string& path) {
    const core::Found found = process(0).server().machine().find(path, std::nullopt);
    return found.kind == core::Found::Kind::file ? std::string(found.file.value) : "";
  }
  void set(const std::string& path, const std::string& value) {
    process(0).server().submit(core::SetView{.path = path, .revision = -1, .value = value},
                               ignored_, 0);
    CHECK(run([&] { return told(path) == value; }));
  }
  void del(const std::string& path) {
    process(0).server().submit(core::DelView{.path = path, .revision = -1}, ignored_, 0);
    CHECK(run([&] { return told(path).empty(); }));
  }
  std::string identity(uint64_t number) { return process(number).server().identity().to_string(); }

 private:
  void with_names(ServerProcessOptions& options) {
    options.config.boot_uri = "doozer:?cn=mine&ca=" + std::string(kNamesAddress);
    options.config.cluster = "mine";
    options.names = [seed = rng_.next(), uri = options.config.boot_uri](
                        env::Clock& clock, env::Net& net, const Logger& logger) {
      auto target = parse_boot_uri(uri, "mine");
      CHECK(target.has_value());
      auto names = ClientNames::make(clock, net, std::move(*target), seed, logger);
      CHECK(names.has_value());
      return std::unique_ptr<server::NameService>(std::move(*names));
    };
  }
  bool step() {
    std::optional<uint64_t> next;
    uint64_t turn = 0;
    for (const auto& [number, process] : processes_) {
      const auto at = process->clock().next_us();
      if (at && (!next || *at < *next)) {
        next = at;
        turn = number;
      }
    }
    const bool agenda = !agenda_.empty() && (!next || agenda_.begin()->first <= *next);
    if (agenda) {
      now_us_ = std::max(now_us_, agenda_.begin()->first);
      const uint64_t number = agenda_.begin()->second;
      agenda_.erase(agenda_.begin());
      if (!up(number)) start(number);
      return true;
    }
    if (!next) return false;
    now_us_ = std::max(now_us_, *next);
    ServerProcess& process = *processes_.at(turn);
    process.clock().run_turn();
    note_booted(turn, process);
    if (disk(turn).crashed() || process.stopped()) {
      kill(turn);
      agenda_.emplace(now_us_ + 1'000'000, turn);
    }
    return true;
  }
  void note_booted(uint64_t number, ServerProcess& process) {
    const server::Cluster* const part = process.server().cluster_part();
    if (number == 0 || part == nullptr || noted_.contains(number)) return;
    noted_.insert(number);
    if (process.log().has("booted")) booted_.insert(process.server().cluster().to_string());
  }

  struct Ignored final : door::WriteCompletion {
    void on_written(uint64_t, const door::WriteOutcome&) override {}
  };

  Ignored ignored_;
  sim::SimNetwork network_;
  Rng rng_;
  std::map<uint64_t, std::unique_ptr<SimDisk>> disks_;
  std::map<uint64_t, uint64_t> lives_;
  std::map<uint64_t, std::unique_ptr<ServerProcess>> processes_;
  std::multimap<uint64_t, uint64_t> agenda_;
  std::set<std::string> booted_;
  std::set<uint64_t> noted_;  ///< whose present process has been looked at
  uint64_t now_us_ = 1'000'000;
};

TEST(BootUri, NamesTheServiceAndTheCluster) {
  const auto plain = parse_boot_uri("doozer:?ca=a:1&ca=b&sk=hush", "ours");
  ASSERT_TRUE(plain.has_value()) << plain.error().message;
  EXPECT_EQ(plain->cluster, "ours") << "as in the original";
  EXPECT_EQ(plain->client.addresses, (std::vector<std::string>{"a:1", "b:8046"}));
  EXPECT_EQ(plain->client.secret, "hush");
  EXPECT_TRUE(plain->client.old_server_reads) << "it may be an original";
  EXPECT_EQ(parse_boot_uri("doozer:?ca=a:1&cn=theirs", "local")->cluster, "theirs");
  EXPECT_EQ(parse_boot_uri("doozer:?ca=a:1&cn=same", "same")->cluster, "same");
  for (const auto& [uri, cluster, words] :
       {std::tuple{"doozer:?cn=x", "x", "no address"}, std::tuple{"http://x", "x", "boot-uri: URI"},
        std::tuple{"doozer:?ca=a&cn=x", "y", "which is it"},
        std::tuple{"doozer:?ca=a&cn=a%2Fb", "local", "cannot stand"},
        std::tuple{"doozer:?ca=a", "*", "cannot stand"}}) {
    const auto bad = parse_boot_uri(uri, cluster);
    ASSERT_FALSE(bad.has_value()) << uri;
    EXPECT_EQ(bad.error().code, Code::bad_argument);
    EXPECT_NE(bad.error().message.find(words), std::string::npos) << bad.error().message;
  }
}

TEST(Names, WhoeverIsKilledWhileManyBeginThereIsOneClusterAndItIsPublished) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    ASSERT_TRUE(world.run([&] { return world.serving(0); }));
    for (uint64_t number = 1; number <= 3; ++number) {
      world.start(number);
      world.run_for(world.rng().below(1'000));  // they race
    }
    for (int i = 0; i < 3; ++i) {
      world.run_for(world.rng().below(300'000));
      const uint64_t victim = world.rng().below(4);  // the name service, too
      world.kill(victim);
      world.run_for(world.rng().below(300'000));
      world.start(victim);
    }
    ASSERT_TRUE(world.run([&] {
      for (uint64_t number = 0; number <= 3; ++number) {
        if (!world.serving(number)) return false;
      }
      return raft::all_voters(
                 world.process(1).server().cluster_part()->replica().core().configuration())
                 .size() == 3;
    }));
    EXPECT_LE(world.booted().size(), 1U);
    const Identity cluster = world.process(1).server().cluster();
    for (uint64_t number = 1; number <= 3; ++number) {
      EXPECT_EQ(world.process(number).server().cluster(), cluster);
      EXPECT_TRUE(world.run([&] {
        return world.told("/ctl/ns/mine/" + world.identity(number)) == address_of(number);
      })) << number;
    }
    EXPECT_FALSE(world.told("/ctl/boot/mine").empty());
  }
}

TEST(Names, WhereverTheFirstServersMachineCrashesItBootsInTheEnd) {
  uint64_t operations = 0;
  {
    World world(1);
    world.start(1);
    ASSERT_TRUE(world.run([&] { return world.serving(1); }));
    operations = world.disk(1).operations();
  }
  ASSERT_GT(operations, 10U);
  for (uint64_t number = 1; number <= operations; ++number) {
    const auto kind = sim::kCrashKinds[number % std::size(sim::kCrashKinds)];
    SCOPED_TRACE(std::string(sim::crash_kind_name(kind)) + " at " + std::to_string(number));
    World world(number);
    world.disk(1).crash_at(number, kind, sim::Moment::during);
    world.start(1);
    if (!world.up(1)) world.start(1);  // it crashed before its loop ran
    ASSERT_TRUE(world.run([&] { return world.serving(1); }));
    ASSERT_TRUE(world.run([&] { return world.told("/ctl/boot/mine") == world.identity(1); }))
        << "who is told to be the first is";
    EXPECT_FALSE(*world.disk(1).exists("candidate"));
  }
}

TEST(Names, WhatIsNoAddressIsSkippedAndTheOthersAreAsked) {
  World world(7);
  ASSERT_TRUE(world.run([&] { return world.serving(0); }));
  world.start(1);
  ASSERT_TRUE(world.run([&] { return world.serving(1); }));
  ASSERT_TRUE(world.run([&] { return !world.told("/ctl/ns/mine/" + world.identity(1)).empty(); }));
  const std::string long_one(300, 'h');
  int number = 0;
  for (const std::string& garbage :
       {std::string(), std::string("no port:"), std::string("\0\xff:1", 4), long_one + ":1",
        std::string(100'000, ':'), std::string("h:99999")}) {
    world.set("/ctl/ns/mine/AAA" + std::to_string(++number), garbage);
  }
  for (int i = 0; i < 200; ++i) {
    world.set("/ctl/ns/mine/ZZZ" + std::to_string(i), "10.0.8.1:" + std::to_string(1000 + i));
  }
  world.start(2);
  ASSERT_TRUE(world.run([&] { return world.serving(2); }));
  EXPECT_EQ(world.process(2).server().cluster(), world.process(1).server().cluster());
}

TEST(Names, AnEmptiedDirectoryNeverMakesASecondCluster) {
  World world(5);
  world.start(1);
  ASSERT_TRUE(world.run([&] { return world.serving(1); }));
  const std::string first = world.told("/ctl/boot/mine");
  world.kill(1);
  world.wipe(1);
  world.start(1);
  EXPECT_FALSE(world.run([&] { return world.serving(1); })) << "it waits";
  EXPECT_EQ(world.process(1).server().cluster_part(), nullptr);
  EXPECT_EQ(world.told("/ctl/boot/mine"), first);
  EXPECT_EQ(world.booted().size(), 1U);
}

TEST(Names, AClusterThatIsThereIsJoinedThoughNobodyWasElected) {
  World world(6);
  world.start(1);
  ASSERT_TRUE(world.run([&] { return world.serving(1) && !world.told("/ctl/boot/mine").empty(); }));
  world.del("/ctl/boot/mine");
  ASSERT_TRUE(
      world.run([&] { return world.told("/ctl/ns/mine/" + world.identity(1)) == address_of(1); }));
  world.start(2);
  ASSERT_TRUE(world.run([&] { return world.serving(2); }));
  EXPECT_EQ(world.process(2).server().cluster(), world.process(1).server().cluster());
  EXPECT_EQ(world.booted().size(), 1U);
}

}  // namespace
}  // namespace doozer::cmd
