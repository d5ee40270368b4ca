#include "storage/log_shape.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/probe.h"

namespace doozer::storage {
namespace {

std::string text(Index index) { return std::to_string(index.value()); }

}  // namespace

LogShape::LogShape(const SegmentHeader& header)
    : first_index_(header.first_index),
      last_index_(header.first_index - 1),
      runs_{{.first = header.first_index - 1, .term = header.previous_term}},
      state_(header.state) {}

Term LogShape::term_at(Index index) const {
  const auto behind =
      std::upper_bound(runs_.begin(), runs_.end(), index,
                       [](Index wanted, const Run& run) { return wanted < run.first; });
  CHECK(behind != runs_.begin());
  return std::prev(behind)->term;
}

void LogShape::forget_before(Index first) {
  if (first <= first_index_) return;
  CHECK(first <= last_index_ + 1);
  const Term before = term_at(first - 1);
  std::erase_if(runs_, [first](const Run& run) { return run.first < first; });
  runs_.insert(runs_.begin(), {.first = first - 1, .term = before});
  std::erase_if(configurations_, [first](const auto& one) { return one.index < first; });
  first_index_ = first;
}

Result<void> LogShape::add(const EntryView& entry) {
  if (entry.index != last_index_ + 1) {
    return fail(Code::corrupt,
                "entry " + text(entry.index) + " follows entry " + text(last_index_));
  }
  const Term before = last_term();
  if (entry.term < before) {
    return fail(Code::corrupt, "entry " + text(entry.index) + " has term " +
                                   std::to_string(entry.term.value()) + " behind term " +
                                   std::to_string(before.value()));
  }
  if (entry.kind == raft::EntryKind::configuration) {
    TRY_ASSIGN(auto configuration, raft::decode_configuration(entry.payload));
    configurations_.push_back({.index = entry.index, .configuration = std::move(configuration)});
  }
  if (entry.term != before) {
    runs_.push_back({.first = entry.index, .term = entry.term});
  }
  last_index_ = entry.index;
  return {};
}

Result<void> LogShape::cut(Index from) {
  if (from == Index(0) || from > last_index_ + 1 || from <= state_.raft.commit) {
    return fail(Code::corrupt, "truncation from " + text(from) + " of a log of " +
                                   text(first_index_) + " to " + text(last_index_) +
                                   ", committed to " + text(state_.raft.commit));
  }
  if (from < first_index_) {
    PROBE("wal: a truncation reaches into purged segments");
    first_index_ = from;
    runs_ = {{.first = from - 1, .term = Term(0)}};
  }
  while (runs_.size() > 1 && runs_.back().first >= from) runs_.pop_back();
  while (!configurations_.empty() && configurations_.back().index >= from) {
    configurations_.pop_back();
  }
  last_index_ = from - 1;
  return {};
}

Result<void> LogShape::apply(const RecordBody& record) {
  if (const auto* entry = std::get_if<EntryView>(&record)) return add(*entry);
  if (const auto* truncate = std::get_if<Truncate>(&record)) return cut(truncate->from);
  if (const auto* state = std::get_if<DurableState>(&record)) {
    if (state->raft.commit > last_index_) {
      return fail(Code::corrupt, "committed to " + text(state->raft.commit) +
                                     " in a log that ends at " + text(last_index_));
    }
    state_ = *state;
  }
  return {};
}

void Extents::apply(std::vector<SegmentInfo>& segments, const Record& record) {
  CHECK(!segments.empty());
  if (const auto* entry = std::get_if<EntryView>(&record.body)) {
    std::vector<Extent>& extents = segments.back().extents;
    if (broken_ || extents.empty()) {
      extents.push_back({.offset = record.offset, .first = entry->index, .last = entry->index});
      broken_ = false;
    } else {
      extents.back().last = entry->index;
    }
    return;
  }
  const auto* truncate = std::get_if<Truncate>(&record.body);
  if (truncate == nullptr) return;
  broken_ = true;
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    for (auto extent = segment->extents.rbegin(); extent != segment->extents.rend(); ++extent) {
      const bool empty = extent->last < extent->first;
      if (!empty && extent->last < truncate->from) return;
      if (!empty) extent->last = std::max(extent->first, truncate->from) - 1;
    }
  }
}

}  // namespace doozer::storage
