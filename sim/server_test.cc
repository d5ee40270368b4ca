// What a client sees of the server that ships, in virtual time: start and restart, limits of a
// connection, stops, stuck and full disks.

#include <gtest/gtest.h>

#include <iostream>

#include "sim/one_server_world.h"

namespace doozer::sim {
namespace {

constexpr std::string_view kAddress = "127.0.0.1:8046";

ServerProcessOptions plain() {
  ServerProcessOptions options;
  options.config.segment_bytes = 1 * kMiB;
  options.config.disk_reserve_bytes = 1 * kMiB;
  return options;
}

wire::RequestView request(wire::Verb verb, std::string_view path = {}) {
  wire::RequestView view;
  view.verb = static_cast<int32_t>(verb);
  if (!path.empty()) view.path = path;
  return view;
}

wire::RequestView set_of(std::string_view path, std::string_view value, int64_t rev = -1) {
  wire::RequestView view = request(wire::Verb::set, path);
  view.value = value;
  view.rev = rev;
  return view;
}

wire::RequestView del_of(std::string_view path) {
  wire::RequestView view = request(wire::Verb::del, path);
  view.rev = -1;
  return view;
}

int32_t code(wire::ErrCode err) { return static_cast<int32_t>(err); }

class ServerTest : public testing::Test {
 protected:
  void TearDown() override {
    if (!HasFailure() || world_ == nullptr || !world_->running()) return;
    for (const std::string& line : world_->process().log().lines()) std::cout << line;
  }
  void boot(const ServerProcessOptions& options = plain(), const SimDiskOptions& disk = {}) {
    world_ = std::make_unique<OneServerWorld>(disk, options);
    start();
  }
  void start() {
    const auto started = world_->start();
    ASSERT_TRUE(started) << started.error().message;
    ASSERT_TRUE(world_->run([this] { return world_->process().serving(); }));
  }
  // Sends and waits for the answer.
  Answer ask(RawClient& client, const wire::RequestView& what) {
    const int32_t tag = client.send(what);
    EXPECT_TRUE(world_->run([&] { return client.answer(tag) != nullptr || client.failed(); }));
    return client.answer(tag) != nullptr ? *client.answer(tag) : Answer{};
  }
  std::unique_ptr<OneServerWorld> world_;
};

TEST_F(ServerTest, ANewClusterWritesItsFilesInThisOrderFromRevisionOne) {
  boot();
  const auto client = world_->connect();
  const std::string self = ask(*client, request(wire::Verb::self)).value;
  EXPECT_EQ(self.size(), 16U);
  const std::vector<std::pair<std::string, std::string>> wanted = {
      {"/ctl/name", "local"},
      {"/ctl/node/" + self + "/addr", std::string(kAddress)},
      {"/ctl/node/" + self + "/hostname", "simulated"},
      {"/ctl/node/" + self + "/version", "sim"},
      {"/ctl/cal/0", self},
      {"/ctl/ns/local/" + self, std::string(kAddress)},
      {"/ctl/node/" + self + "/writable", "true"}};
  for (size_t i = 0; i < wanted.size(); ++i) {
    const Answer answer = ask(*client, request(wire::Verb::get, wanted[i].first));
    EXPECT_EQ(answer.value, wanted[i].second) << wanted[i].first;
    EXPECT_EQ(answer.rev, static_cast<int64_t>(i) + 1) << wanted[i].first;
  }
  EXPECT_EQ(ask(*client, request(wire::Verb::rev)).rev, static_cast<int64_t>(wanted.size()));
}

TEST_F(ServerTest, ARestartKeepsIdentityAndDataAndWritesOnlyWhatChanged) {
  boot();
  auto client = world_->connect();
  const std::string self = ask(*client, request(wire::Verb::self)).value;
  const int64_t rev = ask(*client, set_of("/a", "one", 0)).rev;
  EXPECT_EQ(rev, 8);
  world_->kill();
  start();
  client = world_->connect();
  EXPECT_EQ(ask(*client, request(wire::Verb::self)).value, self);
  EXPECT_EQ(ask(*client, request(wire::Verb::rev)).rev, rev);
  EXPECT_EQ(ask(*client, request(wire::Verb::get, "/a")).value, "one");
  // The history came back too.
  wire::RequestView old = request(wire::Verb::get, "/a");
  old.rev = rev - 1;
  EXPECT_EQ(ask(*client, old).rev, 0);
}

TEST_F(ServerTest, MoreSlotsAreMadeEmptyAtBoot) {
  ServerProcessOptions options = plain();
  options.config.slots = 3;
  boot(options);
  const auto client = world_->connect();
  const Answer stat = ask(*client, request(wire::Verb::stat, "/ctl/cal"));
  EXPECT_EQ(stat.rev, -2);
  EXPECT_EQ(stat.len, 3);
  EXPECT_EQ(ask(*client, request(wire::Verb::get, "/ctl/cal/2")).value, "");
}

TEST_F(ServerTest, AnEmptyDirectoryBootsOnLoopbackOnlyUnlessToldTo) {
  ServerProcessOptions options = plain();
  options.address = "0.0.0.0:8046";
  OneServerWorld refused({}, options);
  const auto started = refused.start();
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("--boot"), std::string::npos);
  options.config.boot = true;
  OneServerWorld booted({}, options);
  EXPECT_TRUE(booted.start());
}

TEST_F(ServerTest, WhoListensOnEveryInterfaceTellsOthersAnAddressThatTheyCanDial) {
  ServerProcessOptions options = plain();
  options.address = "0.0.0.0:8046";
  options.own_host = "10.0.0.7";
  options.config.boot = true;
  boot(options);
  const auto told = [this] {
    const auto client = world_->connect();
    const std::string self = ask(*client, request(wire::Verb::self)).value;
    return ask(*client, request(wire::Verb::get, "/ctl/node/" + self + "/addr")).value;
  };
  EXPECT_EQ(told(), "10.0.0.7:8046");
  EXPECT_TRUE(world_->process().log().has("address_chosen"));
  EXPECT_FALSE(world_->process().log().has("address_changed"));
  options.config.advertise = "db.example.org:1";
  boot(options);
  EXPECT_EQ(told(), "db.example.org:1");
  EXPECT_FALSE(world_->process().log().has("address_chosen"));
}

TEST_F(ServerTest, ARestartUnderAnotherAddressWarnsOfBoth) {
  ServerProcessOptions options = plain();
  options.address = "0.0.0.0:8046";
  options.own_host = "10.0.0.7";
  options.config.boot = true;
  boot(options);
  world_->run_for(10'000'000);  // until it is in the register
  const struct {
    const char* host;
    bool warns;
  } starts[] = {{"10.0.0.7", false}, {"10.0.0.8", true}, {"10.0.0.8", false}};
  for (const auto& start_at : starts) {
    world_->kill();
    world_->disk().restart();
    world_->set_own_host(start_at.host);
    start();
    world_->run_for(10'000'000);
    const SimLog& log = world_->process().log();
    EXPECT_EQ(log.has("address_changed"), start_at.warns) << start_at.host;
    EXPECT_EQ(log.has("known_to_others=10.0.0.7:8046 told_now=10.0.0.8:8046"), start_at.warns);
  }
}

TEST_F(ServerTest, WhoAttachesToItselfAloneSaysThatNobodyWillAnswer) {
  for (const bool other : {false, true}) {
    ServerProcessOptions options = plain();
    options.config.attach = {std::string(kAddress)};
    if (other) options.config.attach.push_back("127.0.0.1:9");
    world_ = std::make_unique<OneServerWorld>(SimDiskOptions(), options);
    ASSERT_TRUE(world_->start());
    world_->run_for(10'000'000);
    EXPECT_EQ(world_->process().log().has("attach_names_itself"), !other);
    EXPECT_EQ(world_->process().server().cluster_part(), nullptr);
  }
}

TEST_F(ServerTest, ADirectoryWithoutItsLogIsRefusedAndLeftAlone) {
  boot();
  world_->kill();
  world_->disk().restart();
  const std::vector<std::string> names = world_->disk().list("log").value();
  for (const std::string& name : names) {
    ASSERT_TRUE(world_->disk().remove("log/" + name));
  }
  const auto started = world_->start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::corrupt) << started.error().message;
}

TEST_F(ServerTest, WritesOfOneConnectionAreAppliedInTheOrderSent) {
  boot();
  const auto client = world_->connect();
  std::vector<int32_t> tags;
  for (int i = 0; i < 200; ++i) tags.push_back(client->send(set_of("/same", std::to_string(i))));
  ASSERT_TRUE(world_->run([&] { return client->answers() == tags.size(); }));
  for (size_t i = 1; i < tags.size(); ++i) {
    EXPECT_EQ(client->answer(tags[i])->rev, client->answer(tags[i - 1])->rev + 1);
  }
  EXPECT_EQ(ask(*client, request(wire::Verb::get, "/same")).value, "199");
}

TEST_F(ServerTest, LinearizableReadsSeeEveryAcknowledgedWrite) {
  boot();
  const auto writer = world_->connect();
  const auto reader = world_->connect();
  for (int i = 0; i < 20; ++i) {
    const std::string value = std::to_string(i);
    ask(*writer, set_of("/lin", value));
    wire::RequestView get = request(wire::Verb::get, "/lin");
    get.mode = wire::kModeLinearizable | wire::kModeTellMore;
    const Answer answer = ask(*reader, get);
    EXPECT_EQ(answer.value, value);
    EXPECT_GE(answer.store_rev.value_or(0), answer.rev);
  }
}

TEST_F(ServerTest, AHalfClosedConnectionGetsItsAnswersThenAnEnd) {
  boot();
  const auto client = world_->connect();
  const int32_t set = client->send(set_of("/x", "1"));
  wire::RequestView wait = request(wire::Verb::wait, "/never");
  wait.rev = 1;
  const int32_t waiting = client->send(wait);
  const int32_t get = client->send(request(wire::Verb::get, "/ctl/name"));
  client->shutdown();
  ASSERT_TRUE(world_->run([&] { return client->ended() || client->failed(); }));
  EXPECT_NE(client->answer(set), nullptr);
  EXPECT_NE(client->answer(get), nullptr);
  EXPECT_EQ(client->answer(waiting), nullptr);
  EXPECT_FALSE(client->failed());
}

TEST_F(ServerTest, AClientThatStopsInTheMiddleOfAFrameIsCut) {
  ServerProcessOptions options = plain();
  options.config.frame_complete_us_max = 2'000'000;
  boot(options);
  const auto client = world_->connect();
  const auto other = world_->connect();
  client->send_bytes(
      std::string("\0\0\0\x10"
                  "abc",
                  7));
  world_->run_for(1'500'000);
  EXPECT_FALSE(client->failed() || client->ended());
  world_->run_for(1'000'000);
  EXPECT_TRUE(client->failed() || client->ended());
  EXPECT_TRUE(world_->process().log().has("not finished in time"));
  EXPECT_EQ(ask(*other, request(wire::Verb::get, "/ctl/name")).value, "local");
}

TEST_F(ServerTest, AFrameOverTheLimitClosesThatConnectionWithAReason) {
  boot();
  for (const std::string& head :
       {std::string("\x7f\xff\xff\xff", 4), std::string("\xff\xff\xff\xff", 4)}) {
    const auto client = world_->connect();
    const int32_t before = client->send(request(wire::Verb::get, "/ctl/name"));
    client->send_bytes(head + "xxxx");
    ASSERT_TRUE(world_->run([&] { return client->ended() || client->failed(); }));
    EXPECT_NE(client->answer(before), nullptr) << "what came before is answered";
  }
  EXPECT_TRUE(world_->process().log().has("connection_closed"));
}

TEST_F(ServerTest, AClientThatReadsNothingCostsLittleAndIsCut) {
  ServerProcessOptions options = plain();
  options.config.unsent_stall_us_max = 5'000'000;
  boot(options);
  const auto client = world_->connect();
  ask(*client, set_of("/big", std::string(kValueBytesMax, 'b')));
  const size_t before = client->answers();
  client->pause_reading();
  for (int i = 0; i < 10'000; ++i) client->send(request(wire::Verb::get, "/big"));
  world_->run_for(2'000'000);
  const auto other = world_->connect();
  EXPECT_EQ(ask(*other, request(wire::Verb::get, "/ctl/name")).value, "local");
  world_->run_for(5'000'000);
  EXPECT_TRUE(world_->process().log().has("takes no answers"));
  client->resume_reading();
  ASSERT_TRUE(world_->run([&] { return client->ended() || client->failed(); }));
  EXPECT_LT(client->answers() - before, 16U);
}

TEST_F(ServerTest, ASlowReaderGetsEverythingInTheEnd) {
  boot();
  const auto client = world_->connect();
  ask(*client, set_of("/big", std::string(kValueBytesMax, 'b')));
  const size_t before = client->answers();
  for (int i = 0; i < 40; ++i) client->send(request(wire::Verb::get, "/big"));
  ASSERT_TRUE(world_->run([&] { return client->answers() == before + 40; }));
}

TEST_F(ServerTest, AFloodOfBadConnectionsIsToldInAFewLinesAndANumber) {
  boot();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 300; ++i) {
    clients.push_back(world_->connect());
    clients.back()->send_bytes("GET / HTTP/1.0");
  }
  world_->run_for(3'000'000);
  size_t lines = 0;
  for (const std::string& line : world_->process().log().lines()) {
    lines += line.find("connection_closed") != std::string::npos ? 1U : 0U;
  }
  EXPECT_GT(lines, 0U);
  EXPECT_LE(lines, 20U);
  EXPECT_TRUE(world_->process().log().has("connection_lines_not_logged"));
}

TEST_F(ServerTest, ConnectionsOverTheLimitAreRefusedAndTheOthersGoOn) {
  ServerProcessOptions options = plain();
  options.config.connections_max = 5;
  boot(options);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(world_->connect());
  world_->run_for(100'000);
  int alive = 0;
  for (const auto& client : clients) {
    if (client->failed() || client->ended()) continue;
    ++alive;
    EXPECT_EQ(ask(*client, request(wire::Verb::get, "/ctl/name")).value, "local");
  }
  EXPECT_EQ(alive, 5);
  EXPECT_TRUE(world_->process().log().has("connections-max is reached"));
  clients.clear();
  world_->run_for(2'000'000);
  const auto late = world_->connect();
  EXPECT_EQ(ask(*late, request(wire::Verb::get, "/ctl/name")).value, "local");
}

TEST_F(ServerTest, AGracefulStopAnswersAllThatIsUnderWay) {
  boot();
  const auto client = world_->connect();
  ask(*client, request(wire::Verb::rev));
  std::vector<int32_t> tags;
  for (int i = 0; i < 500; ++i) tags.push_back(client->send(set_of("/s" + std::to_string(i), "v")));
  ASSERT_TRUE(world_->run([&] { return client->answers() > 20; }));
  world_->process().server().stop();
  ASSERT_TRUE(world_->run([&] { return client->ended() || client->failed(); }));
  EXPECT_FALSE(client->failed());
  for (const int32_t tag : tags) {
    ASSERT_NE(client->answer(tag), nullptr);
    EXPECT_EQ(client->answer(tag)->err_code, 0);
  }
  client->close();
  ASSERT_TRUE(world_->run([&] { return !world_->running(); }));
}

TEST_F(ServerTest, AStoppingServerSoonAnswersReadOnlyAndEndsThoughAClientStays) {
  boot();
  const auto client = world_->connect();
  ask(*client, request(wire::Verb::rev));
  ServerProcess& process = world_->process();
  process.server().stop();
  process.server().stop();
  EXPECT_EQ(ask(*client, set_of("/still", "taken")).err_code, 0);
  const uint64_t began = world_->now_us();
  ASSERT_TRUE(world_->run([&] { return !world_->running(); }));
  EXPECT_LT(world_->now_us() - began, 4'000'000U);
  EXPECT_TRUE(client->ended());
}

TEST_F(ServerTest, AStopWithoutConnectionsIsQuickAndLeavesASoundLog) {
  boot();
  const uint64_t began = world_->now_us();
  world_->process().server().stop();
  ASSERT_TRUE(world_->run([&] { return !world_->running(); }));
  EXPECT_LT(world_->now_us() - began, 100'000U);
  start();
  EXPECT_FALSE(world_->process().log().has("doubtful=true"));
}

TEST_F(ServerTest, AWriteThatTheDiskDoesNotFinishBecomesUnknownAfterTwoSeconds) {
  boot();
  const auto plain_client = world_->connect();
  const auto client = world_->connect();
  ask(*plain_client, request(wire::Verb::rev));
  ask(*client, request(wire::Verb::rev));
  world_->process().lanes().stall_until(env::Lane::log, world_->now_us() + 10'000'000);
  wire::RequestView extended = set_of("/stuck", "1");
  extended.mode = wire::kModeTellMore;
  const int32_t tag = client->send(extended);
  const int32_t plain_tag = plain_client->send(set_of("/stuck2", "1"));
  ASSERT_TRUE(world_->run([&] {
    return client->answer(tag) != nullptr && (plain_client->failed() || plain_client->ended());
  }));
  EXPECT_EQ(client->answer(tag)->err_code, code(wire::ErrCode::other));
  EXPECT_EQ(client->answer(tag)->outcome, wire::kOutcomeUnknown);
  EXPECT_EQ(plain_client->answer(plain_tag), nullptr) << "an old client is only cut";
  // Reads went on all the time.
  const auto reader = world_->connect();
  EXPECT_EQ(ask(*reader, request(wire::Verb::get, "/ctl/name")).value, "local");
  // When the disk comes back, so do writes.
  world_->run_for(12'000'000);
  const auto late = world_->connect();
  EXPECT_EQ(ask(*late, set_of("/after", "1")).err_code, 0);
}

TEST_F(ServerTest, AConnectionThatIsResetWithWritesUnderWayIsForgottenAndTheyHappen) {
  boot();
  auto client = world_->connect();
  ask(*client, request(wire::Verb::rev));
  world_->process().lanes().stall_until(env::Lane::log, world_->now_us() + 500'000);
  for (int i = 0; i < 50; ++i) client->send(set_of("/reset/" + std::to_string(i), "kept"));
  wire::RequestView linearizable = request(wire::Verb::get, "/reset/0");
  linearizable.mode = wire::kModeLinearizable;
  client->send(linearizable);
  // An answer that was not read makes the close a reset, which leaves nothing to wait for.
  client->pause_reading();
  client->send(request(wire::Verb::get, "/ctl/name"));
  world_->run_for(10'000);
  client->close();
  world_->run_for(2'000'000);
  const auto other = world_->connect();
  EXPECT_EQ(ask(*other, request(wire::Verb::get, "/reset/49")).value, "kept");
  EXPECT_NE(ask(*other, request(wire::Verb::status)).value.find("\"open\":1,"), std::string::npos);
}

TEST_F(ServerTest, AFailedSyncStopsTheServerAndNamesTheLog) {
  boot();
  const auto client = world_->connect();
  ask(*client, request(wire::Verb::rev));
  world_->disk().on_operation([](const Operation& operation) {
    Fate fate;
    if (operation.kind == DiskOp::sync) fate.kind = Fate::Kind::fail;
    return fate;
  });
  const int32_t tag = client->send(set_of("/x", "1"));
  ServerProcess* const process = &world_->process();
  ASSERT_TRUE(world_->run([&] { return process->stopped().has_value() || !world_->running(); }));
  world_->run_for(10'000);
  EXPECT_EQ(client->answer(tag), nullptr);
  EXPECT_FALSE(world_->running());
}

TEST_F(ServerTest, AFullDiskRefusesSetsTakesDelsAndRecoversByItself) {
  ServerProcessOptions options = plain();
  options.config.segment_bytes = 256 * kKiB;
  options.config.disk_reserve_bytes = 256 * kKiB;
  options.config.history = 10;
  boot(options, {.capacity_bytes = 6 * kMiB});
  const auto client = world_->connect();
  Answer last;
  int kept = 0;
  for (; kept < 2000; ++kept) {
    last = ask(*client, set_of("/fill/" + std::to_string(kept), std::string(20'000, 'f')));
    if (last.err_code != 0) break;
  }
  ASSERT_EQ(last.err_code, code(wire::ErrCode::other)) << kept;
  EXPECT_NE(last.err_detail.find("disk full"), std::string::npos) << last.err_detail;
  EXPECT_EQ(ask(*client, request(wire::Verb::get, "/fill/0")).value.size(), 20'000U);
  for (int i = 0; i < 20 && i < kept; ++i) {
    EXPECT_EQ(ask(*client, del_of("/fill/" + std::to_string(i))).err_code, 0);
  }
  world_->disk().set_capacity(60 * kMiB);
  world_->run_for(15'000'000);
  const Answer again = ask(*client, set_of("/again", "1"));
  EXPECT_EQ(again.err_code, 0) << again.err_detail;
}

TEST_F(ServerTest, SnapshotsOfLargeValuesAreTakenAndReadBack) {
  ServerProcessOptions options = plain();
  options.snapshots.log_bytes = 4 * kMiB;
  options.config.history = 5;
  boot(options);
  auto client = world_->connect();
  for (int i = 0; i < 30; ++i) {
    ask(*client, set_of("/large/" + std::to_string(i),
                        std::string(kValueBytesMax - static_cast<size_t>(i), 'a')));
  }
  world_->run_for(5'000'000);
  EXPECT_TRUE(world_->process().log().has("snapshot_taken"));
  world_->kill();
  start();
  client = world_->connect();
  for (const int i : {0, 13, 29}) {
    const std::string path = "/large/" + std::to_string(i);
    EXPECT_EQ(ask(*client, request(wire::Verb::get, path)).value.size(),
              kValueBytesMax - static_cast<size_t>(i));
  }
}

TEST_F(ServerTest, TheHistorySurvivesSnapshotsLogCutsAndRestarts) {
  ServerProcessOptions options = plain();
  options.config.segment_bytes = kSegmentBytesMin;
  options.config.history = 300;
  options.snapshots.log_bytes = 50 * kKiB;
  boot(options);
  auto client = world_->connect();
  int64_t newest = 0;
  for (int i = 0; i < 1500; ++i) {
    newest = ask(*client, set_of("/h", std::to_string(i) + std::string(200, 'h'))).rev;
  }
  EXPECT_GT(world_->process().server().status().find("\"taken\":"), 0U);
  EXPECT_TRUE(world_->process().log().has("snapshot_taken"));
  world_->kill();
  start();
  client = world_->connect();
  for (const int64_t back : {0, 1, 150, 299}) {
    wire::RequestView get = request(wire::Verb::get, "/h");
    get.rev = newest - back;
    EXPECT_EQ(ask(*client, get).value, std::to_string(1499 - back) + std::string(200, 'h'));
  }
  wire::RequestView get = request(wire::Verb::get, "/h");
  get.rev = newest - 300;
  EXPECT_EQ(ask(*client, get).err_code, code(wire::ErrCode::too_late));
}

}  // namespace
}  // namespace doozer::sim
