#include "core/watch_registry.h"

#include <algorithm>

#include "base/probe.h"

namespace doozer::core {

namespace {

/// Takes the list at `key` out of `map` if it became empty.
template <typename Map, typename Key>
void drop_if_empty(Map& map, const Key& key) {
  const auto found = map.find(key);
  if (found != map.end() && found->second.empty()) {
    map.erase(found);
  }
}

}  // namespace

size_t wait_bytes(const Glob& glob) { return glob.bytes() + PrefixTree::bytes_of(glob); }

WatchRegistry::~WatchRegistry() = default;

WatchRegistry::Record& WatchRegistry::take_record(Waiter& waiter, uint64_t cookie) {
  uint32_t slot = 0;
  if (free_.empty()) {
    slot = static_cast<uint32_t>(records_.size());
    CHECK(slot < UINT32_MAX);
    records_.emplace_back();
    records_.back().slot = slot;
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  Record& record = records_[slot];
  record.waiter = &waiter;
  record.cookie = cookie;
  record.group = nullptr;
  record.from = {};
  record.skip = 0;
  record.start = 0;
  ++count_;
  return record;
}

/// REQUIRES that the record is in no list.
void WatchRegistry::free_record(Record& record) {
  CHECK(record.empty());
  WatchGroup* group = record.group;
  record.group = nullptr;
  record.waiter = nullptr;
  record.place = Place::free;
  ++record.generation;
  free_.push_back(record.slot);
  --count_;
  if (group != nullptr) {
    drop_group(group);
  }
}

void WatchRegistry::drop_group(WatchGroup* group) {
  if (--group->users == 0) {
    CHECK(group->sweep == nullptr);
    groups_.erase(*group);
  }
}

WatchId WatchRegistry::wait_event(std::shared_ptr<const Glob> glob, Position from, uint32_t skip,
                                  Waiter& waiter, uint64_t cookie) {
  Record& record = take_record(waiter, cookie);
  record.group = &groups_.group(glob);
  ++record.group->users;
  record.from = from;
  if (record.from.revision < Revision(1)) {
    record.from = {.revision = Revision(1), .sub = 0};
  }
  record.skip = skip;
  begin(record);
  return id_of(record);
}

WatchId WatchRegistry::wait_revision(Revision revision, Waiter& waiter, uint64_t cookie) {
  Record& record = take_record(waiter, cookie);
  record.from.revision = std::max(revision, Revision(1));
  if (record.from.revision <= state_.revision) {
    record.place = Place::ready;
    ready_.push_back(record);
  } else {
    record.place = Place::revision;
    revisions_[record.from.revision].push_back(record);
  }
  return id_of(record);
}

/// Puts a record into the list where it belongs by its position.
void WatchRegistry::begin(Record& record) {
  const Revision now = state_.revision;
  const bool plain = record.from.sub == 0 && record.skip == 0;
  if (record.from.revision > now + 1 || (record.from.revision == now + 1 && !plain)) {
    record.place = Place::sleeping;
    sleepers_[record.from.revision].push_back(record);
    return;
  }
  if (record.from.revision == now + 1 && !groups_.behind(*record.group)) {
    record.place = Place::waiting;
    record.group->waiting.push_back(record);
    return;
  }
  begin_search(record);
}

void WatchRegistry::begin_search(Record& record) {
  if (record.group->literal() && record.skip == 0 && begin_literal(record)) {
    return;
  }
  record.start = state_.history.find(record.from);
  record.place = Place::searching;
  WatchSearches& searches = sweep_of(*record.group).searches_from(record.start);
  (record.skip > 0 ? searches.skipping : searches.plain).push_back(record);
}

/// The sweep of the group, begun if there is none.
WatchSweep& WatchRegistry::sweep_of(WatchGroup& group) {
  if (group.sweep == nullptr) {
    group.sweep = std::make_unique<WatchSweep>();
    ++group.users;
    sweeps_.push_back(&group);
  }
  return *group.sweep;
}

/// A path's events are its versions: no need to look at those of others. False if the position
/// cannot be found so (the nop's path).
bool WatchRegistry::begin_literal(Record& record) {
  WatchGroup& group = *record.group;
  if (group.pattern == "/") {
    return false;
  }
  const Node* node = state_.tree.find(group.pattern);
  // The oldest version at or after the position; few steps, or too many to look at one by one.
  constexpr int kStepsMax = 64;
  const Version* found = nullptr;
  const Version* version = node == nullptr ? nullptr : node->newest();
  for (int steps = 0; version != nullptr && version->modified >= record.from.revision; ++steps) {
    if (steps == kStepsMax) {
      return false;
    }
    found = version;
    version = version->older;
  }
  if (found != nullptr) {
    uint64_t number = state_.history.find({.revision = found->modified, .sub = 0});
    const uint64_t end = state_.history.end();
    while (number < end && state_.history.at(number).change.version != found) {
      ++number;
    }
    if (number == end || state_.history.at(number).revision != found->modified ||
        state_.history.at(number).sub < record.from.sub) {
      return false;
    }
    Batch& batch = new_batch(group, number);
    record.place = Place::firing;
    batch.records.push_back(record);
    return true;
  }
  record.place = Place::waiting;
  group.waiting.push_back(record);
  return true;
}

/// Takes a record out of its list, and an empty list out of its map.
void WatchRegistry::leave_map(Record& record) {
  record.unlink();
  switch (record.place) {
    case Place::sleeping: drop_if_empty(sleepers_, record.from.revision); break;
    case Place::revision: drop_if_empty(revisions_, record.from.revision); break;
    case Place::searching: {
      // Its search may have ended, which gave it to another list as it was.
      if (WatchSweep* sweep = record.group->sweep.get(); sweep != nullptr) {
        drop_if_empty(sweep->round, record.start);
        drop_if_empty(sweep->next_round, record.start);
      }
      break;
    }
    case Place::free:
    case Place::waiting:
    case Place::firing:
    case Place::ready: break;
  }
}

void WatchRegistry::cancel(WatchId id) {
  const auto slot = static_cast<uint32_t>(id.value());
  if (slot >= records_.size()) {
    return;
  }
  Record& record = records_[slot];
  if (record.place == Place::free || record.generation != id.value() >> kSlotBits) {
    return;
  }
  leave_map(record);
  free_record(record);
}

WatchRegistry::Batch& WatchRegistry::new_batch(WatchGroup& group, uint64_t number) {
  Batch& batch = batches_.emplace_back();
  batch.group = &group;
  batch.number = number;
  batch.counted_to = number;
  ++group.users;
  return batch;
}

/// Whole lists change hands, whatever their length; run() looks at their records. (These keep their
/// `place`: the list of their revision is gone for good, so cancel() finds none to tidy up.)
void WatchRegistry::wake_sleepers(Revision revision) {
  while (!revisions_.empty() && revisions_.begin()->first <= revision) {
    ready_.take(revisions_.begin()->second);
    revisions_.erase(revisions_.begin());
  }
  while (!sleepers_.empty() && sleepers_.begin()->first <= revision) {
    woken_.take(sleepers_.begin()->second);
    sleepers_.erase(sleepers_.begin());
  }
}

void WatchRegistry::on_applied(uint64_t first) {
  if (count_ == 0) {
    return;
  }
  wake_sleepers(state_.revision);
  const uint64_t end = state_.history.end();
  for (uint64_t number = first; number < end; ++number) {
    matched_.clear();
    groups_.match(path_of(number), number, work_, matched_);
    for (WatchGroup* group : matched_) {
      if (group->waiting.empty()) {
        continue;
      }
      Batch& batch = new_batch(*group, number);
      batch.records.take(group->waiting);
    }
  }
}

std::string_view WatchRegistry::path_of(uint64_t number) const {
  const Node* node = state_.history.at(number).change.node;
  return node == nullptr ? "/" : node->key();
}

}  // namespace doozer::core
