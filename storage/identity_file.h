// The two small files at the top of a data directory, text with a checksum line:
//   identity      doozer-data 1 / cluster <base32> / identity <base32> / crc <hex of the lines
//   above> incarnation   incarnation <decimal> / crc <hex of the line above>
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/types.h"
#include "env/disk.h"
#include "storage/storage.h"

namespace doozer::storage {

constexpr std::string_view kIdentityFile = "identity";
constexpr std::string_view kIncarnationFile = "incarnation";

std::string encode_identity(const Ownership& owner);
/// Errors: corrupt, unsupported (a newer data format).
Result<Ownership> decode_identity(std::string_view text);
/// Errors: not_found, corrupt, unsupported, io_error.
Result<Ownership> read_identity(env::Disk& disk);
Result<void> write_identity(env::Disk& disk, const Ownership& owner);

std::string encode_incarnation(Incarnation incarnation);
/// Errors: corrupt.
Result<Incarnation> decode_incarnation(std::string_view text);
/// nullopt if the file is missing. Errors: corrupt, io_error.
Result<std::optional<Incarnation>> read_incarnation(env::Disk& disk);
Result<void> write_incarnation(env::Disk& disk, Incarnation incarnation);

}  // namespace doozer::storage
