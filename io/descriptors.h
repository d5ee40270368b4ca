// Which file descriptors this process has, how many it may have, and how many of them clients may
// not have.
#pragma once

namespace doozer::io {

/// Takes the numbers of standard input, output and error where they were closed, before a file or
/// socket gets one of them and a line of text with it. Reading or writing such a one fails. To be
/// called first in main().
void hold_standard_descriptors();
/// Raises the soft limit to the hard one; what the system refuses stays as it is.
void raise_descriptor_limit();
/// True for a descriptor that is one of the last ones, which the disk needs: a server whose clients
/// have taken all could not begin the next segment of its log. (Descriptors are given out lowest
/// first.) The reserve is kDescriptorsReserved, or a quarter of a small limit.
bool is_reserved_descriptor(int fd);

}  // namespace doozer::io
