#include "sim/checkers/states.h"

#include <algorithm>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "core/glob.h"

namespace doozer::sim {
namespace {

using Point = std::optional<int64_t>;

/// Walks over the states of one path from `from` on, until `good` (given the file or nullptr) says
/// yes. A hole may be anything that could help (`hole_helps`).
template <typename Good>
Point first_state(const Model& model, std::optional<PathId> path, int64_t from, bool hole_helps,
                  Good good) {
  if (!path) return good(nullptr) ? Point(from) : std::nullopt;
  Point hole;
  if (hole_helps) hole = model.next_hole(from + 1);
  if (good(model.file_at(*path, from))) return from;
  // A hole below `from` may have changed the file after its last known version.
  const Change* last = model.version_at(*path, from);
  if (hole_helps && model.hole_within(last == nullptr ? 1 : last->revision + 1, from)) return from;
  for (const Change* next = model.version_after(*path, from); next != nullptr;
       next = model.version_after(*path, next->revision)) {
    if (hole && *hole < next->revision) return hole;
    if (good(next->kind == WatchNote::Change::set ? next : nullptr)) return next->revision;
  }
  return hole;
}

/// GET and STAT of a file: its version must be the newest.
Point version_shown(const Model& model, PathId path, int64_t revision, int64_t from) {
  const int64_t point = std::max(revision, from);
  const Change* file = model.file_at(path, point);
  if (file != nullptr && file->revision == revision) return point;
  return std::nullopt;
}

Point file_shown(const Op& op, const Model& model, int64_t from) {
  const auto path = model.find(op.path);
  if (op.revision > 0) return version_shown(model, *path, op.revision, from);
  return first_state(model, path, from, /*hole_helps=*/true,
                     [](const Change* file) { return file == nullptr; });
}

/// A DEL that was answered: afterwards there is no file, whoever has deleted it.
Point deleted(const Op& op, const Model& model, int64_t from) {
  return first_state(model, model.find(op.path), from, /*hole_helps=*/true,
                     [](const Change* file) { return file == nullptr; });
}

Point refused_write(const Op& op, const Model& model, int64_t from) {
  if (op.code != Code::revision_mismatch || op.cas < -1) return from;
  return first_state(model, model.find(op.path), from, /*hole_helps=*/true,
                     [&](const Change* file) { return !passes(op.cas, file); });
}

Point nop_made(const Model& model, int64_t from) {
  const auto& nops = model.nops();
  const auto nop = std::upper_bound(nops.begin(), nops.end(), from);
  const Point hole = model.next_hole(from + 1);
  if (nop == nops.end() || (hole && *hole < *nop)) return hole;
  return *nop;
}

// --- Listings

/// What is listed at a revision, in order.
std::vector<Listed> walked(const Model& model, std::string_view pattern, int64_t revision) {
  std::vector<Listed> found;
  const auto glob = core::Glob::compile(pattern);
  if (!glob) return found;
  const std::string_view prefix = glob->literal_prefix();
  const std::vector<PathId>& paths = model.sorted_paths();
  auto it = std::lower_bound(
      paths.begin(), paths.end(), prefix,
      [&](PathId path, std::string_view bound) { return model.name(path) < bound; });
  for (; it != paths.end() && model.name(*it).starts_with(prefix); ++it) {
    const Change* file = model.file_at(*it, revision);
    if (file == nullptr || !glob->matches(model.name(*it))) continue;
    found.push_back({.name = model.name(*it),
                     .revision = file->revision,
                     .value = std::string(file->value.value_or(""))});
  }
  return found;
}

std::vector<Listed> entries(const Model& model, std::string_view directory, int64_t revision) {
  std::vector<Listed> found;
  std::string prefix(directory);
  if (!prefix.ends_with('/')) prefix += '/';
  const std::vector<PathId>& paths = model.sorted_paths();
  const auto from = [&](const std::string& bound) {
    return std::lower_bound(
        paths.begin(), paths.end(), bound,
        [&](PathId path, const std::string& text) { return model.name(path) < text; });
  };
  for (auto it = from(prefix); it != paths.end();) {
    const std::string& path = model.name(*it);
    if (!path.starts_with(prefix)) break;
    if (path.size() == prefix.size() || model.file_at(*it, revision) == nullptr) {
      ++it;
      continue;
    }
    const size_t slash = path.find('/', prefix.size());
    const std::string name = path.substr(prefix.size(), slash - prefix.size());
    // Names sort as bare names, not as the paths that begin with them.
    found.push_back({.name = name});
    // '0' follows '/': behind all that is below this entry.
    it = slash == std::string::npos ? it + 1 : from(prefix + name + '0');
  }
  std::sort(found.begin(), found.end(),
            [](const Listed& a, const Listed& b) { return a.name < b.name; });
  return found;
}

std::string told(const std::vector<Listed>& listed) {
  std::string text = std::to_string(listed.size()) + " entries";
  for (size_t i = 0; i < listed.size() && i < 8; ++i) {
    text +=
        (i == 0 ? ": " : ", ") + quote(listed[i].name) + "@" + std::to_string(listed[i].revision);
  }
  return text;
}

}  // namespace

std::string listing_complaint(const Op& op, const Model& model, int64_t revision) {
  // What lies in a hole may be listed, or hide what is.
  if (model.hole_within(1, revision)) return {};
  const std::vector<Listed> all = op.kind == Action::walk ? walked(model, op.path, revision)
                                                          : entries(model, op.path, revision);
  const std::string right = "; right at revision " + std::to_string(revision) + " is " + told(all);
  const auto offset = static_cast<size_t>(std::max<int64_t>(op.offset, 0));
  if (op.outcome != Outcome::ok) {
    return offset < all.size() ? "nothing at offset " + std::to_string(offset) + right : "";
  }
  if (op.offset < 0) return op.listed == all ? "" : told(op.listed) + right;
  if (offset < all.size() && op.listed.size() == 1 && op.listed.front() == all[offset]) return {};
  return told(op.listed) + " at offset " + std::to_string(offset) + right;
}

std::optional<int64_t> right_at(const Op& op, const Model& model, int64_t from) {
  if (op.outcome != Outcome::ok) {
    return is_write(op.kind) ? refused_write(op, model, from) : Point(from);
  }
  switch (op.kind) {
    case Action::set: return op.revision > from ? Point(op.revision) : std::nullopt;
    case Action::del: return deleted(op, model, from);
    case Action::nop: return nop_made(model, from);
    case Action::stat:
      if (op.revision < 0) return from;
      [[fallthrough]];
    case Action::get: return file_shown(op, model, from);
    case Action::rev: return op.revision >= from ? Point(op.revision) : std::nullopt;
    case Action::walk:
    case Action::getdir: return from;
  }
  UNREACHABLE();
}

}  // namespace doozer::sim
