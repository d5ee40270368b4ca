#include "sim/checkers/patterns.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"

namespace doozer::sim {
namespace {

bool possible(const Op& op) {
  return op.outcome == Outcome::ok || op.outcome == Outcome::unknown || op.outcome == Outcome::open;
}

std::optional<int64_t> number_of(std::string_view value) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

/// The last whole linearizable WALK of everything below `prefix`.
const Op* last_walk(const History& history, std::string_view prefix) {
  const Op* last = nullptr;
  for (const Op& op : history.ops) {
    if (op.kind != Action::walk || op.outcome != Outcome::ok || !op.linearizable) continue;
    if (op.offset >= 0 || op.at_rev != 0) continue;
    if (op.path != "/**" && op.path != std::string(prefix) + "*") continue;
    if (last == nullptr || op.invoked_us > last->invoked_us) last = &op;
  }
  return last;
}

// --- Locks

struct Hold {
  uint64_t from_us = kNever;  ///< when its holder first knew
  uint64_t to_us = kNever;    ///< when it began to release
  std::string_view value = {};
  uint64_t client = 0;
  int64_t revision = 0;
};

/// By revision of the lock's file.
std::map<int64_t, Hold> holds_of(const History& history, std::string_view path) {
  std::unordered_map<std::string_view, uint64_t> takers;  // the client behind each value
  for (const Op& op : history.ops) {
    if (op.path == path && op.kind == Action::set) takers.emplace(op.value, op.client);
  }
  std::map<int64_t, Hold> holds;
  for (const Op& op : history.ops) {
    if (op.path != path || op.outcome != Outcome::ok || op.revision <= 0) continue;
    if (op.kind != Action::set && !(op.kind == Action::get && op.linearizable)) continue;
    const auto taker = takers.find(op.value);
    if (taker == takers.end() || taker->second != op.client || op.at_rev != 0) continue;
    Hold& hold = holds[op.revision];
    hold.from_us = std::min(hold.from_us, op.completed_us);
    hold.value = op.value;
    hold.client = op.client;
    hold.revision = op.revision;
  }
  for (const Op& op : history.ops) {
    if (op.path != path || op.kind != Action::del) continue;
    const auto hold = holds.find(op.cas);
    if (hold != holds.end() && hold->second.client == op.client) {
      hold->second.to_us = std::min(hold->second.to_us, op.invoked_us);
    }
  }
  return holds;
}

}  // namespace

bool check_set(const History& history, std::string_view prefix, Report& report) {
  const Op* walk = last_walk(history, prefix);
  if (walk == nullptr) return false;
  std::unordered_map<std::string_view, const Listed*> there;
  for (const Listed& entry : walk->listed) {
    if (entry.name.starts_with(prefix)) there.emplace(entry.name, &entry);
  }
  std::set<std::string_view> added;
  for (const Op& op : history.ops) {
    if (op.kind != Action::set || !op.path.starts_with(prefix)) continue;
    if (op.completed_us != kNever && op.completed_us > walk->invoked_us) return false;
    const auto found = there.find(op.path);
    const bool visible = found != there.end() && found->second->value == op.value;
    if (possible(op)) added.insert(op.path);
    if (op.outcome == Outcome::ok && !visible) report.add("set.lost", describe(op));
    if (!possible(op) && visible) report.add("set.refused_add_visible", describe(op));
  }
  std::vector<std::string_view> strangers;
  for (const auto& [name, entry] : there) {
    if (!added.contains(name)) strangers.push_back(name);
  }
  std::sort(strangers.begin(), strangers.end());
  for (const std::string_view name : strangers) report.add("set.never_added", quote(name));
  return true;
}

void check_counter(const History& history, const Model& model, std::string_view path,
                   Report& report) {
  int64_t acknowledged = 0;
  int64_t attempted = 0;
  for (const Op& op : history.ops) {
    if (op.kind != Action::set || op.path != path) continue;
    if (op.outcome == Outcome::ok) ++acknowledged;
    if (possible(op)) ++attempted;
  }
  const auto id = model.find(path);
  if (!id) return;
  int64_t number = 0;
  bool gapless = true;
  for (const Change& change : model.versions(*id)) {
    const auto next = change.value ? number_of(*change.value) : std::nullopt;
    if (change.kind != WatchNote::Change::set || !next) {
      report.add("counter.no_number",
                 quote(path) + " at revision " + std::to_string(change.revision));
      return;
    }
    // A version that nobody saw may lie between.
    if (*next != number + 1) gapless = false;
    if (*next <= number || (!gapless && !model.hole_within(1, change.revision))) {
      report.add("counter.lost_or_repeated",
                 quote(path) + " at revision " + std::to_string(change.revision) + ": " +
                     std::to_string(*next) + " after " + std::to_string(number));
      return;
    }
    number = *next;
  }
  if (number < acknowledged || number > attempted) {
    report.add("counter.wrong_sum", quote(path) + ": " + std::to_string(number) + ", " +
                                        std::to_string(acknowledged) + " acknowledged, " +
                                        std::to_string(attempted) + " possible");
  }
}

void check_lock(const History& history, std::string_view path, Report& report) {
  std::vector<Hold> holds;
  for (const auto& [revision, hold] : holds_of(history, path)) holds.push_back(hold);
  std::sort(holds.begin(), holds.end(), [](const Hold& a, const Hold& b) {
    return a.from_us != b.from_us ? a.from_us < b.from_us : a.revision < b.revision;
  });
  const Hold* longest = nullptr;
  for (const Hold& hold : holds) {
    // A release that began before the holder was sure leaves nothing to judge.
    if (hold.to_us <= hold.from_us) continue;
    if (longest != nullptr && hold.from_us < longest->to_us) {
      report.add("lock.two_holders", quote(path) + ": client " + std::to_string(longest->client) +
                                         " from " + std::to_string(longest->from_us) +
                                         " (revision " + std::to_string(longest->revision) +
                                         ") and client " + std::to_string(hold.client) + " from " +
                                         std::to_string(hold.from_us) + " (revision " +
                                         std::to_string(hold.revision) + ")");
    }
    if (longest == nullptr || hold.to_us > longest->to_us) longest = &hold;
  }
}

Overlap count_overlap(const History& history) {
  struct Span {
    uint64_t from_us;
    uint64_t to_us;
    uint64_t client;
  };
  std::map<std::string_view, std::vector<Span>> files;
  for (const Op& op : history.ops) {
    if (op.kind != Action::set && op.kind != Action::del && op.kind != Action::get &&
        op.kind != Action::stat) {
      continue;
    }
    files[op.path].push_back({op.invoked_us, op.completed_us, op.client});
  }
  Overlap overlap;
  for (auto& [path, spans] : files) {
    const auto alone = [&](const Span& span) { return span.client == spans.front().client; };
    if (std::all_of(spans.begin(), spans.end(), alone)) continue;
    std::sort(spans.begin(), spans.end(),
              [](const Span& a, const Span& b) { return a.from_us < b.from_us; });
    uint64_t latest_us = 0;  // the end of anything that began before
    for (size_t i = 0; i < spans.size(); ++i) {
      const bool before = spans[i].from_us < latest_us;
      const bool after = i + 1 < spans.size() && spans[i + 1].from_us < spans[i].to_us;
      if (before || after) ++overlap.overlapped;
      latest_us = std::max(latest_us, spans[i].to_us);
    }
    overlap.operations += spans.size();
  }
  return overlap;
}

}  // namespace doozer::sim
