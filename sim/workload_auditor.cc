#include "sim/workload_auditor.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "core/glob.h"

namespace doozer::sim::workload {
namespace {

constexpr uint64_t kLookUs = 50'000;
constexpr std::string_view kAll = "/**";

/// The last revision up to `last` at which something is known to match; 0: none. What a server with
/// a short history could not tell any more is known from the writes that were answered.
int64_t last_match(const History& history, const Stream& all, size_t of, int64_t last) {
  const auto glob = core::Glob::compile(history.streams[of].glob);
  CHECK(glob.has_value());
  int64_t found = 0;
  for (const Op& op : history.ops) {
    if (op.kind != Action::set || op.outcome != Outcome::ok || op.revision > last) continue;
    if (op.revision > found && glob->matches(op.path)) found = op.revision;
  }
  for (size_t i = all.notes.size(); i-- > 0;) {
    const WatchNote& note = all.notes[i];
    if (note.kind != WatchNote::Kind::event || note.revision > last) continue;
    if (glob->matches(note.path)) return std::max(found, note.revision);
  }
  return found;
}

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

bool Auditor::complete() const {
  if (last_ == 0) return true;
  for (const Server& server : servers_) {
    if (!server.listed || !server.changes->has_passed(last_)) return false;
  }
  // The watchers' globs are judged by what the first server told.
  const Stream& all = shared_.history.streams[*servers_.front().changes->stream()];
  return std::all_of(watchers_.begin(), watchers_.end(), [&](const WatchActor* watcher) {
    if (!watcher->stream() || watcher->has_passed(last_)) return true;
    return watcher->has_passed(last_match(shared_.history, all, *watcher->stream(), last_));
  });
}

void Auditor::finish() {
  over_ = true;
  const auto through = [&](size_t stream, const ClientHost& host) {
    shared_.note(
        stream,
        {.kind = WatchNote::Kind::through, .at_us = host.clock->now_us(), .revision = last_});
  };
  if (last_ == 0) return;
  for (const WatchActor* watcher : watchers_) {
    if (watcher->stream()) through(*watcher->stream(), readers_[0].host);
  }
  // A server that told its files could have told its changes.
  for (size_t i = 0; i < servers_.size(); ++i) {
    if (servers_[i].listed) through(*servers_[i].changes->stream(), readers_[i + 1].host);
  }
}

}  // namespace doozer::sim::workload
