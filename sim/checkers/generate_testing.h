// Random histories that are right, from a store that works: for tests of the checkers.
#pragma once

#include <cstdint>

#include "sim/history.h"

namespace doozer::sim {

struct GenerateOptions {
  uint64_t seed = 1;
  size_t operations = 400;
  size_t clients = 6;
  size_t keys = 3;
  uint64_t unknown_percent = 4;
};

/// Concurrent operations of clients that come and go, some without an answer (whose effect comes
/// late or never), reads of servers that lag, watches that resume and that fall out of history,
/// three servers that restart and take snapshots; the files of workload.h's patterns too.
History generate(const GenerateOptions& options);

}  // namespace doozer::sim
