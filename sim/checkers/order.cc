#include "sim/checkers/order.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "sim/checkers/states.h"

namespace doozer::sim {
namespace {

constexpr size_t kNobody = SIZE_MAX;

/// Whether the answer says something of the files. Other errors may come from a server that lags,
/// and knows it: READONLY, busy.
bool tells_of_state(const Op& op) {
  if (op.outcome == Outcome::ok) return true;
  return op.code == Code::revision_mismatch || op.code == Code::range ||
         op.code == Code::not_found || op.code == Code::not_directory ||
         op.code == Code::is_directory;
}

/// What somebody has been told, and by which operation.
struct Floor {
  int64_t revision = 0;
  size_t op = kNobody;
  void raise(int64_t to, size_t by) {
    if (to <= revision) return;
    revision = to;
    op = by;
  }
};

class OrderCheck {
 public:
  OrderCheck(const History& history, const Model& model, Report& report)
      : history_(history),
        ops_(history.ops),
        model_(model),
        report_(report),
        points_(history.ops.size(), 0) {}

  void run() {
    const std::vector<Step> all = steps();
    for (const Step& step : all) {
      if (step.op == kNobody) {
        everybody_.raise(step.seen, kNobody);
      } else if (step.completes) {
        complete(step.op);
      } else {
        invoke(step.op);
      }
    }
    judge_deletes(all);
  }

 private:
  struct Step {
    uint64_t at_us;
    bool completes;
    size_t op;         ///< kNobody: a watch was told
    int64_t seen = 0;  ///< then: this revision
  };
  std::vector<Step> steps() const;
  void invoke(size_t id);
  void complete(size_t id);
  Floor floor_of(const Op& op) const;
  void place(size_t id, const Floor& floor);
  void place_exactly(size_t id, const Floor& floor, int64_t state);
  void judge_write(size_t id, const Floor& floor);
  void judge_pipeline(size_t id, int64_t revision);
  void judge_cas(size_t id, int64_t revision);
  /// One DEL, and at which revisions it may have deleted something.
  struct Delete {
    size_t op;
    int64_t above;  ///< not at this one or below
    int64_t up_to;  ///< not above
  };
  void judge_deletes(const std::vector<Step>& steps);
  void judge_deletes_of(PathId path, std::vector<Delete> deletes);
  void add(const char* rule, size_t id, const std::string& why, const Floor& floor = {});

  const History& history_;
  const std::vector<Op>& ops_;
  const Model& model_;
  Report& report_;
  /// The revision at which each operation that is over took effect or looked.
  std::vector<int64_t> points_;
  std::unordered_map<size_t, int64_t> delete_floors_;  ///< of each DEL
  Floor everybody_;
  std::unordered_map<uint64_t, Floor> sessions_;
  std::unordered_map<uint64_t, Floor> pipelines_;  ///< the SET of each that came last
};

/// All beginnings and ends in the order of time. At one moment beginnings come first: who begins
/// when another ends is concurrent with it.
std::vector<OrderCheck::Step> OrderCheck::steps() const {
  std::vector<Step> steps;
  steps.reserve(2 * ops_.size());
  for (size_t id = 0; id < ops_.size(); ++id) {
    steps.push_back({ops_[id].invoked_us, false, id});
    if (ops_[id].completed_us != kNever) steps.push_back({ops_[id].completed_us, true, id});
  }
  for (const Stream& stream : history_.streams) {
    for (const WatchNote& note : stream.notes) {
      if (note.kind != WatchNote::Kind::event) continue;
      steps.push_back({note.at_us, true, kNobody, note.revision});
    }
  }
  std::sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) {
    if (a.at_us != b.at_us) return a.at_us < b.at_us;
    if (a.completes != b.completes) return b.completes;
    return a.op < b.op;
  });
  return steps;
}

void OrderCheck::add(const char* rule, size_t id, const std::string& why, const Floor& floor) {
  std::string what = "#" + std::to_string(id) + " " + describe(ops_[id]) + ": " + why;
  if (floor.op != kNobody) {
    what += ", after #" + std::to_string(floor.op) + " " + describe(ops_[floor.op]);
  }
  report_.add(rule, std::move(what));
}

/// Below which revision this operation's point must not lie.
Floor OrderCheck::floor_of(const Op& op) const {
  Floor floor;
  if (op.at_rev != 0 && !is_write(op.kind)) return floor;
  if (is_write(op.kind) || op.linearizable) floor = everybody_;
  if (op.session != 0) {
    const auto session = sessions_.find(op.session);
    if (session != sessions_.end()) floor.raise(session->second.revision, session->second.op);
  }
  if (op.min_rev > floor.revision) floor = {.revision = op.min_rev};
  return floor;
}

void OrderCheck::invoke(size_t id) {
  const Op& op = ops_[id];
  const Floor floor = floor_of(op);
  if (op.kind == Action::set) judge_write(id, floor);
  if (op.kind == Action::del) delete_floors_.emplace(id, floor.revision);
  if (op.outcome == Outcome::ok || op.outcome == Outcome::refused) place(id, floor);
}

/// Rules of a SET that took effect, acknowledged or not.
void OrderCheck::judge_write(size_t id, const Floor& floor) {
  const Op& op = ops_[id];
  const int64_t revision = model_.revision_of(id);
  if (op.outcome == Outcome::refused || op.outcome == Outcome::failed || revision == 0) return;
  if (revision <= floor.revision) {
    add("order.write_behind", id,
        "took effect at revision " + std::to_string(revision) + ", but " +
            std::to_string(floor.revision) + " had been seen",
        floor);
  }
  judge_cas(id, revision);
  if (op.session != 0) judge_pipeline(id, revision);
}

/// Writes that one session sent to a server before it had an answer take effect in the order in
/// which it sent them.
void OrderCheck::judge_pipeline(size_t id, int64_t revision) {
  Floor& sent = pipelines_[ops_[id].session];
  const bool behind = revision < sent.revision && ops_[id].server == ops_[sent.op].server;
  if (behind && ops_[id].invoked_us < ops_[sent.op].completed_us) {
    add("order.pipeline_reordered", id,
        "took effect at revision " + std::to_string(revision) + ", that of an earlier one at " +
            std::to_string(sent.revision),
        sent);
  }
  sent.raise(revision, id);
}

void OrderCheck::judge_cas(size_t id, int64_t revision) {
  const Op& op = ops_[id];
  const auto path = model_.find(op.path);
  if (!path) return;
  const Change* before = model_.file_at(*path, revision - 1);
  if (passes(op.cas, before)) return;
  const int64_t newest = before == nullptr ? 0 : before->revision;
  if (op.cas >= 0 && model_.hole_within(newest + 1, revision - 1)) return;
  add("order.cas_passed", id,
      "passed at revision " + std::to_string(revision) + " over revision " +
          std::to_string(newest) + " of the file");
}

/// Finds the operation's point.
void OrderCheck::place(size_t id, const Floor& floor) {
  const Op& op = ops_[id];
  if (!tells_of_state(op)) return;
  if (!is_write(op.kind)) {
    const bool listing = op.kind == Action::walk || op.kind == Action::getdir;
    const bool shown = listing && op.offset < 0 && op.outcome == Outcome::ok;
    if (op.at_rev != 0) return place_exactly(id, floor, std::max<int64_t>(op.at_rev, 1));
    if (shown) return place_exactly(id, floor, op.revision);
    if (op.store_rev != 0) return place_exactly(id, floor, op.store_rev);
  }
  const auto point = right_at(op, model_, floor.revision);
  if (!point) {
    // Of a SET that passed judge_write() has told it.
    if (op.kind != Action::set || op.outcome != Outcome::ok) {
      const char* rule = !is_write(op.kind)               ? "order.stale_read"
                         : op.outcome == Outcome::refused ? "order.refused_without_reason"
                                                          : "order.write_lost";
      add(rule, id, "right at no revision from " + std::to_string(floor.revision) + " on", floor);
    }
    return;
  }
  if (is_write(op.kind) && op.store_rev != 0 && *point > op.store_rev) {
    add("order.answered_too_early", id,
        "right only from revision " + std::to_string(*point) + " on");
  }
  points_[id] = *point;
}

/// A read whose state is known.
void OrderCheck::place_exactly(size_t id, const Floor& floor, int64_t state) {
  const Op& op = ops_[id];
  points_[id] = state;
  if (state < floor.revision) {
    const char* rule = op.linearizable ? "order.stale_read" : "order.time_ran_backwards";
    add(rule, id,
        "shows revision " + std::to_string(state) + ", but " + std::to_string(floor.revision) +
            " had been seen",
        floor);
  }
  if (op.kind == Action::walk || op.kind == Action::getdir) {
    if (op.outcome != Outcome::ok && op.code != Code::range) return;
    const std::string complaint = listing_complaint(op, model_, state);
    if (!complaint.empty()) add("order.wrong_listing", id, complaint);
    return;
  }
  if (op.outcome != Outcome::ok) return;
  if (op.kind == Action::rev) {
    if (op.revision != state) add("order.wrong_value", id, "REV differs from store_rev");
    return;
  }
  if (right_at(op, model_, state) != state) {
    add("order.wrong_value", id, "not the file as of revision " + std::to_string(state));
    return;
  }
  if (op.kind != Action::stat || op.revision <= 0) return;
  const Change* file = model_.file_at(*model_.find(op.path), state);
  if (file != nullptr && file->op && ops_[*file->op].length != op.length) {
    add("order.wrong_value", id,
        "the file has " + std::to_string(ops_[*file->op].length) + " bytes");
  }
}

/// Each del has a DEL that may have done it: by time, and by its compare-and-set.
void OrderCheck::judge_deletes(const std::vector<Step>& steps) {
  std::vector<std::vector<Delete>> deletes(model_.paths());
  // From the end: the lowest revision of any SET that began later.
  int64_t later = INT64_MAX;
  std::unordered_map<size_t, int64_t> ceilings;
  for (size_t i = steps.size(); i-- > 0;) {
    if (steps[i].op == kNobody) continue;
    const Op& op = ops_[steps[i].op];
    if (op.kind == Action::del && steps[i].completes && op.outcome == Outcome::ok) {
      ceilings.emplace(steps[i].op, op.store_rev != 0 ? op.store_rev : later - 1);
    }
    const int64_t revision = model_.revision_of(steps[i].op);
    if (!steps[i].completes && revision != 0) later = std::min(later, revision);
  }
  for (size_t id = 0; id < ops_.size(); ++id) {
    const Op& op = ops_[id];
    if (op.kind != Action::del) continue;
    if (op.outcome == Outcome::refused || op.outcome == Outcome::failed) continue;
    const auto ceiling = ceilings.find(id);
    deletes[*model_.find(op.path)].push_back(
        {.op = id,
         .above = delete_floors_.at(id),
         .up_to = ceiling == ceilings.end() ? INT64_MAX : ceiling->second});
  }
  for (PathId path = 0; path < deletes.size(); ++path) {
    if (model_.ours(path)) judge_deletes_of(path, std::move(deletes[path]));
  }
}

void OrderCheck::judge_deletes_of(PathId path, std::vector<Delete> deletes) {
  std::sort(deletes.begin(), deletes.end(),
            [](const Delete& a, const Delete& b) { return a.above < b.above; });
  std::vector<Delete> active;
  size_t next = 0;
  for (const Change& change : model_.versions(path)) {
    if (change.kind != WatchNote::Change::del) continue;
    while (next < deletes.size() && deletes[next].above < change.revision) {
      active.push_back(deletes[next++]);
    }
    std::erase_if(active, [&](const Delete& one) { return one.up_to < change.revision; });
    const Change* file = model_.file_at(path, change.revision - 1);
    const int64_t newest = file == nullptr ? 0 : file->revision;
    if (model_.hole_within(newest + 1, change.revision - 1)) continue;
    const bool explained = std::any_of(active.begin(), active.end(), [&](const Delete& one) {
      return passes(ops_[one.op].cas, file) && ops_[one.op].invoked_us <= change.seen_us;
    });
    if (explained && file != nullptr) continue;
    report_.add("order.delete_without_reason",
                quote(model_.name(path)) + " of revision " + std::to_string(newest) +
                    " was deleted at revision " + std::to_string(change.revision) +
                    ", and no DEL may have done that");
  }
}

void OrderCheck::complete(size_t id) {
  const Op& op = ops_[id];
  everybody_.raise(points_[id], id);
  const bool answered = op.outcome == Outcome::ok || op.outcome == Outcome::refused;
  // Whatever a server says that it has, it has for good.
  if (answered) everybody_.raise(op.store_rev, id);
  if (answered && op.session != 0) {
    sessions_[op.session].raise(std::max(points_[id], op.store_rev), id);
  }
}

}  // namespace

void check_order(const History& history, const Model& model, Report& report) {
  OrderCheck(history, model, report).run();
}

}  // namespace doozer::sim
