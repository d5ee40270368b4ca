// Listings asked offset by offset: WalkCursor and ListCursor. A cursor remembers a key and how many
// matches stand before it, so that the next offset is one step away, in either direction. At the
// newest state the number is corrected by the events since; the tree's shape tells whether a
// remembered place in an index is still one.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/state.h"

namespace doozer::core {

std::unique_ptr<WalkCursor> make_walk_cursor(const State& state, std::shared_ptr<const Glob> glob,
                                             std::optional<Revision> at);
std::unique_ptr<ListCursor> make_list_cursor(const State& state, std::string_view directory,
                                             std::optional<Revision> at);

}  // namespace doozer::core
