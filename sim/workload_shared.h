// What the clients of one workload have in common: the options, the history that they write, how
// an operation is carried out whatever the protocol.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/function.h"
#include "base/rng.h"
#include "base/types.h"
#include "sim/workload.h"
#include "wire/doozer.h"

namespace doozer::sim::workload {

/// A write at one server that succeeded.
struct Success {
  uint64_t invoked_us = 0;
  uint64_t completed_us = 0;
};

/// A request over a connection that stood, to which no answer came.
struct Unanswered {
  size_t op = 0;
  std::string server;
  uint64_t client = 0;  ///< from 0, as its host
  uint64_t sent_us = 0;
};

struct Shared {
  Shared(const WorkloadOptions& given, std::vector<std::string> addresses, History& into)
      : options(given), servers(std::move(addresses)), history(into), rng(given.seed) {}

  /// Runs `then` later unless the workload is gone by then.
  void after(const ClientHost& host, uint64_t us, UniqueFunction<void()> then) const {
    host.clock->at(host.clock->now_us() + us,
                   [alive = std::weak_ptr<const bool>(alive), then = std::move(then)]() mutable {
                     if (alive.lock()) then();
                   });
  }
  /// Counts the outcome and keeps the operation's end.
  void complete(size_t id, const ClientHost& host, Outcome outcome);
  Op& op(size_t id) { return history.ops[id]; }
  /// An answer from a server of another cluster, which stands at the address of one of ours: the
  /// library refuses such servers by itself. The first answer of all decides which is ours.
  bool is_foreign(const wire::ResponseView& answer) {
    const std::string_view told = answer.cluster.value_or("");
    if (cluster.empty() && told.size() == Identity::kSize) cluster = told;
    return !told.empty() && told != cluster;
  }
  WatchNote& note(size_t stream, WatchNote note) {
    return history.streams[stream].notes.emplace_back(std::move(note));
  }

  const WorkloadOptions options;
  std::vector<std::string> servers;
  History& history;
  Rng rng;  ///< from which each client forks its own when it is made
  WorkloadStatistics statistics = {};
  std::map<std::string, Success> successes = {};
  std::vector<Unanswered> unanswered = {};
  uint64_t sessions = 0;
  uint64_t values = 0;       ///< made so far: each is unique
  std::string cluster = {};  ///< the ten bytes of its identity, once known
  bool stopped = false;
  std::shared_ptr<const bool> alive = std::make_shared<const bool>(true);
};

/// What to do: `op` without its times and results; of SET the whole value.
struct Request {
  Op op;
  std::string value = {};
};

using Done = UniqueFunction<void(const Op&)>;

/// Carries out operations, writes them into the history, tells how each ended.
class Access {
 public:
  virtual ~Access() = default;
  /// `done` is called once, never from inside this call.
  virtual void perform(Request request, Done done) = 0;
  /// The whole listing in one operation, or one entry.
  virtual bool whole_listings() const = 0;
};

}  // namespace doozer::sim::workload
