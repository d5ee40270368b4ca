#include "server/snapshot_source.h"

#include <algorithm>
#include <utility>

#include "base/probe.h"

namespace doozer::server {

SnapshotSource::SnapshotSource(storage::Storage& storage, env::Lanes& lanes, Hooks hooks,
                               const Logger& logger)
    : storage_(storage), lanes_(lanes), hooks_(std::move(hooks)), logger_(logger) {}

SnapshotSource::~SnapshotSource() = default;

const storage::SnapshotHeader* SnapshotSource::choose(const SnapshotAsk& ask) const {
  const auto& snapshots = storage_.snapshots();
  if (ask.term == Term()) {
    const bool serves = !snapshots.empty() && snapshots.back().point.index >= ask.index;
    return serves ? &snapshots.back() : nullptr;
  }
  for (const storage::SnapshotHeader& header : snapshots) {
    if (header.point.index == ask.index && header.point.term == ask.term) return &header;
  }
  return nullptr;
}

void SnapshotSource::on_ask(const Identity& from, const SnapshotAsk& ask) {
  const storage::SnapshotHeader* const header = choose(ask);
  Session* const session = header == nullptr ? nullptr : session_for(from, *header);
  if (session == nullptr) {
    if (header != nullptr) return;  // no place is free just now; whoever hears nothing asks again
    if (ask.term == Term()) hooks_.take_one();
    hooks_.post(from, encode_peer_message(SnapshotGone{.index = ask.index, .term = ask.term}));
    return;
  }
  session->waiting = {.index = header->point.index,
                      .term = header->point.term,
                      .first = ask.first,
                      .count = std::min<uint64_t>(ask.count, kSnapshotWindow)};
  if (!session->busy) read(from, *session);
}

// A server that is no longer asked by its puller gives its place to another one.
SnapshotSource::Session* SnapshotSource::session_for(const Identity& from,
                                                     const storage::SnapshotHeader& header) {
  const raft::LogPosition point{.index = header.point.index, .term = header.point.term};
  auto found = sessions_.find(from);
  if (found == sessions_.end() && sessions_.size() >= kSnapshotReadersMax) {
    auto idle = sessions_.end();
    for (auto at = sessions_.begin(); at != sessions_.end(); ++at) {
      if (at->second.busy) continue;
      if (idle == sessions_.end() || at->second.used < idle->second.used) idle = at;
    }
    if (idle == sessions_.end()) return nullptr;
    sessions_.erase(idle);
  }
  Session& session = sessions_[from];
  session.used = ++uses_;
  if (!(session.point == point)) {
    session.point = point;
    session.head = encode_snapshot_head(header);
    session.reading = std::make_shared<Reading>();
    logger_.info("snapshot_sent_begun", {{"to", from.to_string()}, {"index", point.index}});
  }
  return &session;
}

void SnapshotSource::read(const Identity& from, Session& session) {
  const SnapshotAsk ask = std::exchange(session.waiting, {});
  if (ask.count == 0) return;
  session.busy = true;
  auto batch = std::make_shared<Batch>();
  const auto reading = session.reading;
  lanes_.submit(
      env::Lane::bulk,
      [&storage = storage_, ask, reading, batch] {
        return read_batch(storage, ask.index, ask, *reading, *batch);
      },
      [this, from, ask, batch, head = session.head,
       alive = std::weak_ptr<int>(alive_)](Result<void> done) {
        if (alive.expired()) return;
        const auto found = sessions_.find(from);
        if (found == sessions_.end()) return;
        found->second.busy = false;
        if (!done) {
          logger_.warn("snapshot_not_sent",
                       {{"index", ask.index}, {"error", std::string_view(done.error().message)}});
          sessions_.erase(found);
          hooks_.post(from,
                      encode_peer_message(SnapshotGone{.index = ask.index, .term = ask.term}));
          return;
        }
        deliver(from, ask, head, *batch);
        read(from, found->second);
      });
}

Result<void> SnapshotSource::read_batch(storage::Storage& storage, Index index,
                                        const SnapshotAsk& ask, Reading& reading, Batch& batch) {
  if (reading.reader == nullptr || reading.next > ask.first) {
    if (reading.reader != nullptr) PROBE("snapshot_source: chunks were asked for again");
    TRY_ASSIGN(reading.reader, storage.read_snapshot(index));
    reading.next = 0;
    reading.ended = false;
  }
  while (batch.chunks.size() < ask.count && !reading.ended) {
    TRY_ASSIGN(auto chunk, reading.reader->next());
    if (!chunk) {
      reading.ended = true;
      break;
    }
    if (reading.next++ >= ask.first) batch.chunks.push_back(std::move(*chunk));
  }
  batch.ended = reading.ended;
  batch.end = reading.next;
  return {};
}

// Its head goes with the snapshot that was read: the session may be at another one by now.
void SnapshotSource::deliver(const Identity& to, const SnapshotAsk& ask, std::string_view head,
                             const Batch& batch) {
  uint64_t number = ask.first;
  for (const std::string& chunk : batch.chunks) {
    hooks_.post(to,
                encode_peer_message(SnapshotChunk{.index = ask.index,
                                                  .term = ask.term,
                                                  .number = number,
                                                  .last = false,
                                                  .head = number == 0 ? head : std::string_view(),
                                                  .bytes = chunk}));
    ++number;
    ++chunks_sent_;
  }
  if (batch.ended && batch.chunks.size() < ask.count) {
    hooks_.post(to, encode_peer_message(SnapshotChunk{.index = ask.index,
                                                      .term = ask.term,
                                                      .number = batch.end,
                                                      .last = true,
                                                      .head = {},
                                                      .bytes = {}}));
  }
}

}  // namespace doozer::server
