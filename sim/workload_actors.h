// What each kind of client does. An actor that is told to stop (Shared::stopped) begins nothing
// new; idle() tells when nothing is outstanding.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/workload_raw.h"
#include "sim/workload_shared.h"

namespace doozer::sim::workload {

class Actor {
 public:
  Actor(Shared& shared, const ClientHost& host, uint64_t client)
      : shared_(shared), host_(host), client_(client), rng_(shared.rng.fork()) {}
  virtual ~Actor() = default;
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;
  virtual void start() = 0;
  bool idle() const { return outstanding_ == 0; }

 protected:
  /// What this client does next; must lead to think(), at once or after an answer.
  virtual void act() {}
  /// act() after a while, unless the workload has stopped.
  void think(uint64_t us_max);
  void think() { think(shared_.options.think_us_max); }
  void perform(Access& access, Request request, Done done);
  /// A text that no other write of this history has: "c3-17", or `head` before it.
  std::string unique(std::string_view head = "");
  std::unique_ptr<Access> make_access(bool library);

  Shared& shared_;
  const ClientHost host_;
  const uint64_t client_;
  Rng rng_;

 private:
  size_t outstanding_ = 0;
};

/// Every verb on a few files, most of the time on that which all are at just now. One that speaks
/// the raw protocol has two connections and goes from one to the other: what it was told here, it
/// expects to see there, at once.
class MixedActor final : public Actor {
 public:
  MixedActor(Shared& shared, const ClientHost& host, uint64_t client, bool library);
  void start() override { think(); }

 private:
  void act() override;
  Access& access() { return *accesses_[turn_ % accesses_.size()]; }
  Request draw();
  Request draw_read(Action kind);
  Request look_at(const std::string& path);
  void learn(const Op& op);
  std::string draw_key();

  std::vector<std::unique_ptr<Access>> accesses_;
  size_t turn_ = 0;                       ///< which of them
  std::string written_;                   ///< and to be looked at next; empty: nothing
  std::map<std::string, int64_t> known_;  ///< the revision of each file as last seen; 0: missing
  int64_t newest_ = 0;                    ///< the highest revision seen
};

/// Reads a number and writes the next one by compare-and-set.
class CounterActor final : public Actor {
 public:
  CounterActor(Shared& shared, const ClientHost& host, uint64_t client, bool library);
  void start() override { think(); }

 private:
  void act() override;
  std::unique_ptr<Access> access_;
};

/// Takes a lock by creating its file, holds it a while, deletes the file at that very revision.
/// After an unknown answer it looks now and then whether the lock is its own after all; nobody else
/// ever breaks its lock.
class LockActor final : public Actor {
 public:
  LockActor(Shared& shared, const ClientHost& host, uint64_t client, bool library);
  void start() override { think(); }

 private:
  void act() override;
  void release(const std::string& value, int64_t revision);
  std::unique_ptr<Access> access_;
  std::set<std::string> doubtful_;  ///< own values that may be in the file, or come into it yet
};

/// Creates one file after the other.
class AdderActor final : public Actor {
 public:
  AdderActor(Shared& shared, const ClientHost& host, uint64_t client, bool library);
  void start() override { think(); }

 private:
  void act() override;
  std::unique_ptr<Access> access_;
};

/// Writes at one server all the time.
class PulseActor final : public Actor {
 public:
  PulseActor(Shared& shared, const ClientHost& host, uint64_t client, std::string server);
  void start() override { act(); }

 private:
  void act() override;
  const std::string server_;
  RawAccess access_;
};

/// Many writes at once, without waiting for answers.
class BurstActor final : public Actor {
 public:
  BurstActor(Shared& shared, const ClientHost& host, uint64_t client);
  void start() override { think(shared_.options.burst_us); }

 private:
  void act() override;
  RawAccess access_;
  size_t left_ = 0;
};

/// Asks for much and does not read it for a while.
class SlowReaderActor final : public Actor {
 public:
  SlowReaderActor(Shared& shared, const ClientHost& host, uint64_t client);
  void start() override { think(); }

 private:
  void act() override;
  void ask_for_much();
  const std::string path_;
  RawAccess access_;
  size_t left_ = 0;
};

}  // namespace doozer::sim::workload
