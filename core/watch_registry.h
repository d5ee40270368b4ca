// The one implementation of Watches. A waiter is a record of 80 bytes that is, at any time, in one
// of these lists:
//
//   waiting    of its group (the waiters of one glob): has seen all events so far (but see below)
//   sleeping   by revision: its first event, or its revision, has not been applied
//   searching  of its group, by event number: looks through the history in slices; all searches of
//              a group are one sweep
//   firing     of a batch: its event has been found and will be told
//   ready      its revision has been applied and will be told
//
// A new event finds its groups through PrefixTree; a group that matches gives its whole waiting
// list to a batch at once, whatever its length. Where finding them would take long, PrefixTree
// leaves families of groups behind, and their waiters become searchers from that event on. Until
// all of a family are, nobody joins its waiting lists: so these have always seen every event, or
// every one before that at which the family was left behind.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <vector>

#include "core/prefix_tree.h"
#include "core/state.h"
#include "core/watch.h"

namespace doozer::core {

class WatchRegistry final : public Watches {
 public:
  WatchRegistry(const State& state, int64_t match_work)
      : state_(state), match_work_(match_work), work_(match_work) {}
  ~WatchRegistry() override;

  WatchId wait_event(std::shared_ptr<const Glob> glob, Position from, uint32_t skip, Waiter& waiter,
                     uint64_t cookie) override;
  WatchId wait_revision(Revision revision, Waiter& waiter, uint64_t cookie) override;
  void cancel(WatchId id) override;
  bool run(Budget& budget) override;
  size_t count() const override { return count_; }

  /// Looks at the events from number `first` to the newest, which have just been added.
  void on_applied(uint64_t first);

 private:
  enum class Place : uint8_t { free, waiting, sleeping, searching, firing, revision, ready };
  struct Record : Link {
    Waiter* waiter = nullptr;
    uint64_t cookie = 0;
    WatchGroup* group = nullptr;  // null for a wait for a revision
    Position from;
    uint32_t skip = 0;
    uint32_t slot = 0;
    uint32_t generation = 1;
    Place place = Place::free;  // where it was put; lists given on whole leave it as it is
    uint64_t start = 0;         // searching: the first event to look at
  };
  static_assert(sizeof(Record) <= 96);
  /// Waiters of one glob for whom one event was found.
  struct Batch {
    WatchGroup* group = nullptr;
    uint64_t number = 0;
    uint32_t more = 0;        // of the events up to
    uint64_t counted_to = 0;  // this one
    bool counted = false;     // which is the last
    Link records;
  };

  Record& take_record(Waiter& waiter, uint64_t cookie);
  void free_record(Record& record);
  void drop_group(WatchGroup* group);
  void begin(Record& record);
  void begin_search(Record& record);
  WatchSweep& sweep_of(WatchGroup& group);
  bool begin_literal(Record& record);
  void wake_sleepers(Revision revision);
  void leave_map(Record& record);
  Batch& new_batch(WatchGroup& group, uint64_t number);
  static WatchId id_of(const Record& record) {
    return WatchId((uint64_t{record.generation} << kSlotBits) | record.slot);
  }
  std::string_view path_of(uint64_t number) const;
  bool count_more(Batch& batch, Budget& budget) const;
  bool run_ready(Budget& budget);
  bool run_woken(Budget& budget);
  bool run_batches(Budget& budget);
  void end_round(WatchGroup& group, uint64_t end);
  bool run_half(Budget& budget, bool (WatchRegistry::*part)(Budget&));
  bool run_behind(Budget& budget);
  bool run_sweeps(Budget& budget);
  void drop_late(WatchGroup& group);
  bool sweep(WatchGroup& group, Budget& budget);
  void sweep_event(WatchGroup& group, uint64_t number);
  void tell_too_late(Record& record);

  static constexpr uint64_t kSlotBits = 32;

  const State& state_;
  const int64_t match_work_;
  int64_t work_;  // what is left of it until the next run()
  std::deque<Record> records_;
  std::vector<uint32_t> free_;
  size_t count_ = 0;
  PrefixTree groups_;
  std::map<Revision, Link> sleepers_;   // of events
  std::map<Revision, Link> revisions_;  // of wait_revision()
  Link ready_;
  Link woken_;  // slept, and their revision has come
  std::list<Batch> batches_;
  std::deque<WatchGroup*> sweeps_;    // groups with a sweep, each once
  std::vector<WatchGroup*> matched_;  // scratch
};

}  // namespace doozer::core
