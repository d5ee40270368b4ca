#include "storage/opening.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "base/probe.h"
#include "storage/exchange.h"
#include "storage/identity_file.h"
#include "storage/repairing.h"
#include "storage/retained.h"
#include "storage/snapshot_format.h"
#include "storage/snapshot_reader.h"

namespace doozer::storage {
namespace {

/// Compares what log and snapshots say about each other; drops snapshots that the log does not
/// continue. Errors: corrupt.
Result<void> check_coverage(const LogScan& scan, FoundSnapshots& snapshots) {
  const Index before_log = scan.shape.first_index() - 1;
  const Index last = scan.shape.last_index();
  for (auto one = snapshots.good.begin(); one != snapshots.good.end();) {
    const raft::SnapshotPoint& point = one->header.point;
    const std::string path = snapshot_path(point.index);
    if (point.index > last) {
      return fail(Code::corrupt,
                  "the log ends at " + std::to_string(last.value()) + ", but file " + quote(path) +
                      " was published when it went further: the end of file " +
                      quote(scan.newest_file) + " is damaged. See `doozer-inspect salvage`");
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

/// The log begins anew in one step, the snapshot gets its name in the next: after a crash between
/// them the received file is the one that the log stands behind, in any other case it is garbage.
/// Errors: io_error, corrupt.
Result<void> take_received(env::Disk& disk, Opened& opened) {
  FoundSnapshots& snapshots = opened.snapshots;
  const LogShape& shape = opened.scan.shape;
  for (FoundSnapshot& received : snapshots.received) {
    const raft::SnapshotPoint& point = received.header.point;
    const std::string path = received_path(point.index);
    const bool fits =
        point.index + 1 == shape.first_index() && point.term == shape.term_at(point.index);
    if (!fits) {
      snapshots.garbage.push_back(path);
      continue;
    }
    PROBE("snapshot: recovery publishes a received one");
    TRY(verify_snapshot(disk, path));
    opened.publish = point.index;
    std::vector<FoundSnapshot>& good = snapshots.good;
    std::erase_if(good, [&](const FoundSnapshot& one) {
      return one.header.point.index == point.index;  // the rename replaces it
    });
    const auto behind = std::find_if(good.begin(), good.end(), [&](const FoundSnapshot& one) {
      return one.header.point.index > point.index;
    });
    good.insert(behind, std::move(received));
  }
  return {};
}

/// The state that the log ends with, put right after a cut. The newest snapshot is of committed
/// entries.
DurableState final_state(const Opened& opened) {
  const LogScan& scan = opened.scan;
  DurableState state = scan.shape.state();
  if (scan.shape.last_term() > state.raft.term) {
    // The entry was kept, the hard state behind it in the same batch was not; so no vote and no
    // answer of that term has left.
    PROBE("wal: term taken from the last entry");
    state.raft.term = scan.shape.last_term();
    state.raft.vote = Identity();
  }
  if (scan.torn && !scan.torn->never_synced) {
    state.doubtful_to = std::max(state.doubtful_to, scan.torn->reached);
  }
  if (!opened.snapshots.good.empty()) {
    state.raft.commit =
        std::max(state.raft.commit, opened.snapshots.good.back().header.point.index);
  }
  if (opened.note) put_under_repair(opened, state);
  return state;
}

void describe(Opened& opened) {
  Recovered& out = opened.recovered;
  const FoundSnapshots& snapshots = opened.snapshots;
  const LogShape& shape = opened.scan.shape;
  const DurableState state = final_state(opened);
  out.hard_state = state.raft;
  out.trust = state.doubtful_to == Index(0) ? raft::LogTrust::sound : raft::LogTrust::doubtful;
  out.doubtful_to = state.doubtful_to;
  if (opened.note) {
    out.trust = raft::LogTrust::repairing;
    out.repair = Repair{.damage = opened.note->damage, .vote_lost = opened.note->vote_lost};
  }
  out.first_index = shape.first_index();
  out.last_index = shape.last_index();
  out.last_term = shape.last_term();
  for (const FoundSnapshot& snapshot : snapshots.good) out.snapshots.push_back(snapshot.header);
  Index base;
  if (!out.snapshots.empty()) {
    const raft::SnapshotPoint& point = out.snapshots.back().point;
    base = point.index;
    if (!point.configuration.voters.empty()) {
      out.configurations.push_back({.index = base, .configuration = point.configuration});
    }
  }
  for (const ConfigurationAt& one : shape.configurations()) {
    if (one.index > base) out.configurations.push_back(one);
  }
  if (out.configurations.empty() && opened.note && opened.note->configuration) {
    out.configurations.push_back({.index = Index(0), .configuration = *opened.note->configuration});
  }
  if (!out.configurations.empty()) out.configuration = out.configurations.back().configuration;
}

/// Of a single voter all that is durable is committed, whatever its hint says.
Result<void> retain(env::Disk& disk, const StorageOptions& options, Opened& opened) {
  Recovered& recovered = opened.recovered;
  const raft::Configuration alone{.voters = {recovered.owner.identity}, .old_voters = {}};
  const Index committed =
      recovered.configuration == alone ? recovered.last_index : recovered.hard_state.commit;
  TRY_ASSIGN(opened.retained, read_retained(disk, opened.scan.segments,
                                            {.last = recovered.last_index,
                                             .needed_from = committed + 1,
                                             .bytes_max = options.retained_log_bytes}));
  recovered.term_before_retained =
      opened.retained.empty() ? recovered.last_term
                              : opened.scan.shape.term_at(opened.retained.front().index - 1);
  return {};
}

Result<void> match_snapshots(env::Disk& disk, Opened& opened) {
  TRY(take_received(disk, opened));
  return check_coverage(opened.scan, opened.snapshots);
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
  TRY_ASSIGN(opened.note, read_repair(disk));
  LogDamage damage;
  auto scan = scan_log(disk, recovered.owner, &damage);
  const bool damaged = !scan && scan.error().code == Code::corrupt && damage.number != 0;
  Result<void> sound;
  if (damaged) {
    sound = fail(std::move(scan).error());
    TRY_ASSIGN(opened.scan, scan_intact(disk, damage));
  } else {
    TRY_ASSIGN(opened.scan, std::move(scan));
  }
  const Incarnation before = started.value_or(Incarnation(0));
  if (opened.scan.incarnation_max > before) {
    return fail(Code::corrupt, "file \"incarnation\" says " + std::to_string(before.value()) +
                                   ", a log segment was written by incarnation " +
                                   std::to_string(opened.scan.incarnation_max.value()));
  }
  recovered.incarnation = before + 1;
  if (sound) sound = match_snapshots(disk, opened);
  if (!sound && sound.error().code == Code::corrupt) {
    TRY(begin_repair(disk, damage, sound.error(), opened));
    sound = check_coverage(opened.scan, opened.snapshots);
  }
  TRY(sound);
  describe(opened);
  return opened;
}

/// On a disk that somebody filled up to the last byte a start takes what it needs from the ballast.
/// Errors: io_error.
Result<void> find_room(env::Disk& disk, const StorageOptions& options, const Opened& opened) {
  TRY(cut_ballast(disk, ballast_bytes(options)));
  TRY_ASSIGN(const Space space, look_at_space(disk));
  const uint64_t needed = align_sector(opened.scan.tail.batch.size()) + kSegmentBytesMin;
  if (space.free_bytes >= needed || space.ballast_bytes == 0) return {};
  PROBE("ballast: a start takes of it");
  const uint64_t lacking = needed - space.free_bytes;
  return cut_ballast(disk, space.ballast_bytes > lacking ? space.ballast_bytes - lacking : 0);
}

/// Everything that writes.
Result<void> make_durable(env::Disk& disk, const StorageOptions& options, Opened& opened) {
  const Recovered& recovered = opened.recovered;
  if (opened.publish) {
    TRY(disk.rename(received_path(*opened.publish), snapshot_path(*opened.publish)));
    TRY(disk.sync_directory("snap"));
  }
  TRY(remove_unbegun(disk, opened.scan));
  for (const std::string& path : opened.snapshots.garbage) TRY(disk.remove(path));
  TRY(find_room(disk, options, opened));
  TRY(write_incarnation(disk, recovered.incarnation));
  TRY(note_repair(disk, opened));
  TRY(rebuild_tail(disk,
                   {.owner = recovered.owner,
                    .incarnation = recovered.incarnation,
                    .segment_bytes = align_sector(options.segment_bytes),
                    .final_state = final_state(opened)},
                   opened.scan));
  TRY(set_damaged_aside(disk, opened));
  TRY(remove_dead(disk, opened.scan));
  TRY_ASSIGN(opened.file, disk.open(segment_path(opened.scan.segments.back().number),
                                    env::OpenMode::read_write));
  TRY(retain(disk, options, opened));
  TRY_ASSIGN(opened.space, look_at_space(disk));
  return {};
}

}  // namespace

Result<Opened> open_directory(env::Disk& disk, const Logger& logger,
                              const StorageOptions& options) {
  TRY_ASSIGN(const bool exchanged, settle_exchange(disk));
  if (exchanged) {
    PROBE("exchange: ended by a start");
    logger.info("exchange_ended", {{"why", "--recover-alone was interrupted"}});
  }
  TRY_ASSIGN(Opened opened, examine(disk));
  for (const auto& damaged : opened.snapshots.damaged) {
    logger.warn("snapshot_damaged", {{"file", damaged.path}, {"error", damaged.why}});
  }
  if (const auto& torn = opened.scan.torn) {
    logger.warn("log_tail_cut", {{"file", torn->file},
                                 {"offset", torn->offset},
                                 {"why", torn->why},
                                 {"last_index", opened.recovered.last_index},
                                 {"reached", torn->reached},
                                 {"doubtful", !torn->never_synced}});
  }
  if (opened.note) {
    logger.error("log_repairing", {{"damage", std::string_view(opened.note->damage)},
                                   {"found", opened.evidence ? "now" : "before"},
                                   {"last_index", opened.recovered.last_index},
                                   {"reached", opened.recovered.doubtful_to},
                                   {"vote_lost", opened.note->vote_lost}});
  }
  auto made = make_durable(disk, options, opened);
  if (!made && made.error().code == Code::no_space) {
    return fail(with_context(std::move(made).error(),
                             "the disk is too full to start, make some hundred KiB of room"));
  }
  TRY(made);
  return opened;
}

}  // namespace doozer::storage
