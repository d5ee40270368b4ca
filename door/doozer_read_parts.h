// What GET, STAT, GETDIR and WALK have in common. Only for door/doozer_*.cc.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/limits.h"
#include "core/machine.h"
#include "door/doozer_door.h"

namespace doozer::door {

/// The revision whose state is asked; none: the newest.
inline std::optional<Revision> at_of(const Read& read) {
  if (!read.rev) return std::nullopt;
  return Revision(std::max<int64_t>(*read.rev, 1));
}

/// GET and GETDIR tell a path that cannot even begin to be one; any other is merely missing.
inline bool is_rooted(std::string_view path) { return !path.empty() && path.front() == '/'; }

inline Error not_rooted(std::string_view path) {
  return {Code::bad_path, "path " + quote(path) + ": does not begin with \"/\""};
}

/// Over-long paths are not looked up, only missing.
inline core::Found find(const core::Machine& machine, const Read& read) {
  if (read.path.size() > kPathBytesMax || !is_rooted(read.path)) return {};
  return machine.find(read.path, at_of(read));
}

}  // namespace doozer::door
