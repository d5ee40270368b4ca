#include "sim/workload_actors.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "sim/workload_library.h"

namespace doozer::sim::workload {
namespace {

constexpr uint64_t kHotUs = 250'000;  // so long all are at one file
constexpr uint64_t kLockHeldUsMax = 60'000;
constexpr size_t kSlowReads = 40;
constexpr uint64_t kAdderSlower = 4;  // its files stay, so it makes few
constexpr std::string_view kCounterPath = "/counter";
constexpr std::string_view kLockPath = "/lock";

int64_t number_at_front(std::string_view text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

// --- Actor

void Actor::think(uint64_t us_max) {
  if (shared_.stopped) return;
  shared_.after(host_, 1 + rng_.below(std::max<uint64_t>(1, us_max)), [this] {
    if (!shared_.stopped) act();
  });
}

void Actor::perform(Access& access, Request request, Done done) {
  ++outstanding_;
  access.perform(std::move(request), [this, done = std::move(done)](const Op& op) mutable {
    --outstanding_;
    done(op);
  });
}

std::string Actor::unique(std::string_view head) {
  return std::string(head) + "c" + std::to_string(client_) + "-" + std::to_string(++shared_.values);
}

std::unique_ptr<Access> Actor::make_access(bool library) {
  if (library) {
    return std::make_unique<LibraryAccess>(shared_, host_, client_, rng_.next(), shared_.servers);
  }
  return std::make_unique<RawAccess>(shared_, host_, client_, rng_.fork(), std::nullopt,
                                     shared_.options.give_up_us);
}

// --- MixedActor

MixedActor::MixedActor(Shared& shared, const ClientHost& host, uint64_t client, bool library)
    : Actor(shared, host, client) {
  accesses_.push_back(make_access(library));
  if (!library) accesses_.push_back(make_access(false));
}

std::string MixedActor::draw_key() {
  const uint64_t hot = host_.clock->now_us() / kHotUs;
  const uint64_t key = rng_.chance(3, 4) ? hot : rng_.next();
  return "/r/" + std::to_string(key % shared_.options.keys);
}

void MixedActor::act() {
  const bool looks = !written_.empty();
  if (looks || rng_.chance(1, 4)) ++turn_;
  Request request = looks ? look_at(std::exchange(written_, {})) : draw();
  perform(access(), std::move(request), [this](const Op& op) {
    learn(op);
    if (op.kind != Action::set || op.outcome != Outcome::ok || !rng_.chance(1, 3)) return think();
    written_ = op.path;
    think(1);
  });
}

/// By the other connection, when the answer to a write has just come by this one.
Request MixedActor::look_at(const std::string& path) {
  Request request{.op = {.kind = Action::get, .path = path}};
  request.op.linearizable = rng_.chance(1, 2);
  if (!request.op.linearizable) request.op.min_rev = newest_;
  return request;
}

Request MixedActor::draw() {
  // How often each, out of their sum.
  static constexpr std::array<std::pair<Action, uint64_t>, 8> kMix = {{{Action::set, 40},
                                                                       {Action::del, 8},
                                                                       {Action::nop, 3},
                                                                       {Action::get, 32},
                                                                       {Action::stat, 6},
                                                                       {Action::walk, 4},
                                                                       {Action::getdir, 4},
                                                                       {Action::rev, 3}}};
  uint64_t draw = rng_.below(100);
  Action kind = Action::set;
  for (const auto& [candidate, weight] : kMix) {
    kind = candidate;
    if (draw < weight) break;
    draw -= weight;
  }
  if (!is_write(kind)) return draw_read(kind);
  Request request{.op = {.kind = kind}};
  if (kind == Action::nop) return request;
  request.op.path = draw_key();
  // By what was seen (which may be old), or come what may.
  if (rng_.chance(1, 2)) request.op.cas = known_[request.op.path];
  if (kind == Action::set) {
    request.value = unique();
    if (rng_.chance(1, 100)) request.value.resize(shared_.options.large_bytes, '.');
  }
  return request;
}

Request MixedActor::draw_read(Action kind) {
  static constexpr std::array<std::string_view, 4> kGlobs = {"/r/*", "/r/**", "/?/0", "/c*"};
  Request request{.op = {.kind = kind}};
  Op& op = request.op;
  const bool listing = kind == Action::walk || kind == Action::getdir;
  if (kind == Action::walk) {
    op.path = kGlobs[rng_.below(kGlobs.size())];
  } else if (kind == Action::getdir) {
    op.path = rng_.chance(1, 4) ? "/" : "/r";
  } else if (kind != Action::rev) {
    op.path = draw_key();
  }
  if (listing && !access().whole_listings()) {
    op.offset = static_cast<int64_t>(rng_.below(shared_.options.keys));
  }
  if (kind != Action::rev && newest_ > 0 && rng_.chance(1, 6)) {
    op.at_rev = rng_.between(std::max<int64_t>(1, newest_ - 200), newest_);
  } else if (rng_.chance(3, 5)) {
    op.linearizable = true;
  } else if (rng_.chance(1, 2)) {
    op.min_rev = newest_;
  }
  return request;
}

void MixedActor::learn(const Op& op) {
  newest_ = std::max(newest_, op.store_rev);
  if (op.outcome != Outcome::ok) {
    // Then the revision known is old: look again, or clobber.
    if (op.code == Code::revision_mismatch) known_.erase(op.path);
    return;
  }
  newest_ = std::max(newest_, op.revision);
  if (op.at_rev != 0) return;
  if (op.kind == Action::get || op.kind == Action::set) known_[op.path] = op.revision;
  if (op.kind == Action::del) known_[op.path] = 0;
}

// --- CounterActor

CounterActor::CounterActor(Shared& shared, const ClientHost& host, uint64_t client, bool library)
    : Actor(shared, host, client), access_(make_access(library)) {}

void CounterActor::act() {
  Request look{.op = {.kind = Action::get, .path = std::string(kCounterPath)}};
  // A stale look does no harm: the write then does not pass.
  look.op.linearizable = rng_.chance(3, 4);
  perform(*access_, std::move(look), [this](const Op& seen) {
    if (seen.outcome != Outcome::ok || shared_.stopped) return think();
    Request next{.op = {.kind = Action::set, .path = seen.path, .cas = seen.revision}};
    next.value = unique(std::to_string(number_at_front(seen.value) + 1) + " ");
    perform(*access_, std::move(next), [this](const Op&) { think(); });
  });
}

// --- LockActor

LockActor::LockActor(Shared& shared, const ClientHost& host, uint64_t client, bool library)
    : Actor(shared, host, client), access_(make_access(library)) {}

void LockActor::act() {
  if (!doubtful_.empty() && rng_.chance(1, 2)) {
    Request look{.op = {.kind = Action::get, .path = std::string(kLockPath), .linearizable = true}};
    perform(*access_, std::move(look), [this](const Op& seen) {
      if (seen.outcome == Outcome::ok && doubtful_.contains(seen.value)) {
        return release(seen.value, seen.revision);
      }
      think();
    });
    return;
  }
  Request take{.op = {.kind = Action::set, .path = std::string(kLockPath), .cas = 0}};
  take.value = unique("lock ");
  perform(*access_, std::move(take), [this](const Op& taken) {
    if (taken.outcome == Outcome::unknown) doubtful_.insert(taken.value);
    if (taken.outcome != Outcome::ok) return think();
    shared_.after(
        host_, 1 + rng_.below(kLockHeldUsMax),
        [this, value = taken.value, revision = taken.revision] { release(value, revision); });
  });
}

void LockActor::release(const std::string& value, int64_t revision) {
  if (shared_.stopped) return;
  doubtful_.insert(value);
  Request drop{.op = {.kind = Action::del, .path = std::string(kLockPath), .cas = revision}};
  perform(*access_, std::move(drop), [this, value](const Op& dropped) {
    if (dropped.outcome == Outcome::ok) doubtful_.erase(value);
    think();
  });
}

// --- AdderActor

AdderActor::AdderActor(Shared& shared, const ClientHost& host, uint64_t client, bool library)
    : Actor(shared, host, client), access_(make_access(library)) {}

void AdderActor::act() {
  Request add{.op = {.kind = Action::set, .cas = 0}};
  add.value = unique();
  add.op.path = "/set/" + add.value;
  perform(*access_, std::move(add),
          [this](const Op&) { think(kAdderSlower * shared_.options.think_us_max); });
}

// --- PulseActor

PulseActor::PulseActor(Shared& shared, const ClientHost& host, uint64_t client, std::string server)
    : Actor(shared, host, client),
      server_(std::move(server)),
      access_(shared, host, client, rng_.fork(), server_, shared.options.pulse_give_up_us) {}

void PulseActor::act() {
  Request write{.op = {.kind = Action::nop}};
  if (rng_.chance(3, 4)) {
    write.op.kind = Action::set;
    write.op.path = "/pulse/" + std::to_string(client_);
    write.value = unique();
  }
  perform(access_, std::move(write), [this](const Op& op) {
    if (op.outcome == Outcome::ok) {
      shared_.successes[server_] = {.invoked_us = op.invoked_us, .completed_us = op.completed_us};
    }
    think(shared_.options.pulse_us);
  });
}

// --- BurstActor

BurstActor::BurstActor(Shared& shared, const ClientHost& host, uint64_t client)
    : Actor(shared, host, client),
      access_(shared, host, client, rng_.fork(), std::nullopt, shared.options.give_up_us) {}

void BurstActor::act() {
  constexpr size_t kBurstKeys = 20;
  left_ = shared_.options.burst_writes;
  if (left_ == 0) return think(shared_.options.burst_us);
  const size_t writes = left_;
  for (size_t i = 0; i < writes; ++i) {
    Request write{.op = {.kind = Action::set}};
    write.op.path = "/burst/" + std::to_string(rng_.below(kBurstKeys));
    write.value = unique();
    perform(access_, std::move(write), [this](const Op&) {
      if (--left_ > 0) return;
      access_.leave();
      think(shared_.options.burst_us);
    });
  }
}

// --- SlowReaderActor

SlowReaderActor::SlowReaderActor(Shared& shared, const ClientHost& host, uint64_t client)
    : Actor(shared, host, client),
      path_("/large/" + std::to_string(client)),
      access_(shared, host, client, rng_.fork(), std::nullopt, shared.options.give_up_us) {}

void SlowReaderActor::act() {
  Request write{.op = {.kind = Action::set, .path = path_}};
  write.value = unique();
  write.value.resize(std::max(write.value.size(), shared_.options.large_bytes), '.');
  perform(access_, std::move(write), [this](const Op& op) {
    if (op.outcome != Outcome::ok || shared_.stopped) return think();
    ask_for_much();
  });
}

void SlowReaderActor::ask_for_much() {
  left_ = kSlowReads;
  for (size_t i = 0; i < kSlowReads; ++i) {
    Request read{.op = {.kind = Action::get, .path = path_, .linearizable = i % 2 == 0}};
    perform(access_, std::move(read), [this](const Op&) {
      if (--left_ > 0) return;
      think(shared_.options.give_up_us);
    });
  }
  access_.pause_reading();
  shared_.after(host_, shared_.options.give_up_us / 4 + rng_.below(shared_.options.give_up_us / 4),
                [this] { access_.resume_reading(); });
}

}  // namespace doozer::sim::workload
