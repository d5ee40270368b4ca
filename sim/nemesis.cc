#include "sim/nemesis.h"

#include <algorithm>

#include "base/check.h"
#include "base/limits.h"
#include "storage/identity_file.h"

namespace doozer::sim {
namespace {

constexpr uint64_t kAdminHost = 200;  ///< number of the client host that admin writes come from
constexpr uint64_t kClientHostsMax = 120;  ///< with those that only look after liveness
constexpr size_t kAdminsKept = 16;
constexpr uint64_t kCrashWaitUs = 20'000;
constexpr uint64_t kBurstWritesMax = 20'000;
constexpr uint64_t kBurstFiles = 12;
constexpr size_t kLargeBytes = 64 * kKiB;
constexpr uint64_t kRoomyBytes = uint64_t{1} << 40U;

uint32_t rate(uint64_t amount, uint32_t most) {
  return static_cast<uint32_t>(std::min<uint64_t>(amount, most));
}

PathFaults faults_of(const Step& step) {
  const uint64_t at_least_one = std::max<uint64_t>(step.amount, 1);
  PathFaults faults;
  faults.cut = step.kind == StepKind::cut || step.kind == StepKind::flap;
  faults.reject = step.kind == StepKind::reject;
  faults.clogged = step.kind == StepKind::clog;
  if (step.kind == StepKind::delay) faults.delay_us = faults.jitter_us = step.amount;
  if (step.kind == StepKind::slow) faults.bytes_per_second = at_least_one;
  if (step.kind == StepKind::mtu) faults.mtu_bytes = at_least_one;
  if (step.kind == StepKind::loss) faults.loss_per_mille = rate(step.amount, 999);
  if (step.kind == StepKind::resets) faults.resets_per_10k = rate(step.amount, 10'000);
  return faults;
}

/// A server has to live with such a disk, and to tell it from a damaged one.
bool is_merely_slow(StepKind kind) {
  return kind == StepKind::slow_sync || kind == StepKind::stuck_sync ||
         kind == StepKind::slow_log || kind == StepKind::stuck_bulk || kind == StepKind::save;
}

uint64_t stricter(uint64_t a, uint64_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

void add_faults(PathFaults& to, const PathFaults& more) {
  to.cut |= more.cut;
  to.reject |= more.reject;
  to.clogged |= more.clogged;
  to.delay_us = std::max(to.delay_us, more.delay_us);
  to.jitter_us = std::max(to.jitter_us, more.jitter_us);
  to.bytes_per_second = stricter(to.bytes_per_second, more.bytes_per_second);
  to.mtu_bytes = stricter(to.mtu_bytes, more.mtu_bytes);
  to.loss_per_mille = std::max(to.loss_per_mille, more.loss_per_mille);
  to.resets_per_10k = std::max(to.resets_per_10k, more.resets_per_10k);
}

}  // namespace

Nemesis::Nemesis(ClusterWorld& world, Roles roles, std::function<void(uint64_t)> added)
    : world_(world), roles_(std::move(roles)), added_(std::move(added)) {}

void Nemesis::schedule() {
  faults_end_us_ = world_.now_us() + world_.plan().faults_us;
  for (const Step& step : world_.plan().steps) {
    if (step.at_us >= world_.plan().faults_us) break;
    world_.at(world_.now_us() + step.at_us, [this, &step] { run(step); });
  }
}

void Nemesis::run(const Step& step) {
  world_.timeline().say(world_.now_us(), "plan", to_string(step));
  const uint64_t end_us =
      step.for_us == 0 ? faults_end_us_ : std::min(faults_end_us_, world_.now_us() + step.for_us);
  begin(step, end_us);
}

void Nemesis::until(uint64_t end_us, std::function<void()> then) {
  const uint64_t id = next_id_++;
  open_.emplace(id, std::move(then));
  world_.at(end_us, [this, id] {
    const auto found = open_.find(id);
    if (found == open_.end()) return;
    const auto undo = std::move(found->second);
    open_.erase(found);
    undo();
  });
}

void Nemesis::heal() {
  const auto open = std::exchange(open_, {});
  for (const auto& [id, undo] : open) undo();
  path_steps_.clear();
  world_.network().heal(world_.now_us());
  for (uint64_t number = 1; number <= world_.size(); ++number) {
    world_.host(number).trouble() = {};
    if (must_be_wiped(number)) start_empty(number);
  }
  outcasts_.clear();
  lost_.clear();
  copies_.clear();
}

void Nemesis::tend() {
  for (uint64_t number = 1; number <= world_.size(); ++number) {
    if (barred(number)) start_empty(number);
  }
}

void Nemesis::start_empty(uint64_t number) {
  world_.hold(number);
  world_.kill(number);
  world_.host(number).wipe();
  world_.release(number);
}

// Of a disk and its copy, the one that was believed last is kept: it may hold what the other lacks.
bool Nemesis::must_be_wiped(uint64_t number) {
  if (barred(number)) return true;
  for (const auto& [copy, source] : copies_) {
    const bool keeps_copy = barred(source) || starts(copy) > starts(source);
    if (number == copy || number == source) return (number == copy) != keeps_copy;
  }
  return lost_.contains(number);
}

/// How often the identity on this disk was started, as far as the disk knows.
uint64_t Nemesis::starts(uint64_t number) {
  Host& host = world_.host(number);
  if (host.disk_crashed()) return 0;
  const auto incarnation = storage::read_incarnation(host.disk());
  return incarnation && *incarnation ? (*incarnation)->value() : 0;
}

bool Nemesis::barred(uint64_t number) {
  Host& host = world_.host(number);
  return !host.disk_crashed() && host.disk().exists("barred").value_or(false);
}

std::vector<uint64_t> Nemesis::servers_of(const Who& who) const {
  std::vector<uint64_t> numbers;
  switch (who.kind) {
    case Who::Kind::server: numbers = {who.number}; break;
    case Who::Kind::leader: numbers = {roles_.leader()}; break;
    case Who::Kind::follower: numbers = {roles_.follower()}; break;
    case Who::Kind::servers:
      for (uint64_t number = 1; number <= world_.size(); ++number) numbers.push_back(number);
      break;
    case Who::Kind::client:
    case Who::Kind::clients: break;
  }
  std::erase_if(numbers, [&](uint64_t number) { return number == 0 || number > world_.size(); });
  return numbers;
}

std::vector<std::string> Nemesis::hosts_of(const Who& who) const {
  std::vector<std::string> hosts;
  for (const uint64_t number : servers_of(who)) hosts.push_back(world_.host(number).host());
  if (who.kind == Who::Kind::client) hosts.push_back(ClusterWorld::client_host(who.number));
  if (who.kind == Who::Kind::clients) {
    for (uint64_t i = 1; i <= world_.plan().clients; ++i) {
      hosts.push_back(ClusterWorld::client_host(i));
    }
  }
  return hosts;
}

void Nemesis::begin(const Step& step, uint64_t end_us) {
  const bool to_b = step.kind == StepKind::copy;
  const auto each = [&](auto&& what) {
    for (const uint64_t number : servers_of(to_b ? step.b : step.a)) what(number);
  };
  switch (rule_of(step.kind).family) {
    case StepRule::Family::path: return begin_path(step, end_us);
    case StepRule::Family::process:
      return each([&](uint64_t number) { begin_process(step, number, end_us); });
    case StepRule::Family::disk:
      return each([&](uint64_t number) { begin_disk(step, number, end_us); });
    case StepRule::Family::swap:
      return each([&](uint64_t number) { swap_disk(step, number, end_us); });
    case StepRule::Family::wall: {
      const auto by_us = static_cast<int64_t>(std::min(step.amount, kPlanTimeUsMax));
      const bool back = step.kind == StepKind::wall_back;
      return each([&](uint64_t number) { world_.host(number).jump_wall(back ? -by_us : by_us); });
    }
    case StepRule::Family::slot: return write_slot(step);
    case StepRule::Family::grow:
      if (world_.size() < kPlanServersMax) added_(world_.add_server());
      return;
    case StepRule::Family::load: return each([&](uint64_t number) { burst(number, step.amount); });
  }
}

// --- Ways between hosts

void Nemesis::begin_path(const Step& step, uint64_t end_us) {
  PathStep on{.paths = {}, .faults = faults_of(step)};
  for (const std::string& a : hosts_of(step.a)) {
    for (const std::string& b : hosts_of(step.b)) {
      if (a == b) continue;
      on.paths.emplace(a, b);
      if (step.both) on.paths.emplace(b, a);
    }
  }
  const uint64_t id = next_id_++;
  until(end_us, [this, id] { drop_path_step(id); });
  if (step.kind == StepKind::flap) return flap(id, on, step.amount, end_us);
  set_path_step(id, std::move(on));
}

void Nemesis::flap(uint64_t id, const PathStep& cut, uint64_t period_us, uint64_t end_us) {
  if (world_.now_us() >= end_us) return;
  if (path_steps_.contains(id)) {
    drop_path_step(id);
  } else {
    set_path_step(id, cut);
  }
  world_.at(world_.now_us() + period_us,
            [this, id, cut, period_us, end_us] { flap(id, cut, period_us, end_us); });
}

void Nemesis::set_path_step(uint64_t id, PathStep step) {
  const std::set<PathKey> paths = step.paths;
  path_steps_[id] = std::move(step);
  refresh(paths);
}

void Nemesis::drop_path_step(uint64_t id) {
  const auto found = path_steps_.find(id);
  if (found == path_steps_.end()) return;
  const std::set<PathKey> paths = std::move(found->second.paths);
  path_steps_.erase(found);
  refresh(paths);
}

void Nemesis::refresh(const std::set<PathKey>& paths) {
  for (const PathKey& path : paths) {
    PathFaults faults;
    for (const auto& [id, step] : path_steps_) {
      if (step.paths.contains(path)) add_faults(faults, step.faults);
    }
    touched_us_[path] = world_.now_us();
    world_.network().set_faults(path.first, path.second, faults, world_.now_us());
  }
}

bool Nemesis::untouched_since(const std::string& a, const std::string& b, uint64_t since_us) const {
  for (const PathKey& path : {PathKey(a, b), PathKey(b, a)}) {
    const auto touched = touched_us_.find(path);
    if (touched != touched_us_.end() && touched->second >= since_us) return false;
    if (world_.network().faults(path.first, path.second) != PathFaults{}) return false;
  }
  return true;
}

// --- Processes and machines

void Nemesis::begin_process(const Step& step, uint64_t number, uint64_t end_us) {
  Host& host = world_.host(number);
  if (step.kind == StepKind::pause) return host.pause(end_us);
  if (step.kind == StepKind::stall) return host.stall(end_us);
  world_.hold(number);
  if (step.kind == StepKind::kill) world_.kill(number);
  if (step.kind == StepKind::crash) crash(number, step.crash);
  if (step.kind == StepKind::stop && host.up()) host.process().server().stop();
  until(end_us, [this, number] { world_.release(number); });
}

/// Mostly in the middle of a write; at once if nothing is written soon.
void Nemesis::crash(uint64_t number, CrashKind kind) {
  Host& host = world_.host(number);
  if (!host.up() || world_.rng().chance(1, 4)) return world_.crash(number, kind);
  host.arm_crash(kind);
  world_.at(world_.now_us() + kCrashWaitUs, [this, number, kind] {
    if (world_.host(number).armed()) world_.crash(number, kind);
  });
}

// --- Disks

void Nemesis::begin_disk(const Step& step, uint64_t number, uint64_t end_us) {
  Host& host = world_.host(number);
  DiskTrouble& trouble = host.trouble();
  if (!is_merely_slow(step.kind)) host.harm_disk();
  if (step.kind == StepKind::stuck_sync) trouble.stuck_until_us = end_us;
  if (step.kind == StepKind::stuck_bulk) host.stick_bulk(end_us);
  if (step.kind == StepKind::slow_log) {
    trouble.log_sync_extra_us = step.amount;
    until(end_us, [&trouble] { trouble.log_sync_extra_us = 0; });
  }
  if (step.kind == StepKind::fail_sync) trouble.fail_next_sync = true;
  if (step.kind == StepKind::save) host.save();
  if (step.kind == StepKind::slow_sync) {
    trouble.sync_extra_us = step.amount;
    until(end_us, [&trouble] { trouble.sync_extra_us = 0; });
  }
  if (step.kind == StepKind::fail_reads) {
    trouble.read_fails_per_mille = rate(step.amount, 1'000);
    until(end_us, [&trouble] { trouble.read_fails_per_mille = 0; });
  }
  if (step.kind == StepKind::rot) {
    for (uint32_t i = 0; i < rate(step.amount, 1'000); ++i) {
      host.disk().flip_random_bit(world_.rng().chance(1, 2) ? "log" : "snap");
    }
  }
  if (step.kind == StepKind::rot_tail) {
    for (uint32_t i = 0; i < rate(step.amount, 1'000); ++i) host.disk().flip_recent_bit("log");
  }
  if (step.kind == StepKind::full) {
    host.disk().leave_free(step.amount);
    full_.insert(number);
    until(end_us, [this, &host, number] {
      host.disk().set_capacity(kRoomyBytes);
      full_.erase(number);
    });
  }
}

/// The process comes back on another disk: at once as a stranger, or when the step is over.
void Nemesis::swap_disk(const Step& step, uint64_t number, uint64_t end_us) {
  Host& host = world_.host(number);
  host.harm_disk();
  world_.hold(number);
  world_.kill(number);
  if (step.kind == StepKind::foreign) {
    host.set_foreign(true);
    outcasts_.insert(number);
    world_.release(number);
    // Clients find nobody there: not all of them know which cluster they mean.
    PathStep away{.paths = {}, .faults = {.cut = true}};
    for (uint64_t client = 1; client <= kClientHostsMax; ++client) {
      away.paths.emplace(ClusterWorld::client_host(client), host.host());
    }
    const uint64_t id = next_id_++;
    set_path_step(id, std::move(away));
    return until(end_us, [this, &host, number, id] {
      drop_path_step(id);
      world_.hold(number);
      world_.kill(number);
      host.set_foreign(false);
      outcasts_.erase(number);
      world_.release(number);
    });
  }
  if (step.kind == StepKind::wipe) host.wipe();
  if (step.kind == StepKind::rollback && host.restore_saved()) {
    outcasts_.insert(number);
    lost_.insert(number);
  }
  if (step.kind == StepKind::copy) take_copy(servers_of(step.a), number);
  until(end_us, [this, number] { world_.release(number); });
}

void Nemesis::take_copy(const std::vector<uint64_t>& sources, uint64_t number) {
  if (sources.empty() || sources.front() == number) return;
  const Host& source = world_.host(sources.front());
  if (source.disk_crashed()) return;
  world_.host(number).take_copy(source);
  outcasts_.insert(number);
  outcasts_.insert(sources.front());
  lost_.insert(number);
  copies_[number] = sources.front();
  world_.host(sources.front()).harm_disk();
}

// --- By clients

RawClient& Nemesis::admin(uint64_t number) {
  if (admins_.size() == kAdminsKept) admins_.erase(admins_.begin());
  admins_.push_back(std::make_unique<RawClient>(world_.client_net(kAdminHost),
                                                world_.host(number).options().address));
  return *admins_.back();
}

namespace {

wire::RequestView write_request(wire::Verb verb, std::string_view path, std::string_view value,
                                int64_t rev) {
  wire::RequestView request;
  request.verb = static_cast<int32_t>(verb);
  request.path = path;
  if (verb == wire::Verb::set) request.value = value;
  request.rev = rev;
  return request;
}

}  // namespace

void Nemesis::write_slot(const Step& step) {
  const uint64_t number = std::max<uint64_t>(roles_.leader(), 1);
  const std::string path = "/ctl/cal/" + std::to_string(step.amount);
  const bool deletes = step.kind == StepKind::delete_slot;
  const bool creates = step.kind == StepKind::create_slot;
  admin(number).send(write_request(deletes ? wire::Verb::del : wire::Verb::set, path, "",
                                   creates ? 0 : INT64_MAX));
}

void Nemesis::burst(uint64_t number, uint64_t writes) {
  RawClient& client = admin(number);
  const std::string value(writes <= kLargeBurstMax ? kLargeBytes : 1, 'x');
  for (uint64_t i = 0; i < std::min<uint64_t>(writes, kBurstWritesMax); ++i) {
    const std::string path = "/overload/" + std::to_string(i % kBurstFiles);
    client.send(write_request(wire::Verb::set, path, value, INT64_MAX));
  }
}

}  // namespace doozer::sim
