// Group commit on the loop's side: gathers records into batches, hands one at a time to the log
// lane, decides when the log goes on to the next segment, writes the idle marker, tells what is
// durable. What a batch looks like: docs/wal-format.md.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/function.h"
#include "base/log.h"
#include "base/result.h"
#include "env/clock.h"
#include "env/disk.h"
#include "storage/buffer_pool.h"
#include "storage/log_shape.h"
#include "storage/log_tail.h"
#include "storage/preparer.h"
#include "storage/storage.h"

namespace doozer::storage {

struct WriterStart {
  Ownership owner;
  Incarnation incarnation;
  StorageOptions options;
  LogShape shape;
  std::vector<SegmentInfo> segments;  ///< the last one is written on
  SegmentLink end;                    ///< of the last one
  uint64_t number_max = 0;
};

/// The world around the writer; all borrowed.
struct WriterWorld {
  env::Disk& disk;
  env::Lanes& lanes;
  env::Clock& clock;
  const Logger& logger;
};

struct WriterStats {
  uint64_t syncs = 0;
  uint64_t batches = 0;
  uint64_t bytes = 0;
  uint64_t sync_us_last = 0;
  uint64_t sync_us_max = 0;
};

class WalWriter {
 public:
  WalWriter(const WriterWorld& world, WriterStart start, std::unique_ptr<env::File> file);
  ~WalWriter();
  WalWriter(const WalWriter&) = delete;
  WalWriter& operator=(const WalWriter&) = delete;

  void append(const raft::Entry& entry);
  void truncate_from(Index index);
  void set_hard_state(const raft::HardState& hard_state);
  void settle_doubt();
  void flush(uint64_t tag);
  /// Once all that was asked for before is durable: discards the whole log, durably; it begins anew
  /// behind `point`. Meanwhile nothing may be appended or truncated; states and tags wait. `done`
  /// hears no_space (the old log goes on) or the error that the log died of.
  void restart_behind(const raft::SnapshotPoint& point, UniqueFunction<void(Result<void>)> done);
  bool restarting() const { return restart_ != nullptr; }
  /// What is on the disk does not fit together any more: the server must stop.
  void die(Error error);
  void on_persisted(UniqueFunction<void(Result<uint64_t>)> handler);
  /// Calls `done` once everything is durable and a marker vouches for it (or the log is dead).
  void quiesce(UniqueFunction<void()> done);
  /// Hears after every synced batch, and when the log has died.
  void on_progress(UniqueFunction<void()> handler) { on_progress_ = std::move(handler); }
  /// Hears when a segment was prepared or could not be.
  void on_space_change(UniqueFunction<void()> handler) { on_space_change_ = std::move(handler); }

  bool dead() const { return dead_; }
  /// With everything that was asked for.
  const LogShape& shape() const { return shape_; }
  Index durable_index() const { return durable_index_; }
  size_t pending_bytes() const { return static_cast<size_t>(queued_bytes_ + flying_bytes_); }
  /// Bytes that may certainly still be written: prepared, and not asked for by what is pending.
  uint64_t prepared_room() const;
  /// What `bytes` more would take of the disk besides what is prepared, in whole segments.
  uint64_t beyond_prepared(uint64_t bytes) const;
  /// The last try to prepare a segment failed for want of space.
  bool preparing_failed() const { return preparing_failed_; }
  /// What preparing a segment must leave free on the disk.
  void set_keep_free(uint64_t bytes) { keep_free_ = bytes; }
  /// A segment of less is not prepared but in need.
  uint64_t smallest_segment() const;
  /// Space may be there again: tries once more what failed.
  void retry_preparing();

  /// What counts, oldest first; the last one is being written.
  const std::vector<SegmentInfo>& segments() const { return segments_; }
  /// Takes segments out of the books that only entries up to `index` need; returns their paths.
  std::vector<std::string> forget_to(Index index);
  /// Paths of the segments that the log was in before it began anew; of each once.
  std::vector<std::string> take_left_behind() { return std::exchange(left_behind_, {}); }
  /// In all segments, as written.
  uint64_t log_bytes() const;
  const WriterStats& stats() const { return stats_; }

 private:
  struct Batch {
    std::string bytes;
    uint64_t tag = 0;       ///< of the newest flush() that this batch completes; 0: none
    bool flushed = false;   ///< may go
    bool promises = false;  ///< changes term, vote or configuration: see unvouched_
    DurableState state_before;
    Index first_index;  ///< of the next entry before this batch
    Term previous_term;
    Index last_index;  ///< after it
  };
  struct Flight;
  struct Restart;

  Batch& open_batch(size_t record_bytes);
  void record_added(Batch& batch);
  void kick();
  void launch(std::shared_ptr<Flight> flight);
  bool fits(uint64_t bytes) const { return offset_ + bytes + kSectorBytes <= file_bytes_; }
  void turn_over(Flight& flight);
  void landed(const std::shared_ptr<Flight>& flight, Result<void> result);
  void trim_previous();
  void prepare_if_needed();
  void prepare(uint64_t bytes, uint64_t bytes_min, uint64_t keep_free);
  DurableState wanted_state() const;
  void note_state(DurableState state);
  void launch_restart();
  void restarted(const Flight& flight, Result<void> result);
  void end_restart(Result<void> result);
  uint64_t prepared_bytes() const;
  uint64_t asked_bytes() const;
  void drop_stale_segment();
  void drop_prepared();
  void tell(uint64_t tag);
  void arm_idle_timer(uint64_t when_us);
  void idle_check();
  void write_marker();
  void vouch_if_needed();
  void settle_quiesce();

  // Fixed after construction.
  env::Disk& disk_;
  env::Lanes& lanes_;
  env::Clock& clock_;
  const Logger& logger_;
  const Ownership owner_;
  const Incarnation incarnation_;
  const StorageOptions options_;
  const uint64_t batch_bytes_max_;
  const std::shared_ptr<LogTail> tail_;  ///< the log lane's

  // Volatile: what has been asked for.
  LogShape shape_;
  std::deque<Batch> queue_;
  uint64_t queued_bytes_ = 0;
  uint64_t tag_asked_ = 0;
  BufferPool buffers_;
  std::unique_ptr<Restart> restart_;  ///< asked for and not done

  // Volatile: what is on its way or durable.
  std::shared_ptr<Flight> flying_;
  uint64_t flying_bytes_ = 0;
  uint64_t tag_told_ = 0;
  Index durable_index_;
  uint64_t offset_ = 0;
  uint64_t file_bytes_ = 0;
  bool provisional_ = true;  ///< the segment was made at start and is not all zeros: leave it soon
  bool marked_ = false;      ///< a marker vouches for the last batch
  /// The last batch changed term, vote or configuration. That is told once something newer vouches
  /// for it: if it were lost then, that would be corruption, and never be taken for a torn tail.
  bool unvouched_ = false;
  uint64_t unvouched_tag_ = 0;  ///< to be told then
  std::vector<SegmentInfo> segments_;
  std::vector<std::string> left_behind_;
  uint64_t number_max_ = 0;
  bool dead_ = false;

  Preparer preparer_;
  bool preparing_failed_ = false;
  bool shortage_told_ = false;
  uint64_t keep_free_ = 0;
  uint64_t blocked_bytes_ = 0;  ///< a batch of this size waits for a segment; 0: none
  env::TimerId retry_timer_ = 0;

  env::TimerId idle_timer_ = 0;
  uint64_t last_landed_us_ = 0;
  WriterStats stats_;
  UniqueFunction<void(Result<uint64_t>)> on_persisted_;
  UniqueFunction<void()> on_progress_;
  UniqueFunction<void()> on_space_change_;
  std::vector<UniqueFunction<void()>> quiescing_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace doozer::storage
