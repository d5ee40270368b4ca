#include "server/recovery.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/probe.h"
#include "server/apply_entry.h"

namespace doozer::server {
namespace {

Result<void> load_image(storage::SnapshotReader& reader, core::Machine& machine) {
  const auto image = machine.read_image();
  for (;;) {
    TRY_ASSIGN(const auto chunk, reader.next());
    if (!chunk) break;
    TRY(image->add(*chunk));
  }
  TRY(image->finish());
  const core::Digests digests = machine.digests();
  const storage::SnapshotHeader& header = reader.header();
  if (digests.index != header.point.index || digests.revision != header.revision ||
      digests.state != header.state_digest || digests.chain != header.chain_digest) {
    return fail(Code::corrupt, "snapshot " + std::to_string(header.point.index.value()) +
                                   ": its image is not the state that its header tells (revision " +
                                   std::to_string(digests.revision.value()) + ", header " +
                                   std::to_string(header.revision.value()) + ")");
  }
  return {};
}

Result<std::unique_ptr<core::Machine>> load_snapshot(storage::Storage& storage, Index index,
                                                     const core::MachineOptions& options) {
  TRY_ASSIGN(const auto reader, storage.read_snapshot(index));
  auto machine = core::Machine::make(options);
  TRY(load_image(*reader, *machine));
  return machine;
}

/// Up to where the log is certainly committed. In a cluster of one that is all of it: each entry
/// was acknowledged, or its writer does not know.
Index committed_to(const storage::Recovered& recovered) {
  const bool alone =
      recovered.configurations.size() == 1 &&
      recovered.configuration ==
          raft::Configuration{.voters = {recovered.owner.identity}, .old_voters = {}};
  return alone ? recovered.last_index : std::min(recovered.hard_state.commit, recovered.last_index);
}

Result<void> replay_log(storage::Storage& storage, core::Machine& machine) {
  const Index first = machine.applied() + 1;
  const Index last = committed_to(storage.recovered());
  if (first > last) return {};
  const auto apply = [&machine](const raft::Entry& entry) -> Result<void> {
    TRY(apply_entry(machine, entry));
    Budget budget(kSliceSteps);
    machine.run(budget);
    return {};
  };
  return storage.replay(first, last, apply);
}

}  // namespace

Result<std::unique_ptr<core::Machine>> rebuild_machine(storage::Storage& storage,
                                                       const core::MachineOptions& options,
                                                       const Logger& logger) {
  const storage::Recovered& recovered = storage.recovered();
  std::string problem;
  // A log that begins at entry 1 was never cut: all of it rebuilds all of the history. Otherwise
  // the oldest snapshot is the one that the log was cut behind (Snapshotter::purge).
  const bool whole_log = recovered.first_index <= Index(1);
  for (const storage::SnapshotHeader& header : recovered.snapshots) {
    if (whole_log) break;
    if (header.point.index + 1 < recovered.first_index) continue;  // the log begins after it
    auto machine = load_snapshot(storage, header.point.index, options);
    if (!machine) {
      PROBE("recovery: a snapshot did not read and another one served");
      problem = machine.error().message;
      logger.warn("snapshot_skipped",
                  {{"index", header.point.index}, {"error", std::string_view(problem)}});
      continue;
    }
    TRY(replay_log(storage, **machine));
    return machine;
  }
  if (recovered.trust == raft::LogTrust::repairing) {
    // Nothing is left to begin with: the leader sends a snapshot.
    PROBE("recovery: a repairing server began with nothing");
    return core::Machine::make(options);
  }
  if (!whole_log) {
    return fail(Code::corrupt, "the log begins at entry " +
                                   std::to_string(recovered.first_index.value()) +
                                   " and no readable snapshot reaches it" +
                                   (problem.empty() ? std::string() : " (" + problem + ")") +
                                   "; try `doozer-inspect salvage`");
  }
  auto machine = core::Machine::make(options);
  TRY(replay_log(storage, *machine));
  return machine;
}

}  // namespace doozer::server
