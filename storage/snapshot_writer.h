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

/// What the writer needs of its storage; all calls on the loop.
struct SnapshotPlace {
  env::Disk& disk;
  env::Lanes& lanes;
  /// Calls back (at once perhaps) when the durable log covers the index, or the error when it never
  /// will. Dropped with the storage.
  std::function<void(Index, UniqueFunction<void(Result<void>)>)> when_durable;
  /// The file is there under its name.
  std::function<void(const SnapshotHeader&, uint64_t file_bytes)> published;
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
  void publish();
  void end(Result<void> result);

  SnapshotPlace place_;
  const SnapshotHeader header_;
  std::shared_ptr<SnapshotFile> file_;  ///< the bulk lane's
  int chunks_flying_ = 0;
  Result<void> first_error_;
  UniqueFunction<void(Result<void>)> done_;
};

std::unique_ptr<SnapshotWriter> make_snapshot_writer(SnapshotPlace place,
                                                     const SnapshotHeader& header);

}  // namespace doozer::storage
