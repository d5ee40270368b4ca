#include "storage/wal_writer.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/probe.h"
#include "storage/ballast.h"
#include "storage/wal_flight.h"

namespace doozer::storage {
namespace {

constexpr uint64_t kUsPerMs = 1'000;
constexpr uint64_t kRetryPreparingUs = 1'000'000;
/// When space is short and a batch waits, a segment of this size must do.
constexpr uint64_t kSmallestPreparedBytes = 1 * kMiB;
/// A batch up to this size grows as it needs.
constexpr size_t kGrowingBytes = 256 * kKiB;
/// More than a hard state or a truncation takes.
constexpr size_t kSmallRecordBytes = 64;
/// Of a segment, what batches cannot have: the header, and the idle marker.
constexpr uint64_t kSegmentOverheadBytes = 2 * kSectorBytes;

uint64_t minus_or_zero(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

}  // namespace

WalWriter::WalWriter(const WriterWorld& world, WriterStart start, std::unique_ptr<env::File> file)
    : disk_(world.disk),
      lanes_(world.lanes),
      clock_(world.clock),
      logger_(world.logger),
      owner_(start.owner),
      incarnation_(start.incarnation),
      options_(start.options),
      batch_bytes_max_(std::min<uint64_t>(kLogBatchBytesMax, start.options.segment_bytes / 4)),
      tail_(std::make_shared<LogTail>(std::move(file), start.segments.back().header,
                                      start.segments.back().header_crc, start.end)),
      shape_(std::move(start.shape)),
      durable_index_(shape_.last_index()),
      offset_(start.end.end),
      file_bytes_(start.segments.back().header.file_bytes),
      marked_(true),
      segments_(std::move(start.segments)),
      number_max_(start.number_max),
      preparer_(world.disk, world.lanes) {}

WalWriter::~WalWriter() {
  if (idle_timer_ != 0) clock_.cancel(idle_timer_);
  if (retry_timer_ != 0) clock_.cancel(retry_timer_);
}

// --- What is asked for

/// A batch of more than kGrowingBytes never moves: it has its full size from then on, and what does
/// not fit begins another one.
WalWriter::Batch& WalWriter::open_batch(size_t record_bytes) {
  const size_t added = record_bytes + kSectorBytes;
  const auto fits = [&](const std::string& bytes) {
    const size_t wanted = bytes.size() + added;
    return wanted <= bytes.capacity() || bytes.size() <= kGrowingBytes;
  };
  const bool closed = queue_.empty() || queue_.back().bytes.size() >= batch_bytes_max_ ||
                      !fits(queue_.back().bytes);
  if (closed) {
    Batch& batch = queue_.emplace_back();
    batch.bytes = buffers_.take(added);
    begin_batch(batch.bytes);
    batch.state_before = shape_.state();
    batch.first_index = shape_.last_index() + 1;
    batch.previous_term = shape_.last_term();
    queued_bytes_ += batch.bytes.size();
  }
  std::string& bytes = queue_.back().bytes;
  const size_t wanted = bytes.size() + added;
  if (wanted > bytes.capacity() && wanted > kGrowingBytes) {
    bytes.reserve(std::max<size_t>(batch_bytes_max_ + kSectorBytes, wanted));
  }
  queued_bytes_ -= bytes.size();
  return queue_.back();
}

void WalWriter::record_added(Batch& batch) {
  batch.last_index = shape_.last_index();
  queued_bytes_ += batch.bytes.size();
}

void WalWriter::append(const raft::Entry& entry) {
  if (dead_) return;
  CHECK(!restarting());
  Batch& batch = open_batch(kEntryOverheadBytes + entry.payload.size());
  const EntryView view{
      .index = entry.index, .term = entry.term, .kind = entry.kind, .payload = entry.payload};
  CHECK(shape_.apply(view).has_value());
  append_entry(batch.bytes, entry.index, entry.term, entry.kind, entry.payload);
  if (entry.kind == raft::EntryKind::configuration) batch.promises = true;
  record_added(batch);
}

void WalWriter::truncate_from(Index index) {
  if (dead_) return;
  CHECK(!restarting());
  Batch& batch = open_batch(kSmallRecordBytes);
  CHECK(shape_.apply(Truncate{index}).has_value());
  append_truncate(batch.bytes, index);
  record_added(batch);
}

void WalWriter::set_hard_state(const raft::HardState& hard_state) {
  DurableState state = wanted_state();
  if (dead_) return;
  CHECK(hard_state.term >= state.raft.term);
  state.raft = hard_state;
  note_state(state);
}

void WalWriter::settle_doubt() {
  DurableState state = wanted_state();
  state.doubtful_to = Index(0);
  note_state(state);
}

void WalWriter::note_state(DurableState state) {
  if (dead_) return;
  if (restarting()) {
    restart_->state = state;
    return;
  }
  // What the log begins behind is in a snapshot.
  state.raft.commit = std::max(state.raft.commit, shape_.first_index() - 1);
  const raft::HardState before = shape_.state().raft;
  if (state == shape_.state()) return;
  Batch& batch = open_batch(kSmallRecordBytes);
  CHECK(shape_.apply(state).has_value());
  append_hard_state(batch.bytes, state);
  if (state.raft.term != before.term || state.raft.vote != before.vote) batch.promises = true;
  record_added(batch);
}

void WalWriter::flush(uint64_t tag) {
  if (dead_) return;
  if (restarting()) {
    restart_->tag = std::max(restart_->tag, tag);
    return;
  }
  if (!queue_.empty()) {
    for (Batch& batch : queue_) batch.flushed = true;
    queue_.back().tag = std::max(queue_.back().tag, tag);
    tag_asked_ = std::max(tag_asked_, tag);
    kick();
    return;
  }
  if (tag <= tag_asked_) return;
  tag_asked_ = tag;
  if (flying_ != nullptr) {
    flying_->tag = tag;
    return;
  }
  clock_.post([this, alive = std::weak_ptr<int>(alive_), tag] {
    if (!alive.expired() && !dead_) tell(tag);
  });
}

void WalWriter::on_persisted(UniqueFunction<void(Result<uint64_t>)> handler) {
  on_persisted_ = std::move(handler);
}

// --- To the disk and back

void WalWriter::kick() {
  if (dead_ || flying_ != nullptr) return;
  if (queue_.empty() && restarting()) {
    launch_restart();
    return;
  }
  if (queue_.empty() || !queue_.front().flushed) return;
  const uint64_t size = align_sector(queue_.front().bytes.size());
  const bool large_enough =
      preparer_.ready() && preparer_.peek().bytes >= size + kSegmentOverheadBytes;
  const bool turns_over = !fits(size) || (provisional_ && large_enough);
  if (turns_over && !large_enough) {
    blocked_bytes_ = size;
    PROBE("wal: a batch waits for the next segment");
    if (preparer_.ready()) {
      PROBE("wal: a batch larger than the prepared segment");
      drop_prepared();
    }
    prepare_if_needed();
    return;
  }
  blocked_bytes_ = 0;
  Batch batch = std::move(queue_.front());
  queue_.pop_front();
  queued_bytes_ -= batch.bytes.size();
  auto flight = std::make_shared<Flight>();
  flight->size = size;
  flight->last_index = batch.last_index;
  flight->tag = batch.tag;
  flight->promises = batch.promises;
  flight->bytes = std::move(batch.bytes);
  if (turns_over) {
    flight->header = {.cluster = owner_.cluster,
                      .identity = owner_.identity,
                      .incarnation = incarnation_,
                      .previous = {},
                      .first_index = batch.first_index,
                      .previous_term = batch.previous_term,
                      .state = batch.state_before};
    turn_over(*flight);
  }
  launch(std::move(flight));
  prepare_if_needed();
}

void WalWriter::turn_over(Flight& flight) {
  Preparer::Prepared prepared = preparer_.take();
  flight.turns_over = true;
  flight.file = std::move(prepared.file);
  flight.header.number = prepared.number;
  flight.header.file_bytes = prepared.bytes;
}

void WalWriter::launch(std::shared_ptr<Flight> flight) {
  flight->started_us = clock_.now_us();
  flying_ = flight;
  flying_bytes_ = flight->size;
  // What the job touches of the flight, the loop leaves alone until it has landed; `tag` is the
  // loop's.
  flight->reuse = buffers_.has_room_for(flight->bytes.capacity());
  auto job = [tail = tail_, flight, &disk = disk_] {
    if (flight->restarts) return tail->restart(disk, flight->header);
    auto written = flight->turns_over ? tail->write_in_next(std::move(flight->file), flight->header,
                                                            flight->bytes, flight->last_index)
                                      : tail->write(flight->bytes, flight->last_index);
    if (!flight->reuse) std::string().swap(flight->bytes);
    return written;
  };
  lanes_.submit(env::Lane::log, std::move(job),
                [this, alive = std::weak_ptr<int>(alive_), flight](Result<void> result) {
                  if (!alive.expired()) landed(flight, std::move(result));
                });
}

void WalWriter::landed(const std::shared_ptr<Flight>& flight, Result<void> result) {
  flying_.reset();
  flying_bytes_ = 0;
  const uint64_t now_us = clock_.now_us();
  const uint64_t took_us = minus_or_zero(now_us, flight->started_us);
  if (took_us > kSlowSyncUs) {
    PROBE("wal: slow sync");
    logger_.warn("slow_sync", {{"ms", took_us / kUsPerMs}, {"bytes", flight->size}});
  }
  if (flight->restarts) {
    restarted(*flight, std::move(result));
    return;
  }
  if (!result) {
    die(std::move(result).error());
    return;
  }
  ++stats_.syncs;
  ++stats_.batches;
  stats_.bytes += flight->size;
  stats_.sync_us_last = took_us;
  stats_.sync_us_max = std::max(stats_.sync_us_max, took_us);
  if (flight->turns_over) {
    segments_.back().end = offset_;
    segments_.push_back({.number = flight->header.number,
                         .header = flight->header,
                         .header_crc = 0,
                         .end = kSectorBytes,
                         .file_bytes = flight->header.file_bytes,
                         .extents = {}});
    offset_ = kSectorBytes;
    file_bytes_ = flight->header.file_bytes;
    provisional_ = false;
    trim_previous();
  }
  offset_ += flight->size;
  durable_index_ = flight->last_index;
  marked_ = flight->marker_only;
  last_landed_us_ = now_us;
  if (flight->reuse) buffers_.give(std::move(flight->bytes));
  // Its marker, or the link in its segment's header, vouches for all that came before.
  const uint64_t vouched_tag = std::exchange(unvouched_tag_, 0);
  unvouched_ = flight->promises;
  if (unvouched_) unvouched_tag_ = flight->tag;
  const uint64_t tag = unvouched_ ? vouched_tag : std::max(vouched_tag, flight->tag);
  kick();
  vouch_if_needed();
  if (flying_ == nullptr && !marked_ && idle_timer_ == 0) arm_idle_timer(now_us + kIdleMarkerUs);
  if (tag != 0) tell(tag);
  if (on_progress_) on_progress_();
  settle_quiesce();
}

/// The file of the segment just left ends where its records end: an early end of the newest file is
/// then proof that a newer one existed.
void WalWriter::trim_previous() {
  const SegmentInfo& previous = segments_[segments_.size() - 2];
  if (previous.end >= previous.file_bytes) return;
  auto job = [&disk = disk_, path = segment_path(previous.number),
              end = previous.end]() -> Result<void> {
    TRY_ASSIGN(const auto file, disk.open(path, env::OpenMode::read_write));
    return file->resize(end);
  };
  lanes_.submit(env::Lane::bulk, std::move(job),
                [this, alive = std::weak_ptr<int>(alive_)](const Result<void>& result) {
                  const bool matters = !result && result.error().code != Code::not_found;
                  if (matters && !alive.expired()) {
                    logger_.warn("log_trim_failed", {{"error", result.error().message}});
                  }
                });
}

void WalWriter::tell(uint64_t tag) {
  if (tag <= tag_told_) return;
  tag_told_ = tag;
  if (on_persisted_) on_persisted_(tag);
}

void WalWriter::die(Error error) {
  if (dead_) return;
  PROBE("wal: the log died");
  dead_ = true;
  queue_.clear();
  queued_bytes_ = 0;
  logger_.error("log_dead", {{"error", error.message}});
  if (on_persisted_) on_persisted_(fail(error));
  if (restarting()) end_restart(fail(std::move(error)));
  if (on_progress_) on_progress_();
  settle_quiesce();
}

// --- Room

uint64_t WalWriter::prepared_bytes() const {
  const bool leaving = flying_ != nullptr && flying_->turns_over;
  uint64_t room = leaving ? flying_->header.file_bytes - kSegmentOverheadBytes
                          : minus_or_zero(file_bytes_, offset_ + kSectorBytes);
  if (preparer_.ready()) room += minus_or_zero(preparer_.peek().bytes, kSegmentOverheadBytes);
  return room;
}

uint64_t WalWriter::asked_bytes() const {
  const uint64_t padding = (queue_.size() + 1) * kSectorBytes;
  return queued_bytes_ + flying_bytes_ + padding;
}

uint64_t WalWriter::prepared_room() const { return minus_or_zero(prepared_bytes(), asked_bytes()); }

uint64_t WalWriter::beyond_prepared(uint64_t bytes) const {
  const uint64_t beyond = minus_or_zero(asked_bytes() + bytes, prepared_bytes());
  // A batch that does not fit leaves the end of a segment unused.
  const uint64_t usable = smallest_segment() / 2;
  return (beyond + usable - 1) / usable * smallest_segment();
}

void WalWriter::prepare_if_needed() {
  if (dead_ || preparer_.running() || preparer_.ready() || retry_timer_ != 0) return;
  const uint64_t needed = blocked_bytes_ == 0 ? 0 : blocked_bytes_ + kSegmentOverheadBytes;
  if (!preparing_failed_) {
    prepare(std::max(needed, align_sector(options_.segment_bytes)),
            std::max(needed, smallest_segment()), keep_free_);
  } else if (blocked_bytes_ != 0) {
    // The reserve is for this: what was admitted must get through.
    PROBE("wal: a small segment out of the reserve");
    prepare(std::max(needed, smallest_segment()), std::max<uint64_t>(needed, kSegmentBytesMin), 0);
  }
}

/// Its file goes before the next one is made: both are jobs of the bulk lane.
void WalWriter::drop_prepared() {
  auto job = [&disk = disk_, path = segment_path(preparer_.take().number)] {
    return disk.remove(path);
  };
  lanes_.submit(env::Lane::bulk, std::move(job), [](const Result<void>&) {});
}

uint64_t WalWriter::smallest_segment() const {
  return std::min<uint64_t>(align_sector(options_.segment_bytes), kSmallestPreparedBytes);
}

void WalWriter::prepare(uint64_t bytes, uint64_t bytes_min, uint64_t keep_free) {
  const bool last_resort = keep_free == 0 && preparing_failed_;
  Preparer::Request request{
      .number = ++number_max_, .bytes = bytes, .bytes_min = bytes_min, .keep_free = keep_free};
  if (last_resort) request.ballast_left = ballast_bytes(options_) / 2;
  preparer_.start(request, [this, last_resort](Result<void> result) {
    if (!result) {
      preparing_failed_ = true;
      if (!std::exchange(shortage_told_, true)) {
        logger_.warn("log_segment_not_prepared", {{"error", result.error().message}});
      }
      if (last_resort) {
        retry_timer_ = clock_.at(clock_.now_us() + kRetryPreparingUs, [this] {
          retry_timer_ = 0;
          retry_preparing();
        });
      }
    } else if (!last_resort) {
      preparing_failed_ = false;
      if (std::exchange(shortage_told_, false)) logger_.info("log_segment_prepared");
    }
    drop_stale_segment();
    kick();
    if (on_space_change_) on_space_change_();
  });
}

void WalWriter::retry_preparing() {
  if (!preparing_failed_ || preparer_.running() || dead_) return;
  preparing_failed_ = false;
  if (retry_timer_ != 0) clock_.cancel(std::exchange(retry_timer_, 0));
  prepare_if_needed();
}

uint64_t WalWriter::log_bytes() const {
  uint64_t bytes = offset_;
  for (size_t i = 0; i + 1 < segments_.size(); ++i) bytes += segments_[i].end;
  return bytes;
}

std::vector<std::string> WalWriter::forget_to(Index index) {
  std::vector<std::string> paths;
  size_t count = 0;
  while (count + 1 < segments_.size() && segments_[count + 1].header.first_index <= index + 1) {
    paths.push_back(segment_path(segments_[count].number));
    ++count;
  }
  segments_.erase(segments_.begin(), segments_.begin() + static_cast<ptrdiff_t>(count));
  shape_.forget_before(segments_.front().header.first_index);
  return paths;
}

// --- Idleness

void WalWriter::arm_idle_timer(uint64_t when_us) {
  idle_timer_ = clock_.at(when_us, [this] {
    idle_timer_ = 0;
    idle_check();
  });
}

void WalWriter::idle_check() {
  if (dead_ || marked_ || flying_ != nullptr || !queue_.empty() || restarting()) return;
  const uint64_t due_us = last_landed_us_ + kIdleMarkerUs;
  if (clock_.now_us() < due_us) {
    arm_idle_timer(due_us);
    return;
  }
  PROBE("wal: idle marker");
  write_marker();
}

/// If nothing newer is on its way already.
void WalWriter::vouch_if_needed() {
  if (!unvouched_ || flying_ != nullptr) return;
  PROBE("wal: a marker vouches for a promise");
  CHECK(offset_ + kSectorBytes <= file_bytes_);
  write_marker();
}

void WalWriter::write_marker() {
  if (offset_ + kSectorBytes > file_bytes_) {
    marked_ = true;
    return;
  }
  auto flight = std::make_shared<Flight>();
  flight->bytes = buffers_.take(0);
  begin_batch(flight->bytes);
  flight->size = align_sector(flight->bytes.size());
  flight->last_index = durable_index_;
  flight->marker_only = true;
  launch(std::move(flight));
}

void WalWriter::quiesce(UniqueFunction<void()> done) {
  quiescing_.push_back(std::move(done));
  clock_.post([this, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired()) settle_quiesce();
  });
}

void WalWriter::settle_quiesce() {
  if (quiescing_.empty()) return;
  if (!dead_) {
    const bool wanted = !queue_.empty() && queue_.front().flushed;
    if (flying_ != nullptr || wanted || restarting()) return;
    if (!marked_) write_marker();
    if (!marked_) return;
  }
  for (auto& done : std::exchange(quiescing_, {})) done();
}

}  // namespace doozer::storage
