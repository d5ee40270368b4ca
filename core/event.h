// What happened to one file: the unit of history and of watches.
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

#include "base/types.h"

namespace doozer::core {

enum class EventKind : uint8_t { nop = 0, set = 4, del = 8 };  ///< the values of the wire's flags

/// Where an event stands: all events of one command share the revision, `sub` counts from 0.
struct Position {
  Revision revision;
  uint32_t sub = 0;
  auto operator<=>(const Position&) const = default;
};

/// Views are good until the next apply() or run() of the machine.
struct EventView {
  Position position;
  EventKind kind = EventKind::nop;
  bool created = false;    ///< set: there was no file before
  bool last = true;        ///< the last event of its revision
  std::string_view path;   ///< "/" for a nop
  std::string_view value;  ///< empty for del and nop
};

}  // namespace doozer::core
