// open(): from a directory to a log that can be written; and the object that joins writer, space
// and snapshots.
#include "storage/storage.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "base/probe.h"
#include "storage/identity_file.h"
#include "storage/snapshot_format.h"
#include "storage/snapshot_reader.h"
#include "storage/snapshot_writer.h"
#include "storage/snapshots.h"
#include "storage/space.h"
#include "storage/wal_recovery.h"
#include "storage/wal_writer.h"

namespace doozer::storage {
namespace {

/// A snapshot may turn out so much larger than the estimate: numerator over kEstimateDivisor.
constexpr uint64_t kEstimateFactor = 6;
constexpr uint64_t kEstimateDivisor = 5;
/// When no next segment can be prepared, the last part of this one is for the reserve alone.
constexpr uint64_t kReserveSegmentShare = 4;

struct Opened {
  Recovered recovered;
  LogScan scan;
  FoundSnapshots snapshots;
  std::unique_ptr<env::File> file;
  uint64_t free_bytes = 0;
};

class FileStorage final : public Storage {
 public:
  FileStorage(env::Disk& disk, env::Lanes& lanes, env::Clock& clock, const Logger& logger,
              const StorageOptions& options, Opened opened);

  const Recovered& recovered() const override { return recovered_; }
  Result<void> replay(Index first, Index last,
                      UniqueFunction<Result<void>(raft::Entry)> visit) override;

  void truncate_from(Index index) override { writer_.truncate_from(index); }
  void append(const raft::Entry& entry) override { writer_.append(entry); }
  void set_hard_state(const raft::HardState& state) override { writer_.set_hard_state(state); }
  size_t pending_bytes() const override { return writer_.pending_bytes(); }
  void flush(uint64_t tag) override { writer_.flush(tag); }
  void on_persisted(UniqueFunction<void(Result<uint64_t>)> handler) override {
    writer_.on_persisted(std::move(handler));
  }
  void settle_doubt() override { writer_.settle_doubt(); }
  void quiesce(UniqueFunction<void()> done) override { writer_.quiesce(std::move(done)); }

  Result<void> admit(size_t bytes, bool reserve_ok) override;
  bool short_of_space() const override { return refused_.has_value(); }
  void set_snapshot_estimate(uint64_t bytes) override;

  Result<std::unique_ptr<SnapshotReader>> read_snapshot(Index index) override;
  Result<std::unique_ptr<SnapshotWriter>> write_snapshot(const SnapshotHeader& header) override;
  const std::vector<SnapshotHeader>& snapshots() const override { return snapshots_; }
  void purge(Index oldest_kept) override;
  StorageStats stats() const override;

 private:
  void when_durable(Index index, UniqueFunction<void(Result<void>)> then);
  void run_durable();
  void published(const SnapshotHeader& header, uint64_t file_bytes);
  void remove_on_bulk_lane(std::vector<std::string> paths);

  Result<void> judge(size_t bytes, bool reserve_ok) const;
  void was_admitted();

  /// What admit() refused last, as long as it would do so again.
  struct Refused {
    size_t bytes = 0;
    bool reserve_ok = false;
  };
  struct Waiting {
    Index index;
    UniqueFunction<void(Result<void>)> then;
  };

  env::Disk& disk_;
  env::Lanes& lanes_;
  const Logger logger_;
  const StorageOptions options_;
  const Recovered recovered_;
  WalWriter writer_;
  SpaceGauge space_;
  std::vector<SnapshotHeader> snapshots_;
  std::vector<uint64_t> snapshot_bytes_;  ///< of the files, in the same order
  std::vector<std::string> damaged_snapshots_;
  uint64_t snapshot_room_ = 0;
  std::optional<Refused> refused_;
  std::vector<Waiting> waiting_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

uint64_t room_for_snapshot(uint64_t estimate) {
  return estimate / kEstimateDivisor * kEstimateFactor;
}

WriterStart writer_start(const StorageOptions& options, const Opened& opened) {
  return {.owner = opened.recovered.owner,
          .incarnation = opened.recovered.incarnation,
          .options = options,
          .shape = opened.scan.shape,
          .segments = opened.scan.segments,
          .end = opened.scan.tail.link,
          .number_max = opened.scan.number_max};
}

FileStorage::FileStorage(env::Disk& disk, env::Lanes& lanes, env::Clock& clock,
                         const Logger& logger, const StorageOptions& options, Opened opened)
    : disk_(disk),
      lanes_(lanes),
      logger_(logger),
      options_(options),
      recovered_(opened.recovered),
      writer_({.disk = disk, .lanes = lanes, .clock = clock, .logger = logger_},
              writer_start(options, opened), std::move(opened.file)),
      space_(disk, lanes, clock, opened.free_bytes) {
  for (const FoundSnapshot& snapshot : opened.snapshots.good) {
    snapshots_.push_back(snapshot.header);
    snapshot_bytes_.push_back(snapshot.file_bytes);
  }
  for (const auto& damaged : opened.snapshots.damaged) damaged_snapshots_.push_back(damaged.path);
  set_snapshot_estimate(snapshot_bytes_.empty() ? 0 : snapshot_bytes_.back());
  writer_.on_progress([this] { run_durable(); });
  writer_.on_space_change([this] { space_.refresh(); });
  space_.on_refresh([this] {
    if (refused_ && judge(refused_->bytes, refused_->reserve_ok)) was_admitted();
    const uint64_t wanted =
        writer_.smallest_segment() + options_.disk_reserve_bytes + snapshot_room_;
    if (writer_.preparing_failed() && space_.free_bytes() >= wanted) writer_.retry_preparing();
  });
}

Result<void> FileStorage::replay(Index first, Index last,
                                 UniqueFunction<Result<void>(raft::Entry)> visit) {
  return replay_segments(disk_, writer_.segments(), first, last, visit);
}

// --- Space

void FileStorage::set_snapshot_estimate(uint64_t bytes) {
  snapshot_room_ = room_for_snapshot(bytes);
  writer_.set_keep_free(options_.disk_reserve_bytes + snapshot_room_);
}

Result<void> FileStorage::admit(size_t bytes, bool reserve_ok) {
  if (writer_.dead()) return fail(Code::io_error, "the log cannot be written any more");
  space_.refresh_if_stale();
  auto judged = judge(bytes, reserve_ok);
  if (!judged) {
    refused_ = Refused{.bytes = bytes, .reserve_ok = reserve_ok};
    space_.watch(true);
  } else if (refused_ && (!reserve_ok || refused_->reserve_ok)) {
    was_admitted();
  }
  return judged;
}

void FileStorage::was_admitted() {
  refused_.reset();
  space_.watch(false);
}

Result<void> FileStorage::judge(size_t bytes, bool reserve_ok) const {
  const uint64_t cost = bytes + kEntryOverheadBytes;
  const uint64_t room = writer_.prepared_room();
  const uint64_t free = space_.free_bytes();
  const auto refuse = [&](uint64_t kept, std::string_view what) {
    PROBE("storage: refused for want of space");
    return fail(Code::no_space, "disk full: " + std::to_string(free) + " bytes are free, " +
                                    std::to_string(kept) + " are kept for " + std::string(what));
  };
  if (reserve_ok) {
    const uint64_t small_segment = writer_.pending_bytes() + cost + kSegmentBytesMin;
    if (room < cost && free < small_segment) return refuse(small_segment, "the log");
    return {};
  }
  const uint64_t kept = options_.disk_reserve_bytes + snapshot_room_;
  // What goes into a prepared segment takes nothing of what is free.
  if (free < kept) return refuse(kept, "the reserve and the next snapshot");
  const uint64_t log_reserve = std::min<uint64_t>(options_.disk_reserve_bytes,
                                                  options_.segment_bytes / kReserveSegmentShare);
  if (writer_.preparing_failed() && room < cost + log_reserve) {
    return refuse(writer_.smallest_segment() + kept, "the next log segment and the next snapshot");
  }
  return {};
}

// --- Snapshots

Result<std::unique_ptr<SnapshotReader>> FileStorage::read_snapshot(Index index) {
  TRY_ASSIGN(auto reader, SnapshotFileReader::open(disk_, snapshot_path(index)));
  return std::unique_ptr<SnapshotReader>(std::move(reader));
}

Result<std::unique_ptr<SnapshotWriter>> FileStorage::write_snapshot(const SnapshotHeader& header) {
  const bool ours =
      header.cluster == recovered_.owner.cluster && header.identity == recovered_.owner.identity;
  if (!ours) return fail(Code::conflict, "the snapshot is of another server or cluster");
  const std::weak_ptr<int> alive = alive_;
  SnapshotPlace place{
      .disk = disk_,
      .lanes = lanes_,
      .when_durable =
          [this, alive](Index index, UniqueFunction<void(Result<void>)> then) {
            if (!alive.expired()) when_durable(index, std::move(then));
          },
      .published =
          [this, alive](const SnapshotHeader& written, uint64_t file_bytes) {
            if (!alive.expired()) published(written, file_bytes);
          },
  };
  return make_snapshot_writer(std::move(place), header);
}

void FileStorage::when_durable(Index index, UniqueFunction<void(Result<void>)> then) {
  if (writer_.durable_index() < index) PROBE("snapshot: waits for the log to cover it");
  waiting_.push_back({.index = index, .then = std::move(then)});
  run_durable();
}

void FileStorage::run_durable() {
  for (size_t i = 0; i < waiting_.size();) {
    const bool covered = waiting_[i].index <= writer_.durable_index();
    if (!covered && !writer_.dead()) {
      ++i;
      continue;
    }
    auto then = std::move(waiting_[i].then);
    waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(i));
    then(covered ? Result<void>() : fail(Code::io_error, "the log cannot be written any more"));
  }
}

void FileStorage::published(const SnapshotHeader& header, uint64_t file_bytes) {
  const auto place = std::lower_bound(
      snapshots_.begin(), snapshots_.end(), header.point.index,
      [](const SnapshotHeader& one, Index index) { return one.point.index < index; });
  const auto at = place - snapshots_.begin();
  const bool replaces = place != snapshots_.end() && place->point.index == header.point.index;
  if (replaces) {
    *place = header;
    snapshot_bytes_[static_cast<size_t>(at)] = file_bytes;
  } else {
    snapshots_.insert(place, header);
    snapshot_bytes_.insert(snapshot_bytes_.begin() + at, file_bytes);
  }
  std::erase(damaged_snapshots_, snapshot_path(header.point.index));
  space_.refresh();
}

void FileStorage::purge(Index oldest_kept) {
  const auto kept =
      std::find_if(snapshots_.begin(), snapshots_.end(),
                   [&](const SnapshotHeader& header) { return header.point.index == oldest_kept; });
  CHECK(kept != snapshots_.end());
  std::vector<std::string> paths = writer_.forget_to(oldest_kept);
  for (auto old = snapshots_.begin(); old != kept; ++old) {
    paths.push_back(snapshot_path(old->point.index));
  }
  paths.insert(paths.end(), damaged_snapshots_.begin(), damaged_snapshots_.end());
  damaged_snapshots_.clear();
  snapshot_bytes_.erase(snapshot_bytes_.begin(),
                        snapshot_bytes_.begin() + (kept - snapshots_.begin()));
  snapshots_.erase(snapshots_.begin(), kept);
  remove_on_bulk_lane(std::move(paths));
}

/// One job for each file, so that a snapshot being written or a segment being prepared goes on in
/// between.
void FileStorage::remove_on_bulk_lane(std::vector<std::string> paths) {
  if (paths.empty()) return;
  for (std::string& path : paths) {
    lanes_.submit(
        env::Lane::bulk,
        [&disk = disk_, path = std::move(path)]() -> Result<void> {
          auto removed = disk.remove(path);
          if (!removed && removed.error().code == Code::not_found) return {};
          return removed;
        },
        [this, alive = std::weak_ptr<int>(alive_)](const Result<void>& result) {
          if (alive.expired() || result) return;
          logger_.warn("purge_failed", {{"error", result.error().message}});
        });
  }
  space_.refresh();
}

StorageStats FileStorage::stats() const {
  const WriterStats& writer = writer_.stats();
  StorageStats stats{.segments = writer_.segments().size(),
                     .log_bytes = writer_.log_bytes(),
                     .written_bytes = writer.bytes,
                     .syncs = writer.syncs,
                     .sync_us_last = writer.sync_us_last,
                     .sync_us_max = writer.sync_us_max,
                     .batches = writer.batches,
                     .snapshots = snapshots_.size(),
                     .snapshot_bytes = 0,
                     .free_bytes = space_.free_bytes()};
  for (const uint64_t bytes : snapshot_bytes_) stats.snapshot_bytes += bytes;
  return stats;
}

// --- Opening

/// Compares what log and snapshots say about each other; drops snapshots that the log does not
/// continue. Errors: corrupt.
Result<void> check_coverage(const LogScan& scan, FoundSnapshots& snapshots) {
  const Index before_log = scan.shape.first_index() - 1;
  const Index last = scan.shape.last_index();
  for (auto one = snapshots.good.begin(); one != snapshots.good.end();) {
    const raft::SnapshotPoint& point = one->header.point;
    const std::string path = snapshot_path(point.index);
    if (point.index > last) {
      return fail(Code::corrupt, "the log ends at " + std::to_string(last.value()) + ", but file " +
                                     quote(path) +
                                     " was published when it went further: the end of file " +
                                     quote(segment_path(scan.segments.back().number)) +
                                     " is damaged. See `doozer-inspect salvage`");
    }
    if (point.index < before_log) {
      PROBE("snapshot: older than what is left of the log");
      snapshots.garbage.push_back(path);
      one = snapshots.good.erase(one);
      continue;
    }
    const Term term = scan.shape.term_at(point.index);
    const bool known = point.index > before_log || term != Term(0);
    if (known && term != point.term) {
      return fail(Code::corrupt, "file " + quote(path) + " has term " +
                                     std::to_string(point.term.value()) + ", the log " +
                                     std::to_string(term.value()) +
                                     " at that index. See `doozer-inspect salvage`");
    }
    ++one;
  }
  if (before_log == Index(0) || !snapshots.good.empty()) return {};
  const SegmentHeader& oldest = scan.oldest;
  std::string why = "the log begins with entry " + std::to_string((before_log + 1).value()) +
                    " in file " + quote(segment_path(oldest.number));
  if (oldest.previous.number != 0) {
    why += ", file " + quote(segment_path(oldest.previous.number)) + " before it is missing";
  }
  why += ", and no snapshot covers what was before";
  for (const auto& damaged : snapshots.damaged) why += "; " + damaged.why;
  return fail(Code::corrupt, why + ". See `doozer-inspect salvage`");
}

/// The state that the log ends with, put right after a cut.
DurableState final_state(const LogScan& scan) {
  DurableState state = scan.shape.state();
  if (scan.shape.last_term() > state.raft.term) {
    // The entry was kept, the hard state behind it in the same batch was not; so no vote and no
    // answer of that term has left.
    PROBE("wal: term taken from the last entry");
    state.raft.term = scan.shape.last_term();
    state.raft.vote = Identity();
  }
  if (scan.torn) state.doubtful_to = std::max(state.doubtful_to, scan.torn->reached);
  return state;
}

void describe(const LogScan& scan, const FoundSnapshots& snapshots, Recovered& out) {
  const LogShape& shape = scan.shape;
  const DurableState state = final_state(scan);
  out.hard_state = state.raft;
  out.trust = state.doubtful_to == Index(0) ? raft::LogTrust::sound : raft::LogTrust::doubtful;
  out.doubtful_to = state.doubtful_to;
  out.first_index = shape.first_index();
  out.last_index = shape.last_index();
  out.last_term = shape.last_term();
  for (const FoundSnapshot& snapshot : snapshots.good) out.snapshots.push_back(snapshot.header);
  if (!out.snapshots.empty()) out.configuration = out.snapshots.back().point.configuration;
  if (shape.configuration() != nullptr) out.configuration = shape.configuration()->configuration;
}

/// Everything that only reads.
Result<Opened> examine(env::Disk& disk) {
  TRY_ASSIGN(const DirectoryReport report, inspect_directory(disk));
  if (report.state == DirectoryState::empty) {
    return fail(Code::not_found, "the data directory holds no server");
  }
  if (report.state == DirectoryState::broken) return fail(Code::corrupt, report.detail);
  Opened opened;
  Recovered& recovered = opened.recovered;
  TRY_ASSIGN(recovered.owner, read_identity(disk));
  TRY_ASSIGN(const std::optional<Incarnation> started, read_incarnation(disk));
  TRY_ASSIGN(opened.snapshots, find_snapshots(disk, recovered.owner));
  TRY_ASSIGN(opened.scan, scan_log(disk, recovered.owner));
  const Incarnation before = started.value_or(Incarnation(0));
  if (opened.scan.incarnation_max > before) {
    return fail(Code::corrupt, "file \"incarnation\" says " + std::to_string(before.value()) +
                                   ", a log segment was written by incarnation " +
                                   std::to_string(opened.scan.incarnation_max.value()));
  }
  recovered.incarnation = before + 1;
  TRY(check_coverage(opened.scan, opened.snapshots));
  describe(opened.scan, opened.snapshots, recovered);
  return opened;
}

/// Everything that writes.
Result<void> make_durable(env::Disk& disk, const StorageOptions& options, Opened& opened) {
  const Recovered& recovered = opened.recovered;
  TRY(remove_unbegun(disk, opened.scan));
  for (const std::string& path : opened.snapshots.garbage) TRY(disk.remove(path));
  TRY(write_incarnation(disk, recovered.incarnation));
  TRY(rebuild_tail(disk,
                   {.owner = recovered.owner,
                    .incarnation = recovered.incarnation,
                    .segment_bytes = align_sector(options.segment_bytes),
                    .final_state = final_state(opened.scan)},
                   opened.scan));
  TRY(remove_dead(disk, opened.scan));
  TRY_ASSIGN(opened.file, disk.open(segment_path(opened.scan.segments.back().number),
                                    env::OpenMode::read_write));
  TRY_ASSIGN(opened.free_bytes, disk.free_bytes());
  return {};
}

}  // namespace

Result<std::unique_ptr<Storage>> Storage::open(env::Disk& disk, env::Lanes& lanes,
                                               env::Clock& clock, const Logger& logger,
                                               const StorageOptions& options) {
  CHECK(options.segment_bytes >= kSegmentBytesMin);
  TRY_ASSIGN(Opened opened, examine(disk));
  for (const auto& damaged : opened.snapshots.damaged) {
    logger.warn("snapshot_damaged", {{"file", damaged.path}, {"error", damaged.why}});
  }
  if (const auto& torn = opened.scan.torn) {
    logger.warn("log_tail_cut", {{"file", torn->file},
                                 {"offset", torn->offset},
                                 {"why", torn->why},
                                 {"last_index", opened.recovered.last_index},
                                 {"doubtful_to", torn->reached}});
  }
  TRY(make_durable(disk, options, opened));
  return std::unique_ptr<Storage>(
      std::make_unique<FileStorage>(disk, lanes, clock, logger, options, std::move(opened)));
}

}  // namespace doozer::storage
