// What watches do in slices: they search, catch up and tell.
#include <algorithm>

#include "base/probe.h"
#include "core/watch_registry.h"

namespace doozer::core {

namespace {

/// What a waiter is told is copied into its answer: a mebibyte is a slice of its own.
constexpr size_t kCopiedBytesPerStep = 2048;
constexpr int kEventsPerStep = 4;   // of a sweep, and if the glob is none that takes longer
constexpr int kCountedPerStep = 8;  // the same of counting
constexpr int kGroupsPerStep = 8;   // whose waiters are sent to search

}  // namespace

void WatchRegistry::tell_too_late(Record& record) {
  Waiter& waiter = *record.waiter;
  const WatchId id = id_of(record);
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
    const WatchId id = id_of(record);
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

/// The waiters of families left behind begin to search where they were left.
bool WatchRegistry::run_behind(Budget& budget) {
  while (groups_.any_behind()) {
    if (budget.empty()) {
      return true;
    }
    budget.spend();
    for (int i = 0; i < kGroupsPerStep; ++i) {
      const std::optional<PrefixTree::Behind> next = groups_.next_behind();
      if (!next) {
        break;
      }
      if (!next->group->waiting.empty()) {
        sweep_of(*next->group).searches_from(next->number).plain.take(next->group->waiting);
      }
    }
  }
  return false;
}

/// Learns how many later events of its revision match; true when that is known.
bool WatchRegistry::count_more(Batch& batch, Budget& budget) const {
  const History& history = state_.history;
  while (history.at(batch.counted_to).last == 0) {
    if (budget.empty()) {
      return false;
    }
    budget.spend();
    for (int i = 0; i < kCountedPerStep && history.at(batch.counted_to).last == 0; ++i) {
      const std::string_view path = path_of(++batch.counted_to);
      batch.more += batch.group->matches(path) ? 1 : 0;
      const int64_t steps = batch.group->steps(path.size());
      if (steps > 1 && !budget.spend(steps)) {
        break;
      }
    }
  }
  batch.counted = true;
  return true;
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
      if (batch.number < state_.history.kept_begin()) {
        record.unlink();
        tell_too_late(record);
        continue;
      }
      if (!batch.counted && !count_more(batch, budget)) {
        return true;
      }
      record.unlink();
      Waiter& waiter = *record.waiter;
      const WatchId id = id_of(record);
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
  WatchSweep& sweep = *group.sweep;
  const Revision revision = state_.history.at(number).revision;
  Link found;
  for (auto each = sweep.round.begin(); each != sweep.round.end() && each->first <= number;) {
    found.take(each->second.plain);
    Link& skipping = each->second.skipping;
    Link* next = nullptr;
    for (Link* link = skipping.next; link != &skipping; link = next) {
      next = link->next;
      auto& record = static_cast<Record&>(*link);
      if (record.skip > 0 && record.from.revision == revision) {
        --record.skip;
        continue;
      }
      record.unlink();
      record.place = Place::firing;
      found.push_back(record);
    }
    each = skipping.empty() ? sweep.round.erase(each) : std::next(each);
  }
  if (!found.empty()) {
    new_batch(group, number).records.take(found);
  }
}

/// What began before the oldest kept event is too late, if the sweep has been overtaken.
void WatchRegistry::drop_late(WatchGroup& group) {
  WatchSweep& sweep = *group.sweep;
  const uint64_t kept = state_.history.kept_begin();
  while (!sweep.round.empty() && sweep.round.begin()->first < kept && sweep.at < kept) {
    Batch& late = new_batch(group, 0);  // an event before all that is kept: told as too late
    late.records.take(sweep.round.begin()->second.plain);
    late.records.take(sweep.round.begin()->second.skipping);
    sweep.round.erase(sweep.round.begin());
  }
  sweep.at = std::max(sweep.at, kept);
}

/// One slice of a group's sweep; true if it has more to do.
bool WatchRegistry::sweep(WatchGroup& group, Budget& budget) {
  WatchSweep& sweep = *group.sweep;
  drop_late(group);
  const uint64_t end = state_.history.end();
  while (sweep.at < end) {
    while (!sweep.round.empty() && sweep.round.begin()->second.empty()) {
      sweep.round.erase(sweep.round.begin());  // cancelled
    }
    if (sweep.round.empty()) {
      break;
    }
    if (budget.empty()) {
      return true;
    }
    budget.spend();
    for (int i = 0; i < kEventsPerStep && sweep.at < end; ++i) {
      const std::string_view path = path_of(sweep.at);
      if (group.matches(path)) {
        sweep_event(group, sweep.at);
      }
      ++sweep.at;
      const int64_t steps = group.steps(path.size());
      if (steps > 1 && !budget.spend(steps)) {
        break;
      }
    }
  }
  end_round(group, end);
  return !sweep.round.empty();
}

/// Who has seen every event before `end`, the next, waits from now on. While the family is behind
/// nobody may, and they search from there with those who began behind the sweep.
void WatchRegistry::end_round(WatchGroup& group, uint64_t end) {
  WatchSweep& sweep = *group.sweep;
  Link seen;
  for (auto& [start, searches] : sweep.round) {
    seen.take(searches.plain);
    seen.take(searches.skipping);  // what they pass over is behind them
  }
  sweep.round.clear();
  if (!groups_.behind(group)) {
    group.waiting.take(seen);
  } else if (!seen.empty()) {
    sweep.next_round[end].plain.take(seen);
  }
  sweep.round.swap(sweep.next_round);
  if (!sweep.round.empty()) {
    sweep.at = sweep.round.begin()->first;
  }
}

/// Each sweep gets its turn once.
bool WatchRegistry::run_sweeps(Budget& budget) {
  for (size_t left = sweeps_.size(); left > 0; --left) {
    if (budget.empty()) {
      return true;
    }
    budget.spend();
    WatchGroup* group = sweeps_.front();
    sweeps_.pop_front();
    if (sweep(*group, budget)) {
      sweeps_.push_back(group);  // in turn with the others
    } else {
      group->sweep.reset();
      drop_group(group);
    }
  }
  return !sweeps_.empty();
}

/// Half of the budget goes to `part`, so that what comes after it gets on too, however much there
/// is to do.
bool WatchRegistry::run_half(Budget& budget, bool (WatchRegistry::*part)(Budget&)) {
  Budget half(budget.left() - budget.left() / 2);  // rounded up
  const int64_t before = half.left();
  const bool more = (this->*part)(half);
  budget.spend(before - half.left());
  return more;
}

bool WatchRegistry::run(Budget& budget) {
  work_ = match_work_;
  const bool ready = run_ready(budget);
  const bool waking = run_woken(budget);
  run_half(budget, &WatchRegistry::run_batches);
  const bool behind = run_half(budget, &WatchRegistry::run_behind);
  const bool searching = run_sweeps(budget);
  const bool firing = run_batches(budget);
  return ready || waking || behind || searching || firing || !ready_.empty() || !woken_.empty() ||
         !sweeps_.empty() || !batches_.empty();
}

}  // namespace doozer::core
