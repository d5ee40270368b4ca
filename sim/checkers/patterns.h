// What users build from compare-and-set, judged as they would judge it: sets, counters, locks. And
// whether a history has enough concurrency to prove anything.
#pragma once

#include <cstdint>
#include <string_view>

#include "sim/checkers/model.h"
#include "sim/checkers/report.h"
#include "sim/history.h"

namespace doozer::sim {

/// Files are only ever created below `prefix` ("/set/"). The last linearizable whole WALK that
/// covers it (glob "/**" or PREFIX*), begun after all else was over, holds each acknowledged one
/// with its value, none that was refused, none that nobody added. False: there is no such WALK.
bool check_set(const History& history, std::string_view prefix, Report& report);

/// SETs of `path` have values "NUMBER anything", each by compare-and-set one more than what was
/// there; the file is never deleted. So the last number lies between the acknowledged and the
/// possible increments, and no number was written twice.
void check_counter(const History& history, const Model& model, std::string_view path,
                   Report& report);

/// A holder creates `path` (compare-and-set 0) and deletes it at that very revision. From when it
/// knew that it holds to when it began to release, no other did.
void check_lock(const History& history, std::string_view path, Report& report);

struct Overlap {
  uint64_t operations = 0;
  uint64_t overlapped = 0;  ///< that were under way while another of the same file was
  Overlap& operator+=(const Overlap& other) {
    operations += other.operations;
    overlapped += other.overlapped;
    return *this;
  }
  /// At least a fifth overlaps; a batch of fewer proves little.
  bool proves_something() const { return overlapped * 5 >= operations; }
};

/// Of operations that name one file, on files that several clients use.
Overlap count_overlap(const History& history);

}  // namespace doozer::sim
