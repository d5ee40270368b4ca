#include "sim/checkers/linear.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/rng.h"

namespace doozer::sim {
namespace {

/// A value of one file, numbered from 1; 0 is "no file".
using ValueId = uint32_t;

struct FileOp {
  enum class Kind : uint8_t {
    write,    ///< passes its compare-and-set, leaves `value` (0: a delete)
    read,     ///< sees `value`
    refused,  ///< a compare-and-set that did not pass
  };
  size_t id = 0;
  Kind kind = Kind::read;
  ValueId value = 0;
  int64_t cas = -1;
  bool required = true;  ///< it was answered; otherwise it may take effect or not
  bool excused = false;  ///< refused, perhaps because of a write that nobody saw
  uint64_t invoked_us = 0;
  uint64_t completed_us = kNever;
};

/// The operations on one path, and what is known of its values.
struct File {
  std::vector<FileOp> ops = {};
  std::vector<int64_t> revision_of = {0};  ///< by value; 0: not known
};

/// Collects the operations of one path.
class FileBuilder {
 public:
  void add(size_t id, const Op& op) { ops_.emplace_back(id, &op); }
  File build();

 private:
  ValueId value(std::string_view tag);
  void learn();
  std::optional<FileOp> convert(size_t id, const Op& op);

  std::vector<std::pair<size_t, const Op*>> ops_;
  File file_;
  std::unordered_map<std::string_view, ValueId> values_;
  std::map<int64_t, ValueId> by_revision_;
  std::unordered_set<std::string_view> seen_;  ///< values that a GET has shown
  uint64_t unseen_write_us_ = kNever;          ///< since when a write that nobody saw is possible
};

ValueId FileBuilder::value(std::string_view tag) {
  const auto [found, added] =
      values_.try_emplace(tag, static_cast<ValueId>(file_.revision_of.size()));
  if (added) file_.revision_of.push_back(0);
  return found->second;
}

/// Which values were seen, and at which revisions.
void FileBuilder::learn() {
  for (const auto& [id, op] : ops_) {
    if (op->outcome != Outcome::ok || op->revision <= 0) continue;
    if (op->kind != Action::get && op->kind != Action::set) continue;
    const ValueId known = value(op->value);
    file_.revision_of[known] = op->revision;
    by_revision_.emplace(op->revision, known);
    if (op->kind == Action::get) seen_.insert(op->value);
  }
  for (const auto& [id, op] : ops_) {
    if (op->kind != Action::set || seen_.contains(op->value)) continue;
    if (op->outcome == Outcome::unknown || op->outcome == Outcome::open) {
      unseen_write_us_ = std::min(unseen_write_us_, op->invoked_us);
    }
  }
}

std::optional<FileOp> FileBuilder::convert(size_t id, const Op& op) {
  FileOp made{
      .id = id, .cas = op.cas, .invoked_us = op.invoked_us, .completed_us = op.completed_us};
  const bool unknown = op.outcome == Outcome::unknown || op.outcome == Outcome::open;
  if (is_write(op.kind)) {
    if (op.outcome == Outcome::refused && op.code == Code::revision_mismatch && op.cas >= -1) {
      made.kind = FileOp::Kind::refused;
      made.excused = unseen_write_us_ < op.completed_us;
      return made;
    }
    if (op.outcome != Outcome::ok && !unknown) return std::nullopt;
    // A write that nobody saw changes nothing for anybody but those that it refuses.
    const bool seen = op.kind == Action::del || seen_.contains(op.value);
    if (unknown && !seen) return std::nullopt;
    made.kind = FileOp::Kind::write;
    if (op.kind == Action::set) made.value = value(op.value);
    made.required = !unknown;
    if (unknown) made.completed_us = kNever;
    return made;
  }
  if (op.outcome != Outcome::ok || !op.linearizable || op.at_rev != 0) return std::nullopt;
  made.kind = FileOp::Kind::read;
  if (op.kind == Action::get) {
    made.value = op.revision > 0 ? value(op.value) : 0;
    return made;
  }
  if (op.kind != Action::stat || op.revision < 0) return std::nullopt;
  if (op.revision == 0) return made;
  // A write that only STATs have seen is left out, and so are they.
  const auto known = by_revision_.find(op.revision);
  if (known == by_revision_.end()) return std::nullopt;
  made.value = known->second;
  return made;
}

File FileBuilder::build() {
  learn();
  for (const auto& [id, op] : ops_) {
    if (auto made = convert(id, *op)) file_.ops.push_back(*made);
  }
  return std::move(file_);
}

/// The search. Calls and returns stand in the order of time in a doubly linked list; an operation
/// that is placed leaves it, and comes back when the search goes back.
class Search {
 public:
  Search(const File& file, uint64_t steps_max) : file_(file), steps_max_(steps_max) { link(); }
  Linear run();
  uint64_t steps() const { return steps_; }
  size_t stuck_at() const { return stuck_at_; }

 private:
  static constexpr size_t kHead = 0;
  struct Node {
    size_t op = 0;
    bool returns = false;
    size_t mate = 0;  ///< a call's return; 0: none (it may never take effect)
    size_t previous = 0;
    size_t next = 0;
  };
  struct Placed {
    size_t node;
    ValueId before;
  };
  void link();
  void unlink(size_t node);
  void relink(size_t node);
  std::optional<ValueId> apply(const FileOp& op) const;
  bool passes(int64_t cas) const;
  bool is_new(size_t op, ValueId after);
  void place(size_t node, ValueId after);
  void take_back();

  const File& file_;
  const uint64_t steps_max_;
  std::vector<Node> nodes_;
  std::vector<Hash128> marks_;  ///< by operation: its part of a configuration's hash
  std::vector<Placed> placed_;
  Hash128 placed_hash_;
  ValueId state_ = 0;
  size_t required_left_ = 0;
  struct Hasher {
    size_t operator()(const Hash128& hash) const { return hash.low; }
  };
  std::unordered_set<Hash128, Hasher> seen_;
  uint64_t steps_ = 0;
  size_t furthest_ = 0;
  size_t stuck_at_ = 0;
};

void Search::link() {
  struct Event {
    uint64_t at_us;
    bool returns;
    size_t op;
  };
  std::vector<Event> events;
  Rng rng(1);
  for (size_t i = 0; i < file_.ops.size(); ++i) {
    const FileOp& op = file_.ops[i];
    events.push_back({op.invoked_us, false, i});
    if (op.required) events.push_back({op.completed_us, true, i});
    if (op.required) ++required_left_;
    const uint64_t low = rng.next();
    marks_.push_back({.low = low, .high = rng.next()});
  }
  std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    if (a.at_us != b.at_us) return a.at_us < b.at_us;
    if (a.returns != b.returns) return b.returns;
    return a.op < b.op;
  });
  nodes_.resize(events.size() + 1);
  std::vector<size_t> call_of(file_.ops.size());
  for (size_t i = 1; i < nodes_.size(); ++i) {
    const Event& event = events[i - 1];
    nodes_[i] = {.op = event.op, .returns = event.returns};
    if (event.returns) {
      nodes_[call_of[event.op]].mate = i;
    } else {
      call_of[event.op] = i;
    }
  }
  for (size_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i].next = i + 1 < nodes_.size() ? i + 1 : kHead;
    nodes_[i].previous = i == kHead ? nodes_.size() - 1 : i - 1;
  }
}

void Search::unlink(size_t node) {
  nodes_[nodes_[node].previous].next = nodes_[node].next;
  nodes_[nodes_[node].next].previous = nodes_[node].previous;
}

void Search::relink(size_t node) {
  nodes_[nodes_[node].previous].next = node;
  nodes_[nodes_[node].next].previous = node;
}

bool Search::passes(int64_t cas) const {
  if (cas == -1) return true;
  if (cas < -1) return false;
  // Of a value whose revision nobody knows, both may be true.
  return state_ == 0 || file_.revision_of[state_] <= cas;
}

/// The file after that operation; nullopt: it cannot have come now.
std::optional<ValueId> Search::apply(const FileOp& op) const {
  switch (op.kind) {
    case FileOp::Kind::read:
      if (op.value == state_) return state_;
      return std::nullopt;
    case FileOp::Kind::refused: {
      if (op.excused) return state_;
      const bool revision_unknown = state_ != 0 && file_.revision_of[state_] == 0;
      if (revision_unknown || !passes(op.cas)) return state_;
      return std::nullopt;
    }
    case FileOp::Kind::write:
      if (op.value == 0 && state_ == 0) {
        // A DEL that finds nothing. One that need not be placed gains nothing by that.
        if (op.required) return state_;
        return std::nullopt;
      }
      if (!passes(op.cas)) return std::nullopt;
      return op.value;
  }
  UNREACHABLE();
}

/// Whether this set of placed operations with this file after it is met for the first time.
bool Search::is_new(size_t op, ValueId after) {
  const uint64_t salt = (after + 1) * 0x9E3779B97F4A7C15U;
  return seen_
      .insert({.low = (placed_hash_.low ^ marks_[op].low) + salt,
               .high = (placed_hash_.high ^ marks_[op].high) ^ salt})
      .second;
}

void Search::place(size_t node, ValueId after) {
  const size_t op = nodes_[node].op;
  placed_.push_back({.node = node, .before = state_});
  placed_hash_.low ^= marks_[op].low;
  placed_hash_.high ^= marks_[op].high;
  state_ = after;
  if (file_.ops[op].required) --required_left_;
  unlink(node);
  if (nodes_[node].mate != 0) unlink(nodes_[node].mate);
}

void Search::take_back() {
  const auto [node, before] = placed_.back();
  placed_.pop_back();
  const size_t op = nodes_[node].op;
  placed_hash_.low ^= marks_[op].low;
  placed_hash_.high ^= marks_[op].high;
  state_ = before;
  if (file_.ops[op].required) ++required_left_;
  if (nodes_[node].mate != 0) relink(nodes_[node].mate);
  relink(node);
}

Linear Search::run() {
  size_t node = nodes_[kHead].next;
  while (required_left_ > 0) {
    if (++steps_ > steps_max_) return Linear::unknown;
    CHECK(node != kHead);
    const FileOp& op = file_.ops[nodes_[node].op];
    if (!nodes_[node].returns) {
      const auto after = apply(op);
      if (after && is_new(nodes_[node].op, *after)) {
        place(node, *after);
        node = nodes_[kHead].next;
      } else {
        node = nodes_[node].next;
      }
      continue;
    }
    // It ended here and could not be placed before.
    if (placed_.size() >= furthest_) {
      furthest_ = placed_.size();
      stuck_at_ = op.id;
    }
    if (placed_.empty()) return Linear::illegal;
    const size_t last = placed_.back().node;
    take_back();
    node = nodes_[last].next;
  }
  return Linear::ok;
}

}  // namespace

std::vector<LinearFile> search_linear(const History& history, uint64_t steps_max) {
  std::map<std::string_view, FileBuilder> builders;
  for (size_t id = 0; id < history.ops.size(); ++id) {
    const Op& op = history.ops[id];
    if (op.kind != Action::set && op.kind != Action::del && op.kind != Action::get &&
        op.kind != Action::stat) {
      continue;
    }
    builders[op.path].add(id, op);
  }
  std::vector<LinearFile> verdicts;
  for (auto& [path, builder] : builders) {
    const File file = builder.build();
    Search search(file, steps_max);
    LinearFile verdict{.path = std::string(path), .operations = file.ops.size()};
    verdict.verdict = search.run();
    verdict.steps = search.steps();
    verdict.stuck_at = search.stuck_at();
    verdicts.push_back(std::move(verdict));
  }
  return verdicts;
}

uint64_t check_linear(const History& history, Report& report, uint64_t steps_max) {
  uint64_t unknown = 0;
  for (const LinearFile& file : search_linear(history, steps_max)) {
    if (file.verdict == Linear::unknown) ++unknown;
    if (file.verdict != Linear::illegal) continue;
    report.add("linear.illegal",
               quote(file.path) + ": no order of its " + std::to_string(file.operations) +
                   " operations is right; no place is left for #" + std::to_string(file.stuck_at) +
                   " " + describe(history.ops[file.stuck_at]));
  }
  return unknown;
}

}  // namespace doozer::sim
