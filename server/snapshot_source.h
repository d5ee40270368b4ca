// Serves this server's snapshots to others, chunk by chunk, off the loop. Each of them is read
// forwards; whoever asks for an earlier chunk again has the file read anew up to there.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/types.h"
#include "env/disk.h"
#include "server/peer_message.h"
#include "storage/storage.h"

namespace doozer::server {

class SnapshotSource {
 public:
  struct Hooks {
    std::function<void(const Identity& to, std::string payload)> post;  ///< bulk
    std::function<void()> take_one;  ///< somebody needs a newer snapshot than there is
  };
  /// All borrowed; the storage outlives what runs on its lanes.
  SnapshotSource(storage::Storage& storage, env::Lanes& lanes, Hooks hooks, const Logger& logger);
  ~SnapshotSource();
  SnapshotSource(const SnapshotSource&) = delete;
  SnapshotSource& operator=(const SnapshotSource&) = delete;

  void on_ask(const Identity& from, const SnapshotAsk& ask);
  uint64_t chunks_sent() const { return chunks_sent_; }

 private:
  /// What the bulk lane works on; the loop waits until it is done.
  struct Reading {
    std::unique_ptr<storage::SnapshotReader> reader;
    uint64_t next = 0;  ///< chunk that the reader gives next
    bool ended = false;
  };
  struct Session {
    raft::LogPosition point;
    std::string head;
    std::shared_ptr<Reading> reading;
    bool busy = false;
    SnapshotAsk waiting;  ///< count 0: nothing
    uint64_t used = 0;    ///< for finding the one that was idle the longest
  };
  struct Batch {
    std::vector<std::string> chunks;
    bool ended = false;
    uint64_t end = 0;  ///< if ended: how many there are; fewer, perhaps, than were asked for
  };
  const storage::SnapshotHeader* choose(const SnapshotAsk& ask) const;
  Session* session_for(const Identity& from, const storage::SnapshotHeader& header);
  void read(const Identity& from, Session& session);
  void deliver(const Identity& to, const SnapshotAsk& ask, std::string_view head,
               const Batch& batch);
  static Result<void> read_batch(storage::Storage& storage, Index index, const SnapshotAsk& ask,
                                 Reading& reading, Batch& batch);

  // Fixed after construction.
  storage::Storage& storage_;
  env::Lanes& lanes_;
  Hooks hooks_;
  Logger logger_;
  // Volatile.
  std::map<Identity, Session> sessions_;
  uint64_t uses_ = 0;
  uint64_t chunks_sent_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace doozer::server
