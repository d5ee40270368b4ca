// At which revisions would an answer have been right? Pure questions to the model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sim/checkers/model.h"
#include "sim/history.h"

namespace doozer::sim {

/// The lowest revision, not below `from`, at which the answer of `op` is right; nullopt: none.
/// Listings, and directories of STAT, are taken to be right at `from` (see listing_complaint).
std::optional<int64_t> right_at(const Op& op, const Model& model, int64_t from);

/// What is wrong with a listing at that revision; empty: nothing. Also of a listing that ended by
/// RANGE at op.offset.
std::string listing_complaint(const Op& op, const Model& model, int64_t revision);

/// Would SET or DEL with this compare-and-set revision pass on that file (nullptr: missing)?
inline bool passes(int64_t cas, const Change* file) {
  if (cas == -1) return true;
  if (cas < -1) return false;
  return file == nullptr || file->revision <= cas;
}

}  // namespace doozer::sim
