// What only this machine can give: random bytes and its name. For identities, cluster ids and the
// seed of the server's Rng.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/types.h"

namespace doozer::io {

/// Fills `out` from the kernel's generator. May block in the first seconds of a machine's life.
void random_bytes(std::span<uint8_t> out);
uint64_t random_u64();
/// Never the one that means "none".
Identity random_identity();
/// The host's name as uname tells it; "localhost" if it has none.
std::string host_name();

}  // namespace doozer::io
