// The middle of the answer to a WAIT, encoded once for all who hear of one event: every door of a
// server shares it through the Host. It keeps the last event only; waiters of one event are called
// one after the other.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/event.h"

namespace doozer::door {

class EventAnswers {
 public:
  /// The fields flags, rev, path, value and (if `more` > 0) len. Good until the next call.
  std::string_view fields(const core::EventView& event, uint32_t more);

 private:
  core::Position position_;  ///< revision 0: none
  uint32_t more_ = 0;
  std::string fields_;
};

}  // namespace doozer::door
