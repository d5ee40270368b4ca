// The checkers judged: histories that are right are found right, and each of many ways to make one
// wrong is found.
#include <gtest/gtest.h>

#include <functional>
#include <iostream>
#include <string>

#include "base/rng.h"
#include "sim/checkers/generate_testing.h"
#include "sim/checkers/judge.h"
#include "sim/checkers/model.h"
#include "sim/history_text.h"

namespace doozer::sim {
namespace {

constexpr uint64_t kSeeds = 40;

/// Picks one of the operations that `fit`; nullptr: none does.
template <typename Fit>
Op* pick(History& history, Rng& rng, Fit fit) {
  std::vector<Op*> found;
  for (Op& op : history.ops) {
    if (fit(op)) found.push_back(&op);
  }
  return found.empty() ? nullptr : found[rng.below(found.size())];
}

bool ok(const Op& op, Action kind) { return op.kind == kind && op.outcome == Outcome::ok; }

/// The true changes of one path: the first stream has heard everything.
std::vector<WatchNote> changes_of(const History& history, const std::string& path) {
  std::vector<WatchNote> found;
  for (const WatchNote& note : history.streams[0].notes) {
    if (note.kind == WatchNote::Kind::event && note.path == path) found.push_back(note);
  }
  return found;
}

int64_t last_revision(const History& history) { return history.streams[0].notes.back().revision; }

/// A version of the file that had been overwritten, by a write that was acknowledged, before `op`
/// began.
std::optional<WatchNote> overwritten_before(const History& history, const Op& op) {
  const std::vector<WatchNote> changes = changes_of(history, op.path);
  std::optional<WatchNote> found;
  for (size_t i = 0; i + 1 < changes.size(); ++i) {
    for (const Op& next : history.ops) {
      const bool acknowledged = ok(next, Action::set) && next.completed_us < op.invoked_us;
      if (acknowledged && next.revision == changes[i + 1].revision &&
          changes[i].change == WatchNote::Change::set) {
        found = changes[i];
      }
    }
  }
  return found;
}

// --- The ways to make it wrong. Each returns false if this history has no place for it.

bool stale_read(History& history, Rng& rng) {
  Op* op = pick(history, rng, [&](const Op& read) {
    return ok(read, Action::get) && read.linearizable &&
           overwritten_before(history, read).has_value();
  });
  if (op == nullptr) return false;
  const WatchNote old = *overwritten_before(history, *op);
  op->value = old.value;
  op->revision = old.revision;
  op->store_rev = 0;
  return true;
}

bool read_of_another_value(History& history, Rng& rng) {
  const auto shown = [](const Op& op) { return ok(op, Action::get) && op.revision > 0; };
  Op* one = pick(history, rng, shown);
  if (one == nullptr) return false;
  Op* other = pick(history, rng, [&](const Op& op) { return shown(op) && op.value != one->value; });
  if (other == nullptr) return false;
  std::swap(one->value, other->value);
  return true;
}

bool read_of_nothing(History& history, Rng& rng) {
  Op* op = pick(history, rng, [](const Op& read) {
    return ok(read, Action::get) && read.revision > 0 && read.store_rev != 0 && read.at_rev == 0;
  });
  if (op == nullptr) return false;
  op->revision = 0;
  op->value.clear();
  return true;
}

bool read_at_a_revision_of_another(History& history, Rng& rng) {
  Op* op = pick(history, rng, [&](const Op& read) {
    if (!ok(read, Action::get) || read.at_rev == 0) return false;
    return !changes_of(history, read.path).empty() &&
           changes_of(history, read.path).back().revision > read.at_rev &&
           changes_of(history, read.path).back().change == WatchNote::Change::set;
  });
  if (op == nullptr) return false;
  const WatchNote newest = changes_of(history, op->path).back();
  op->value = newest.value;
  op->revision = newest.revision;
  return true;
}

bool refused_write_visible(History& history, Rng& rng) {
  Op* op = pick(history, rng, [](const Op& write) { return ok(write, Action::set); });
  if (op == nullptr) return false;
  op->outcome = Outcome::refused;
  op->code = Code::read_only;
  op->revision = 0;
  return true;
}

/// As if the state had gone back: nobody hears of it, and its revision is used again.
bool acknowledged_write_lost(History& history, Rng& rng) {
  Op* op = pick(history, rng, [](const Op& write) { return ok(write, Action::set); });
  if (op == nullptr) return false;
  for (Stream& stream : history.streams) {
    std::erase_if(stream.notes, [&](const WatchNote& note) {
      return note.kind == WatchNote::Kind::event && note.revision == op->revision;
    });
  }
  std::erase_if(history.ops, [&, revision = op->revision, value = op->value](const Op& read) {
    return !is_write(read.kind) && read.revision == revision && read.value == value;
  });
  return true;
}

bool unknown_write_repeated(History& history, Rng& rng) {
  Op* op = pick(history, rng, [&](const Op& write) {
    if (write.kind != Action::set || write.outcome != Outcome::unknown) return false;
    const auto changes = changes_of(history, write.path);
    return std::any_of(changes.begin(), changes.end(),
                       [&](const WatchNote& note) { return note.value == write.value; });
  });
  if (op == nullptr) return false;
  const WatchNote again{.at_us = history.streams[0].notes.back().at_us,
                        .revision = last_revision(history) + 1,
                        .change = WatchNote::Change::set,
                        .path = op->path,
                        .value = op->value};
  history.streams[0].notes.push_back(again);
  return true;
}

bool cas_passed(History& history, Rng& rng) {
  const auto before = [&](const Op& op) {
    int64_t revision = 0;
    for (const WatchNote& note : changes_of(history, op.path)) {
      if (note.revision >= op.revision) break;
      revision = note.change == WatchNote::Change::set ? note.revision : 0;
    }
    return revision;
  };
  Op* op = pick(history, rng,
                [&](const Op& write) { return ok(write, Action::set) && before(write) > 0; });
  if (op == nullptr) return false;
  op->cas = before(*op) - 1;
  return true;
}

bool refused_without_reason(History& history, Rng& rng) {
  Op* op = pick(history, rng, [](const Op& write) {
    return write.kind == Action::set && write.outcome == Outcome::refused;
  });
  if (op == nullptr) return false;
  op->cas = last_revision(history);
  return true;
}

bool time_runs_backwards(History& history, Rng& rng) {
  Op* later = pick(history, rng, [&](const Op& read) {
    return ok(read, Action::rev) && !read.linearizable &&
           std::any_of(history.ops.begin(), history.ops.end(), [&](const Op& before) {
             return before.session == read.session && before.completed_us < read.invoked_us &&
                    before.store_rev > 1;
           });
  });
  if (later == nullptr) return false;
  later->revision = 1;
  later->store_rev = 1;
  return true;
}

bool write_back_in_time(History& history, Rng& rng) {
  Op* one = pick(history, rng, [&](const Op& write) { return ok(write, Action::set); });
  if (one == nullptr) return false;
  Op* later = pick(history, rng, [&](const Op& write) {
    return ok(write, Action::set) && write.invoked_us > one->completed_us;
  });
  if (later == nullptr) return false;
  // Their effects change places for everybody, so that only real time is violated... unless
  // a compare-and-set or a read tells as well.
  const auto swap_in = [&](int64_t& revision) {
    if (revision == one->revision) {
      revision = later->revision;
    } else if (revision == later->revision) {
      revision = one->revision;
    }
  };
  const int64_t first = one->revision;
  const int64_t second = later->revision;
  for (Stream& stream : history.streams) {
    std::erase_if(stream.notes, [&](const WatchNote& note) {
      return note.revision == first || note.revision == second;
    });
  }
  swap_in(one->min_rev);
  one->revision = second;
  later->revision = first;
  return true;
}

bool listing_without_an_entry(History& history, Rng& rng) {
  Op* op = pick(history, rng, [](const Op& read) {
    return (ok(read, Action::walk) || ok(read, Action::getdir)) && !read.listed.empty();
  });
  if (op == nullptr) return false;
  op->listed.erase(op->listed.begin() + static_cast<ptrdiff_t>(rng.below(op->listed.size())));
  return true;
}

bool nop_not_made(History& history, Rng& rng) {
  (void)rng;
  Op op;
  op.invoked_us = history.ops.back().completed_us + 1'000'000;
  op.completed_us = op.invoked_us + 10;
  op.outcome = Outcome::ok;
  history.ops.push_back(op);
  return true;
}

bool delete_not_made(History& history, Rng& rng) {
  const auto changes = changes_of(history, "/r/0");
  if (changes.empty() || changes.back().change != WatchNote::Change::set) return false;
  (void)rng;
  Op op;
  op.kind = Action::del;
  op.path = "/r/0";
  op.invoked_us = history.ops.back().completed_us + 1'000'000;
  op.completed_us = op.invoked_us + 10;
  op.outcome = Outcome::ok;
  history.ops.push_back(op);
  return true;
}

bool delete_over_what_is_newer(History& history, Rng& rng) {
  // All DELs that could have been it are told to have asked for revision 0.
  const auto changes = changes_of(history, "/r/1");
  if (std::none_of(changes.begin(), changes.end(),
                   [](const WatchNote& note) { return note.change == WatchNote::Change::del; })) {
    return false;
  }
  (void)rng;
  for (Op& op : history.ops) {
    if (op.kind == Action::del && op.path == "/r/1") op.cas = 0;
  }
  return true;
}

/// Any event of any stream; the index of its stream and note.
bool with_event(History& history, Rng& rng,
                const std::function<void(std::vector<WatchNote>&, size_t)>& change) {
  Stream& stream = history.streams[rng.below(history.streams.size())];
  std::vector<size_t> events;
  for (size_t i = 0; i < stream.notes.size(); ++i) {
    if (stream.notes[i].kind == WatchNote::Kind::event) events.push_back(i);
  }
  if (events.empty()) return false;
  change(stream.notes, events[rng.below(events.size())]);
  return true;
}

bool lost_event(History& history, Rng& rng) {
  return with_event(history, rng, [](std::vector<WatchNote>& notes, size_t at) {
    notes.erase(notes.begin() + static_cast<ptrdiff_t>(at));
  });
}

bool repeated_event(History& history, Rng& rng) {
  return with_event(history, rng, [&](std::vector<WatchNote>& notes, size_t at) {
    const WatchNote again = notes[at];
    const size_t to = at + 1 + rng.below(std::min<size_t>(3, notes.size() - at));
    notes.insert(notes.begin() + static_cast<ptrdiff_t>(std::min(to, notes.size())), again);
  });
}

bool event_with_another_value(History& history, Rng& rng) {
  bool changed = false;
  with_event(history, rng, [&](std::vector<WatchNote>& notes, size_t at) {
    if (notes[at].change != WatchNote::Change::set) return;
    notes[at].value += "x";
    changed = true;
  });
  return changed;
}

bool with_replica_note(History& history, Rng& rng, ReplicaNote::Kind kind,
                       const std::function<void(size_t)>& change) {
  std::vector<size_t> found;
  for (size_t i = 0; i < history.replicas.size(); ++i) {
    // The first server's entries alone are compared with nothing but the others'.
    if (history.replicas[i].kind == kind && history.replicas[i].server != "A") found.push_back(i);
  }
  if (found.empty()) return false;
  change(found[rng.below(found.size())]);
  return true;
}

bool entry_differs(History& history, Rng& rng) {
  bool compared = false;
  with_replica_note(history, rng, ReplicaNote::Kind::entry, [&](size_t at) {
    ReplicaNote& changed = history.replicas[at];
    compared = std::any_of(history.replicas.begin(), history.replicas.end(),
                           [&](const ReplicaNote& other) {
                             return other.kind == ReplicaNote::Kind::entry &&
                                    other.index == changed.index && other.server != changed.server;
                           });
    if (compared) ++changed.command;
  });
  return compared;
}

bool entry_left_out(History& history, Rng& rng) {
  bool followed = false;
  with_replica_note(history, rng, ReplicaNote::Kind::entry, [&](size_t at) {
    followed = at + 1 < history.replicas.size() &&
               history.replicas[at + 1].kind == ReplicaNote::Kind::entry;
    if (followed) history.replicas.erase(history.replicas.begin() + static_cast<ptrdiff_t>(at));
  });
  return followed;
}

bool digest_differs(History& history, Rng& rng) {
  return with_replica_note(history, rng, ReplicaNote::Kind::digest,
                           [&](size_t at) { ++history.replicas[at].state; });
}

struct Mutation {
  const char* name;
  bool (*apply)(History&, Rng&);
};

constexpr Mutation kMutations[] = {
    {"stale_read", stale_read},
    {"read_of_another_value", read_of_another_value},
    {"read_of_nothing", read_of_nothing},
    {"read_at_a_revision_of_another", read_at_a_revision_of_another},
    {"refused_write_visible", refused_write_visible},
    {"acknowledged_write_lost", acknowledged_write_lost},
    {"unknown_write_repeated", unknown_write_repeated},
    {"cas_passed", cas_passed},
    {"refused_without_reason", refused_without_reason},
    {"time_runs_backwards", time_runs_backwards},
    {"write_back_in_time", write_back_in_time},
    {"listing_without_an_entry", listing_without_an_entry},
    {"nop_not_made", nop_not_made},
    {"delete_not_made", delete_not_made},
    {"delete_over_what_is_newer", delete_over_what_is_newer},
    {"lost_event", lost_event},
    {"repeated_event", repeated_event},
    {"event_with_another_value", event_with_another_value},
    {"entry_differs", entry_differs},
    {"entry_left_out", entry_left_out},
    {"digest_differs", digest_differs},
};

TEST(Mutation, HistoriesThatAreRightAreFoundRight) {
  uint64_t unknowns = 0;
  Overlap overlap;
  for (uint64_t seed = 1; seed <= 3 * kSeeds; ++seed) {
    const History history = generate({.seed = seed});
    const Verdict verdict = judge(history);
    EXPECT_TRUE(verdict.ok()) << "seed " << seed << "\n" << verdict.to_string();
    EXPECT_EQ(verdict.linear_unknown, 0U) << seed;
    overlap += verdict.overlap;
    for (const Op& op : history.ops) unknowns += op.outcome == Outcome::unknown ? 1 : 0;
  }
  EXPECT_GT(unknowns, 500U);
  EXPECT_TRUE(overlap.proves_something());
}

TEST(Mutation, WhatIsWrongIsFound) {
  for (const Mutation& mutation : kMutations) {
    uint64_t applied = 0;
    uint64_t found = 0;
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      History history = generate({.seed = seed});
      Rng rng(seed);
      if (!mutation.apply(history, rng)) continue;
      ++applied;
      if (!judge(history).ok()) ++found;
    }
    EXPECT_GE(applied, kSeeds / 3) << mutation.name;
    EXPECT_EQ(found, applied) << mutation.name;
  }
}

TEST(Mutation, TheSearchAloneFindsStaleReads) {
  uint64_t applied = 0;
  uint64_t found = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    History history = generate({.seed = seed});
    Rng rng(seed);
    if (!stale_read(history, rng)) continue;
    ++applied;
    Report report;
    check_linear(history, report);
    if (!report.ok()) ++found;
  }
  // Not all: the old value of a write without an answer may have come back for all that it knows.
  EXPECT_GE(applied, kSeeds / 2);
  EXPECT_GE(found * 10, applied * 9);
}

TEST(Mutation, HistoriesSurviveTheirText) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const History history = generate({.seed = seed});
    const auto parsed = parse_history(to_text(history));
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(*parsed, history);
  }
}

}  // namespace
}  // namespace doozer::sim
