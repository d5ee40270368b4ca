#include "server/recovery.h"

#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/probe.h"

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

Result<void> replay_log(storage::Storage& storage, core::Machine& machine) {
  const storage::Recovered& recovered = storage.recovered();
  const Index first = machine.applied() + 1;
  if (first > recovered.last_index) return {};
  const auto apply = [&machine](raft::Entry entry) -> Result<void> {
    if (entry.kind == raft::EntryKind::command) {
      TRY(machine.apply(entry.index, entry.payload));
    } else {
      machine.apply_internal(entry.index);
    }
    Budget budget(kSliceSteps);
    machine.run(budget);
    return {};
  };
  return storage.replay(first, recovered.last_index, apply);
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
