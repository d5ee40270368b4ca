// The object that joins writer, space and snapshots.
#include "storage/storage.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "base/probe.h"
#include "storage/opening.h"
#include "storage/snapshot_format.h"
#include "storage/snapshot_reader.h"
#include "storage/snapshot_writer.h"
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

class FileStorage final : public Storage {
 public:
  FileStorage(env::Disk& disk, env::Lanes& lanes, env::Clock& clock, const Logger& logger,
              const StorageOptions& options, Opened opened);

  const Recovered& recovered() const override { return recovered_; }
  Result<void> replay(Index first, Index last,
                      UniqueFunction<Result<void>(raft::Entry)> visit) override;

  std::vector<raft::Entry> take_retained() override { return std::exchange(retained_, {}); }

  void truncate_from(Index index) override { writer_.truncate_from(index); }
  void append(const raft::Entry& entry) override { writer_.append(entry); }
  void set_hard_state(const raft::HardState& state) override { writer_.set_hard_state(state); }
  Index first_index() const override { return writer_.shape().first_index(); }
  Index last_index() const override { return writer_.shape().last_index(); }
  size_t pending_bytes() const override { return writer_.pending_bytes(); }
  void flush(uint64_t tag) override { writer_.flush(tag); }
  void on_persisted(UniqueFunction<void(Result<uint64_t>)> handler) override {
    writer_.on_persisted(std::move(handler));
  }
  void settle_doubt() override;
  void quiesce(UniqueFunction<void()> done) override { writer_.quiesce(std::move(done)); }

  Result<void> admit(size_t bytes, bool reserve_ok) override;
  bool short_of_space() const override { return refused_.has_value(); }
  void set_snapshot_estimate(uint64_t bytes) override;

  Result<std::unique_ptr<SnapshotReader>> read_snapshot(Index index) override;
  Result<std::unique_ptr<SnapshotWriter>> write_snapshot(const SnapshotHeader& header) override;
  Result<std::unique_ptr<SnapshotWriter>> write_received_snapshot(
      const SnapshotHeader& header) override;
  const std::vector<SnapshotHeader>& snapshots() const override { return snapshots_; }
  void purge(Index oldest_kept) override;
  StorageStats stats() const override;

 private:
  void when_durable(Index index, SnapshotPlace::Joined then);
  void run_durable();
  Result<void> check_owner(const SnapshotHeader& header) const;
  void install(const raft::SnapshotPoint& point, SnapshotPlace::Joined then);
  void published(const SnapshotHeader& header, uint64_t file_bytes);
  void installed(const SnapshotHeader& header, uint64_t file_bytes);
  void drop_snapshots_before(Index index, std::vector<std::string>& paths);
  void remove_on_bulk_lane(std::vector<std::string> paths);

  Result<void> judge(size_t bytes, bool reserve_ok) const;
  void was_admitted();
  void mind_space();
  /// What of the disk is not for SETs, besides the ballast.
  uint64_t kept_bytes() const;

  /// What admit() refused last, as long as it would do so again.
  struct Refused {
    size_t bytes = 0;
    bool reserve_ok = false;
  };
  struct Waiting {
    Index index;
    SnapshotPlace::Joined then;
  };

  env::Disk& disk_;
  env::Lanes& lanes_;
  const Logger logger_;
  const StorageOptions options_;
  const Recovered recovered_;
  std::vector<raft::Entry> retained_;
  WalWriter writer_;
  SpaceGauge space_;
  std::vector<SnapshotHeader> snapshots_;
  std::vector<uint64_t> snapshot_bytes_;  ///< of the files, in the same order
  std::vector<std::string> damaged_snapshots_;
  uint64_t snapshot_room_ = 0;
  std::optional<Refused> refused_;
  std::vector<Waiting> waiting_;
  std::weak_ptr<void> receiving_;
  bool repairing_;
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
      retained_(std::move(opened.retained)),
      writer_({.disk = disk, .lanes = lanes, .clock = clock, .logger = logger_},
              writer_start(options, opened), std::move(opened.file)),
      space_(disk, lanes, clock, opened.space),
      repairing_(recovered_.repair.has_value()) {
  for (const FoundSnapshot& snapshot : opened.snapshots.good) {
    snapshots_.push_back(snapshot.header);
    snapshot_bytes_.push_back(snapshot.file_bytes);
  }
  for (const auto& damaged : opened.snapshots.damaged) damaged_snapshots_.push_back(damaged.path);
  set_snapshot_estimate(snapshot_bytes_.empty() ? 0 : snapshot_bytes_.back());
  writer_.on_progress([this] { run_durable(); });
  writer_.on_space_change([this] { space_.refresh(); });
  space_.on_refresh([this] { mind_space(); });
}

Result<void> FileStorage::replay(Index first, Index last,
                                 UniqueFunction<Result<void>(raft::Entry)> visit) {
  return replay_segments(disk_, writer_.segments(), first, last, visit);
}

/// The note goes last: what makes up for the damage is durable by then.
void FileStorage::settle_doubt() {
  writer_.settle_doubt();
  if (!std::exchange(repairing_, false)) return;
  when_durable(last_index(), [this](const Result<LogFate>& durable) {
    if (!durable) return;
    PROBE("repair: settled");
    lanes_.submit(
        env::Lane::bulk, [&disk = disk_] { return end_repair(disk); },
        [this, alive = std::weak_ptr<int>(alive_)](const Result<void>& result) {
          if (alive.expired() || result) return;
          logger_.warn("repair_not_ended", {{"error", result.error().message}});
        });
  });
}

// --- Space

void FileStorage::set_snapshot_estimate(uint64_t bytes) {
  snapshot_room_ = room_for_snapshot(bytes);
  writer_.set_keep_free(kept_bytes());
}

uint64_t FileStorage::kept_bytes() const {
  const uint64_t reserve = options_.disk_reserve_bytes;
  return reserve - std::min(space_.ballast_bytes(), reserve) + snapshot_room_;
}

/// Whether or not anybody asks: a follower proposes nothing, and its disk is full all the same.
void FileStorage::mind_space() {
  writer_.set_keep_free(kept_bytes());
  const Refused refused = refused_.value_or(Refused{});
  if (judge(refused.bytes, refused.reserve_ok)) {
    if (refused_) was_admitted();
  } else if (!refused_) {
    refused_ = refused;
    space_.watch(true);
  }
  const uint64_t free = space_.free_bytes();
  if (writer_.preparing_failed() && free >= writer_.smallest_segment() + kept_bytes()) {
    writer_.retry_preparing();
  }
  const uint64_t ballast = ballast_bytes(options_);
  if (space_.ballast_bytes() < ballast && free >= kept_bytes()) space_.restore_ballast(ballast);
}

Result<void> FileStorage::admit(size_t bytes, bool reserve_ok) {
  if (writer_.dead()) return fail(Code::io_error, "the log cannot be written any more");
  space_.refresh_if_stale();
  auto judged = judge(bytes, reserve_ok);
  if (!judged) {
    refused_ = Refused{.bytes = bytes, .reserve_ok = reserve_ok};
    space_.watch(true);
  } else if (refused_ && bytes >= refused_->bytes && (!reserve_ok || refused_->reserve_ok)) {
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
    const uint64_t for_starts = ballast_bytes(options_) / 2;
    const uint64_t ballast = space_.ballast_bytes();
    const uint64_t last = free + (ballast > for_starts ? ballast - for_starts : 0);
    if (room < cost && last < small_segment) return refuse(small_segment, "the log");
    return {};
  }
  const uint64_t kept = kept_bytes();
  // What goes into a prepared segment takes nothing of what is free.
  const uint64_t growth = writer_.beyond_prepared(cost);
  if (free < kept + growth) {
    return refuse(kept + growth, "the reserve, the next snapshot and the log on its way");
  }
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

Result<void> FileStorage::check_owner(const SnapshotHeader& header) const {
  const bool ours =
      header.cluster == recovered_.owner.cluster && header.identity == recovered_.owner.identity;
  if (!ours) return fail(Code::conflict, "the snapshot is of another server or cluster");
  return {};
}

Result<std::unique_ptr<SnapshotWriter>> FileStorage::write_snapshot(const SnapshotHeader& header) {
  TRY(check_owner(header));
  const std::weak_ptr<int> alive = alive_;
  SnapshotPlace place{
      .disk = disk_,
      .lanes = lanes_,
      .join_log =
          [this, alive](const raft::SnapshotPoint& point, SnapshotPlace::Joined then) {
            if (alive.expired()) return;
            when_durable(point.index, std::move(then));
          },
      .published =
          [this, alive](const SnapshotHeader& written, uint64_t file_bytes) {
            if (!alive.expired()) published(written, file_bytes);
          },
  };
  return make_snapshot_writer(std::move(place), header);
}

Result<std::unique_ptr<SnapshotWriter>> FileStorage::write_received_snapshot(
    const SnapshotHeader& header) {
  TRY(check_owner(header));
  if (!receiving_.expired()) return fail(Code::conflict, "a snapshot is being received already");
  auto token = std::make_shared<int>();
  receiving_ = token;
  const std::weak_ptr<int> alive = alive_;
  SnapshotPlace place{
      .disk = disk_,
      .lanes = lanes_,
      .join_log =
          [this, alive](const raft::SnapshotPoint& point, SnapshotPlace::Joined then) {
            if (!alive.expired()) install(point, std::move(then));
          },
      .published =
          [this, alive](const SnapshotHeader& written, uint64_t file_bytes) {
            if (!alive.expired()) installed(written, file_bytes);
          },
      .lost =
          [this, alive](const Error& error) {
            if (!alive.expired()) writer_.die(error);
          },
      .received = true,
      .token = std::move(token),
  };
  return make_snapshot_writer(std::move(place), header);
}

/// Judged by all that was asked of the log so far; from here on nothing is appended.
void FileStorage::install(const raft::SnapshotPoint& point, SnapshotPlace::Joined then) {
  const LogShape& shape = writer_.shape();
  const Index before_log = shape.first_index() - 1;
  const auto text = [](auto number) { return std::to_string(number.value()); };
  if (point.index < before_log) {
    then(fail(Code::conflict, "the snapshot is of index " + text(point.index) +
                                  ", the log begins behind " + text(before_log)));
    return;
  }
  if (point.term > shape.state().raft.term) {
    then(fail(Code::conflict, "the snapshot is of term " + text(point.term) +
                                  ", this server knows none above " +
                                  text(shape.state().raft.term)));
    return;
  }
  if (point.index <= shape.last_index()) {
    const Term term = shape.term_at(point.index);
    const bool known = point.index > before_log || term != Term(0);
    if (!known || term == point.term) {
      PROBE("snapshot: a received one matches the log");
      when_durable(point.index, std::move(then));
      return;
    }
  }
  if (point.index <= shape.state().raft.commit) {
    then(fail(Code::conflict, "the snapshot of index " + text(point.index) + " and term " +
                                  text(point.term) + " contradicts a committed entry"));
    return;
  }
  writer_.restart_behind(point, [then = std::move(then)](Result<void> restarted) mutable {
    if (restarted) {
      then(LogFate::discarded);
    } else {
      then(fail(std::move(restarted).error()));
    }
  });
}

void FileStorage::when_durable(Index index, SnapshotPlace::Joined then) {
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
    if (covered) {
      then(LogFate::kept);
    } else {
      then(fail(Code::io_error, "the log cannot be written any more"));
    }
  }
}

void FileStorage::published(const SnapshotHeader& header, uint64_t file_bytes) {
  if (header.point.index + 1 < first_index()) {
    PROBE("snapshot: the log began anew behind a later one meanwhile");
    remove_on_bulk_lane({snapshot_path(header.point.index)});
    return;
  }
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

void FileStorage::installed(const SnapshotHeader& header, uint64_t file_bytes) {
  published(header, file_bytes);
  std::vector<std::string> paths = writer_.take_left_behind();
  drop_snapshots_before(first_index() - 1, paths);
  remove_on_bulk_lane(std::move(paths));
}

void FileStorage::drop_snapshots_before(Index index, std::vector<std::string>& paths) {
  const auto kept =
      std::find_if(snapshots_.begin(), snapshots_.end(),
                   [&](const SnapshotHeader& header) { return header.point.index >= index; });
  for (auto old = snapshots_.begin(); old != kept; ++old) {
    paths.push_back(snapshot_path(old->point.index));
  }
  snapshot_bytes_.erase(snapshot_bytes_.begin(),
                        snapshot_bytes_.begin() + (kept - snapshots_.begin()));
  snapshots_.erase(snapshots_.begin(), kept);
}

void FileStorage::purge(Index oldest_kept) {
  const bool there =
      std::any_of(snapshots_.begin(), snapshots_.end(),
                  [&](const SnapshotHeader& header) { return header.point.index == oldest_kept; });
  CHECK(there);
  std::vector<std::string> paths = writer_.forget_to(oldest_kept);
  for (std::string& path : writer_.take_left_behind()) paths.push_back(std::move(path));
  drop_snapshots_before(oldest_kept, paths);
  paths.insert(paths.end(), damaged_snapshots_.begin(), damaged_snapshots_.end());
  damaged_snapshots_.clear();
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

}  // namespace

Result<std::unique_ptr<Storage>> Storage::open(env::Disk& disk, env::Lanes& lanes,
                                               env::Clock& clock, const Logger& logger,
                                               const StorageOptions& options) {
  CHECK(options.segment_bytes >= kSegmentBytesMin);
  TRY_ASSIGN(Opened opened, open_directory(disk, logger, options));
  return std::unique_ptr<Storage>(
      std::make_unique<FileStorage>(disk, lanes, clock, logger, options, std::move(opened)));
}

}  // namespace doozer::storage
