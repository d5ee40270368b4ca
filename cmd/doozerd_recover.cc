#include "cmd/doozerd_recover.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.h"
#include "raft/quorum.h"
#include "storage/exchange.h"
#include "storage/wal_recovery.h"

namespace doozer::cmd {
namespace {

/// The newest configuration that the directory knows, committed or not: who may have voted.
raft::Configuration newest_configuration(const storage::LogScan& scan,
                                         const inspect::DirectoryFinding& found) {
  Index at;
  raft::Configuration newest;
  for (const inspect::SnapshotFinding& snapshot : found.snapshots) {
    if (!snapshot.header || snapshot.header->point.configuration.voters.empty()) continue;
    at = snapshot.header->point.index;
    newest = snapshot.header->point.configuration;
  }
  for (const storage::ConfigurationAt& one : scan.shape.configurations()) {
    if (one.index > at) newest = one.configuration;
  }
  return newest;
}

Result<void> check_sound(const inspect::DirectoryFinding& found) {
  if (found.good()) return {};
  return fail(Code::corrupt,
              "the directory is damaged, and nothing was changed: " + found.damages.front() +
                  ". `doozer-inspect salvage` makes a new one of what is whole");
}

void describe_members(const raft::Configuration& configuration, const core::Machine& machine,
                      AlonePlan& plan) {
  for (const Identity& voter : raft::all_voters(configuration)) {
    if (voter == plan.before.identity) {
      plan.member = true;
      continue;
    }
    const core::Member* const known = machine.members().find(voter);
    plan.members.push_back({voter, known == nullptr ? std::string() : known->address});
  }
}

void describe_slots(const core::Machine& machine, AlonePlan& plan) {
  for (const core::SlotView& slot : machine.slots()) {
    plan.slots.push_back(std::string(slot.path) + ": " +
                         (slot.value.empty() ? "empty" : "this server"));
  }
}

std::string entries(Index first, Index last) {
  const std::string from = std::to_string(first.value());
  return first == last ? "log entry " + from
                       : "log entries " + from + " to " + std::to_string(last.value());
}

void print_lines(std::string& out, std::string_view head, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) out += std::string(head) + line + '\n';
}

std::string print_before(const AlonePlan& plan, const std::string& directory) {
  std::string out = directory + ": server " + plan.before.identity.to_string() + " of cluster " +
                    plan.before.cluster.to_string() + ", " +
                    (plan.member ? "a member" : "a standby") + " at term " +
                    std::to_string(plan.term.value()) + "\n";
  for (const FormerMember& member : plan.members) {
    out += "given up: member " + member.identity.to_string() +
           (member.address.empty() ? "" : " at " + member.address) + '\n';
  }
  return out;
}

std::string print_loss(const AlonePlan& plan) {
  std::string out;
  print_lines(out, "kept: ", plan.kept);
  out += "kept: " + std::to_string(plan.files) + " files, as of revision " +
         std::to_string(plan.revision.value()) + '\n';
  out += "lost: whatever the others acknowledged behind log entry " +
         std::to_string(plan.last.value()) + " (revision " + std::to_string(plan.revision.value()) +
         "): this server never got it, nobody can tell how much it is\n";
  print_lines(out, "in doubt: ", plan.doubts);
  if (plan.committed < plan.last) {
    out += "in doubt: " + entries(plan.committed + 1, plan.last) +
           ": kept, though this server did not know whether anybody was told of success\n";
  }
  return out;
}

}  // namespace

Result<AlonePlan> plan_alone(env::Disk& disk, const storage::Ownership& after) {
  TRY_ASSIGN(const inspect::DirectoryFinding found, inspect::read_directory(disk));
  TRY(check_sound(found));
  CHECK(found.owner.has_value());
  TRY_ASSIGN(const storage::LogScan scan, storage::scan_log(disk, *found.owner));
  const raft::Configuration configuration = newest_configuration(scan, found);
  AlonePlan plan;
  plan.before = *found.owner;
  plan.after = after;
  if (raft::all_voters(configuration) == std::vector<Identity>{plan.before.identity}) {
    return fail(Code::conflict, "server " + plan.before.identity.to_string() +
                                    " is the only member of its cluster: it needs nobody else, "
                                    "start it as it is");
  }
  TRY_ASSIGN(auto salvage, inspect::plan_salvage(disk, found));
  plan.salvage = std::make_unique<inspect::SalvagePlan>(std::move(salvage));
  // The plan below outlives what was found.
  plan.last = plan.salvage->source.last;
  plan.salvage->source = {};
  plan.kept = plan.salvage->kept;
  plan.doubts = plan.salvage->lost;
  const storage::DurableState& state = scan.shape.state();
  plan.term = state.raft.term;
  plan.committed = std::min(std::max(state.raft.commit, scan.shape.first_index() - 1), plan.last);
  if (state.doubtful_to > plan.last) {
    plan.doubts.push_back("the log had reached entry " + std::to_string(state.doubtful_to.value()) +
                          " once, and a crash took its end");
  }
  core::Machine& machine = *plan.salvage->machine;
  describe_members(configuration, machine, plan);
  plan.revision = machine.revision();
  plan.files = machine.stats().files;
  TRY_ASSIGN(plan.state, inspect::alone_state(*plan.salvage, after));
  plan.revision_after = machine.revision();
  describe_slots(machine, plan);
  return plan;
}

std::string print_alone(const AlonePlan& plan, const std::string& directory, bool done) {
  std::string out = print_before(plan, directory) + print_loss(plan);
  const std::string will = done ? "done: " : "to do: ";
  out += will + "a new cluster " + (done ? plan.after.cluster.to_string() + ' ' : "") +
         "of this server alone" + (done ? ", now " + plan.after.identity.to_string() : "") +
         "; the next revision is " + std::to_string(plan.revision_after.value() + 1) + '\n';
  print_lines(out, will, plan.slots);
  out +=
      "then: start it as before. Servers of the old cluster are refused, whatever they hold: "
      "empty their directories, and let them attach as new ones. Restart clients that had seen "
      "the old cluster\n";
  if (!done) {
    out +=
        "nothing was written: copy the directory aside, make sure that the others are lost for "
        "good, and give --yes to do it\n";
  }
  return out;
}

Result<void> carry_out(AlonePlan& plan, env::Disk& disk) {
  return storage::exchange_directory(disk, std::move(plan.state));
}

}  // namespace doozer::cmd
