// How many file descriptors this process may have, and how many of them clients may not have.
#pragma once

#include <cstddef>

namespace doozer::io {

constexpr size_t kDescriptorsReserved = 64;  ///< of the process's limit: not for clients

/// Raises the soft limit to the hard one; what the system refuses stays as it is.
void raise_descriptor_limit();
/// True for a descriptor that is one of the last ones, which the disk needs: a server whose clients
/// have taken all could not begin the next segment of its log. (Descriptors are given out lowest
/// first.) The reserve is kDescriptorsReserved, or a quarter of a small limit.
bool is_reserved_descriptor(int fd);

}  // namespace doozer::io
