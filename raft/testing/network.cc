#include "raft/testing/network.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "raft/invariants.h"

namespace doozer::raft {

Identity server_id(size_t n) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes[0] = static_cast<uint8_t>(n);
  return Identity(bytes);
}

std::string server_name(const Identity& identity) {
  return identity.none() ? "-" : "n" + std::to_string(identity.bytes()[0]);
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
  if (!is_up(n)) return false;
  Propose batch;
  batch.proposals.push_back({.kind = EntryKind::command, .payload = payload});
  const Output out = step(n, std::move(batch));
  if (out.refused == (out.accepted_first.value() != 0)) fail("neither taken nor refused");
  proposed_.emplace(std::move(payload), out.accepted_first);
  return !out.refused;
}

void Network::check_outcome(const Entry& entry) {
  if (entry.kind != EntryKind::command) return;
  const auto proposed = proposed_.find(entry.payload);
  if (proposed == proposed_.end()) return fail("what nobody proposed was applied");
  if (proposed->second.value() == 0) return fail("what was refused was applied");
  if (proposed->second != entry.index) fail("applied elsewhere than where it was taken");
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
