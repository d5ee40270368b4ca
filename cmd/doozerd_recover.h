// doozerd --recover-alone: a cluster of one out of the directory of a server whose fellow members
// are lost for good. Offline; says what it will do and what is lost before it does anything.
//
// The new cluster has another identity, and so has the server: whatever still runs of the old one,
// or comes back, is of another cluster and refused. The exchange is atomic (storage/exchange.h).
// It must never touch a damaged directory (that is for doozer-inspect salvage) or one of a server
// that needs no help.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cmd/doozer_inspect_read.h"
#include "cmd/doozer_inspect_salvage.h"
#include "env/disk.h"
#include "storage/salvage.h"
#include "storage/storage.h"

namespace doozer::cmd {

/// A server of the old cluster.
struct FormerMember {
  Identity identity;
  std::string address;  ///< as it told; empty: unknown
};

struct AlonePlan {
  storage::Ownership before;
  storage::Ownership after;
  bool member = false;                ///< it had a vote; else it was a standby
  std::vector<FormerMember> members;  ///< all others that had one
  Term term;
  Index last;
  Index committed;    ///< as far as this server knew
  Revision revision;  ///< that the old cluster had reached here
  Revision revision_after;
  uint64_t files = 0;
  std::vector<std::string> kept;
  std::vector<std::string> doubts;  ///< of the directory itself: a torn tail
  std::vector<std::string> slots;   ///< what each will hold
  storage::SalvagedState state;     ///< to be written; borrows from `salvage`
  std::unique_ptr<inspect::SalvagePlan> salvage;
};

/// Reads the directory and changes nothing; `after` is random. Errors: not_found (no directory of
/// Doozer's), corrupt (damaged), conflict (the only member of its cluster), other (an exchange is
/// decided: see exchange_decided()), io_error.
Result<AlonePlan> plan_alone(env::Disk& disk, const storage::Ownership& after);

/// What will be done, or was, and what is lost; for people.
std::string print_alone(const AlonePlan& plan, const std::string& directory, bool done);

/// Does it; the plan is used up. Errors: as exchange_directory().
Result<void> carry_out(AlonePlan& plan, env::Disk& disk);

}  // namespace doozer::cmd
