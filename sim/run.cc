#include "sim/run.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "sim/checkers/judge.h"
#include "sim/cluster_world.h"
#include "sim/facts.h"
#include "sim/full_watch.h"
#include "sim/liveness.h"
#include "sim/nemesis.h"
#include "sim/replica_watch.h"
#include "sim/workload.h"

namespace doozer::sim {
namespace {

constexpr uint64_t kBootUsMax = 60'000'000;
constexpr uint64_t kWarmUpUs = 500'000;  ///< of work before the first fault
constexpr uint64_t kThinkUsMax = 40'000;
constexpr uint64_t kLookUs = 50'000;            ///< between two looks at what was promised
constexpr uint64_t kAnswerBoundUs = 2'500'000;  ///< 2 s of the server, and the ways
constexpr uint64_t kQuietUsMax = 30'000'000;
/// A watch asks for event after event: with thousands of them and long ways that takes its time.
constexpr uint64_t kWatchPatienceUs = 300'000'000;
constexpr uint64_t kAuditUsMax = kWatchPatienceUs + 60'000'000;
constexpr uint64_t kConvergeUsMax = 30'000'000;
constexpr uint64_t kLinearSteps = 300'000;  ///< of the search, for each file

/// So many clients of every kind, in a fixed order of kinds, rarer ones last.
WorkloadOptions workload_of(const Plan& plan, uint64_t seed) {
  WorkloadOptions options{.seed = seed,
                          .raw_clients = 0,
                          .library_clients = 0,
                          .counters = 0,
                          .lockers = 0,
                          .adders = 0,
                          .watchers = 0,
                          .slow_readers = 0,
                          .bursters = 0,
                          .think_us_max = kThinkUsMax,
                          .pulse_us = plan.pulse_us};
  size_t* const kinds[] = {&options.raw_clients, &options.library_clients, &options.watchers,
                           &options.raw_clients, &options.counters,        &options.watchers,
                           &options.lockers,     &options.library_clients, &options.adders,
                           &options.watchers,    &options.slow_readers,    &options.bursters};
  for (uint64_t i = 0; i < plan.clients; ++i) ++*kinds[i % std::size(kinds)];
  return options;
}

class Run {
 public:
  Run(const Plan& plan, Timeline& timeline, History& history)
      : plan_(plan),
        timeline_(timeline),
        history_(history),
        world_(plan, timeline),
        nemesis_(world_,
                 {.leader = [this] { return leader_of(world_); },
                  .follower = [this] { return follower_of(world_); }},
                 [this](uint64_t number) {
                   if (workload_) workload_->add_server(address(number));
                 }) {}

  RunResult run();

 private:
  std::string address(uint64_t number) const { return world_.host(number).options().address; }
  void fail(const std::string& what) {
    timeline_.say(world_.now_us(), "FAILED", what);
    result_.failures.push_back(what);
  }
  bool boot();
  void begin_work();
  void on_giving_up(uint64_t number, const std::string& why);
  void judge_silences();
  void hurt();
  void heal();
  void wind_up();
  void judge_history();
  void look();
  void watch_for(uint64_t us);
  bool booted();
  bool converged();
  void say_work();

  const Plan& plan_;
  Timeline& timeline_;
  History& history_;
  ClusterWorld world_;
  Nemesis nemesis_;
  ReplicaWatch replicas_{world_, history_};
  FullWatch full_{world_};
  std::unique_ptr<Workload> workload_;
  std::unique_ptr<Liveness> liveness_;
  WorkloadStatistics told_;
  uint64_t told_leader_ = 0;
  bool healed_ = false;
  RunResult result_;
};

bool Run::booted() {
  size_t voters = 0;
  for (uint64_t number = 1; number <= world_.size(); ++number) {
    const auto facts = facts_of(world_.host(number));
    if (!facts) return false;
    if (facts->leads && facts->configuration.old_voters.empty()) {
      voters = facts->configuration.voters.size();
    }
  }
  return voters == plan_.slots;
}

bool Run::boot() {
  world_.boot();
  if (world_.run_until([this] { return booted(); }, world_.now_us() + kBootUsMax)) return true;
  fail("the cluster is not whole " + time_text(kBootUsMax) + " after its first start");
  return false;
}

/// Whose disk was not harmed has no reason to give up, whatever else was done to it.
void Run::on_giving_up(uint64_t number, const std::string& why) {
  if (!world_.host(number).disk_harmed()) fail(world_.host(number).name() + " " + why);
}

void Run::begin_work() {
  std::vector<std::string> servers;
  for (uint64_t number = 1; number <= world_.size(); ++number) servers.push_back(address(number));
  workload_ = std::make_unique<Workload>(
      workload_of(plan_, world_.rng().next()), std::move(servers),
      [this](size_t client) {
        return ClientHost{.clock = &world_.client_clock(), .net = &world_.client_net(client + 1)};
      },
      history_);
  liveness_ =
      std::make_unique<Liveness>(world_, nemesis_, [this](uint64_t number, uint64_t since_us) {
        return workload_->succeeded_since(address(number), since_us);
      });
  world_.on_life([this](uint64_t number, bool alive) {
    liveness_->disturb(number);
    if (!alive) replicas_.on_end(number);
  });
  workload_->start();
}

/// Once in a while: what was promised, and who leads.
void Run::look() {
  if (healed_) nemesis_.tend();
  for (const std::string& broken : replicas_.take_complaints()) fail(broken);
  if (const std::string broken = liveness_->judge(); !broken.empty()) fail(broken);
  judge_silences();
  if (const std::string broken = full_.judge(); !broken.empty()) fail(broken);
  const uint64_t leader = leader_of(world_);
  if (leader != told_leader_) {
    timeline_.say(world_.now_us(), "plan",
                  leader == 0 ? "nobody leads" : "s" + std::to_string(leader) + " leads");
    told_leader_ = leader;
  }
}

/// Whom nothing keeps from it says of every request in time that it was done, refused, or is
/// unknown.
void Run::judge_silences() {
  for (const Workload::Silence& silence : workload_->take_silences()) {
    // What waited for a connection may be given up soon after it was sent.
    if (world_.now_us() < silence.since_us + kAnswerBoundUs) continue;
    for (uint64_t number = 1; number <= world_.size(); ++number) {
      const std::string client = ClusterWorld::client_host(silence.client + 1);
      if (address(number) != silence.server ||
          !liveness_->served_well_since(number, silence.since_us) ||
          !nemesis_.untouched_since(client, world_.host(number).host(), silence.since_us)) {
        continue;
      }
      fail("s" + std::to_string(number) + " has said nothing for " +
           time_text(world_.now_us() - silence.since_us) + " to " + silence.what);
    }
  }
}

void Run::watch_for(uint64_t us) {
  const uint64_t until_us = world_.now_us() + us;
  uint64_t say_us = world_.now_us();
  while (world_.now_us() < until_us && result_.failures.empty()) {
    world_.run_until(std::min(until_us, world_.now_us() + kLookUs));
    look();
    if (world_.now_us() >= say_us + 1'000'000) {
      say_us = world_.now_us();
      say_work();
    }
  }
}

void Run::say_work() {
  if (!timeline_.on()) return;
  const WorkloadStatistics now = workload_->statistics();
  timeline_.say(world_.now_us(), "work",
                std::to_string(now.ok - told_.ok) + " answered, " +
                    std::to_string(now.refused - told_.refused) + " refused, " +
                    std::to_string(now.unknown - told_.unknown) + " unknown, " +
                    std::to_string(now.failed - told_.failed) + " failed; " +
                    std::to_string(now.events - told_.events) + " events seen");
  told_ = now;
}

void Run::hurt() {
  watch_for(kWarmUpUs);
  nemesis_.schedule();
  watch_for(plan_.faults_us);
}

void Run::heal() {
  timeline_.say(world_.now_us(), "plan", "everything heals");
  nemesis_.heal();
  healed_ = true;
  const uint64_t healed_us = world_.now_us();
  watch_for(kServiceBoundUs + kLookUs);
  for (uint64_t number = 1; number <= world_.size() && result_.failures.empty(); ++number) {
    if (workload_->succeeded_since(address(number), healed_us)) continue;
    fail("no write at s" + std::to_string(number) + " has succeeded within " +
         time_text(kServiceBoundUs) + " after everything healed");
  }
}

bool Run::converged() {
  std::optional<core::Digests> first;
  for (uint64_t number = 1; number <= world_.size(); ++number) {
    if (!world_.host(number).serving()) return false;
    const core::Digests digests = world_.host(number).process().server().machine().digests();
    if (first && digests.index != first->index) return false;
    first = digests;
  }
  return true;
}

/// The clients finish, read everything again, and all servers come to the same state.
void Run::wind_up() {
  workload_->stop_issuing();
  if (!world_.run_until([this] { return workload_->quiesced(); }, world_.now_us() + kQuietUsMax)) {
    return fail("a client still waits for an answer " + time_text(kQuietUsMax) +
                " after the last request");
  }
  workload_->audit(kWatchPatienceUs);
  if (!world_.run_until([this] { return workload_->audited(); }, world_.now_us() + kAuditUsMax)) {
    return fail("what is stored could not be read within " + time_text(kAuditUsMax));
  }
  if (!world_.run_until([this] { return converged(); }, world_.now_us() + kConvergeUsMax)) {
    return fail("the servers have not applied the same log " + time_text(kConvergeUsMax) +
                " after the last write");
  }
}

void Run::judge_history() {
  for (const std::string& broken : replicas_.take_complaints()) fail(broken);
  const Verdict verdict = judge(history_, kLinearSteps);
  for (const Violation& violation : verdict.report.violations()) {
    fail(violation.rule + ": " + violation.what);
  }
  const WorkloadStatistics& work = workload_->statistics();
  result_.ok = work.ok;
  result_.refused = work.refused;
  result_.unknown = work.unknown;
  result_.owed = liveness_->judged();
  result_.on_shared_files = verdict.overlap.operations;
  result_.overlapped = verdict.overlap.overlapped;
  result_.linear_unknown = verdict.linear_unknown;
}

RunResult Run::run() {
  world_.on_turn([this](uint64_t number) { replicas_.on_turn(number); });
  world_.on_life([this](uint64_t number, bool alive) {
    if (!alive) replicas_.on_end(number);
  });
  world_.on_giving_up(
      [this](uint64_t number, const std::string& why) { on_giving_up(number, why); });
  if (boot()) {
    begin_work();
    hurt();
    if (result_.failures.empty()) heal();
    if (result_.failures.empty()) wind_up();
    say_work();
    judge_history();
  }
  result_.last_draw = world_.rng().next();
  result_.digest = world_.digest();
  result_.virtual_us = world_.now_us();
  result_.turns = world_.turns();
  result_.pieces = world_.network().stats().pieces;
  return result_;
}

}  // namespace

RunResult run_plan(const Plan& plan, Timeline& timeline, History* keep) {
  History history;
  return Run(plan, timeline, keep == nullptr ? history : *keep).run();
}

}  // namespace doozer::sim
