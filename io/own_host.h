// By which of its addresses this machine is reached, for a server that listens on all of them.
#pragma once

#include <span>
#include <string>

namespace doozer::io {

/// The host, as a number and in brackets if it has colons, by which others reach this machine: the
/// address that packets leave from to the first of `others` ("HOST:PORT") to which there is a way,
/// else to the rest of the world, else any that is up; "127.0.0.1" on a machine that has only
/// itself. Names but localhost are passed over, since
/// asking for one may block. Asks the kernel; sends nothing.
std::string own_host(std::span<const std::string> others, bool ipv4_only);

}  // namespace doozer::io
