#include "storage/repair_file.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/probe.h"
#include "base/units.h"
#include "storage/checked_text.h"

namespace doozer::storage {
namespace {

constexpr std::string_view kFirstLine = "doozer-repair ";
constexpr std::string_view kFormat = "1";
constexpr std::string_view kNone = "-";
constexpr uint64_t kRepairBytesMax = 64 * kKiB;
constexpr size_t kDamageBytesMax = 4 * kKiB;

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    const auto value = static_cast<uint8_t>(byte);
    text += kDigits[value >> 4U];
    text += kDigits[value & 15U];
  }
  return text;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (size_t i = 0; i < text.size(); i += 2) {
    int value = 0;
    for (const char c : text.substr(i, 2)) {
      const bool digit = c >= '0' && c <= '9';
      const bool letter = c >= 'a' && c <= 'f';
      if (!digit && !letter) return std::nullopt;
      value = value * 16 + (digit ? c - '0' : c - 'a' + 10);
    }
    bytes += static_cast<char>(value);
  }
  return bytes;
}

std::optional<uint64_t> number_in(std::optional<std::string_view> text) {
  if (!text) return std::nullopt;
  const auto value = parse_int(*text);
  if (!value || *value < 0) return std::nullopt;
  return static_cast<uint64_t>(*value);
}

/// What is for people: one line of bounded length.
std::string one_line(std::string_view text) {
  std::string line(text.substr(0, kDamageBytesMax));
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

}  // namespace

std::string encode_repair(const RepairNote& note) {
  const std::string configuration = note.configuration
                                        ? to_hex(raft::encode_configuration(*note.configuration))
                                        : std::string(kNone);
  return with_crc(std::string(kFirstLine) + std::string(kFormat) + "\nterm " +
                  std::to_string(note.term.value()) + "\nvote_lost " +
                  (note.vote_lost ? "1" : "0") + "\nmoved " + std::to_string(note.moved_first) +
                  " " + std::to_string(note.moved_last) + "\nconfiguration " + configuration +
                  "\ndamage " + one_line(note.damage) + "\n");
}

Result<RepairNote> decode_repair(std::string_view text) {
  TRY_ASSIGN(std::string_view rest, checked(text, kRepairFile));
  const auto bad = [&] {
    return fail(Code::corrupt, "file \"repair\": a line is missing or too much: " + quote(text));
  };
  const auto format = take_line(rest, kFirstLine);
  if (!format) return bad();
  if (*format != kFormat) {
    return fail(Code::unsupported, "file \"repair\" has format " + std::string(*format) +
                                       ": this version knows " + std::string(kFormat));
  }
  RepairNote note;
  const auto term = number_in(take_line(rest, "term "));
  const auto vote_lost = number_in(take_line(rest, "vote_lost "));
  const auto moved = take_line(rest, "moved ");
  const auto configuration = take_line(rest, "configuration ");
  const auto damage = take_line(rest, "damage ");
  if (!term || !vote_lost || *vote_lost > 1 || !moved || !configuration || !damage ||
      !rest.empty()) {
    return bad();
  }
  const size_t space = std::min(moved->find(' '), moved->size());
  const auto first = number_in(moved->substr(0, space));
  const auto last = number_in(moved->substr(std::min(space + 1, moved->size())));
  if (!first || !last) return bad();
  note.term = Term(*term);
  note.vote_lost = *vote_lost == 1;
  note.moved_first = *first;
  note.moved_last = *last;
  note.damage = *damage;
  if (*configuration != kNone) {
    const auto bytes = from_hex(*configuration);
    if (!bytes) return bad();
    TRY_ASSIGN(note.configuration, raft::decode_configuration(*bytes));
  }
  return note;
}

Result<std::optional<RepairNote>> read_repair(env::Disk& disk) {
  const auto text = env::read_file(disk, kRepairFile, kRepairBytesMax);
  if (!text && text.error().code == Code::not_found) return std::nullopt;
  auto note = text ? decode_repair(*text) : fail(text.error());
  const bool damaged =
      !note && (note.error().code == Code::corrupt || note.error().code == Code::too_large);
  if (damaged) {
    PROBE("repair: the file itself does not read");
    return RepairNote{.term = {},
                      .vote_lost = true,
                      .moved_first = 0,
                      .moved_last = 0,
                      .configuration = {},
                      .damage = note.error().message};
  }
  TRY(note);
  return *std::move(note);
}

Result<void> write_repair(env::Disk& disk, const RepairNote& note) {
  return env::replace_file(disk, "", kRepairFile, encode_repair(note));
}

Result<void> end_repair(env::Disk& disk) {
  auto removed = disk.remove(kRepairFile);
  if (!removed && removed.error().code != Code::not_found) return removed;
  TRY(disk.sync_directory(""));
  TRY_ASSIGN(const auto paths, damaged_segments(disk));
  for (const std::string& path : paths) TRY(disk.remove(path));
  return {};
}

Result<std::vector<std::string>> damaged_segments(env::Disk& disk) {
  std::vector<std::string> paths;
  TRY_ASSIGN(const auto names, disk.list("log"));
  for (const std::string& name : names) {
    if (name.ends_with(kDamagedSuffix)) paths.push_back("log/" + name);
  }
  return paths;
}

}  // namespace doozer::storage
