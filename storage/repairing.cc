#include "storage/repairing.h"

#include <algorithm>

#include "base/check.h"
#include "base/probe.h"
#include "storage/snapshot_format.h"

namespace doozer::storage {
namespace {

/// The number of a segment by its path.
uint64_t number_of(const std::string& path) {
  const auto number = parse_segment_name(std::string_view(path).substr(path.find('/') + 1));
  CHECK(number.has_value());
  return *number;
}

/// The log goes on behind `point` with nothing; all its segments are dead.
void empty_log(const raft::SnapshotPoint& point, LogScan& scan) {
  for (const SegmentInfo& segment : scan.segments) {
    scan.dead.push_back(segment_path(segment.number));
  }
  std::sort(scan.dead.begin(), scan.dead.end());
  scan.segments.clear();
  SegmentHeader header;
  header.first_index = point.index + 1;
  header.previous_term = point.term;
  header.state = scan.shape.state();
  header.state.raft.commit = point.index;
  scan.shape = LogShape(header);
  scan.torn.reset();
  scan.tail = {.link = {},
               .first_index = header.first_index,
               .previous_term = header.previous_term,
               .state = header.state,
               .batch = {}};
  begin_batch(scan.tail.batch);
}

/// Drops what does not lead from the newest snapshot on: older snapshots, or the log.
void fit_to_snapshots(Opened& opened) {
  const LogShape& shape = opened.scan.shape;
  std::vector<FoundSnapshot>& good = opened.snapshots.good;
  if (good.empty()) {
    if (shape.first_index() != Index(1)) {
      PROBE("repair: no snapshot and no beginning of the log");
      empty_log({}, opened.scan);
    }
    return;
  }
  const raft::SnapshotPoint newest = good.back().header.point;
  const auto fits = [&](const raft::SnapshotPoint& point) {
    const Index before_log = shape.first_index() - 1;
    if (point.index < before_log || point.index > shape.last_index()) return false;
    const Term term = shape.term_at(point.index);
    return term == point.term || (point.index == before_log && term == Term(0));
  };
  if (!fits(newest)) {
    PROBE("repair: the log does not lead to the newest snapshot");
    empty_log(newest, opened.scan);
  }
  std::erase_if(good, [&](const FoundSnapshot& one) {
    const Index index = one.header.point.index;
    if (fits(one.header.point)) return false;
    const bool waiting = opened.publish == index;
    opened.snapshots.garbage.push_back(waiting ? received_path(index) : snapshot_path(index));
    if (waiting) opened.publish.reset();
    return true;
  });
}

}  // namespace

Result<void> begin_repair(env::Disk& disk, const LogDamage& damage, const Error& why,
                          Opened& opened) {
  const Ownership& owner = opened.recovered.owner;
  TRY_ASSIGN(Evidence evidence, gather_evidence(disk, owner, opened.snapshots));
  const RepairNote before = opened.note.value_or(RepairNote());
  if (!evidence.configuration) evidence.configuration = before.configuration;
  const raft::Configuration alone{.voters = {owner.identity}, .old_voters = {}};
  if (!evidence.configuration || *evidence.configuration == alone) return fail(why);
  PROBE("repair: a member opens a damaged directory");
  for (const FoundSnapshot& received : opened.snapshots.received) {
    const Index index = received.header.point.index;
    if (opened.publish != index) opened.snapshots.garbage.push_back(received_path(index));
  }
  const bool lost_its_end =
      damage.number == 0 && !opened.snapshots.good.empty() &&
      opened.snapshots.good.back().header.point.index > opened.scan.shape.last_index();
  fit_to_snapshots(opened);
  RepairNote note{.term = std::max(evidence.term, before.term),
                  .vote_lost = before.vote_lost || lost_its_end || !evidence.hard_state_sure,
                  .moved_first = 0,
                  .moved_last = 0,
                  .configuration = evidence.configuration,
                  .damage = damage.number != 0 ? damage.what : why.message};
  for (const std::string& path : opened.scan.dead) {
    const uint64_t number = number_of(path);
    note.moved_first = note.moved_first == 0 ? number : std::min(note.moved_first, number);
    note.moved_last = std::max(note.moved_last, number);
  }
  opened.note = std::move(note);
  opened.evidence = std::move(evidence);
  return {};
}

void put_under_repair(const Opened& opened, DurableState& state) {
  const RepairNote& note = *opened.note;
  if (opened.evidence) {
    const Evidence& evidence = *opened.evidence;
    const raft::HardState& newest = evidence.hard_state;
    const bool voted = !note.vote_lost && newest.term == note.term;
    state.raft.term = note.term;
    state.raft.vote = voted ? newest.vote : Identity();
    state.doubtful_to = std::max(state.doubtful_to, evidence.reached);
  } else if (state.raft.term < note.term) {
    state.raft.term = note.term;
    state.raft.vote = Identity();
  }
}

Result<void> note_repair(env::Disk& disk, const Opened& opened) {
  if (!opened.note || opened.evidence) {
    TRY_ASSIGN(const auto left, damaged_segments(disk));
    for (const std::string& path : left) TRY(disk.remove(path));
  }
  return opened.evidence ? write_repair(disk, *opened.note) : Result<void>();
}

Result<void> set_damaged_aside(env::Disk& disk, Opened& opened) {
  if (!opened.note) return {};
  const auto named = [&](const std::string& path) { return opened.note->moved(number_of(path)); };
  std::vector<std::string>& dead = opened.scan.dead;
  if (std::none_of(dead.begin(), dead.end(), named)) return {};
  for (const std::string& path : dead) {
    if (named(path)) TRY(disk.rename(path, path + std::string(kDamagedSuffix)));
  }
  TRY(disk.sync_directory("log"));
  std::erase_if(dead, named);
  return {};
}

}  // namespace doozer::storage
