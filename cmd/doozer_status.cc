#include "cmd/doozer_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

namespace doozer::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kBold = "\x1b[1m";
constexpr std::string_view kRed = "\x1b[31;1m";
constexpr std::string_view kPlain = "\x1b[0m";
constexpr std::string_view kNothing = "-";

// --- What may be missing, or be of another kind than is meant.

/// A member of an object; null if it is not there.
const Json& at(const Json& object, std::string_view key) {
  static const Json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(std::string(key));
  return found == object.end() ? kNull : *found;
}

std::string text(const Json& object, std::string_view key) {
  const Json& value = at(object, key);
  if (value.is_string()) {
    // Some of it was written by clients: nothing of it may speak to the terminal.
    std::string words = value.get<std::string>();
    std::ranges::replace_if(
        words, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, '?');
    return words;
  }
  // Nothing nested: its depth is up to the server, and printing it would recurse as deep.
  return value.is_number() || value.is_boolean() ? value.dump() : std::string(kNothing);
}

bool truth(const Json& object, std::string_view key) {
  const Json& value = at(object, key);
  return value.is_boolean() && value.get<bool>();
}

uint64_t number(const Json& object, std::string_view key) {
  const Json& value = at(object, key);
  return value.is_number_unsigned() ? value.get<uint64_t>() : 0;
}

std::string size(const Json& object, std::string_view key) {
  return at(object, key).is_number() ? rough_size(number(object, key)) : std::string(kNothing);
}

std::string duration(const Json& object, std::string_view key, uint64_t unit_us) {
  return at(object, key).is_number() ? rough_duration(number(object, key) * unit_us)
                                     : std::string(kNothing);
}

// --- Tables

struct Table {
  using Row = std::vector<std::string>;
  Row head;
  std::vector<Row> rows;
  std::vector<bool> alarming = {};  ///< of each row: something is wrong with it
};

/// Columns are as wide as their widest cell; the last one is not padded.
std::string print_row(const Table::Row& row, const std::vector<size_t>& widths) {
  std::string line;
  for (size_t column = 0; column < row.size(); ++column) {
    const bool last = column + 1 == row.size();
    line += last ? row[column] : fmt::format("{:<{}}  ", row[column], widths[column]);
  }
  while (line.ends_with(' ')) line.pop_back();
  return line;
}

std::string print_table(const Table& table, const Style& style) {
  std::vector<size_t> widths;
  for (size_t column = 0; column < table.head.size(); ++column) {
    size_t width = table.head[column].size();
    for (const Table::Row& row : table.rows) width = std::max(width, row[column].size());
    widths.push_back(width);
  }
  const auto painted = [&](const std::string& line, std::string_view colour) {
    return style.colour ? fmt::format("{}{}{}\n", colour, line, kPlain) : line + '\n';
  };
  std::string out = painted(print_row(table.head, widths), kBold);
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const std::string line = print_row(table.rows[i], widths);
    out += table.alarming[i] ? painted(line, kRed) : line + '\n';
  }
  return out;
}

// --- What is told

std::string address_of(const Json& status, const std::string& identity) {
  for (const Json& server : at(status, "servers")) {
    if (text(server, "identity") == identity) return text(server, "address");
  }
  return std::string(kNothing);
}

std::string print_cluster(const Json& status, const Style& style) {
  const std::string leader = text(status, "leader");
  const std::string leader_address = address_of(status, leader);
  const bool led = leader_address != kNothing;
  const bool writable = truth(status, "writable");
  std::string out;
  out += fmt::format("cluster   {}, term {}, leader {}\n", text(status, "cluster"),
                     text(status, "term"),
                     led ? fmt::format("{} at {}", leader, leader_address) : "unknown");
  out += fmt::format("server    {} at {}, {}, version {}, up {}\n", text(status, "identity"),
                     text(status, "address"), text(status, "state"), text(status, "version"),
                     duration(status, "uptime_ms", 1'000));
  out += fmt::format("revision  {} (oldest {})\n", text(status, "revision"),
                     text(status, "oldest_revision"));
  out += fmt::format("log       applied {}, committed {}, last {}, behind by {}\n",
                     text(status, "applied_index"), text(status, "commit_index"),
                     text(status, "last_index"), text(status, "lag_entries"));
  const std::string why = text(status, "read_only_why");
  const std::string words =
      writable ? "taken"
               : "refused: " + (why == "-" ? "no majority in reach, or not trusted" : why);
  out += fmt::format("writes    {}{}{}\n", !writable && style.colour ? kRed : "", words,
                     !writable && style.colour ? kPlain : "");
  return out;
}

std::string link(const Json& server) {
  const std::string kind = text(server, "link");
  return kind == "relayed"
             ? fmt::format("relayed by {}", std::max<uint64_t>(number(server, "hops"), 1) - 1)
             : kind;
}

/// Round trips are of interest below a millisecond, too.
std::string round_trip(const Json& server) {
  const uint64_t us = number(server, "rtt_us");
  if (us == 0) return std::string(kNothing);
  return us < 1'000 ? fmt::format("{}us", us) : rough_duration(us);
}

/// What a server has not written yet leaves no hole in the table.
std::string cell(const Json& object, std::string_view key) {
  std::string word = text(object, key);
  return word.empty() ? std::string(kNothing) : word;
}

/// With the flag that it was started with: such a server may lead all the same, rather than nobody.
std::string state_cell(const Json& server, const std::string& state) {
  return truth(server, "never_lead") ? state + " (never-lead)" : state;
}

std::string print_servers(const Json& status, const Style& style) {
  Table table{.head = {"ADDRESS", "IDENTITY", "STATE", "VERSION", "REVISION", "LAG", "LINK", "RTT",
                       "SILENT"},
              .rows = {}};
  for (const Json& server : at(status, "servers")) {
    const std::string state = text(server, "state");
    const bool self = truth(server, "self");
    table.rows.push_back(
        {cell(server, "address"), text(server, "identity"), state_cell(server, state),
         cell(server, "version"), text(server, "revision"), text(server, "lag_entries"),
         self ? "this one" : link(server), self ? std::string(kNothing) : round_trip(server),
         duration(server, "silent_ms", 1'000)});
    table.alarming.push_back(state == "unreachable" || state == "quarantined" ||
                             state == "repairing" || state == "slow disk" || truth(server, "full"));
  }
  return table.rows.empty() ? std::string() : '\n' + print_table(table, style);
}

/// The wish (slots) and the truth (who votes) side by side.
std::string print_slots(const Json& status, const Style& style) {
  const Json& configuration = at(status, "configuration");
  Table table{.head = {"SLOT", "WISHED", "ADDRESS", "VOTES"}, .rows = {}};
  std::vector<std::string> wished;
  for (const Json& slot : at(status, "slots")) {
    const std::string holder = text(slot, "holder");
    const bool voting = truth(slot, "voting");
    const bool garbage = truth(slot, "garbage");
    wished.push_back(holder);
    table.rows.push_back({text(slot, "path"),
                          garbage          ? "garbage"
                          : holder.empty() ? "-"
                                           : holder,
                          holder.empty() ? "-" : address_of(status, holder),
                          voting           ? "yes"
                          : holder.empty() ? "-"
                                           : "not yet"});
    table.alarming.push_back(garbage);
  }
  const auto add_voters = [&](const Json& voters, std::string_view word) {
    for (const Json& voter : voters) {
      if (!voter.is_string()) continue;
      const auto identity = voter.get<std::string>();
      if (std::ranges::find(wished, identity) != wished.end()) continue;
      wished.push_back(identity);
      table.rows.push_back({"-", "-", address_of(status, identity), std::string(word)});
      table.alarming.push_back(false);
    }
  };
  add_voters(at(configuration, "voters"), "yes, without a slot");
  add_voters(at(configuration, "old_voters"), "until the change is through");
  if (table.rows.empty()) return {};
  std::string out = '\n' + print_table(table, style);
  if (truth(configuration, "changing") || truth(configuration, "joint")) {
    out += "a change of members is under way\n";
  }
  return out;
}

/// "1 wait", "2 waits".
std::string counted(const Json& object, std::string_view key, std::string_view noun) {
  const std::string count = text(object, key);
  return fmt::format("{} {}{}", count, noun, count == "1" ? "" : "s");
}

std::string print_means(const Json& status) {
  const Json& tree = at(status, "tree");
  const Json& disk = at(status, "disk");
  const Json& memory = at(status, "memory");
  const Json& loop = at(status, "loop");
  std::string out = "\n";
  out += fmt::format("data      {} files, {} directories, {}; {} events of history, {}\n",
                     text(tree, "files"), text(tree, "directories"), size(tree, "bytes"),
                     text(tree, "history_events"), size(tree, "history_bytes"));
  out += fmt::format("disk      {} free, log {}, snapshots {}{}\n", size(disk, "free_bytes"),
                     size(disk, "log_bytes"), size(disk, "snapshot_bytes"),
                     truth(disk, "full") ? "; FULL: only deletions are taken" : "");
  if (memory.is_object()) {
    out += fmt::format("memory    {} resident, {} at most\n", size(memory, "rss_bytes"),
                       size(memory, "rss_bytes_max"));
  }
  out += fmt::format("clients   {}, {}\n", counted(at(status, "connections"), "open", "connection"),
                     counted(tree, "waits", "wait"));
  if (loop.is_object()) {
    out += fmt::format("loop      {} turns, the longest {}us, {} too long\n", text(loop, "turns"),
                       text(loop, "turn_cpu_us_max"), text(loop, "turns_over_limit"));
  }
  return out;
}

}  // namespace

std::string rough_duration(uint64_t microseconds) {
  struct Unit {
    uint64_t us;
    std::string_view name;
  };
  constexpr std::array kUnits = {Unit{86'400'000'000, "d"}, Unit{3'600'000'000, "h"},
                                 Unit{60'000'000, "m"}, Unit{1'000'000, "s"}};
  for (size_t i = 0; i < kUnits.size(); ++i) {
    if (microseconds < kUnits[i].us) continue;
    std::string out = fmt::format("{}{}", microseconds / kUnits[i].us, kUnits[i].name);
    if (i + 1 < kUnits.size()) {
      const uint64_t rest = microseconds % kUnits[i].us / kUnits[i + 1].us;
      if (rest != 0) out += fmt::format(" {}{}", rest, kUnits[i + 1].name);
    }
    return out;
  }
  return fmt::format("{}ms", microseconds / 1'000);
}

std::string rough_size(uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  constexpr double kStep = 1024;
  if (bytes < 1024) return fmt::format("{}B", bytes);
  double value = static_cast<double>(bytes) / kStep;
  size_t unit = 0;
  // What would print as 1024.0 belongs to the next unit.
  for (constexpr double kFull = 1023.95; value >= kFull && unit + 1 < kUnits.size(); ++unit) {
    value /= kStep;
  }
  return fmt::format("{:.1f}{}", value, kUnits[unit]);
}

std::string format_status(std::string_view json, const Style& style) {
  const Json status = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!status.is_object()) return std::string(json) + '\n';
  return print_cluster(status, style) + print_servers(status, style) + print_slots(status, style) +
         print_means(status);
}

}  // namespace doozer::cli
