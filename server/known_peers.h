// The file `peers` of a data directory: the servers that were met, so that a restart needs no
// flags. One line each: identity, highest incarnation seen, address. Only a cache.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "env/disk.h"
#include "transport/mesh.h"

namespace doozer::server {

std::string print_known_peers(const std::vector<transport::KnownPeer>& known);
/// Errors: corrupt, naming the line.
Result<std::vector<transport::KnownPeer>> parse_known_peers(std::string_view text);

/// Empty if there is no file. Errors: corrupt, io_error.
Result<std::vector<transport::KnownPeer>> read_known_peers(env::Disk& disk);
/// Errors: io_error, no_space; the old file is then still there.
Result<void> write_known_peers(env::Disk& disk, const std::vector<transport::KnownPeer>& known);

}  // namespace doozer::server
