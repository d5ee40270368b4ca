#include "core/watch_registry.h"

#include <algorithm>

#include "base/probe.h"

namespace doozer::core {

namespace {

constexpr uint64_t kSlotBits = 32;
/// What a waiter is told is copied into its answer: a mebibyte is a slice of its own.
constexpr size_t kCopiedBytesPerStep = 2048;

/// Takes `link`'s ring out of `map` at `key` if it became empty.
template <typename Map, typename Key>
void drop_if_empty(Map& map, const Key& key) {
  const auto found = map.find(key);
  if (found != map.end() && found->second.empty()) {
    map.erase(found);
  }
}

}  // namespace

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
    CHECK(group->search == nullptr);
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
  return WatchId((uint64_t{record.generation} << kSlotBits) | record.slot);
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
  return WatchId((uint64_t{record.generation} << kSlotBits) | record.slot);
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
  if (record.from.revision == now + 1) {
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
  WatchGroup& group = *record.group;
  if (group.search == nullptr) {
    group.search = std::make_unique<WatchSearch>();
    searches_.push_back(&group);
  }
  WatchSearch& search = *group.search;
  record.start = state_.history.find(record.from);
  record.place = Place::searching;
  if (search.round.empty()) {
    search.at = record.start;
  }
  (record.start < search.at ? search.next_round : search.round)[record.start].push_back(record);
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
      if (WatchSearch* search = record.group->search.get(); search != nullptr) {
        drop_if_empty(search->round, record.start);
        drop_if_empty(search->next_round, record.start);
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
  WatchGroup* group = record.group;
  if (group != nullptr && group->search != nullptr && group->search->round.empty() &&
      group->search->next_round.empty()) {
    // Nobody searches any more; run() must not meet a group that is gone.
    group->search.reset();
    std::erase(searches_, group);
  }
  free_record(record);
}

WatchRegistry::Batch& WatchRegistry::new_batch(WatchGroup& group, uint64_t number) {
  Batch& batch = batches_.emplace_back();
  batch.group = &group;
  batch.number = number;
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
    const Node* node = state_.history.at(number).change.node;
    matched_.clear();
    groups_.match(node == nullptr ? "/" : node->key(), matched_);
    for (WatchGroup* group : matched_) {
      if (group->waiting.empty()) {
        continue;
      }
      Batch& batch = new_batch(*group, number);
      batch.records.take(group->waiting);
    }
  }
}

uint32_t WatchRegistry::count_more(const WatchGroup& group, uint64_t number) const {
  uint32_t more = 0;
  const History& history = state_.history;
  while (history.at(number).last == 0) {
    ++number;
    more += group.matches(history.view(number).path) ? 1 : 0;
  }
  return more;
}

void WatchRegistry::tell_too_late(Record& record) {
  Waiter& waiter = *record.waiter;
  const WatchId id((uint64_t{record.generation} << kSlotBits) | record.slot);
  const uint64_t cookie = record.cookie;
  free_record(record);
  PROBE("core_wait_too_late");
  waiter.on_too_late(id, cookie, state_.history.oldest());
}

bool WatchRegistry::run_ready(Budget& budget) {
  while (!ready_.empty()) {
    if (budget.empty()) {
      return true;
    }
    budget.spend();
    auto& record = static_cast<Record&>(*ready_.next);
    record.unlink();
    if (record.from.revision < state_.history.oldest()) {
      tell_too_late(record);
      continue;
    }
    Waiter& waiter = *record.waiter;
    const WatchId id((uint64_t{record.generation} << kSlotBits) | record.slot);
    const uint64_t cookie = record.cookie;
    free_record(record);
    waiter.on_revision(id, cookie);
  }
  return false;
}

/// Those whose revision has come look for their event in the history, from its first.
bool WatchRegistry::run_woken(Budget& budget) {
  while (!woken_.empty()) {
    if (budget.empty()) {
      return true;
    }
    budget.spend();
    auto& record = static_cast<Record&>(*woken_.next);
    record.unlink();
    if (record.from.revision < state_.history.oldest()) {
      tell_too_late(record);
    } else {
      begin(record);
    }
  }
  return false;
}

bool WatchRegistry::run_batches(Budget& budget) {
  while (!batches_.empty()) {
    Batch& batch = batches_.front();  // callbacks may add batches behind it
    while (!batch.records.empty()) {
      if (budget.empty()) {
        return true;
      }
      budget.spend();
      auto& record = static_cast<Record&>(*batch.records.next);
      record.unlink();
      if (batch.number < state_.history.kept_begin()) {
        tell_too_late(record);
        continue;
      }
      if (!batch.counted) {
        batch.more = count_more(*batch.group, batch.number);
        batch.counted = true;
        budget.spend(batch.more / 8);
      }
      Waiter& waiter = *record.waiter;
      const WatchId id((uint64_t{record.generation} << kSlotBits) | record.slot);
      const uint64_t cookie = record.cookie;
      free_record(record);
      const EventView event = state_.history.view(batch.number);
      budget.spend(static_cast<int64_t>(event.value.size() / kCopiedBytesPerStep));
      waiter.on_event(id, cookie, event, batch.more);
    }
    drop_group(batch.group);
    batches_.pop_front();
  }
  return false;
}

/// The event matches the group: fires every search that has begun at or before it.
void WatchRegistry::sweep_event(WatchGroup& group, uint64_t number) {
  WatchSearch& search = *group.search;
  const Revision revision = state_.history.at(number).revision;
  Batch* batch = nullptr;
  for (auto each = search.round.begin(); each != search.round.end() && each->first <= number;) {
    Link& list = each->second;
    Link* next = nullptr;
    for (Link* link = list.next; link != &list; link = next) {
      next = link->next;
      auto& record = static_cast<Record&>(*link);
      if (record.skip > 0 && record.from.revision == revision) {
        --record.skip;
        continue;
      }
      record.unlink();
      record.place = Place::firing;
      batch = batch == nullptr ? &new_batch(group, number) : batch;
      batch->records.push_back(record);
    }
    each = list.empty() ? search.round.erase(each) : std::next(each);
  }
}

/// One slice of a group's sweep; true if it has more to do.
bool WatchRegistry::sweep(WatchGroup& group, Budget& budget) {
  WatchSearch& search = *group.search;
  const History& history = state_.history;
  // What began before the oldest kept event is too late, and so is a sweep that was overtaken.
  const uint64_t kept = history.kept_begin();
  while (!search.round.empty() && search.round.begin()->first < kept && search.at < kept) {
    Link list;
    list.take(search.round.begin()->second);
    search.round.erase(search.round.begin());
    Batch& late = new_batch(group, 0);  // an event before all that is kept: told as too late
    late.records.take(list);
  }
  search.at = std::max(search.at, kept);
  constexpr int kEventsPerStep = 4;
  while (!search.round.empty() && search.at < history.end()) {
    if (budget.empty()) {
      return true;
    }
    budget.spend();
    for (int i = 0; i < kEventsPerStep && search.at < history.end(); ++i, ++search.at) {
      const Node* node = history.at(search.at).change.node;
      const std::string_view path = node == nullptr ? "/" : node->key();
      const int64_t steps = group.steps(path.size());
      if (steps > 1) budget.spend(steps);
      if (group.matches(path)) {
        sweep_event(group, search.at);
      }
    }
  }
  for (auto& [start, list] : search.round) {  // seen all: from now on they wait
    group.waiting.take(list);
  }
  search.round.clear();
  if (search.next_round.empty()) {
    return false;
  }
  search.round.swap(search.next_round);
  search.at = search.round.begin()->first;
  return true;
}

bool WatchRegistry::run_searches(Budget& budget) {
  while (!searches_.empty()) {
    if (budget.empty()) {
      return true;
    }
    budget.spend();
    WatchGroup* group = searches_.front();
    searches_.pop_front();
    if (sweep(*group, budget)) {
      searches_.push_back(group);  // in turn with the others
    } else {
      group->search.reset();
    }
  }
  return false;
}

bool WatchRegistry::run(Budget& budget) {
  const bool ready = run_ready(budget);
  const bool waking = run_woken(budget);
  const bool searching = run_searches(budget);
  const bool firing = run_batches(budget);
  return ready || waking || firing || searching || !ready_.empty() || !searches_.empty() ||
         !batches_.empty();
}

}  // namespace doozer::core
