// A server that nobody leads for long says what it waits for and what helps: it may be the members
// that are away, or a log that nobody trusts.
#include <algorithm>

#include "base/check.h"
#include "base/probe.h"
#include "raft/quorum.h"
#include "server/cluster.h"

namespace doozer::server {
namespace {

constexpr uint64_t kTellAfterUs = 30'000'000;
constexpr uint64_t kTellAgainUs = 600'000'000;

std::string_view trust_name(raft::LogTrust trust) {
  switch (trust) {
    case raft::LogTrust::sound: return "sound";
    case raft::LogTrust::doubtful: return "doubtful";
    case raft::LogTrust::repairing: return "repairing";
  }
  UNREACHABLE();
}

}  // namespace

// What the log ends with, when a person says so: the number shows that it is this very cut which
// was looked at, and makes the flag harmless when it is left where it was.
raft::LogTrust Cluster::judged_trust() {
  storage::Storage& storage = parts_.storage;
  const storage::Recovered& recovered = storage.recovered();
  if (options_.trust_log == 0) return recovered.trust;
  const Index wanted(options_.trust_log);
  if (recovered.trust != raft::LogTrust::doubtful || recovered.last_index != wanted) {
    logger_.warn("log_not_trusted",
                 {{"trust_log", wanted},
                  {"last_index", recovered.last_index},
                  {"log", trust_name(recovered.trust)},
                  {"why", recovered.trust == raft::LogTrust::doubtful
                              ? "the log ends elsewhere"
                              : "only a doubtful log can be trusted by a word"}});
    return recovered.trust;
  }
  PROBE("cluster: a doubtful log was trusted by a person's word");
  logger_.warn("log_trusted",
               {{"last_index", recovered.last_index}, {"may_lack_to", recovered.doubtful_to}});
  storage.settle_doubt();
  return raft::LogTrust::sound;
}

std::string Cluster::unreachable_voters() const {
  const std::vector<Identity> reachable = reachable_others();
  std::string names;
  for (const Identity& voter : raft::all_voters(replica_->core().configuration())) {
    if (voter == self_) continue;
    if (std::find(reachable.begin(), reachable.end(), voter) != reachable.end()) continue;
    const core::Member* const member = replica_->machine().members().find(voter);
    if (!names.empty()) names += ", ";
    names += voter.to_string();
    if (member != nullptr && !member->address.empty()) names += " at " + member->address;
  }
  return names;
}

void Cluster::mind_leader() {
  const uint64_t now = parts_.clock.now_us();
  const uint64_t forsaken_us = replica_->core().forsaken_us(now);
  if (forsaken_us < kTellAfterUs) {
    told_forsaken_us_ = 0;
    return;
  }
  if (told_forsaken_us_ != 0 && now - told_forsaken_us_ < kTellAgainUs) return;
  told_forsaken_us_ = now;
  const raft::Core& core = replica_->core();
  const std::string away = unreachable_voters();
  std::string help = "a majority of the members makes a leader";
  if (core.trust() == raft::LogTrust::doubtful) {
    PROBE("cluster: a doubtful log waits for a leader");
    help =
        "this log was cut by a crash and may lack what was acknowledged: such logs make a leader "
        "only if all members are there. If one is lost for good, start each server that says "
        "this once as it asks; this one with --trust-log " +
        std::to_string(core.last_index().value());
  } else if (core.trust() == raft::LogTrust::repairing) {
    help =
        "this log is damaged, and only a leader can make up for it: start the other members, or "
        "see `doozer-inspect salvage`";
  } else if (!away.empty()) {
    help = "start the members that are away; if a majority is lost for good, see --recover-alone";
  }
  logger_.warn("no_leader", {{"seconds", forsaken_us / 1'000'000},
                             {"members", raft::all_voters(core.configuration()).size()},
                             {"away", away.empty() ? std::string("-") : away},
                             {"log", trust_name(core.trust())},
                             {"help", help}});
}

}  // namespace doozer::server
