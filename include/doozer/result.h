// Result<T>, Error and Code as users of the library see them. Which codes say that nothing
// happened, and which that it may have, is told by outcome_of().
#pragma once

#include "base/error.h"

namespace doozer {

/// What an error says about the operation that ended with it.
enum class Outcome : unsigned char {
  refused,  ///< it did not happen and never will: safe to try again
  unknown,  ///< it may or may not have happened: read before you decide
};

/// Only Code::unknown_outcome is unknown; with every other code nothing was changed.
constexpr Outcome outcome_of(Code code) {
  return code == Code::unknown_outcome ? Outcome::unknown : Outcome::refused;
}

}  // namespace doozer
