#include "raft/configuration_history.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "raft/quorum.h"

namespace doozer::raft {
namespace {

bool below(const Index& index, const ConfigurationAt& known) { return index < known.index; }

}  // namespace

ConfigurationHistory::ConfigurationHistory(std::vector<ConfigurationAt> known)
    : known_(std::move(known)) {
  if (known_.empty()) known_.emplace_back();
  for (size_t i = 1; i < known_.size(); ++i) CHECK(known_[i - 1].index < known_[i].index);
}

const ConfigurationAt& ConfigurationHistory::known_at(Index index) const {
  const auto after = std::upper_bound(known_.begin(), known_.end(), index, below);
  return after == known_.begin() ? known_.front() : *std::prev(after);
}

const Configuration& ConfigurationHistory::at(Index index) const {
  return known_at(index).configuration;
}

bool ConfigurationHistory::votes_since(Index index, const Identity& identity) const {
  for (auto known = known_.rbegin(); known != known_.rend(); ++known) {
    if (is_voter(known->configuration, identity)) return true;
    if (known->index <= index) return false;
  }
  return false;
}

Index ConfigurationHistory::index_at(Index index) const { return known_at(index).index; }

void ConfigurationHistory::append(Index index, Configuration configuration) {
  CHECK(known_.back().index < index);
  known_.push_back({.index = index, .configuration = std::move(configuration)});
}

// The first is that of committed entries (or none at all): it is never truncated.
void ConfigurationHistory::truncate_from(Index index) {
  while (known_.size() > 1 && known_.back().index >= index) known_.pop_back();
}

void ConfigurationHistory::reset(const SnapshotPoint& point) {
  known_.clear();
  known_.push_back({.index = point.index, .configuration = point.configuration});
}

void ConfigurationHistory::forget_below(Index index) {
  const auto after = std::upper_bound(known_.begin(), known_.end(), index, below);
  if (after == known_.begin()) return;
  known_.erase(known_.begin(), std::prev(after));
}

}  // namespace doozer::raft
