#include "sim/checkers/model.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"

namespace doozer::sim {
namespace {

// A revision beyond this is no revision of a history, but damage of a file.
constexpr int64_t kRevisionMax = int64_t{1} << 26;

std::string_view change_name(WatchNote::Change kind) {
  switch (kind) {
    case WatchNote::Change::nop: return "nop";
    case WatchNote::Change::set: return "set";
    case WatchNote::Change::del: return "del";
  }
  UNREACHABLE();
}

}  // namespace

Model::Model(const History& history, Report& report) : history_(history) {
  first_.push_back(kNone);  // there is no revision 0
  see_operations(report);
  see_streams(report);
  attribute(report);
  index();
  count_deletes(report);
  count_nops(report);
}

PathId Model::intern(std::string_view path) {
  const auto [found, added] =
      path_ids_.try_emplace(std::string(path), static_cast<PathId>(path_names_.size()));
  if (added) {
    path_names_.emplace_back(path);
    ours_.push_back(false);
  }
  return found->second;
}

std::optional<PathId> Model::find(std::string_view path) const {
  const auto found = path_ids_.find(std::string(path));
  if (found == path_ids_.end()) return std::nullopt;
  return found->second;
}

/// Adds what somebody saw, or compares it with what others saw.
void Model::see(Change change, Report& report) {
  if (change.revision <= 0 || change.revision > kRevisionMax) {
    report.add("model.bad_revision",
               "revision " + std::to_string(change.revision) + " of " + quote(name(change.path)));
    return;
  }
  reach(change.revision);
  int32_t* link = &first_[static_cast<size_t>(change.revision)];
  for (; *link != kNone; link = &next_[static_cast<size_t>(*link)]) {
    Change& known = changes_[static_cast<size_t>(*link)];
    if (known.path != change.path) continue;
    known.seen_us = std::min(known.seen_us, change.seen_us);
    if (!known.value) known.value = change.value;
    if (known.sub < 0) known.sub = change.sub;
    if (known.kind != change.kind || (change.value && *known.value != *change.value)) {
      report.add("model.two_contents", "revision " + std::to_string(change.revision) + " of " +
                                           quote(name(change.path)) + " is " +
                                           std::string(change_name(known.kind)) + " " +
                                           quote(known.value.value_or("")) + " and " +
                                           std::string(change_name(change.kind)) + " " +
                                           quote(change.value.value_or("")));
    }
    return;
  }
  *link = static_cast<int32_t>(changes_.size());
  changes_.push_back(change);
  next_.push_back(kNone);
}

/// That revision is known to exist.
void Model::reach(int64_t revision) {
  if (revision <= 0 || revision > kRevisionMax) return;
  if (newest() < revision) first_.resize(static_cast<size_t>(revision) + 1, kNone);
}

void Model::see_operations(Report& report) {
  constexpr auto kSet = WatchNote::Change::set;
  revision_of_.assign(history_.ops.size(), 0);
  for (size_t id = 0; id < history_.ops.size(); ++id) {
    const Op& op = history_.ops[id];
    const bool ok = op.outcome == Outcome::ok;
    if (op.kind == Action::set) {
      if (!writers_.emplace(op.value, id).second) {
        report.add("model.value_not_unique", "two SETs of " + quote(op.value));
      }
    }
    if (op.kind == Action::set || op.kind == Action::del) ours_[intern(op.path)] = true;
    reach(op.store_rev);
    if (!ok) continue;
    if (op.at_rev != 0) reach(op.at_rev);
    if (op.kind == Action::rev) reach(op.revision);
    if (op.kind == Action::walk) {
      for (const Listed& entry : op.listed) {
        see({.revision = entry.revision,
             .kind = kSet,
             .path = intern(entry.name),
             .value = entry.value,
             .seen_us = op.completed_us},
            report);
      }
    } else if (op.kind == Action::set) {
      see({.revision = op.revision,
           .kind = kSet,
           .path = intern(op.path),
           .value = op.value,
           .seen_us = op.completed_us},
          report);
    } else if ((op.kind == Action::get || op.kind == Action::stat) && op.revision > 0) {
      Change seen{.revision = op.revision,
                  .kind = kSet,
                  .path = intern(op.path),
                  .seen_us = op.completed_us};
      if (op.kind == Action::get) seen.value = op.value;
      see(seen, report);
    }
  }
}

void Model::see_streams(Report& report) {
  for (const Stream& stream : history_.streams) {
    for (const WatchNote& note : stream.notes) {
      if (note.kind == WatchNote::Kind::through) {
        reach(note.revision);
        if (stream.glob == "/**") open_ended_ = false;
      }
      if (note.kind != WatchNote::Kind::event) continue;
      Change seen{.revision = note.revision,
                  .kind = note.change,
                  .path = intern(note.path),
                  .seen_us = note.at_us};
      if (note.change == WatchNote::Change::set) seen.value = note.value;
      // Only a watch of everything tells the true place.
      if (stream.glob == "/**") seen.sub = note.sub;
      see(seen, report);
    }
  }
}

/// Finds the SET behind each change.
void Model::attribute(Report& report) {
  for (size_t revision = 1; revision < first_.size(); ++revision) {
    if (first_[revision] == kNone) {
      holes_.push_back(static_cast<int64_t>(revision));
      continue;
    }
    size_t changes = 0;
    size_t ours = 0;
    for (int32_t i = first_[revision]; i != kNone; i = next_[static_cast<size_t>(i)]) {
      Change& change = changes_[static_cast<size_t>(i)];
      attribute_one(change, report);
      ++changes;
      if (ours_[change.path] || change.kind == WatchNote::Change::nop) ++ours;
    }
    // No verb makes two changes, so a revision with several belongs to none of these clients.
    if (changes > 1 && ours > 0) {
      const Change& one = changes_[static_cast<size_t>(first_[revision])];
      report.add("model.revision_used_twice", "revision " + std::to_string(revision) + ": of " +
                                                  quote(name(one.path)) + " and of others");
    }
  }
}

void Model::attribute_one(Change& change, Report& report) {
  if (change.kind != WatchNote::Change::set || !change.value) return;
  const auto writer = writers_.find(*change.value);
  const std::string where = "revision " + std::to_string(change.revision) + " of " +
                            quote(name(change.path)) + " = " + quote(*change.value);
  if (writer == writers_.end()) {
    if (ours_[change.path]) report.add("model.value_from_nowhere", where);
    return;
  }
  const Op& op = history_.ops[writer->second];
  if (op.path != name(change.path)) {
    report.add("model.value_at_wrong_path", where + ": written by " + describe(op));
    return;
  }
  if (op.outcome == Outcome::refused || op.outcome == Outcome::failed) {
    report.add("model.refused_write_visible", where + ": " + describe(op));
  }
  if (change.seen_us < op.invoked_us) {
    report.add("model.seen_before_written",
               where + " at " + std::to_string(change.seen_us) + ": " + describe(op));
  }
  int64_t& revision = revision_of_[writer->second];
  if (revision != 0) {
    report.add("model.write_repeated",
               where + ", and at revision " + std::to_string(revision) + ": " + describe(op));
    return;
  }
  revision = change.revision;
  change.op = writer->second;
}

void Model::index() {
  versions_.resize(path_names_.size());
  for (size_t revision = 1; revision < first_.size(); ++revision) {
    for (int32_t i = first_[revision]; i != kNone; i = next_[static_cast<size_t>(i)]) {
      const Change& change = changes_[static_cast<size_t>(i)];
      if (change.kind == WatchNote::Change::nop) {
        nops_.push_back(change.revision);
      } else {
        versions_[change.path].push_back(change);
      }
    }
  }
  sorted_.resize(path_names_.size());
  for (PathId i = 0; i < sorted_.size(); ++i) sorted_[i] = i;
  std::sort(sorted_.begin(), sorted_.end(),
            [this](PathId a, PathId b) { return path_names_[a] < path_names_[b]; });
}

/// Each del of a path has a DEL of its own.
void Model::count_deletes(Report& report) const {
  std::vector<int64_t> possible(path_names_.size(), 0);
  for (const Op& op : history_.ops) {
    if (op.kind != Action::del) continue;
    if (op.outcome == Outcome::refused || op.outcome == Outcome::failed) continue;
    ++possible[path_ids_.at(op.path)];
  }
  for (PathId path = 0; path < path_names_.size(); ++path) {
    if (!ours_[path]) continue;
    const auto made =
        std::count_if(versions_[path].begin(), versions_[path].end(),
                      [](const Change& change) { return change.kind == WatchNote::Change::del; });
    if (made > possible[path]) {
      report.add("model.too_many_deletes", quote(name(path)) + " was deleted " +
                                               std::to_string(made) + " times by " +
                                               std::to_string(possible[path]) + " DELs");
    }
  }
}

/// Each nop has a NOP of its own, and each acknowledged NOP has a nop.
void Model::count_nops(Report& report) const {
  size_t acknowledged = 0;
  size_t possible = 0;
  for (const Op& op : history_.ops) {
    if (op.kind != Action::nop) continue;
    if (op.outcome == Outcome::ok) ++acknowledged;
    if (op.outcome != Outcome::refused && op.outcome != Outcome::failed) ++possible;
  }
  const std::string told = std::to_string(nops_.size()) + " nops, " + std::to_string(acknowledged) +
                           " acknowledged NOPs, " + std::to_string(possible) + " possible ones";
  if (nops_.size() > possible) report.add("model.too_many_nops", told);
  if (nops_.size() + holes_.size() < acknowledged && !open_ended_) {
    report.add("model.nop_lost", told);
  }
}

const Change* Model::first_at(int64_t revision) const {
  if (revision <= 0 || revision > newest()) return nullptr;
  const int32_t first = first_[static_cast<size_t>(revision)];
  return first == kNone ? nullptr : &changes_[static_cast<size_t>(first)];
}

const Change* Model::next_at(const Change& change) const {
  const int32_t next = next_[static_cast<size_t>(&change - changes_.data())];
  return next == kNone ? nullptr : &changes_[static_cast<size_t>(next)];
}

std::vector<const Change*> Model::at(int64_t revision) const {
  std::vector<const Change*> found;
  for (const Change* change = first_at(revision); change != nullptr; change = next_at(*change)) {
    found.push_back(change);
  }
  std::sort(found.begin(), found.end(), [](const Change* a, const Change* b) {
    // As unsigned numbers, so that -1 is the last.
    return static_cast<uint64_t>(a->sub) < static_cast<uint64_t>(b->sub);
  });
  return found;
}

std::optional<int64_t> Model::next_hole(int64_t revision) const {
  const auto found = std::lower_bound(holes_.begin(), holes_.end(), revision);
  if (found != holes_.end()) return *found;
  if (open_ended_) return std::max(revision, newest() + 1);
  return std::nullopt;
}

bool Model::hole_within(int64_t first, int64_t last) const {
  const auto hole = next_hole(first);
  return hole && *hole <= last;
}

const Change* Model::version_after(PathId path, int64_t revision) const {
  const std::vector<Change>& versions = versions_[path];
  const auto found =
      std::upper_bound(versions.begin(), versions.end(), revision,
                       [](int64_t bound, const Change& change) { return bound < change.revision; });
  return found == versions.end() ? nullptr : &*found;
}

const Change* Model::version_at(PathId path, int64_t revision) const {
  const std::vector<Change>& versions = versions_[path];
  const auto found =
      std::upper_bound(versions.begin(), versions.end(), revision,
                       [](int64_t bound, const Change& change) { return bound < change.revision; });
  return found == versions.begin() ? nullptr : &*(found - 1);
}

const Change* Model::file_at(PathId path, int64_t revision) const {
  const Change* version = version_at(path, revision);
  return version != nullptr && version->kind == WatchNote::Change::set ? version : nullptr;
}

}  // namespace doozer::sim
