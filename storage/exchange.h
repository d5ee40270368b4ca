// Exchanges all that a data directory holds for another state, in place: for --recover-alone, which
// makes a server of a new cluster out of one of an old. Blocking; no server runs meanwhile.
//
// The new files are written beside the old ones, under names that end in `.next`, the identity
// last. Once `identity.next` is durable the exchange is decided: what is left is to give the new
// files their names, remove the old ones, and rename the identity, which ends it. A crash before
// the decision leaves the old directory (and garbage, which the next open removes); after it, every
// open ends the exchange before it reads anything. Nobody ever reads a mixture.
//
// A new file never takes the name of an old one: its segment has a higher number, its snapshot a
// higher index. So what is old can be told by its name, however often a crash interrupts.
#pragma once

#include "base/result.h"
#include "env/disk.h"
#include "storage/salvage.h"

namespace doozer::storage {

/// Writes the new state and ends the exchange. Errors: conflict (an exchange is decided already; a
/// snapshot here is not older than the new one), no_space, io_error, and those of `state.image`.
/// After an error the directory is the old one, or the exchange is decided; or, if nothing but its
/// last sync failed, ended.
Result<void> exchange_directory(env::Disk& disk, SalvagedState state);

/// True between the decision and the end.
Result<bool> exchange_decided(env::Disk& disk);

/// Ends an exchange that is decided (true), or removes what is left of one that is not (false).
/// Errors: corrupt, io_error.
Result<bool> settle_exchange(env::Disk& disk);

}  // namespace doozer::storage
