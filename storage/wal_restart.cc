// The log is discarded whole and begins anew behind a received snapshot. What makes it so is one
// rename: that of a segment which holds nothing but its header and a marker and is linked to no
// other (docs/wal-format.md "Beginning anew").
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/probe.h"
#include "storage/wal_flight.h"
#include "storage/wal_writer.h"

namespace doozer::storage {

DurableState WalWriter::wanted_state() const {
  return restarting() && restart_->state ? *restart_->state : shape_.state();
}

void WalWriter::restart_behind(const raft::SnapshotPoint& point,
                               UniqueFunction<void(Result<void>)> done) {
  if (dead_) {
    done(fail(Code::io_error, "the log cannot be written any more"));
    return;
  }
  CHECK(!restarting());
  CHECK(point.index > shape_.state().raft.commit);
  CHECK(point.term <= shape_.state().raft.term);
  restart_ = std::make_unique<Restart>(
      Restart{.point = point, .done = std::move(done), .state = {}, .tag = 0});
  for (Batch& batch : queue_) batch.flushed = true;
  kick();
}

void WalWriter::launch_restart() {
  DurableState state = shape_.state();
  state.raft.commit = restart_->point.index;
  auto flight = std::make_shared<Flight>();
  flight->restarts = true;
  flight->last_index = restart_->point.index;
  flight->header = {.cluster = owner_.cluster,
                    .identity = owner_.identity,
                    .number = ++number_max_,
                    .file_bytes = smallest_segment(),
                    .incarnation = incarnation_,
                    .previous = {},
                    .first_index = restart_->point.index + 1,
                    .previous_term = restart_->point.term,
                    .state = state};
  launch(std::move(flight));
}

void WalWriter::restarted(const Flight& flight, Result<void> result) {
  if (!result && result.error().code != Code::no_space) {
    die(std::move(result).error());
    return;
  }
  if (result) {
    PROBE("wal: the log began anew behind a snapshot");
    for (const SegmentInfo& segment : segments_) {
      left_behind_.push_back(segment_path(segment.number));
    }
    segments_ = {{.number = flight.header.number,
                  .header = flight.header,
                  .header_crc = 0,
                  .end = kSectorBytes,
                  .file_bytes = flight.header.file_bytes,
                  .extents = {}}};
    shape_ = LogShape(flight.header);
    durable_index_ = flight.last_index;
    offset_ = 2 * kSectorBytes;
    file_bytes_ = flight.header.file_bytes;
    provisional_ = false;
    marked_ = true;
    drop_stale_segment();
    // The new header repeats what was promised, and was synced before the file got its name.
    unvouched_ = false;
  }
  const uint64_t vouched_tag = unvouched_ ? 0 : std::exchange(unvouched_tag_, 0);
  end_restart(std::move(result));
  vouch_if_needed();
  if (vouched_tag != 0) tell(vouched_tag);
  prepare_if_needed();
  if (flying_ == nullptr && !marked_ && idle_timer_ == 0) {
    arm_idle_timer(clock_.now_us() + kIdleMarkerUs);
  }
  if (on_progress_) on_progress_();
  settle_quiesce();
}

void WalWriter::end_restart(Result<void> result) {
  const std::unique_ptr<Restart> ended = std::move(restart_);
  if (ended->state) {
    // The commit may have been meant for the log that did not come about.
    ended->state->raft.commit = std::min(ended->state->raft.commit, shape_.last_index());
    note_state(*ended->state);
  }
  if (ended->tag != 0) flush(ended->tag);
  ended->done(std::move(result));
}

/// A prepared segment must have a higher number than the one that is written.
void WalWriter::drop_stale_segment() {
  if (!preparer_.ready() || preparer_.peek().number > segments_.back().number) return;
  PROBE("wal: a prepared segment is too old for the log that began anew");
  drop_prepared();
}

}  // namespace doozer::storage
