// The image of a machine at one revision, written and read in slices. Format: docs/image-format.md.
#pragma once

#include <memory>

#include "core/state.h"

namespace doozer::core {

/// REQUIRES a state that outlives every call of next() (not the writer's end).
std::unique_ptr<ImageWriter> make_image_writer(State& state);
/// REQUIRES a state that applied nothing.
std::unique_ptr<ImageReader> make_image_reader(State& state);

}  // namespace doozer::core
