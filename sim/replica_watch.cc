#include "sim/replica_watch.h"

#include <optional>
#include <utility>

#include "base/hash.h"
#include "raft/invariants.h"

namespace doozer::sim {
namespace {

uint64_t folded(const Hash128& hash) { return hash.low ^ (hash.high * 0x9E3779B97F4A7C15); }

}  // namespace

/// Looks on at one machine. What a server does on a disk that is not its own proves nothing about
/// the rules: its promises were made by another, or are forgotten.
class ReplicaWatch::Observer final : public server::ReplicaObserver {
 public:
  Observer(ReplicaWatch& watch, Host& host) : watch_(watch), host_(host) {}

  void on_begin(const raft::Core& core) override {
    if (!host_.foreign()) watch_.begin(number(), core);
    if (host_.own_disk()) {
      if (const auto wrong = doubt_without_cause(core)) watch_.complain(number(), *wrong);
      if (const auto wrong = watch_.witness_.restarted(core)) watch_.complain(number(), *wrong);
    } else {
      watch_.witness_.lose_sight_of(core.self());
    }
  }
  void on_step(const raft::Core& core, const raft::Output& output) override {
    if (!host_.own_disk()) return;
    if (const auto wrong = raft::check(core)) watch_.complain(number(), *wrong);
    if (const auto wrong = watch_.witness_.see(core, output)) watch_.complain(number(), *wrong);
  }
  void on_applied(const raft::Core&, const raft::Entry& entry) override {
    if (host_.foreign()) return;
    Life& life = watch_.lives_[number()];
    // After a snapshot of others it goes on behind that.
    if (entry.index.value() != life.applied + 1) {
      watch_.note(ReplicaNote::Kind::snapshot, number(), entry.index.value() - 1);
    }
    watch_.note(ReplicaNote::Kind::entry, number(), entry.index.value());
    ReplicaNote& noted = watch_.history_.replicas.back();
    noted.term = entry.term.value();
    noted.command = hash64(entry.payload, static_cast<uint64_t>(entry.kind));
    life.applied = entry.index.value();
  }

 private:
  /// A disk that only lost what was not synced holds all that was promised (docs/wal-format.md).
  std::optional<std::string> doubt_without_cause(const raft::Core& core) const {
    if (host_.disk_harmed() || core.trust() == raft::LogTrust::sound) return std::nullopt;
    if (core.trust() == raft::LogTrust::repairing) return "a sound log is called damaged";
    if (host_.crashes() == 0) return "the tail of a log is in doubt, and no power was cut";
    return std::nullopt;
  }
  uint64_t number() const { return host_.options().number; }
  ReplicaWatch& watch_;
  Host& host_;
};

ReplicaWatch::ReplicaWatch(ClusterWorld& world, History& history)
    : world_(world), history_(history) {
  world_.on_host([this](Host& host) {
    observers_.push_back(std::make_unique<Observer>(*this, host));
    host.set_observer(observers_.back().get());
  });
}

ReplicaWatch::~ReplicaWatch() = default;

void ReplicaWatch::begin(uint64_t number, const raft::Core& core) {
  // With the machine's name: a disk may have been copied or rolled back.
  lives_[number] = {.server = core.self().to_string() + '@' + world_.host(number).name(),
                    .applied = core.applied().value(),
                    .begun = true};
  note(ReplicaNote::Kind::started, number, core.applied().value());
}

void ReplicaWatch::on_turn(uint64_t number) {
  Host& host = world_.host(number);
  const auto life = lives_.find(number);
  if (!host.serving() || life == lives_.end() || !life->second.begun) return;
  const core::Digests digests = host.process().server().machine().digests();
  const uint64_t index = digests.index.value();
  if (life->second.told == index) return;
  if (life->second.applied != index) note(ReplicaNote::Kind::snapshot, number, index);
  life->second.applied = life->second.told = index;
  note(ReplicaNote::Kind::digest, number, index);
  history_.replicas.back().chain = folded(digests.chain);
  history_.replicas.back().state = folded(digests.state);
}

void ReplicaWatch::note(ReplicaNote::Kind kind, uint64_t number, uint64_t index) {
  history_.replicas.push_back({.kind = kind,
                               .server = lives_[number].server,
                               .incarnation = world_.host(number).lives(),
                               .index = index});
}

void ReplicaWatch::complain(uint64_t number, const std::string& what) {
  constexpr size_t kKept = 10;
  if (complaints_.size() < kKept) {
    complaints_.push_back(world_.host(number).name() + " breaks a rule: " + what);
  }
}

std::vector<std::string> ReplicaWatch::take_complaints() { return std::exchange(complaints_, {}); }

}  // namespace doozer::sim
