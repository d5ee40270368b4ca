#include "sim/workload.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "sim/workload_actors.h"
#include "sim/workload_auditor.h"
#include "sim/workload_watchers.h"

namespace doozer::sim {
namespace workload {

void Shared::complete(size_t id, const ClientHost& host, Outcome outcome) {
  Op& ended = history.ops[id];
  CHECK(ended.outcome == Outcome::open);
  CHECK(outcome != Outcome::unknown || is_write(ended.kind));
  ended.outcome = outcome;
  ended.completed_us = host.clock->now_us();
  switch (outcome) {
    case Outcome::ok:
      ++statistics.ok;
      if (is_write(ended.kind)) ++statistics.writes_ok;
      break;
    case Outcome::refused: ++statistics.refused; break;
    case Outcome::unknown: ++statistics.unknown; break;
    case Outcome::failed: ++statistics.failed; break;
    case Outcome::open: UNREACHABLE();
  }
}

}  // namespace workload

using workload::Auditor;

Workload::Workload(const WorkloadOptions& options, std::vector<std::string> servers,
                   std::function<ClientHost(size_t)> host_of, History& history)
    : host_of_(std::move(host_of)),
      shared_(std::make_unique<workload::Shared>(options, std::move(servers), history)) {
  CHECK(!shared_->servers.empty());
  for (size_t i = 0; i < options.raw_clients; ++i) add<workload::MixedActor>(false);
  for (size_t i = 0; i < options.library_clients; ++i) add<workload::MixedActor>(true);
  for (size_t i = 0; i < options.counters; ++i) add<workload::CounterActor>(i % 2 == 1);
  for (size_t i = 0; i < options.lockers; ++i) add<workload::LockActor>(i % 2 == 1);
  for (size_t i = 0; i < options.adders; ++i) add<workload::AdderActor>(i % 2 == 1);
  for (size_t i = 0; i < options.slow_readers; ++i) add<workload::SlowReaderActor>();
  for (size_t i = 0; i < options.bursters; ++i) add<workload::BurstActor>();
  add_watchers();
  if (!options.pulses) return;
  for (const std::string& server : shared_->servers) add<workload::PulseActor>(server);
}

Workload::~Workload() {
  // Actors may still be heard by what they own until they are gone.
  shared_->alive.reset();
  auditor_.reset();
  actors_.clear();
}

template <typename A, typename... Args>
A& Workload::add(Args&&... args) {
  const size_t client = hosts_++;
  auto actor = std::make_unique<A>(*shared_, host_of_(client), client, std::forward<Args>(args)...);
  A& added = *actor;
  actors_.push_back(std::move(actor));
  return added;
}

void Workload::add_watchers() {
  static constexpr std::array<std::string_view, 6> kGlobs = {"/**",  "/**",     "/r/*",
                                                             "/r/0", "/set/**", "/"};
  for (size_t i = 0; i < shared_->options.watchers; ++i) {
    const std::string glob(kGlobs[i < 2 ? i : shared_->rng.below(kGlobs.size())]);
    if (i % 2 == 1) {
      watchers_.push_back(&add<workload::RawWatchActor>(glob));
    } else {
      const int64_t from = shared_->rng.chance(1, 2) ? 1 : 0;
      watchers_.push_back(
          &add<workload::LibraryWatchActor>(glob, from, shared_->servers, /*lively=*/true));
    }
  }
}

void Workload::start() {
  for (const auto& actor : actors_) actor->start();
}

void Workload::add_server(const std::string& address) {
  if (std::find(shared_->servers.begin(), shared_->servers.end(), address) !=
      shared_->servers.end()) {
    return;
  }
  shared_->servers.push_back(address);
  if (shared_->options.pulses && !shared_->stopped) add<workload::PulseActor>(address).start();
}

void Workload::stop_issuing() { shared_->stopped = true; }

bool Workload::quiesced() const {
  return shared_->stopped && std::all_of(actors_.begin(), actors_.end(),
                                         [](const auto& actor) { return actor->idle(); });
}

void Workload::audit(uint64_t patience_us) {
  CHECK(quiesced());
  std::vector<Auditor::Reader> readers;
  for (size_t i = 0; i < shared_->servers.size() + 1; ++i) {
    const size_t client = hosts_++;
    readers.push_back({.host = host_of_(client), .client = client});
  }
  auditor_ = std::make_unique<Auditor>(*shared_, readers, watchers_, patience_us);
  auditor_->start();
}

bool Workload::audited() const { return auditor_ != nullptr && auditor_->over(); }

std::vector<Workload::Silence> Workload::take_silences() {
  std::vector<Silence> silences;
  for (const workload::Unanswered& one : std::exchange(shared_->unanswered, {})) {
    const Op& op = shared_->op(one.op);
    // Those of one revision may have to wait for it.
    if (!is_write(op.kind) && (!op.linearizable || op.min_rev != 0)) continue;
    silences.push_back({.server = one.server,
                        .client = one.client,
                        .since_us = one.sent_us,
                        .what = describe(op)});
  }
  return silences;
}

const WorkloadStatistics& Workload::statistics() const { return shared_->statistics; }

std::optional<uint64_t> Workload::last_success_us(const std::string& server) const {
  const auto found = shared_->successes.find(server);
  if (found == shared_->successes.end()) return std::nullopt;
  return found->second.completed_us;
}

bool Workload::succeeded_since(const std::string& server, uint64_t since_us) const {
  const auto found = shared_->successes.find(server);
  return found != shared_->successes.end() && found->second.invoked_us >= since_us;
}

}  // namespace doozer::sim
