#include "server/snapshotter.h"

#include <algorithm>
#include <utility>

#include "base/probe.h"

namespace doozer::server {
namespace {

constexpr uint64_t kRetryAfterUs = 10'000'000;
/// On a full disk a snapshot is worth it if this much of the log, or of the one before, goes.
constexpr uint64_t kWorthOnFullDiskBytes = 1 * kMiB;
/// Another slice a turn for so much per cent of what the pin may hold back.
constexpr int kPressurePerSlice = 20;

}  // namespace

Snapshotter::Snapshotter(env::Clock& clock, storage::Storage& storage, Replica& replica,
                         const SnapshotPolicy& policy, const Logger& logger)
    : clock_(clock), storage_(storage), replica_(replica), policy_(policy), logger_(logger) {
  // What the log already held at the start counts too, as the newest snapshot's share of it.
  const storage::Recovered& recovered = storage.recovered();
  const Index newest =
      recovered.snapshots.empty() ? Index(0) : recovered.snapshots.back().point.index;
  if (recovered.last_index >= recovered.first_index && recovered.last_index > newest) {
    const uint64_t entries = recovered.last_index - recovered.first_index + 1;
    const uint64_t after = std::min(entries, recovered.last_index - newest);
    bytes_before_ =
        static_cast<uint64_t>(static_cast<double>(storage.stats().log_bytes) *
                              static_cast<double>(after) / static_cast<double>(entries));
  }
}

bool Snapshotter::due() const {
  // A machine that is about to be replaced is not written: its writer would outlive it.
  if (stopped_ || writer_ != nullptr || replica_.dead() || replica_.installing()) return false;
  const uint64_t live = replica_.machine().stats().live_bytes;
  const uint64_t log = log_since_last();
  const bool for_room =
      storage_.short_of_space() &&
      (log >= kWorthOnFullDiskBytes || live + kWorthOnFullDiskBytes <= live_at_last_);
  if (log < std::max(policy_.log_bytes, live / 2) && !for_room && !wanted_) return false;
  if (clock_.now_us() < not_before_us_) return false;
  return storage_.snapshots().empty() ||
         storage_.snapshots().back().point.index < replica_.machine().applied();
}

// As written: many small batches are padded to many times what they hold.
uint64_t Snapshotter::log_since_last() const {
  return bytes_before_ + storage_.stats().written_bytes - bytes_at_last_;
}

void Snapshotter::turn_end() {
  const uint64_t live = replica_.machine().stats().live_bytes;
  if (live > estimated_ + kMiB || live + kMiB < estimated_) {
    estimated_ = live;
    storage_.set_snapshot_estimate(live);
  }
  if (due()) begin();
  if (image_ != nullptr) slice();
  purge();
}

void Snapshotter::stop() {
  stopped_ = true;
  image_.reset();
  writer_.reset();
}

void Snapshotter::abandon() {
  image_.reset();
  writer_.reset();
}

void Snapshotter::on_installed() {
  bytes_before_ = 0;
  bytes_at_last_ = storage_.stats().written_bytes;
  live_at_last_ = replica_.machine().stats().live_bytes;
  wanted_ = false;
}

void Snapshotter::begin() {
  wanted_ = false;
  ++begun_;
  chunk_.clear();
  scanned_ = false;
  image_ = replica_.machine().write_image();
  const core::Digests& pinned = image_->digests();
  const storage::Ownership& owner = storage_.recovered().owner;
  auto writer = storage_.write_snapshot(
      {.cluster = owner.cluster,
       .identity = owner.identity,
       .point = {.index = pinned.index,
                 .term = replica_.applied_term(),
                 .configuration = replica_.core().configuration_at(pinned.index)},
       .cluster_version = image_->cluster_version(),
       .revision = pinned.revision,
       .chain_digest = pinned.chain,
       .state_digest = pinned.state});
  bytes_at_last_ = storage_.stats().written_bytes;
  bytes_before_ = 0;
  live_at_last_ = replica_.machine().stats().live_bytes;
  if (storage_.short_of_space()) not_before_us_ = clock_.now_us() + kRetryAfterUs;
  began_us_ = clock_.now_us();
  if (!writer) {
    give_up(writer.error());
    return;
  }
  writer_ = std::move(*writer);
  logger_.info("snapshot_begun", {{"index", pinned.index}, {"snapshot_revision", pinned.revision}});
}

// One slice a turn, and more of them the nearer the pin is to what it may hold back: a snapshot
// that is given up must be begun again. A posted nothing makes the next turn come.
void Snapshotter::slice() {
  const int slices = 1 + image_->pressure() / kPressurePerSlice;
  for (int i = 0; i < slices && image_ != nullptr && writer_->ready(); ++i) {
    if (!scan_some()) return;
  }
  // If the writer is busy, its completion makes a turn.
  if (image_ != nullptr && writer_->ready()) clock_.post([] {});
}

// The image comes in pieces of about the size asked for (a large value overshoots), the file takes
// exact ones. False if the snapshot was given up.
bool Snapshotter::scan_some() {
  if (!scanned_ && chunk_.size() < kSnapshotChunkBytes) {
    Budget budget(kSliceSteps);
    auto step = image_->next(kSnapshotChunkBytes, budget, chunk_);
    if (!step) {
      give_up(step.error());
      return false;
    }
    scanned_ = *step == core::ImageWriter::Step::done;
  }
  while (writer_->ready() &&
         (chunk_.size() >= kSnapshotChunkBytes || (scanned_ && !chunk_.empty()))) {
    std::string piece = chunk_.substr(0, kSnapshotChunkBytes);
    chunk_.erase(0, piece.size());
    writer_->add(std::move(piece));
  }
  if (scanned_ && chunk_.empty()) finish();
  return true;
}

void Snapshotter::finish() {
  const Index index = image_->digests().index;
  image_.reset();
  // One that was abandoned may still end, after another was begun.
  writer_->finish(
      [this, index, mine = begun_, alive = std::weak_ptr<int>(alive_)](Result<void> written) {
        if (alive.expired() || writer_ == nullptr || begun_ != mine) return;
        if (!written) {
          give_up(written.error());
          return;
        }
        writer_.reset();
        ++taken_;
        for (const storage::SnapshotHeader& header : storage_.snapshots()) {
          if (header.point.index == index) replica_.snapshot_taken(header.point);
        }
        logger_.info("snapshot_taken",
                     {{"index", index}, {"ms", (clock_.now_us() - began_us_) / 1000}});
      });
}

void Snapshotter::give_up(const Error& error) {
  PROBE("snapshotter: a snapshot was given up");
  image_.reset();
  writer_.reset();
  ++failed_;
  not_before_us_ = clock_.now_us() + kRetryAfterUs;
  bytes_before_ =
      std::max(policy_.log_bytes, replica_.machine().stats().live_bytes / 2);  // due again then
  logger_.warn("snapshot_failed", {{"error", std::string_view(error.message)}});
}

// The oldest snapshot that is still needed is the newest one not newer than the oldest kept
// revision: from there the log rebuilds the history. On a full disk, it is the newest.
void Snapshotter::purge() {
  Index keep;
  const bool all = storage_.short_of_space();
  Revision from;
  for (const storage::SnapshotHeader& header : storage_.snapshots()) {
    if (!all && header.revision > replica_.machine().oldest()) continue;
    keep = header.point.index;
    from = header.revision;
  }
  if (keep <= purged_to_) return;
  purged_to_ = keep;
  if (from > replica_.machine().oldest()) {
    PROBE("snapshotter: gave up history for room");
    logger_.warn("history_cut_for_room", {{"oldest_after_restart", from}});
  }
  storage_.purge(keep);
}

}  // namespace doozer::server
