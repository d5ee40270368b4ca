// The server that ships, under load, dies at any disk operation in any way, comes back, and may die
// again while it recovers. Checked after each: nothing acknowledged is missing, nothing refused is
// there, revisions are never reused, old revisions read as they were.

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/probe.h"
#include "sim/one_server_world.h"

namespace doozer::sim {
namespace {

constexpr int kClients = 3;
constexpr int kKeysEach = 5;
constexpr int kWritesEach = 120;
constexpr size_t kWindow = 6;

ServerProcessOptions small_server(uint64_t seed) {
  ServerProcessOptions options;
  options.seed = seed;
  options.config.segment_bytes = kSegmentBytesMin;
  options.config.history = 200;
  options.config.disk_reserve_bytes = 64 * kKiB;
  options.snapshots.log_bytes = 40 * kKiB;
  return options;
}

// What one key may hold: the last write known, and those after it whose outcome is not known.
struct Key {
  std::string known;  ///< empty: no file
  int64_t known_rev = 0;
  struct Attempt {
    std::string value;  ///< empty: a DEL
    int32_t tag = 0;
    bool conflicting = false;  ///< names an old revision: must be refused
  };
  std::vector<Attempt> open;  ///< sent and not answered, in order
};

// One connection's worth of writes. Only this writer touches its keys, so it knows what they hold.
class Writer {
 public:
  Writer(int number, uint64_t seed) : number_(number), rng_(seed) {}

  std::string path(int key) const {
    return "/w" + std::to_string(number_) + "/k" + std::to_string(key);
  }
  bool finished() const { return sent_ == kWritesEach && in_flight_.empty(); }
  bool connected() const { return client_ != nullptr; }
  void connect(OneServerWorld& world) { client_ = world.connect(); }

  // Sends up to the window, takes answers. False: an answer was wrong.
  void pump() {
    if (client_ == nullptr) return;
    take_answers();
    while (sent_ < kWritesEach && in_flight_.size() < kWindow) send_one();
    if (client_->failed() || client_->ended()) client_.reset();
  }

  // The connection is gone: what was not answered is unknown.
  void lose() { client_.reset(); }
  bool lost() const { return client_ == nullptr; }

  // After a restart: each key must hold what is known, or one of the writes after it.
  void check_key(int key, const std::string& value, int64_t rev) {
    Key& state = keys_[key];
    bool allowed = value == state.known && (rev == state.known_rev || state.known_rev == 0);
    for (const Key::Attempt& attempt : state.open) {
      if (attempt.value == value && !attempt.conflicting) allowed = true;
    }
    EXPECT_TRUE(allowed) << path(key) << " holds \"" << value << "\" at " << rev << ", known is \""
                         << state.known << "\" at " << state.known_rev << " with "
                         << state.open.size() << " open";
    state.known = value;
    state.known_rev = rev;
    state.open.clear();
  }
  void forget_in_flight() { in_flight_.clear(); }
  const std::map<int64_t, std::pair<std::string, std::string>>& acknowledged() const {
    return acknowledged_;
  }

 private:
  void send_one() {
    const int key = static_cast<int>(rng_.below(kKeysEach));
    Key& state = keys_[key];
    Key::Attempt attempt;
    wire::RequestView request;
    const std::string where = path(key);
    request.path = where;
    const uint64_t kind = rng_.below(10);
    if (kind == 0) {
      request.verb = static_cast<int32_t>(wire::Verb::del);
      request.rev = -1;
    } else {
      attempt.value = "v" + std::to_string(number_) + "." + std::to_string(sent_) + "." +
                      std::string(rng_.below(400), 'x');
      request.verb = static_cast<int32_t>(wire::Verb::set);
      request.value = attempt.value;
      request.rev = -1;
      // A revision below the file's, which nobody else touches: it must be refused.
      if (kind == 1 && state.known_rev > 1 && state.open.empty()) {
        request.rev = state.known_rev - 1;
        attempt.conflicting = true;
      }
    }
    attempt.tag = client_->send(request);
    in_flight_[attempt.tag] = key;
    state.open.push_back(attempt);
    ++sent_;
  }

  void take_answers() {
    std::vector<int32_t> done;
    for (const auto& [tag, key] : in_flight_) {
      const Answer* answer = client_->answer(tag);
      if (answer == nullptr) continue;
      done.push_back(tag);
      settle(keys_[key], tag, *answer, path(key));
    }
    for (const int32_t tag : done) in_flight_.erase(tag);
  }

  void settle(Key& state, int32_t tag, const Answer& answer, const std::string& where) {
    for (size_t i = 0; i < state.open.size(); ++i) {
      const Key::Attempt attempt = state.open[i];
      if (attempt.tag != tag) continue;
      if (answer.err_code != 0) {
        EXPECT_TRUE(attempt.conflicting ||
                    answer.err_code == static_cast<int32_t>(wire::ErrCode::read_only) ||
                    answer.err_code == static_cast<int32_t>(wire::ErrCode::other))
            << answer.err_detail;
        state.open.erase(state.open.begin() + static_cast<std::ptrdiff_t>(i));
        return;
      }
      EXPECT_FALSE(attempt.conflicting) << where;
      // Answers of one connection come in the order of the writes: all before are settled.
      EXPECT_EQ(i, 0U) << where;
      state.known = attempt.value;
      state.known_rev = answer.rev;
      state.open.erase(state.open.begin(), state.open.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      if (!attempt.value.empty()) acknowledged_[answer.rev] = {where, attempt.value};
      return;
    }
  }

  int number_;
  Rng rng_;
  std::unique_ptr<RawClient> client_;
  int sent_ = 0;
  std::map<int32_t, int> in_flight_;
  std::map<int, Key> keys_;
  std::map<int64_t, std::pair<std::string, std::string>> acknowledged_;
};

wire::RequestView verb_only(wire::Verb verb) {
  wire::RequestView request;
  request.verb = static_cast<int32_t>(verb);
  return request;
}

class CrashRun {
 public:
  explicit CrashRun(uint64_t seed) : world_({.seed = seed}, small_server(seed)) {
    for (int i = 0; i < kClients; ++i)
      writers_.emplace_back(i, seed * 10 + static_cast<uint64_t>(i));
  }

  // Runs the workload to its end through every crash that the disk has planned.
  void run() {
    for (int life = 0; life < 8; ++life) {
      if (!start()) continue;
      check_after_restart();
      if (!world_.running()) continue;
      if (serve()) {
        check_after_restart();
        return;
      }
    }
    FAIL() << "the server did not come back to finish its work";
  }
  SimDisk& disk() { return world_.disk(); }

 private:
  // False: it crashed on its way.
  bool start() {
    const auto started = world_.start();
    if (!started) {
      EXPECT_TRUE(world_.disk().crashed() || started.error().code == Code::io_error)
          << started.error().message;
      return false;
    }
    return world_.run([&] { return !world_.running() || world_.process().serving(); }) &&
           world_.running();
  }

  bool serve() {
    for (Writer& writer : writers_) writer.connect(world_);
    const bool done = world_.run([&] {
      bool all = true;
      for (Writer& writer : writers_) {
        writer.pump();
        all = all && writer.finished();
      }
      return all || !world_.running();
    });
    EXPECT_TRUE(done);
    // Resets are still on their way to the clients: answers that left before them count.
    if (!world_.running()) world_.run_for(10'000);
    bool all = true;
    for (Writer& writer : writers_) {
      writer.pump();
      all = all && writer.finished();
      writer.lose();
    }
    return all && world_.running();
  }

  struct Question {
    Writer* writer = nullptr;
    int key = 0;
    int32_t tag = 0;
  };

  // Asks for every key; a crash on the way leaves the rest for the next life.
  void check_after_restart() {
    auto client = world_.connect();
    std::vector<Question> questions;
    for (Writer& writer : writers_) {
      for (int key = 0; key < kKeysEach; ++key) {
        const std::string path = writer.path(key);
        wire::RequestView get;
        get.verb = static_cast<int32_t>(wire::Verb::get);
        get.path = path;
        questions.push_back({&writer, key, client->send(get)});
      }
    }
    const int32_t rev_tag = client->send(verb_only(wire::Verb::rev));
    // A boot that was cut short is finished by the next start.
    const int32_t self_tag = client->send(verb_only(wire::Verb::self));
    wire::RequestView slot = verb_only(wire::Verb::get);
    slot.path = "/ctl/cal/0";
    const int32_t slot_tag = client->send(slot);
    const size_t wanted = questions.size() + 3;
    world_.run([&] { return client->answers() == wanted || !world_.running(); });
    if (client->answers() < wanted) return;
    EXPECT_EQ(client->answer(slot_tag)->value, client->answer(self_tag)->value);
    for (const Question& question : questions) {
      const Answer& answer = *client->answer(question.tag);
      question.writer->check_key(question.key, answer.value, answer.rev);
    }
    for (Writer& writer : writers_) writer.forget_in_flight();
    check_history(*client, client->answer(rev_tag)->rev);
  }

  // Whatever was acknowledged is there at its revision, and no revision was given twice.
  void check_history(RawClient& client, int64_t store_rev) {
    std::set<int64_t> seen;
    std::vector<std::pair<int32_t, std::string>> asked;
    for (const Writer& writer : writers_) {
      for (const auto& [rev, what] : writer.acknowledged()) {
        EXPECT_LE(rev, store_rev);
        EXPECT_TRUE(seen.insert(rev).second) << "revision " << rev << " was given twice";
        if (rev <= store_rev - 150) continue;  // may have left the history
        wire::RequestView get;
        get.verb = static_cast<int32_t>(wire::Verb::get);
        get.path = what.first;
        get.rev = rev;
        asked.emplace_back(client.send(get), what.second);
      }
    }
    world_.run([&] {
      return !world_.running() || (asked.empty() || client.answer(asked.back().first) != nullptr);
    });
    if (!world_.running()) return;
    for (const auto& [tag, value] : asked) {
      const Answer* answer = client.answer(tag);
      ASSERT_NE(answer, nullptr);
      EXPECT_EQ(answer->value, value);
      EXPECT_EQ(answer->err_code, 0) << answer->err_detail;
    }
  }

  OneServerWorld world_;
  std::vector<Writer> writers_;
};

uint64_t operations_without_crash(uint64_t seed) {
  CrashRun run(seed);
  run.run();
  return run.disk().operations();
}

TEST(ServerCrash, NothingAcknowledgedIsLostWhereverTheDiskStops) {
  const uint64_t total = operations_without_crash(1);
  ASSERT_GT(total, 100U);
  uint64_t crashed = 0;
  const uint64_t stride = total / 300 + 1;
  uint64_t turn = 0;
  for (uint64_t at = 1; at <= total; at += stride, ++turn) {
    CrashRun run(1);
    const CrashKind kind = kCrashKinds[turn % std::size(kCrashKinds)];
    const Moment moment = kMoments[(turn / std::size(kCrashKinds)) % std::size(kMoments)];
    run.disk().crash_at(at, kind, moment);
    SCOPED_TRACE(testing::Message() << "crash at operation " << at << ", " << crash_kind_name(kind)
                                    << ", " << moment_name(moment));
    run.run();
    crashed += run.disk().crashed_in() ? 1U : 0U;
    if (HasFailure()) return;
  }
  EXPECT_GT(crashed, 50U);
}

TEST(ServerCrash, NorIfItCrashesAgainWhileItRecovers) {
  const uint64_t total = operations_without_crash(2);
  Rng rng(7);
  for (int round = 0; round < 60; ++round) {
    CrashRun run(2);
    const uint64_t first = 1 + rng.below(total);
    const uint64_t second = first + 1 + rng.below(30);
    const CrashKind one = kCrashKinds[rng.below(std::size(kCrashKinds))];
    const CrashKind two = kCrashKinds[rng.below(std::size(kCrashKinds))];
    run.disk().crash_at(first, one, kMoments[rng.below(std::size(kMoments))]);
    run.disk().crash_at(second, two, kMoments[rng.below(std::size(kMoments))]);
    SCOPED_TRACE(testing::Message()
                 << "crashes at operations " << first << " (" << crash_kind_name(one) << ") and "
                 << second << " (" << crash_kind_name(two) << ")");
    run.run();
    if (HasFailure()) return;
  }
}

TEST(ServerCrash, AFailingSyncOrWriteStopsTheServerAndNothingAcknowledgedIsLost) {
  const uint64_t total = operations_without_crash(3);
  for (uint64_t at = total / 3; at < total / 3 + 40; ++at) {
    CrashRun run(3);
    run.disk().fail_at(at);
    run.disk().crash_at(at + 60, CrashKind::machine_lost);
    SCOPED_TRACE(testing::Message() << "failure at operation " << at);
    run.run();
    EXPECT_GT(run.disk().operations(), at) << "the failure was not met";
    if (HasFailure()) return;
  }
}

TEST(ServerCrash, TheSameSeedGivesTheSameBytesOnTheDisk) {
  CrashRun one(5);
  one.run();
  CrashRun two(5);
  two.run();
  EXPECT_EQ(one.disk().digest(), two.disk().digest());
}

}  // namespace
}  // namespace doozer::sim
