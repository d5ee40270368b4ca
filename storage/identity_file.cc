#include "storage/identity_file.h"

#include "base/bytes.h"
#include "base/units.h"
#include "storage/checked_text.h"

namespace doozer::storage {
namespace {

constexpr std::string_view kFirstLine = "doozer-data ";
constexpr int64_t kDataFormat = 1;
constexpr uint64_t kSmallFileBytesMax = 4 * kKiB;

}  // namespace

std::string encode_identity(const Ownership& owner) {
  return with_crc(std::string(kFirstLine) + std::to_string(kDataFormat) + "\ncluster " +
                  owner.cluster.to_string() + "\nidentity " + owner.identity.to_string() + "\n");
}

Result<Ownership> decode_identity(std::string_view text) {
  TRY_ASSIGN(std::string_view rest, checked(text, kIdentityFile));
  const auto format = take_line(rest, kFirstLine);
  if (!format) return fail(Code::corrupt, "file \"identity\": no data format in it");
  if (*format != std::to_string(kDataFormat)) {
    return fail(Code::unsupported, "data format " + std::string(*format) + ": this version knows " +
                                       std::to_string(kDataFormat));
  }
  const auto cluster = take_line(rest, "cluster ");
  const auto identity = take_line(rest, "identity ");
  if (!cluster || !identity || !rest.empty()) {
    return fail(Code::corrupt, "file \"identity\": a line is missing or too much");
  }
  const auto parsed_cluster = Identity::parse(*cluster);
  const auto parsed_identity = Identity::parse(*identity);
  if (!parsed_cluster || !parsed_identity) {
    return fail(Code::corrupt, "file \"identity\": no identity in " + quote(text));
  }
  return Ownership{.cluster = *parsed_cluster, .identity = *parsed_identity};
}

Result<Ownership> read_identity(env::Disk& disk) {
  TRY_ASSIGN(const std::string text, env::read_file(disk, kIdentityFile, kSmallFileBytesMax));
  return decode_identity(text);
}

Result<void> write_identity(env::Disk& disk, const Ownership& owner) {
  return env::replace_file(disk, "", kIdentityFile, encode_identity(owner));
}

std::string encode_incarnation(Incarnation incarnation) {
  return with_crc("incarnation " + std::to_string(incarnation.value()) + "\n");
}

Result<Incarnation> decode_incarnation(std::string_view text) {
  TRY_ASSIGN(std::string_view rest, checked(text, kIncarnationFile));
  const auto value = take_line(rest, "incarnation ");
  const auto number = value && rest.empty() ? parse_int(*value) : Result<int64_t>(-1);
  if (!number || *number < 0) {
    return fail(Code::corrupt, "file \"incarnation\": no number in " + quote(text));
  }
  return Incarnation(static_cast<uint64_t>(*number));
}

Result<std::optional<Incarnation>> read_incarnation(env::Disk& disk) {
  const auto text = env::read_file(disk, kIncarnationFile, kSmallFileBytesMax);
  if (!text && text.error().code == Code::not_found) return std::nullopt;
  if (!text) return fail(text.error());
  TRY_ASSIGN(const Incarnation incarnation, decode_incarnation(*text));
  return incarnation;
}

Result<void> write_incarnation(env::Disk& disk, Incarnation incarnation) {
  return env::replace_file(disk, "", kIncarnationFile, encode_incarnation(incarnation));
}

}  // namespace doozer::storage
