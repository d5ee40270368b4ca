// Making a data directory, and looking at one without touching it.
#include "base/bytes.h"
#include "storage/identity_file.h"
#include "storage/segment.h"
#include "storage/snapshot_format.h"
#include "storage/storage.h"
#include "storage/wal_recovery.h"

namespace doozer::storage {
namespace {

/// What of ours lies around.
struct Traces {
  bool identity = false;
  bool incarnation = false;
  uint64_t segment_max = 0;
  bool snapshot = false;
  std::vector<std::string> paths;  ///< in log/ and snap/, temporary ones too
};

Result<std::vector<std::string>> list_if_there(env::Disk& disk, std::string_view directory) {
  auto names = disk.list(directory);
  if (!names && names.error().code == Code::not_found) return std::vector<std::string>();
  return names;
}

Result<Traces> find_traces(env::Disk& disk) {
  Traces traces;
  TRY_ASSIGN(traces.identity, disk.exists(kIdentityFile));
  TRY_ASSIGN(traces.incarnation, disk.exists(kIncarnationFile));
  TRY_ASSIGN(const auto segments, list_if_there(disk, "log"));
  for (const std::string& name : segments) {
    const auto number = parse_segment_name(name);
    if (number) traces.segment_max = std::max(traces.segment_max, *number);
    if (number || name.ends_with(".wal.tmp")) traces.paths.push_back("log/" + name);
  }
  TRY_ASSIGN(const auto snapshots, list_if_there(disk, "snap"));
  for (const std::string& name : snapshots) {
    traces.snapshot = traces.snapshot || parse_snapshot_name(name) || parse_received_name(name);
    if (name.ends_with(".tmp")) traces.paths.push_back("snap/" + name);
  }
  return traces;
}

/// Before the identity is there, creation leaves no more than segment 1; everything else is made
/// by open().
bool ever_opened(const Traces& traces) {
  return traces.incarnation || traces.snapshot || traces.segment_max > 1;
}

constexpr std::string_view kBarredFile = "barred";
constexpr size_t kBarredBytesMax = 4 * kKiB;

DirectoryReport broken(std::string detail) {
  return {.state = DirectoryState::broken, .detail = std::move(detail)};
}

}  // namespace

Result<DirectoryReport> inspect_directory(env::Disk& disk) {
  TRY_ASSIGN(const Traces traces, find_traces(disk));
  if (!traces.identity) {
    if (!ever_opened(traces)) return DirectoryReport{};
    return broken("the file \"identity\" is missing, but log, snapshots or incarnation are there");
  }
  TRY_ASSIGN(const bool barred, disk.exists(kBarredFile));
  if (barred) {
    TRY_ASSIGN(const std::string why, env::read_file(disk, kBarredFile, kBarredBytesMax));
    return broken("the file \"barred\" says: " + why);
  }
  const auto owner = read_identity(disk);
  if (!owner && owner.error().code == Code::io_error) return fail(owner.error());
  if (!owner) return broken(owner.error().message);
  if (traces.segment_max == 0) {
    return broken("the file \"identity\" is there, but the directory \"log\" holds no segment");
  }
  if (!traces.incarnation && traces.segment_max > 1) {
    return broken("the file \"incarnation\" is missing");
  }
  return DirectoryReport{.state = DirectoryState::initialized, .detail = {}};
}

Result<void> bar_directory(env::Disk& disk, std::string_view why) {
  return env::replace_file(disk, "", kBarredFile, std::string(why.substr(0, kBarredBytesMax)));
}

Result<void> Storage::create(env::Disk& disk, const Ownership& owner,
                             const raft::Configuration& configuration,
                             const StorageOptions& options) {
  TRY_ASSIGN(const Traces traces, find_traces(disk));
  if (traces.identity || ever_opened(traces)) {
    return fail(Code::conflict, "the data directory is not empty");
  }
  for (const std::string& path : traces.paths) TRY(disk.remove(path));
  TRY(disk.make_directory("log"));
  TRY(disk.make_directory("snap"));
  TRY(disk.sync_directory(""));

  SealedSegment segment{.header = {.cluster = owner.cluster,
                                   .identity = owner.identity,
                                   .number = 1,
                                   .file_bytes = kSegmentBytesMin,
                                   .incarnation = Incarnation(0),
                                   .previous = {},
                                   .first_index = Index(1),
                                   .previous_term = Term(0),
                                   .state = {}},
                        .batch = {},
                        .last_index = {}};
  (void)options;
  begin_batch(segment.batch);
  if (!configuration.voters.empty()) {
    append_entry(segment.batch, Index(1), Term(1), raft::EntryKind::configuration,
                 raft::encode_configuration(configuration));
    append_hard_state(segment.batch,
                      {.raft = {.term = Term(1), .vote = {}, .commit = {}}, .doubtful_to = {}});
    segment.last_index = Index(1);
  }
  TRY(write_whole_segment(disk, std::move(segment)));
  return write_identity(disk, owner);
}

}  // namespace doozer::storage
