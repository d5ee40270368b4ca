// What writer and reader of images share. The format is drawn in docs/image-format.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/limits.h"

namespace doozer::core {

constexpr std::string_view kImageMagic = "doozimg\n";
constexpr uint32_t kImageFormat = 2;
constexpr std::string_view kImageEnd = "\nend";
constexpr size_t kImagePreambleBytes = 8 + 4 + 4 + 4;  ///< magic, format, head size, head CRC
constexpr size_t kImageHeadBytesMax = 64 * kMiB;
/// A file's record: path, value, and at most six varints.
constexpr size_t kImageFileBytesMax = kPathBytesMax + kValueBytesCeiling + 64;
constexpr size_t kImageTailBytes = 4 + 8;
constexpr size_t kImageBytesPerStep = 4 * kKiB;

}  // namespace doozer::core
