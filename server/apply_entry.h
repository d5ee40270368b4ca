// How an entry of the log becomes a step of the machine; the same while serving and at recovery.
#pragma once

#include <optional>

#include "base/result.h"
#include "core/machine.h"
#include "core/write_tag.h"
#include "raft/types.h"

namespace doozer::server {

struct AppliedEntry {
  core::Applied applied;              ///< of commands
  std::optional<core::WriteTag> tag;  ///< of kind `forwarded`: whose write it is
};

/// REQUIRES entry.index = machine.applied() + 1. Errors: unsupported, corrupt: then nothing was
/// changed and this server must stop.
inline Result<AppliedEntry> apply_entry(core::Machine& machine, const raft::Entry& entry) {
  AppliedEntry done;
  std::string_view command = entry.payload;
  switch (entry.kind) {
    case raft::EntryKind::noop:
    case raft::EntryKind::configuration: machine.apply_internal(entry.index); return done;
    case raft::EntryKind::forwarded:
      done.tag = core::take_tag(command);
      if (!done.tag) {
        return fail(Code::corrupt, "entry " + std::to_string(entry.index.value()) + " of " +
                                       std::to_string(entry.payload.size()) +
                                       " bytes is too short to be a write");
      }
      break;
    case raft::EntryKind::command: break;
  }
  TRY_ASSIGN(done.applied, machine.apply(entry.index, command));
  return done;
}

}  // namespace doozer::server
