// From what the disk holds back to the machine: the oldest kept snapshot, then the log after it, so
// that the kept history comes back too (design section 3, "History").
#pragma once

#include <memory>

#include "base/log.h"
#include "base/result.h"
#include "core/machine.h"
#include "storage/storage.h"

namespace doozer::server {

/// Blocking, before serving. Applies what is certainly committed: in a cluster of one all of the
/// log. A snapshot that does not read is skipped, with a
/// warning, if an older or newer one and the log still cover everything.
/// Errors: corrupt (nothing covers the log), unsupported, io_error.
Result<std::unique_ptr<core::Machine>> rebuild_machine(storage::Storage& storage,
                                                       const core::MachineOptions& options,
                                                       const Logger& logger);

}  // namespace doozer::server
