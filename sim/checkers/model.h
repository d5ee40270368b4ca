// The one order of all changes, put together from what anybody saw of it: acknowledged writes tell
// their revision, reads and watches tell the revision of what they show. Where two tell different
// things of one revision, or a value shows up that nobody (or nobody successfully) wrote, or twice,
// that is a violation already.
//
// Revisions of which nothing was seen are holes (a DEL or NOP tells no revision; the audit of a
// workload leaves none). So is all that lies beyond what was seen, unless a watch of everything is
// said to have heard it all. What a hole may have changed is never held against anybody.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sim/checkers/report.h"
#include "sim/history.h"

namespace doozer::sim {

using PathId = uint32_t;

/// One change at one revision.
struct Change {
  int64_t revision = 0;
  WatchNote::Change kind = WatchNote::Change::nop;
  PathId path = 0;
  /// Borrowed from the history; nullopt: nobody saw it (STAT shows none). Of a set.
  std::optional<std::string_view> value = std::nullopt;
  uint64_t seen_us = kNever;                ///< when it was first seen
  std::optional<size_t> op = std::nullopt;  ///< the SET that made it, if known
  /// Its place among the changes of that revision; -1: not known.
  int64_t sub = -1;
};

class Model {
 public:
  /// `history` outlives the model.
  Model(const History& history, Report& report);

  /// The highest revision of which anything is known.
  int64_t newest() const { return static_cast<int64_t>(first_.size()) - 1; }
  /// The changes of one revision in the order of their subs, those without one last; empty for
  /// holes and beyond newest().
  std::vector<const Change*> at(int64_t revision) const;
  /// The same one after the other, in no order of meaning; nullptr: no (further) one.
  const Change* first_at(int64_t revision) const;
  const Change* next_at(const Change& change) const;
  /// Some revision in first .. last (both included) is a hole.
  bool hole_within(int64_t first, int64_t last) const;
  /// The first hole at or after that revision.
  std::optional<int64_t> next_hole(int64_t revision) const;

  size_t paths() const { return path_names_.size(); }
  const std::string& name(PathId path) const { return path_names_[path]; }
  std::optional<PathId> find(std::string_view path) const;
  /// All paths in byte order.
  const std::vector<PathId>& sorted_paths() const { return sorted_; }
  /// Some operation of the history writes it.
  bool ours(PathId path) const { return ours_[path]; }
  /// Sets and dels of one path, ascending by revision.
  const std::vector<Change>& versions(PathId path) const { return versions_[path]; }
  /// The last one at or below that revision; nullptr: none.
  const Change* version_at(PathId path, int64_t revision) const;
  /// The first one above it.
  const Change* version_after(PathId path, int64_t revision) const;
  /// The file as of that revision; nullptr: missing.
  const Change* file_at(PathId path, int64_t revision) const;
  /// The revision that a SET is known to have: acknowledged, or seen. 0: none.
  int64_t revision_of(size_t op) const { return revision_of_[op]; }
  /// Revisions of nops, ascending.
  const std::vector<int64_t>& nops() const { return nops_; }

 private:
  static constexpr int32_t kNone = -1;

  PathId intern(std::string_view path);
  void see(Change change, Report& report);
  void see_operations(Report& report);
  void see_streams(Report& report);
  void reach(int64_t revision);
  void attribute(Report& report);
  void attribute_one(Change& change, Report& report);
  void index();
  void count_deletes(Report& report) const;
  void count_nops(Report& report) const;

  const History& history_;
  std::vector<std::string> path_names_;
  std::unordered_map<std::string, PathId> path_ids_;
  std::vector<PathId> sorted_;
  std::vector<bool> ours_;  ///< by path

  std::vector<Change> changes_;
  std::vector<int32_t> first_;  ///< by revision: the first of its changes; kNone: a hole
  std::vector<int32_t> next_;   ///< by change: the next one of its revision
  std::vector<int64_t> holes_;
  bool open_ended_ = true;  ///< what lies beyond newest() is not known to be nothing

  std::unordered_map<std::string_view, size_t> writers_;  ///< of each value
  std::vector<int64_t> revision_of_;
  std::vector<std::vector<Change>> versions_;
  std::vector<int64_t> nops_;
};

}  // namespace doozer::sim
