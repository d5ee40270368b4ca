// Damage below a sync marker in a member of a cluster of many: what is intact in front of it is
// kept, the rest is moved aside, and a note says so at each start until a leader has made up for it
// (docs/wal-format.md "Repairing"). Nothing here decides who may vote: raft/ does.
//
// The order on disk: the note; the new segment that ends the intact part (from then on the log
// reads without damage); the damaged files get other names. A crash in between goes on where it
// was.
#pragma once

#include "base/result.h"
#include "env/disk.h"
#include "storage/opening.h"

namespace doozer::storage {

/// `why`: the error that recovery ends with, in `damage` if that is where it is; then opened.scan
/// is the intact part. Errors: `why` itself if this is no member of a cluster of many; io_error.
Result<void> begin_repair(env::Disk& disk, const LogDamage& damage, const Error& why,
                          Opened& opened);

/// What the damage leaves of the hard state. REQUIRES opened.note.
void put_under_repair(const Opened& opened, DurableState& state);

/// Makes a new note durable; removes files that an older repair left. Errors: io_error, no_space.
Result<void> note_repair(env::Disk& disk, const Opened& opened);

/// Gives those of scan.dead that the note names another name, and takes them off that list. Errors:
/// io_error.
Result<void> set_damaged_aside(env::Disk& disk, Opened& opened);

}  // namespace doozer::storage
