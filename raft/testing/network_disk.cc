// The disks and machines of the servers of a Network: what is synced and applied, snapshots, and
// what a crash leaves.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "raft/testing/network.h"

namespace doozer::raft {
namespace {

constexpr uint64_t kFetchUs = 3'000;

uint64_t chained(uint64_t chain, const Entry& entry) {
  return hash64(entry.payload,
                chain * 31 + entry.term.value() * 7 + static_cast<uint64_t>(entry.kind));
}

}  // namespace

std::optional<Term> Network::Disk::term_of(Index index) const {
  if (index == below.index) return below.term;
  if (index < below.index || index > last()) return std::nullopt;
  return entries[index - below.index - 1].term;
}

void Network::persist(size_t n, const Output& out) {
  Server& server = at(n);
  Batch batch{.sequence = out.persist_sequence,
              .reset = out.reset_log,
              .truncate_from = out.truncate_from,
              .entries = {},
              .hard_state = out.hard_state};
  for (Index i = out.append_first; i.value() != 0 && i <= out.append_last; ++i) {
    batch.entries.push_back(server.core->entry(i));
  }
  server.batches.push_back(std::move(batch));
  if (!server.disk_busy) sync(n);
}

// Group commit: what gathered while the last sync ran goes at once.
void Network::sync(size_t n) {
  Server& server = at(n);
  server.disk_busy = true;
  const auto takes = rng_.between(static_cast<int64_t>(weather_.disk_us_min),
                                  static_cast<int64_t>(weather_.disk_us_max));
  after_alive(n, static_cast<uint64_t>(takes), [this, n, count = server.batches.size()] {
    Server& owner = at(n);
    uint64_t sequence = 0;
    for (size_t i = 0; i < count; ++i) {
      write(owner.disk, owner.batches.front());
      sequence = owner.batches.front().sequence;
      owner.batches.pop_front();
    }
    owner.disk_busy = false;
    if (!owner.batches.empty()) sync(n);
    step(n, Persisted{sequence});
  });
}

void Network::write(Disk& disk, const Batch& batch) {
  if (batch.reset) {
    disk.entries.clear();
    disk.below = {.index = batch.reset->index, .term = batch.reset->term};
    disk.configurations = {
        {.index = batch.reset->index, .configuration = batch.reset->configuration}};
  }
  while (batch.truncate_from && disk.last() >= *batch.truncate_from) disk.entries.pop_back();
  for (const Entry& entry : batch.entries) {
    CHECK(entry.index == disk.last() + 1);
    disk.entries.push_back(entry);
  }
  if (batch.hard_state) disk.hard_state = *batch.hard_state;
}

void Network::apply(size_t n) {
  Server& server = at(n);
  if (server.applying || server.applied >= server.apply_to) return;
  server.applying = true;
  const uint64_t wait = weather_.applies_late ? rng_.below(20'000) : 0;
  after_alive(n, wait, [this, n] {
    Server& owner = at(n);
    owner.applying = false;
    while (owner.applied < owner.apply_to) {
      ++owner.applied;
      owner.chain = chained(owner.chain, owner.core->entry(owner.applied));
      const auto [known, fresh] = applied_.try_emplace(owner.applied, owner.chain);
      if (fresh) check_outcome(owner.core->entry(owner.applied));
      if (known->second != owner.chain) {
        fail("machines differ at index " + std::to_string(owner.applied.value()));
      }
    }
    step(n, AppliedTo{owner.applied});
    const Index newest = owner.disk.snapshot ? owner.disk.snapshot->point.index : Index();
    if (weather_.snapshot_every != 0 && owner.applied - newest >= weather_.snapshot_every) {
      take_snapshot(n);
    }
  });
}

void Network::take_snapshot(size_t n) {
  after_alive(n, 1, [this, n] {
    Server& server = at(n);
    const std::optional<Term> term = server.core->term_of(server.applied);
    if (server.applied > server.core->durable() || !term) return;
    if (server.disk.snapshot && server.disk.snapshot->point.index >= server.applied) return;
    server.disk.snapshot =
        Snapshot{.point = {.index = server.applied,
                           .term = *term,
                           .configuration = server.core->configuration_at(server.applied)},
                 .chain = server.chain};
    if (rng_.chance(1, 2)) compact(server.disk);
    step(n, SnapshotTaken{server.disk.snapshot->point});
  });
}

/// The log behind the snapshot goes; the disk holds all of it that is durable.
void Network::compact(Disk& disk) {
  const SnapshotPoint& point = disk.snapshot->point;
  while (!disk.entries.empty() && disk.entries.front().index <= point.index) {
    disk.entries.pop_front();
  }
  disk.below = {.index = point.index, .term = point.term};
  disk.configurations = {{.index = point.index, .configuration = point.configuration}};
}

void Network::fetch(size_t n, const FetchSnapshot& wanted) {
  Server& server = at(n);
  if (server.fetching) return;
  server.fetching = wanted.point;
  const size_t from = wanted.from.bytes()[0];
  after_alive(n, kFetchUs + rng_.below(kFetchUs), [this, n, from] {
    const std::optional<LogPosition> point = std::exchange(at(n).fetching, std::nullopt);
    const auto& there = at(from).disk.snapshot;
    if (!is_up(from) || cut_.contains({from, n}) || cut_.contains({n, from})) return;
    if (there && there->point.index >= point->index) install(n, *there);
  });
}

void Network::install(size_t n, const Snapshot& snapshot) {
  Server& server = at(n);
  if (!server.core->wants_snapshot({.index = snapshot.point.index, .term = snapshot.point.term})) {
    return;
  }
  server.disk.snapshot = snapshot;
  server.applied = snapshot.point.index;
  server.chain = snapshot.chain;
  step(n, SnapshotInstalled{snapshot.point});
}

void Network::crash(size_t n, bool power) {
  Server& server = at(n);
  CHECK(server.core.has_value());
  // The operating system writes what was given to it, in order; a power cut keeps some of it.
  size_t kept = server.batches.size();
  if (power && kept > 0) kept = rng_.below(kept + 1);
  for (size_t i = 0; i < kept; ++i) write(server.disk, server.batches[i]);
  server.core.reset();
  server.batches.clear();
  server.reads.clear();
}

bool Network::survives_without(size_t n) const {
  const Index last = committed();
  if (last.value() == 0) return true;
  for (size_t other = 1; other <= size(); ++other) {
    if (other != n && at(other).disk.term_of(last) == witness_.committed_term(last)) return true;
  }
  return false;
}

void Network::damage(size_t n, uint64_t entries, LogTrust trust) {
  Disk& disk = at(n).disk;
  CHECK(!is_up(n));
  disk.doubtful_to = std::max(disk.doubtful_to, disk.last());
  disk.trust = trust;
  for (uint64_t i = 0; i < entries && !disk.entries.empty(); ++i) disk.entries.pop_back();
  disk.hard_state.commit = std::min(disk.hard_state.commit, disk.last());
}

void Network::restart(size_t n) {
  Server& server = at(n);
  CHECK(!is_up(n));
  Disk& disk = server.disk;
  const auto& snapshot = disk.snapshot;
  // A snapshot that does not match the log discards it (5.3); else the log goes on from there.
  if (snapshot && disk.term_of(snapshot->point.index) != snapshot->point.term &&
      snapshot->point.index > disk.below.index) {
    write(disk, {.sequence = 0,
                 .reset = snapshot->point,
                 .truncate_from = {},
                 .entries = {},
                 .hard_state = {}});
  }
  CoreOptions options;
  options.self = server.identity;
  options.incarnation = Incarnation(++disk.incarnation);
  options.seed = rng_.next();
  options.configurations = disk.configurations;
  for (const Entry& entry : disk.entries) {
    if (entry.kind != EntryKind::configuration) continue;
    options.configurations.push_back(
        {.index = entry.index, .configuration = *decode_configuration(entry.payload)});
  }
  options.hard_state = disk.hard_state;
  options.applied = snapshot ? snapshot->point.index : disk.below.index;
  options.hard_state.commit = std::max(options.hard_state.commit, options.applied);
  options.entries.assign(disk.entries.begin(), disk.entries.end());
  options.below = disk.below;
  options.last_index = disk.last();
  options.last_term = *disk.term_of(disk.last());
  options.trust = disk.trust;
  options.doubtful_to = disk.doubtful_to;
  if (snapshot) options.snapshot = snapshot->point;
  options.retention = retention_;
  options.now_us = now_us_;
  server.applied = options.applied;
  server.chain = snapshot ? snapshot->chain : 0;
  server.apply_to = Index();
  server.disk_busy = false;
  server.applying = false;
  server.fetching.reset();
  server.wake_us = 0;
  server.core = Core::make(std::move(options));
  if (auto wrong = witness_.restarted(*server.core)) fail(*wrong);
  step(n, Tick{});
}

}  // namespace doozer::raft
