#include "raft/testing/network.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"

namespace doozer::raft {
namespace {

constexpr uint64_t kFetchUs = 3'000;

uint64_t chained(uint64_t chain, const Entry& entry) {
  return hash64(entry.payload,
                chain * 31 + entry.term.value() * 7 + static_cast<uint64_t>(entry.kind));
}

}  // namespace

Identity server_id(size_t n) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes[0] = static_cast<uint8_t>(n);
  return Identity(bytes);
}

std::string server_name(const Identity& identity) {
  return identity.none() ? "-" : "n" + std::to_string(identity.bytes()[0]);
}

std::optional<Term> Network::Disk::term_of(Index index) const {
  if (index == below.index) return below.term;
  if (index < below.index || index > last()) return std::nullopt;
  return entries[index - below.index - 1].term;
}

Network::Network(uint64_t seed, size_t servers, size_t voters, Weather weather,
                 const Retention& retention)
    : rng_(seed), weather_(weather), retention_(retention), servers_(servers) {
  Configuration first;
  for (size_t n = 1; n <= voters; ++n) first.voters.push_back(server_id(n));
  for (size_t n = 1; n <= servers; ++n) {
    Server& server = at(n);
    server.identity = server_id(n);
    if (n <= voters) {
      server.disk.hard_state = {.term = Term(1), .vote = Identity(), .commit = Index(1)};
      server.disk.entries.push_back({.index = Index(1),
                                     .term = Term(1),
                                     .kind = EntryKind::configuration,
                                     .payload = encode_configuration(first)});
    }
    restart(n);
  }
}

void Network::fail(const std::string& what) {
  if (!failure_) failure_ = what + ", at " + std::to_string(now_us_) + " us";
}

void Network::after(uint64_t us, Action action) {
  agenda_.emplace(std::pair(now_us_ + us, next_action_++), std::move(action));
}

void Network::after_alive(size_t n, uint64_t us, Action action) {
  after(us, [this, n, life = at(n).disk.incarnation, action = std::move(action)] {
    if (at(n).core && at(n).disk.incarnation == life) action();
  });
}

void Network::run(uint64_t us) {
  const uint64_t end = now_us_ + us;
  while (!failure_ && !agenda_.empty() && agenda_.begin()->first.first <= end) {
    auto next = agenda_.extract(agenda_.begin());
    now_us_ = next.key().first;
    next.mapped()();
  }
  now_us_ = end;
}

bool Network::run_until(const std::function<bool()>& condition, uint64_t us) {
  const uint64_t end = now_us_ + us;
  while (!failure_ && !condition()) {
    if (agenda_.empty() || agenda_.begin()->first.first > end) {
      now_us_ = end;
      return false;
    }
    run(agenda_.begin()->first.first - now_us_);
  }
  return !failure_;
}

size_t Network::leader() const {
  size_t found = 0;
  for (size_t n = 1; n <= size(); ++n) {
    if (!is_up(n) || at(n).core->role() != Role::leader) continue;
    if (found == 0 || at(n).core->term() > at(found).core->term()) found = n;
  }
  return found;
}

Output Network::step(size_t n, Event event) {
  Server& server = at(n);
  const Index before = server.core->commit();
  const Configuration decided = server.core->configuration();
  const size_t kind = event.index();
  const Event kept = on_step ? event : Event();
  Output out = server.core->step({.now_us = now_us_, .event = std::move(event)});
  ++steps_;
  if (on_step) on_step(n, kept, out);
  digest_ = hash64(std::to_string(n) + " " + std::to_string(kind) + " " +
                       std::to_string(server.core->term().value()) + " " +
                       std::to_string(server.core->commit().value()) + " " +
                       std::to_string(server.core->last_index().value()),
                   digest_ + now_us_);
  look(n, out);
  if (server.core->role() == Role::leader) check_durable_majority(*server.core, before, decided);
  for (const Send& message : out.sends) send(n, message);
  if (out.persist_sequence != 0) persist(n, out);
  if (out.settle) server.disk.trust = LogTrust::sound;
  for (const ReadReady& ready : out.reads) {
    const auto asked = server.reads.find(ready.ticket);
    if (asked == server.reads.end()) continue;
    if (ready.index < asked->second) fail("a read is older than what was committed before it");
    server.reads.erase(asked);
    ++reads_answered_;
  }
  server.apply_to = std::max(server.apply_to, out.apply_to);
  apply(n);
  if (out.fetch_snapshot) fetch(n, *out.fetch_snapshot);
  if (out.snapshot_wanted) take_snapshot(n);
  wake(n, out.next_deadline_us);
  return out;
}

void Network::look(size_t n, const Output& out) {
  const Core& core = *at(n).core;
  if (out.fatal) fail("a server must stop: " + out.fatal->message);
  if (auto wrong = check(core)) fail(*wrong);
  if (auto wrong = witness_.see(core, out)) fail(*wrong);
}

/// What a leader newly calls committed is on the disks of a majority of each set (3.6.2).
void Network::check_durable_majority(const Core& core, Index before, const Configuration& decided) {
  const Index index = core.commit();
  if (index <= before || core.first_kept() > index) return;
  const Term term = *core.term_of(index);
  const Index held = majority_match(decided, [&](const Identity& voter) {
    const Server& server = at(voter.bytes()[0]);
    const bool there = server.disk.term_of(index) == term || server.disk.below.index >= index ||
                       (server.disk.snapshot && server.disk.snapshot->point.index >= index);
    return there ? index : Index();
  });
  if (held >= index) return;
  std::string who;
  for (const Identity& voter : all_voters(decided)) {
    const Server& server = at(voter.bytes()[0]);
    who += " " + server_name(voter) + " holds " + std::to_string(server.disk.last().value()) + ",";
  }
  fail("index " + std::to_string(index.value()) + " committed without a durable majority:" + who);
}

bool Network::give(size_t n, Event event) {
  if (!is_up(n)) return false;
  return !step(n, std::move(event)).refused;
}

bool Network::propose(size_t n, std::string payload) {
  Propose batch;
  batch.proposals.push_back({.kind = EntryKind::command, .payload = std::move(payload)});
  return give(n, std::move(batch));
}

void Network::read(size_t n) {
  if (!is_up(n)) return;
  const uint64_t ticket = ++next_ticket_;
  at(n).reads.emplace(ticket, committed());
  step(n, ReadIndex{ticket});
}

void Network::send(size_t from, const Send& message) {
  if (on_send) on_send(from, message);
  std::string bytes;
  encode_message(message, *at(from).core, bytes);
  digest_ = hash64(bytes, digest_);
  const size_t to = message.to.bytes()[0];
  if (cut_.contains({from, to}) || rng_.chance(weather_.lost_per_1000, 1000)) return;
  const int copies = rng_.chance(weather_.doubled_per_1000, 1000) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    const auto delay = rng_.between(static_cast<int64_t>(weather_.delay_us_min),
                                    static_cast<int64_t>(weather_.delay_us_max));
    const uint64_t bulk = message.bulk ? rng_.below(weather_.bulk_us_max) : 0;
    after(static_cast<uint64_t>(delay) + bulk,
          [this, from, to, bytes, sender = at(from).disk.incarnation,
           receiver = at(to).disk.incarnation] {
            if (at(to).disk.incarnation == receiver) {
              deliver(from, to, Incarnation(sender), bytes);
            }
          });
  }
}

void Network::deliver(size_t from, size_t to, Incarnation from_incarnation,
                      const std::string& bytes) {
  if (!is_up(to) || cut_.contains({from, to})) return;
  auto message = decode_message(bytes);
  if (!message) return fail("a message cannot be read: " + message.error().message);
  step(to, Receive{.from = server_id(from),
                   .from_incarnation = from_incarnation,
                   .message = std::move(*message)});
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

void Network::wake(size_t n, uint64_t deadline_us) {
  Server& server = at(n);
  if (deadline_us == 0 || server.wake_us == deadline_us) return;
  server.wake_us = deadline_us;
  const uint64_t wait = deadline_us > now_us_ ? deadline_us - now_us_ : 0;
  after_alive(n, wait, [this, n, deadline_us] {
    if (at(n).wake_us != deadline_us) return;
    at(n).wake_us = 0;
    step(n, Tick{});
  });
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
  witness_.restarted(*server.core);
  step(n, Tick{});
}

void Network::prove_gone(size_t n) {
  for (size_t other = 1; other <= size(); ++other) {
    if (other == n || !is_up(other)) continue;
    after_alive(other, rng_.below(2'000), [this, n, other, life = at(n).disk.incarnation] {
      step(other, PeerGone{.identity = server_id(n), .incarnation = Incarnation(life)});
    });
  }
}

void Network::isolate(size_t n) {
  for (size_t other = 1; other <= size(); ++other) {
    cut(n, other);
    cut(other, n);
  }
}

}  // namespace doozer::raft
