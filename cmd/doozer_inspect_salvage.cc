#include "cmd/doozer_inspect_salvage.h"

#include <algorithm>

#include "base/check.h"
#include "cmd/doozer_inspect_alone.h"
#include "cmd/doozer_json.h"
#include "storage/salvage.h"

namespace doozer::inspect {
namespace {

std::string range(Index first, Index last) {
  const std::string from = std::to_string(first.value());
  if (first >= last) return "log entry " + from;
  return "log entries " + from + " to " + std::to_string(last.value());
}

/// Lists what lies above the kept state: gaps, and pieces that cannot be used because of them.
void list_lost_entries(const DirectoryFinding& found, SalvagePlan& plan) {
  Index known = plan.source.last;
  for (const storage::Run& run : found.log.runs) {
    if (run.entries.empty() || run.last() <= plan.source.last) continue;
    if (&run == plan.source.run) continue;
    if (run.first > known + 1) plan.lost.push_back(range(known + 1, run.first - 1) + ": damaged");
    plan.lost.push_back(range(std::max(run.first, plan.source.last + 1), run.last()) +
                        ": readable, but what comes before is not");
    known = std::max(known, run.last());
  }
  for (const SnapshotFinding& snapshot : found.snapshots) {
    if (!snapshot.header || snapshot.header->point.index <= known) continue;
    plan.lost.push_back(range(known + 1, snapshot.header->point.index) + ": were in " +
                        snapshot.path + ", which is damaged");
    known = snapshot.header->point.index;
  }
  for (const storage::Run& run : found.log.runs) {
    if (run.state.raft.commit <= known) continue;
    plan.lost.push_back(range(known + 1, run.state.raft.commit) +
                        ": were committed and are nowhere to be found");
    known = run.state.raft.commit;
  }
  for (const storage::SegmentInspection& segment : found.log.segments) {
    if (segment.torn) {
      plan.lost.push_back(to_string(*segment.torn) + " (perhaps a write that was never finished)");
    }
  }
}

Result<Term> highest_term(env::Disk& disk, const DirectoryFinding& found) {
  Term highest(1);
  storage::EntryFetcher fetcher(disk);
  for (const storage::Run& run : found.log.runs) {
    highest = std::max(highest, run.state.raft.term);
    if (run.entries.empty()) continue;
    TRY_ASSIGN(const raft::Entry last, fetcher.fetch(run.entries.back()));
    highest = std::max(highest, last.term);
  }
  for (const SnapshotFinding& snapshot : found.snapshots) {
    if (snapshot.header) highest = std::max(highest, snapshot.header->point.term);
  }
  return highest;
}

std::string array(const std::vector<std::string>& lines) {
  std::string out = "[";
  for (const std::string& line : lines) {
    if (out.size() > 1) out += ',';
    out += cli::json_string(line);
  }
  return out + ']';
}

}  // namespace

Result<SalvagePlan> plan_salvage(env::Disk& source, const DirectoryFinding& found) {
  SalvagePlan plan;
  if (found.owner) plan.before = found.owner->identity;
  plan.source = best_source(found);
  if (plan.source.last == Index()) {
    return fail(Code::corrupt,
                "nothing can be saved: no snapshot is whole and the log's beginning "
                "cannot be read");
  }
  TRY_ASSIGN(plan.machine, rebuild(source, plan.source));
  TRY_ASSIGN(const Term highest, highest_term(source, found));
  plan.term = highest + 1;
  if (plan.source.snapshot != nullptr) {
    plan.kept.push_back(plan.source.snapshot->path + ": the state at log entry " +
                        std::to_string(plan.source.snapshot->header->point.index.value()));
  }
  if (plan.source.run != nullptr) {
    const Index base =
        plan.source.snapshot == nullptr ? Index() : plan.source.snapshot->header->point.index;
    plan.kept.push_back(range(std::max(base + 1, plan.source.run->first), plan.source.last));
  }
  plan.lost = found.damages;
  list_lost_entries(found, plan);
  return plan;
}

std::string print_plan(const SalvagePlan& plan, bool json, bool written) {
  const int64_t after = plan.machine->revision().value();
  const uint64_t files = plan.machine->stats().files;
  if (json) {
    cli::JsonObject object;
    object.raw("kept", array(plan.kept)).raw("lost", array(plan.lost));
    object.number("files", static_cast<int64_t>(files)).number("revision", after);
    object.boolean("written", written);
    return object.str() + '\n';
  }
  std::string out;
  for (const std::string& line : plan.kept) out += "kept: " + line + '\n';
  for (const std::string& line : plan.lost) out += "lost: " + line + '\n';
  if (plan.lost.empty()) out += "nothing is missing\n";
  out += std::to_string(files) + " files; the new cluster goes on above revision " +
         std::to_string(after) + '\n';
  out += written ? "written\n" : "nothing was written: give --write to do it\n";
  return out;
}

Result<storage::SalvagedState> alone_state(SalvagePlan& plan, const storage::Ownership& owner) {
  TRY(make_alone(*plan.machine, plan.before, owner.identity));
  std::unique_ptr<core::ImageWriter> image = plan.machine->write_image();
  const core::Digests digests = image->digests();
  storage::SalvagedState state;
  state.header = {.cluster = owner.cluster,
                  .identity = owner.identity,
                  .point = {.index = digests.index,
                            .term = plan.term,
                            .configuration = {.voters = {owner.identity}, .old_voters = {}}},
                  .cluster_version = image->cluster_version(),
                  .revision = digests.revision,
                  .chain_digest = digests.chain,
                  .state_digest = digests.state};
  // A step of the image may give more than one chunk takes: what is left waits here.
  state.image = [image = std::move(image), waiting = std::string(),
                 more = true]() mutable -> Result<std::optional<std::string>> {
    while (more && waiting.size() < kSnapshotChunkBytes) {
      Budget budget(kSliceSteps);
      TRY_ASSIGN(const auto step,
                 image->next(kSnapshotChunkBytes - waiting.size(), budget, waiting));
      more = step == core::ImageWriter::Step::more;
    }
    if (waiting.empty()) return std::nullopt;
    std::string chunk = waiting.substr(0, kSnapshotChunkBytes);
    waiting.erase(0, chunk.size());
    return chunk;
  };
  return state;
}

Result<void> write_plan(SalvagePlan& plan, env::Disk& target, const storage::Ownership& owner) {
  TRY_ASSIGN(storage::SalvagedState state, alone_state(plan, owner));
  return storage::write_salvaged(target, std::move(state));
}

}  // namespace doozer::inspect
