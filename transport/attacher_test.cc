// A server without a cluster: what it asks, what it answers, when it boots or attaches.

#include "transport/attacher.h"

#include "transport/limits.h"
#include "transport/mesh_testing.h"

namespace doozer::transport {
namespace {

/// A server that waits, at host i.
class Seeker final : public AttacherEvents, private env::AcceptEvents, private LogSink {
 public:
  Seeker(sim::SimNetwork& network, uint64_t start_us, AttacherOptions options, std::string host)
      : clock_({.start_us = start_us}), net_(network, clock_, std::move(host)) {
    listener_ = std::move(*net_.listen({.address = options.advertise}, *this));
    attacher_ = std::make_unique<Attacher>(clock_, net_, std::move(options), *this, logger_);
    attacher_->start();
  }
  ~Seeker() override {
    attacher_.reset();
    waiting_.clear();
  }
  sim::SimClock& clock() { return clock_; }
  Attacher& attacher() { return *attacher_; }
  void die(bool silent) { net_.die(silent); }

  std::vector<AttachAnswer> attached;
  int booted = 0;
  std::vector<std::string> log;

 private:
  struct Waiting final : env::StreamEvents {
    void on_bytes(std::string_view bytes) override { adopt(std::string(bytes)); }
    void on_end() override {}
    void on_failed(const Error& /*error*/) override {}
    std::unique_ptr<env::Stream> stream;
    std::function<void(std::string)> adopt;
  };
  void on_attach(const AttachAnswer& answer) override { attached.push_back(answer); }
  void on_boot() override { ++booted; }
  void on_accept(std::unique_ptr<env::AcceptedStream> stream) override {
    waiting_.push_back(std::make_unique<Waiting>());
    Waiting* const one = waiting_.back().get();
    one->stream = stream->attach(*one);
    one->adopt = [this, one](std::string bytes) {
      std::unique_ptr<env::Stream> mine = std::move(one->stream);
      attacher_->adopt(std::move(mine), std::move(bytes));
    };
  }
  void on_refused(const Error& /*why*/, uint64_t /*count*/) override {}
  void write(const LogRecord& record) override { log.emplace_back(record.event); }

  sim::SimClock clock_;
  sim::SimNet net_;
  LogContext context_;
  Logger logger_{*this, context_, LogLevel::debug};
  std::vector<std::unique_ptr<Waiting>> waiting_;
  std::unique_ptr<env::Listener> listener_;
  std::unique_ptr<Attacher> attacher_;
};

class AttacherTest : public MeshWorld {
 protected:
  AttacherOptions seeker(size_t i, std::vector<std::string> addresses, bool boot = false) {
    AttacherOptions options;
    options.self = id(i);
    options.advertise = address(i);
    options.addresses = std::move(addresses);
    options.secret = "sesame";
    options.seed = i;
    options.boot = boot;
    return options;
  }
  void seek(size_t i, const AttacherOptions& options) {
    seekers_[i] = std::make_unique<Seeker>(*network_, now(), options, host(i));
  }
  Seeker& at(size_t i) { return *seekers_.at(i); }
  /// Meshes and seekers, a millisecond at a time.
  void run(uint64_t us) {
    for (uint64_t done = 0; done < us; done += 1'000) {
      run_for(1'000);
      for (const auto& [i, seeker] : seekers_) seeker->clock().run_until(now());
    }
  }
  AttachState::Kind kind(size_t i, size_t n) { return at(i).attacher().states().at(n).kind; }
  std::map<size_t, std::unique_ptr<Seeker>> seekers_;
};

TEST_F(AttacherTest, ItAttachesToTheFirstAddressThatHoldsACluster) {
  start(0, options(0));
  seek(5, seeker(5, {address(4), address(0)}));
  run(500'000);
  ASSERT_EQ(at(5).attached.size(), 1U);
  EXPECT_EQ(at(5).attached[0].cluster, cluster());
  EXPECT_EQ(at(5).attached[0].identity, id(0));
  EXPECT_EQ(at(5).attached[0].address, address(0));
  EXPECT_EQ(at(5).booted, 0);
  EXPECT_TRUE(mesh(0).peers().empty()) << "who only asks is no peer";
}

TEST_F(AttacherTest, ItWaitsUntilAnAddressAnswersAndThenAttaches) {
  seek(5, seeker(5, {address(0)}));
  const auto lines = [this] {
    return std::count(at(5).log.begin(), at(5).log.end(), "waiting_for_cluster");
  };
  run(3'000'000);
  EXPECT_EQ(lines(), 1);
  run(10'000'000);
  EXPECT_TRUE(at(5).attached.empty());
  EXPECT_EQ(kind(5, 0), AttachState::Kind::silent);
  EXPECT_FALSE(at(5).attacher().states()[0].why.empty());
  // Soon, since a person may be waiting too; then seldom.
  EXPECT_EQ(lines(), 2);
  start(0, options(0));
  run(2'000'000);
  EXPECT_EQ(at(5).attached.size(), 1U);
}

TEST_F(AttacherTest, WithoutBootItNeverBootsThoughAllHoldNone) {
  seek(1, seeker(1, {address(2)}));
  seek(2, seeker(2, {address(1)}));
  run(5'000'000);
  EXPECT_EQ(at(1).booted + at(2).booted, 0);
  EXPECT_EQ(kind(1, 0), AttachState::Kind::holds_none);
}

TEST_F(AttacherTest, BootWaitsForEveryAddressAndItsOwnCountsAsNone) {
  seek(1, seeker(1, {address(1), address(2), address(3)}, true));
  seek(2, seeker(2, {address(1)}));
  run(5'000'000);
  EXPECT_EQ(at(1).booted, 0) << "one address is silent";
  EXPECT_EQ(kind(1, 0), AttachState::Kind::ourselves);
  EXPECT_EQ(kind(1, 1), AttachState::Kind::holds_none);
  EXPECT_EQ(kind(1, 2), AttachState::Kind::silent);
  seek(3, seeker(3, {address(1)}));
  run(2'000'000);
  EXPECT_EQ(at(1).booted, 1);
  run(5'000'000);
  EXPECT_EQ(at(1).booted, 1) << "once";
  EXPECT_EQ(at(2).booted + at(3).booted, 0);
}

TEST_F(AttacherTest, AnAnswerGrowsOld) {
  seek(1, seeker(1, {address(2), address(3)}, true));
  seek(2, seeker(2, {address(1)}));
  run(2'000'000);
  at(2).die(true);
  seekers_.erase(2);
  run(5'000'000);
  EXPECT_EQ(kind(1, 0), AttachState::Kind::silent);
  seek(3, seeker(3, {address(1)}));
  run(3'000'000);
  EXPECT_EQ(at(1).booted, 0);
}

TEST_F(AttacherTest, BootAttachesWhereOneHoldsACluster) {
  start(0, options(0));
  seek(1, seeker(1, {address(0), address(2)}, true));
  run(1'000'000);
  EXPECT_EQ(at(1).booted, 0);
  EXPECT_EQ(at(1).attached.size(), 1U);
}

TEST_F(AttacherTest, OfTwoThatWereToldToBootTheLowerIdentityDoes) {
  seek(1, seeker(1, {address(1), address(2)}, true));
  seek(2, seeker(2, {address(1), address(2)}, true));
  run(5'000'000);
  EXPECT_EQ(at(1).booted, 1);
  EXPECT_EQ(at(2).booted, 0);
}

TEST_F(AttacherTest, AWrongSecretIsToldAndNeitherBootsNorAttaches) {
  start(0, options(0));
  AttacherOptions wrong = seeker(1, {address(0)}, true);
  wrong.secret = "open barley";
  seek(1, wrong);
  AttacherOptions none = seeker(2, {address(0)}, true);
  none.secret.clear();
  none.insecure_peers = true;
  seek(2, none);
  run(3'000'000);
  for (const size_t i : {1U, 2U}) {
    EXPECT_EQ(at(i).booted, 0);
    EXPECT_TRUE(at(i).attached.empty());
    EXPECT_NE(kind(i, 0), AttachState::Kind::holds) << i;
    EXPECT_NE(at(i).attacher().states()[0].why.find("secret"), std::string::npos)
        << at(i).attacher().states()[0].why;
  }
}

TEST_F(AttacherTest, AMeshThatDialsItIsToldThatItHoldsNone) {
  seek(1, seeker(1, {address(0)}));
  MeshOptions dials = options(0);
  dials.seeds = {address(1)};
  start(0, dials);
  run(300'000);
  // The dial itself makes it look again, and so it attaches at once.
  EXPECT_EQ(at(1).attached.size(), 1U);
  EXPECT_TRUE(mesh(0).peers().empty());
  EXPECT_TRUE(node(0).fatal.empty());
}

TEST_F(AttacherTest, AfterStopNothingIsHeard) {
  start(0, options(0));
  seek(1, seeker(1, {address(0)}));
  at(1).attacher().stop();
  run(1'000'000);
  EXPECT_TRUE(at(1).attached.empty());
}

}  // namespace
}  // namespace doozer::transport
