// Writes one snapshot file on the bulk lane: temporary name, chunks compressed there, a sync per
// kBulkSyncBytes, rename, directory synced. docs/snapshot-format.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/function.h"
#include "base/result.h"
#include "env/disk.h"
#include "storage/storage.h"

namespace doozer::storage {

/// Whether the log was discarded for a received snapshot, or stays as it is.
enum class LogFate : uint8_t { kept, discarded };

/// What the writer needs of its storage; all calls on the loop.
struct SnapshotPlace {
  using Joined = UniqueFunction<void(Result<LogFate>)>;

  env::Disk& disk;
  env::Lanes& lanes;
  /// The file is whole. Calls back (at once perhaps) when the durable log goes with it, so that it
  /// may have its name, or the error when it never will. Dropped with the storage.
  std::function<void(const raft::SnapshotPoint&, Joined)> join_log;
  /// The file is there under its name.
  std::function<void(const SnapshotHeader&, uint64_t file_bytes)> published;
  /// The log was discarded for the file, which did not get its name.
  std::function<void(const Error&)> lost = {};
  /// Of another server: the file waits for the log under a name that survives a crash.
  bool received = false;
  std::shared_ptr<void> token = {};  ///< released at the end
};

class SnapshotFile;

/// The life of one snapshot being written; lives on in callbacks until the file is published or
/// removed.
class SnapshotTask : public std::enable_shared_from_this<SnapshotTask> {
 public:
  SnapshotTask(SnapshotPlace place, const SnapshotHeader& header);
  ~SnapshotTask();
  void begin();
  void add(std::string chunk);
  bool ready() const { return chunks_flying_ < kChunksFlyingMax; }
  void finish(UniqueFunction<void(Result<void>)> done);
  /// Removes the temporary file.
  void abandon();

 private:
  static constexpr int kChunksFlyingMax = 2;
  void run(UniqueFunction<Result<void>()> job, UniqueFunction<void()> then);
  void join_log();
  void publish();
  void end(Result<void> result);

  SnapshotPlace place_;
  const SnapshotHeader header_;
  std::shared_ptr<SnapshotFile> file_;  ///< the bulk lane's
  int chunks_flying_ = 0;
  Result<void> first_error_;
  LogFate fate_ = LogFate::kept;
  UniqueFunction<void(Result<void>)> done_;
};

std::unique_ptr<SnapshotWriter> make_snapshot_writer(SnapshotPlace place,
                                                     const SnapshotHeader& header);

}  // namespace doozer::storage
