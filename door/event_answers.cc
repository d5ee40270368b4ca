#include "door/event_answers.h"

#include <algorithm>

#include "wire/doozer.h"

namespace doozer::door {

std::string_view EventAnswers::fields(const core::EventView& event, uint32_t more) {
  if (event.position == position_ && more == more_) return fields_;
  wire::ResponseView response;
  response.flags = static_cast<int32_t>(event.kind);
  response.rev = event.position.revision.value();
  response.path = event.path;
  response.value = event.value;
  if (more > 0) response.len = static_cast<int32_t>(std::min<uint32_t>(more, INT32_MAX));
  fields_.clear();
  wire::append_fields(response, fields_);
  position_ = event.position;
  more_ = more;
  return fields_;
}

}  // namespace doozer::door
