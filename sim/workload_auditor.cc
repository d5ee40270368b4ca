#include "sim/workload_auditor.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "core/glob.h"

namespace doozer::sim::workload {
namespace {

constexpr uint64_t kLookUs = 50'000;
constexpr std::string_view kAll = "/**";

}  // namespace

Auditor::Auditor(Shared& shared, const std::vector<Reader>& readers,
                 std::vector<WatchActor*> watchers, uint64_t patience_us)
    : shared_(shared),
      readers_(readers),
      watchers_(std::move(watchers)),
      patience_us_(patience_us),
      access_(std::make_unique<LibraryAccess>(shared, readers_[0].host, readers_[0].client,
                                              shared.rng.next(), shared.servers)) {
  CHECK(readers_.size() == shared.servers.size() + 1);
  for (const WatchActor* watcher : watchers_) {
    auto glob = core::Glob::compile(watcher->glob());
    CHECK(glob.has_value());
    globs_.push_back(std::move(*glob));
  }
  needs_.resize(watchers_.size());
}

void Auditor::again(void (Auditor::*step)()) {
  shared_.after(readers_[0].host, kLookUs, [this, step] { (this->*step)(); });
}

void Auditor::learn_revision() {
  access_->perform({.op = {.kind = Action::rev, .linearizable = true}}, [this](const Op& op) {
    if (op.outcome != Outcome::ok) return again(&Auditor::learn_revision);
    last_ = op.revision;
    deadline_us_ = op.completed_us + patience_us_;
    list();
  });
}

void Auditor::list() {
  Request walk{.op = {.kind = Action::walk, .path = std::string(kAll), .linearizable = true}};
  access_->perform(std::move(walk), [this](const Op& op) {
    if (op.outcome != Outcome::ok) return again(&Auditor::list);
    read_servers();
  });
}

void Auditor::read_servers() {
  const bool something = last_ > 0;
  for (size_t i = 0; i < shared_.servers.size(); ++i) {
    const Reader& reader = readers_[i + 1];
    Server& server = servers_.emplace_back();
    server.changes = std::make_unique<LibraryWatchActor>(
        shared_, reader.host, reader.client, std::string(kAll), 1,
        std::vector<std::string>{shared_.servers[i]}, /*lively=*/false);
    if (!something) continue;
    server.changes->start();
    list_server(i);
  }
  look();
}

void Auditor::list_server(size_t server) {
  Request walk{.op = {.kind = Action::walk, .path = std::string(kAll), .at_rev = last_}};
  servers_[server].changes->access().perform(std::move(walk), [this, server](const Op& op) {
    if (op.outcome == Outcome::ok || op.code == Code::too_late) {
      servers_[server].listed = true;
    } else {
      shared_.after(readers_[server + 1].host, kLookUs, [this, server] {
        if (!over_) list_server(server);
      });
    }
  });
}

void Auditor::look() {
  const uint64_t now_us = readers_[0].host.clock->now_us();
  // A watch asks for event after event, so that thousands take their time: as long as some come,
  // none is lost yet.
  if (shared_.statistics.events != events_) deadline_us_ = now_us + patience_us_;
  events_ = shared_.statistics.events;
  if (complete() || now_us >= deadline_us_) return finish();
  again(&Auditor::look);
}

/// Learns from what all watches have heard since the last look how far each must come. A server
/// with a short history cannot tell all; what no watch at all has heard is expected of none.
void Auditor::learn_needs() {
  heard_.resize(shared_.history.streams.size());
  for (size_t i = 0; i < heard_.size(); ++i) {
    const std::vector<WatchNote>& notes = shared_.history.streams[i].notes;
    for (; heard_[i] < notes.size(); ++heard_[i]) {
      const WatchNote& note = notes[heard_[i]];
      if (note.kind == WatchNote::Kind::event) need(note.path, note.revision);
    }
  }
  for (; answers_ < shared_.history.ops.size(); ++answers_) {
    const Op& op = shared_.history.ops[answers_];
    if (op.kind == Action::set && op.outcome == Outcome::ok) need(op.path, op.revision);
  }
}

void Auditor::need(const std::string& path, int64_t revision) {
  if (revision > last_) return;
  for (size_t i = 0; i < watchers_.size(); ++i) {
    if (revision > needs_[i] && globs_[i].matches(path)) needs_[i] = revision;
  }
}

bool Auditor::complete() {
  if (last_ == 0) return true;
  learn_needs();
  for (const Server& server : servers_) {
    if (!server.listed || !server.changes->has_passed(last_)) return false;
  }
  for (size_t i = 0; i < watchers_.size(); ++i) {
    if (watchers_[i]->stream() && !watchers_[i]->has_passed(needs_[i])) return false;
  }
  return true;
}

void Auditor::finish() {
  over_ = true;
  const auto through = [&](size_t stream, const ClientHost& host, int64_t revision) {
    shared_.note(
        stream,
        {.kind = WatchNote::Kind::through, .at_us = host.clock->now_us(), .revision = revision});
  };
  if (last_ == 0) return;
  // Not more than was waited for: the last change may be one that a single watch is about to hear.
  for (size_t i = 0; i < watchers_.size(); ++i) {
    if (watchers_[i]->stream()) through(*watchers_[i]->stream(), readers_[0].host, needs_[i]);
  }
  // A server that told its files could have told its changes.
  for (size_t i = 0; i < servers_.size(); ++i) {
    if (servers_[i].listed) {
      through(*servers_[i].changes->stream(), readers_[i + 1].host, last_);
    }
  }
}

}  // namespace doozer::sim::workload
