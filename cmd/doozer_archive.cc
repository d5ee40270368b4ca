#include "cmd/doozer_archive.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/crc32c.h"
#include "cmd/doozer_json.h"

namespace doozer::cli {
namespace {

constexpr int64_t kFormat = 1;

using Json = nlohmann::json;

tl::unexpected<Error> corrupt(size_t line, std::string_view what) {
  return fail(Code::corrupt, fmt::format("line {}: {}", line, what));
}

/// A member of that name and kind, or null.
const Json* member(const Json& object, const char* name, Json::value_t kind) {
  const auto found = object.find(name);
  if (found == object.end()) return nullptr;
  // A whole number that is not negative has a kind of its own.
  const bool fits = found->type() == kind || (kind == Json::value_t::number_integer &&
                                              found->type() == Json::value_t::number_unsigned);
  return fits ? &*found : nullptr;
}

int64_t number_or(const Json& object, const char* name, int64_t otherwise) {
  const Json* number = member(object, name, Json::value_t::number_integer);
  return number == nullptr ? otherwise : number->get<int64_t>();
}

std::string text_or_empty(const Json& object, const char* name) {
  const Json* text = member(object, name, Json::value_t::string);
  return text == nullptr ? std::string() : text->get<std::string>();
}

Result<Archive> parse_head(const Json& line) {
  const int64_t format = number_or(line, "doozer_export", 0);
  if (format == 0) return corrupt(1, "this is no export of doozer");
  if (format != kFormat) {
    return fail(Code::unsupported,
                fmt::format("an export of format {}; this program reads {}", format, kFormat));
  }
  return Archive{
      .path = text_or_empty(line, "path"), .revision = number_or(line, "rev", 0), .files = {}};
}

Result<File> parse_file(const Json& line, size_t number) {
  File file;
  file.path = text_or_empty(line, "path");
  file.revision = number_or(line, "rev", 0);
  if (file.path.empty()) return corrupt(number, "no path");
  if (const Json* text = member(line, "value", Json::value_t::string)) {
    file.value = text->get<std::string>();
  } else if (const Json* base64 = member(line, "value_base64", Json::value_t::string)) {
    auto bytes = base64_decode(base64->get_ref<const std::string&>());
    if (!bytes) return corrupt(number, bytes.error().message);
    file.value = std::move(*bytes);
  } else {
    return corrupt(number, "neither value nor value_base64");
  }
  return file;
}

/// The end counts the files and bears the checksum of all bytes before it.
Result<> check_end(const Json& line, size_t number, const Archive& archive, uint32_t crc) {
  const int64_t files = number_or(line, "files", -1);
  if (files != static_cast<int64_t>(archive.files.size())) {
    return corrupt(number, fmt::format("the end counts {} files, but {} came before it", files,
                                       archive.files.size()));
  }
  if (text_or_empty(line, "crc32c") != fmt::format("{:08x}", crc)) {
    return corrupt(number, "the checksum does not fit: bytes were changed on the way");
  }
  return {};
}

}  // namespace

std::string ArchiveWriter::counted(std::string line) {
  line += '\n';
  crc_ = crc32c(line, crc_);
  return line;
}

std::string ArchiveWriter::head(std::string_view path, int64_t revision) {
  return counted(JsonObject()
                     .number("doozer_export", kFormat)
                     .text("path", path)
                     .number("rev", revision)
                     .str());
}

std::string ArchiveWriter::file(const File& file) {
  ++files_;
  return counted(
      JsonObject().text("path", file.path).number("rev", file.revision).bytes(file.value).str());
}

std::string ArchiveWriter::end() {
  return JsonObject().number("files", files_).text("crc32c", fmt::format("{:08x}", crc_)).str() +
         '\n';
}

Result<Archive> parse_archive(std::string_view bytes) {
  Archive archive;
  uint32_t crc = 0;
  bool ended = false;
  size_t number = 0;
  while (!bytes.empty()) {
    ++number;
    if (ended) return corrupt(number, "something comes after the end");
    const size_t newline = bytes.find('\n');
    if (newline == std::string_view::npos) return corrupt(number, "cut off in this line");
    const std::string_view text = bytes.substr(0, newline + 1);
    bytes.remove_prefix(newline + 1);
    const Json line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!line.is_object()) return corrupt(number, "no JSON object");
    if (number == 1) {
      TRY_ASSIGN(archive, parse_head(line));
    } else if (line.contains("files")) {
      TRY(check_end(line, number, archive, crc));
      ended = true;
    } else {
      TRY_ASSIGN(File file, parse_file(line, number));
      archive.files.push_back(std::move(file));
    }
    crc = crc32c(text, crc);
  }
  if (!ended) return corrupt(number, "cut off after this line: the end is missing");
  return archive;
}

}  // namespace doozer::cli
