#include "cmd/doozer_inspect_read.h"

#include <algorithm>

#include "core/write_tag.h"
#include "storage/exchange.h"
#include "storage/identity_file.h"
#include "storage/repair_file.h"
#include "storage/snapshot_reader.h"
#include "storage/wal_recovery.h"

namespace doozer::inspect {
namespace {

/// No old revision is asked for, so next to nothing of the history is kept.
std::unique_ptr<core::Machine> make_machine() {
  return core::Machine::make({.history_revisions = 1});
}

bool is_finding(const Error& error) {
  return error.code == Code::corrupt || error.code == Code::unsupported;
}

Result<void> load(storage::SnapshotFileReader& reader, core::Machine& machine) {
  const auto image = machine.read_image();
  for (;;) {
    TRY_ASSIGN(const auto chunk, reader.next());
    if (!chunk) break;
    TRY(image->add(*chunk));
  }
  TRY(image->finish());
  const storage::SnapshotHeader& header = reader.header();
  const core::Digests digests = machine.digests();
  if (digests.index != header.point.index || digests.revision != header.revision ||
      digests.chain != header.chain_digest || digests.state != header.state_digest) {
    return fail(Code::corrupt, "the image is not the one that the header describes");
  }
  return {};
}

Result<void> read_identity_files(env::Disk& disk, DirectoryFinding& found) {
  auto owner = storage::read_identity(disk);
  if (owner) {
    found.owner = *owner;
  } else if (is_finding(owner.error())) {
    found.damages.push_back(owner.error().message);
  } else if (owner.error().code == Code::not_found) {
    found.damages.emplace_back("file \"identity\" is missing");
  } else {
    return fail(std::move(owner).error());
  }
  auto incarnation = storage::read_incarnation(disk);
  if (incarnation) {
    found.incarnation = incarnation->value_or(Incarnation());
  } else if (is_finding(incarnation.error())) {
    found.damages.push_back(incarnation.error().message);
  } else {
    return fail(std::move(incarnation).error());
  }
  return {};
}

/// True if the log began anew behind `index`: a start then gives the received snapshot its name.
bool log_stands_behind(const DirectoryFinding& found, Index index) {
  return std::any_of(
      found.log.runs.begin(), found.log.runs.end(),
      [index](const storage::Run& run) { return run.from_header && run.first == index + 1; });
}

Result<void> read_received(env::Disk& disk, const std::string& path, Index index,
                           DirectoryFinding& found) {
  if (!log_stands_behind(found, index)) {
    found.notes.push_back("file \"" + path +
                          "\" was received and never installed, a start removes it");
    return {};
  }
  TRY_ASSIGN(SnapshotFinding snapshot, read_snapshot(disk, path, nullptr));
  found.notes.push_back("file \"" + path + "\" was received, a start installs it");
  if (!snapshot.damage.empty()) found.damages.push_back(snapshot.damage);
  found.snapshots.push_back(std::move(snapshot));
  return {};
}

/// What a member found damaged at a start, and nothing has made up for since.
Result<void> read_repair_note(env::Disk& disk, DirectoryFinding& found) {
  auto note = storage::read_repair(disk);
  if (!note) {
    if (!is_finding(note.error())) return fail(std::move(note).error());
    found.damages.push_back(note.error().message);
    return {};
  }
  auto aside = storage::damaged_segments(disk);
  if (!aside && aside.error().code != Code::not_found) return fail(std::move(aside).error());
  if (*note) {
    found.damages.push_back("under repair, entries may be missing: " + (*note)->damage);
    if ((*note)->vote_lost) {
      found.notes.emplace_back("a vote may be lost: the newest term and vote did not read");
    }
  }
  if (!aside) return {};
  for (const std::string& path : *aside) {
    found.notes.push_back("file \"" + path +
                          (*note ? "\" was set aside by the repair: doozer-inspect reads it, too"
                                 : "\" is left of a repair, a start removes it"));
  }
  return {};
}

Result<void> read_snapshots(env::Disk& disk, DirectoryFinding& found) {
  auto names = disk.list("snap");
  if (!names && names.error().code != Code::not_found) return fail(std::move(names).error());
  if (!names) return {};
  for (const std::string& name : *names) {
    if (const auto received = storage::parse_received_name(name)) {
      TRY(read_received(disk, "snap/" + name, *received, found));
      continue;
    }
    const auto index = storage::parse_snapshot_name(name);
    if (!index) {
      found.notes.push_back("file \"snap/" + name + "\" is not a snapshot");
      continue;
    }
    TRY_ASSIGN(SnapshotFinding snapshot, read_snapshot(disk, "snap/" + name, nullptr));
    if (snapshot.damage.empty() && snapshot.header->point.index != *index) {
      snapshot.damage = snapshot.path + ": holds another index than its name says";
    }
    if (snapshot.damage.empty() && found.owner &&
        snapshot.header->cluster != found.owner->cluster) {
      snapshot.damage = snapshot.path + ": is of cluster " + snapshot.header->cluster.to_string();
    }
    if (!snapshot.damage.empty()) found.damages.push_back(snapshot.damage);
    found.snapshots.push_back(std::move(snapshot));
  }
  return {};
}

/// Asks the reader that a starting server uses, too: what it refuses is damage.
Result<void> ask_recovery(env::Disk& disk, DirectoryFinding& found) {
  if (!found.owner) return {};
  const auto scan = storage::scan_log(disk, *found.owner);
  if (!scan) {
    if (!is_finding(scan.error())) return fail(scan.error());
    if (found.log.damages.empty()) found.damages.push_back(scan.error().message);
    return {};
  }
  if (scan->torn) {
    found.notes.push_back(scan->torn->file + " at offset " + std::to_string(scan->torn->offset) +
                          ": torn tail (" + scan->torn->why + "), a start cuts it off");
  }
  const Index last = scan->shape.last_index();
  const Source source = best_source(found);
  if (found.damages.empty() && last > source.last) {
    found.damages.push_back("the log reaches index " + std::to_string(last.value()) +
                            ", what can be rebuilt only " + std::to_string(source.last.value()));
  }
  return {};
}

}  // namespace

Result<void> apply_entry(core::Machine& machine, const raft::Entry& entry) {
  std::string_view command = entry.payload;
  if (entry.kind == raft::EntryKind::forwarded && !core::take_tag(command)) {
    return fail(Code::corrupt, "entry " + std::to_string(entry.index.value()) + " of " +
                                   std::to_string(entry.payload.size()) +
                                   " bytes is too short to be a write");
  }
  if (entry.kind == raft::EntryKind::command || entry.kind == raft::EntryKind::forwarded) {
    TRY(machine.apply(entry.index, command));
  } else {
    machine.apply_internal(entry.index);
  }
  Budget budget(kSliceSteps);
  machine.run(budget);
  return {};
}

Result<SnapshotFinding> read_snapshot(env::Disk& disk, const std::string& path,
                                      std::unique_ptr<core::Machine>* machine) {
  SnapshotFinding found;
  found.path = path;
  {
    TRY_ASSIGN(const auto file, disk.open(path, env::OpenMode::read));
    TRY_ASSIGN(found.file_bytes, file->size());
  }
  auto reader = storage::SnapshotFileReader::open(disk, path);
  if (!reader) {
    if (!is_finding(reader.error())) return fail(std::move(reader).error());
    found.damage = reader.error().message;
    return found;
  }
  found.header = (*reader)->header();
  auto loaded = make_machine();
  const auto result = load(**reader, *loaded);
  found.totals = (*reader)->totals();
  if (!result) {
    if (!is_finding(result.error())) return fail(result.error());
    found.damage = result.error().message;
    if (!found.damage.starts_with("file ")) found.damage = path + ": " + found.damage;
    return found;
  }
  found.files = loaded->stats().files;
  if (machine != nullptr) *machine = std::move(loaded);
  return found;
}

Source best_source(const DirectoryFinding& found) {
  Source best;
  const auto consider = [&](const SnapshotFinding* snapshot) {
    const Index base = snapshot == nullptr ? Index() : snapshot->header->point.index;
    if (base >= best.last) best = {.snapshot = snapshot, .run = nullptr, .last = base};
    for (const storage::Run& run : found.log.runs) {
      if (run.entries.empty() || run.first > base + 1 || run.last() <= base) continue;
      const bool further = run.last() > best.last;
      if (further || (run.last() == best.last && best.snapshot != snapshot)) {
        best = {.snapshot = snapshot, .run = &run, .last = run.last()};
      }
    }
  };
  consider(nullptr);
  for (const SnapshotFinding& snapshot : found.snapshots) {
    if (snapshot.damage.empty()) consider(&snapshot);
  }
  return best;
}

Result<std::unique_ptr<core::Machine>> rebuild(env::Disk& disk, const Source& source) {
  std::unique_ptr<core::Machine> machine;
  if (source.snapshot == nullptr) {
    machine = make_machine();
  } else {
    TRY_ASSIGN(const SnapshotFinding again, read_snapshot(disk, source.snapshot->path, &machine));
    if (!machine) return fail(Code::corrupt, again.damage);
  }
  if (source.run == nullptr) return machine;
  storage::EntryFetcher fetcher(disk);
  for (const storage::EntryPlace& place : source.run->entries) {
    TRY_ASSIGN(const raft::Entry entry, fetcher.fetch(place));
    if (entry.index <= machine->applied()) continue;
    auto applied = apply_entry(*machine, entry);
    if (!applied) {
      return fail(with_context(std::move(applied).error(),
                               "log entry " + std::to_string(entry.index.value())));
    }
  }
  return machine;
}

Result<DirectoryFinding> read_directory(env::Disk& disk) {
  DirectoryFinding found;
  bool any = false;
  for (const std::string_view name :
       {storage::kIdentityFile, std::string_view("log"), std::string_view("snap")}) {
    TRY_ASSIGN(const bool here, disk.exists(name));
    any = any || here;
  }
  if (!any) return fail(Code::not_found, "no data directory of Doozer");
  TRY_ASSIGN(const bool decided, storage::exchange_decided(disk));
  if (decided) {
    return fail(Code::other,
                "--recover-alone was interrupted here after it was decided: start doozerd, or give "
                "`doozerd --recover-alone --yes` again, and it is ended");
  }
  TRY(read_identity_files(disk, found));
  TRY_ASSIGN(const bool logged, disk.exists("log"));
  if (logged) {
    TRY_ASSIGN(found.log, storage::inspect_log(disk, found.owner));
  } else {
    found.damages.emplace_back("directory \"log\" is missing");
  }
  for (const storage::Damage& damage : found.log.damages) {
    found.damages.push_back(storage::to_string(damage));
  }
  if (!found.owner) found.owner = found.log.owner;
  for (const storage::SegmentInspection& segment : found.log.segments) {
    const bool started = segment.header && segment.header->header.incarnation > found.incarnation;
    if (started)
      found.damages.push_back(segment.path + ": of a later start than file \"incarnation\"");
  }
  TRY(read_snapshots(disk, found));
  TRY(read_repair_note(disk, found));
  if (logged) TRY(ask_recovery(disk, found));
  const Source source = best_source(found);
  auto machine = rebuild(disk, source);
  if (machine && source.last == Index() && !found.good()) {
    // Nothing can be rebuilt: an empty state would only mislead.
  } else if (machine) {
    found.state = (*machine)->digests();
    found.files = (*machine)->stats().files;
  } else if (is_finding(machine.error())) {
    found.damages.push_back(machine.error().message);
  } else {
    return fail(std::move(machine).error());
  }
  return found;
}

}  // namespace doozer::inspect
