#include "sim/checkers/watches.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "core/glob.h"

namespace doozer::sim {
namespace {

class WatchCheck {
 public:
  WatchCheck(size_t id, const Stream& stream, core::Glob glob, const Model& model, Report& report)
      : id_(id),
        stream_(stream),
        glob_(std::move(glob)),
        model_(model),
        report_(report),
        known_(model.paths(), Match::unknown),
        revision_(std::max<int64_t>(stream.from, 1)) {}

  void run() {
    for (const WatchNote& note : stream_.notes) take(note);
  }

 private:
  enum class Match : uint8_t { unknown, yes, no };
  void take(const WatchNote& note);
  void take_event(const WatchNote& note);
  bool matches(PathId path);
  int64_t matching(int64_t revision);
  void expect_nothing_before(int64_t revision, int64_t sub, const WatchNote& note);
  void add(const char* rule, const WatchNote& note, const std::string& why);

  const size_t id_;
  const Stream& stream_;
  const core::Glob glob_;
  const Model& model_;
  Report& report_;
  std::vector<Match> known_;  ///< by path
  // The next event must be at or after this.
  int64_t revision_;
  int64_t sub_ = 0;
};

void WatchCheck::add(const char* rule, const WatchNote& note, const std::string& why) {
  report_.add(rule, "watch " + std::to_string(id_) + " of client " +
                        std::to_string(stream_.client) + " for " + quote(stream_.glob) + " at " +
                        std::to_string(note.at_us) + ": " + why + "; it stood at (" +
                        std::to_string(revision_) + ", " + std::to_string(sub_) + ")");
}

bool WatchCheck::matches(PathId path) {
  Match& known = known_[path];
  if (known == Match::unknown) {
    known = glob_.matches(model_.name(path)) ? Match::yes : Match::no;
  }
  return known == Match::yes;
}

/// How many changes of that revision match.
int64_t WatchCheck::matching(int64_t revision) {
  int64_t count = 0;
  for (const Change* change = model_.first_at(revision); change != nullptr;
       change = model_.next_at(*change)) {
    if (matches(change->path)) ++count;
  }
  return count;
}

void WatchCheck::take(const WatchNote& note) {
  switch (note.kind) {
    case WatchNote::Kind::event: return take_event(note);
    case WatchNote::Kind::gap:
      if (note.revision < revision_) add("watch.gap_backwards", note, "a gap that goes back");
      revision_ = note.revision;
      sub_ = 0;
      return;
    case WatchNote::Kind::resumed:
      if (note.revision != revision_ || note.sub != sub_) {
        add("watch.resumed_elsewhere", note,
            "went on from (" + std::to_string(note.revision) + ", " + std::to_string(note.sub) +
                ")");
      }
      return;
    case WatchNote::Kind::through: expect_nothing_before(note.revision + 1, 0, note); return;
  }
}

void WatchCheck::take_event(const WatchNote& note) {
  const std::string what = "event (" + std::to_string(note.revision) + ", " +
                           std::to_string(note.sub) + ") of " + quote(note.path);
  if (!glob_.matches(note.path)) add("watch.foreign_event", note, what);
  if (note.revision < revision_ || (note.revision == revision_ && note.sub < sub_)) {
    add("watch.repeated_event", note, what);
    return;
  }
  expect_nothing_before(note.revision, note.sub, note);
  // Which of the revision's matching changes is this?
  int64_t place = 0;
  const std::vector<const Change*> changes = model_.at(note.revision);
  for (const Change* change : changes) {
    if (!matches(change->path)) continue;
    if (model_.name(change->path) == note.path) break;
    ++place;
  }
  const bool order_known = changes.size() == 1 || changes.back()->sub >= 0;
  if (order_known && place != note.sub) {
    add("watch.wrong_sub", note, what + " is number " + std::to_string(place) + " there");
  }
  revision_ = note.revision;
  sub_ = note.sub + 1;
  if (sub_ >= matching(note.revision)) {
    ++revision_;
    sub_ = 0;
  }
}

/// No event that matches lies at or after the cursor and before (revision, sub).
void WatchCheck::expect_nothing_before(int64_t revision, int64_t sub, const WatchNote& note) {
  const int64_t last = std::min(revision, model_.newest() + 1);
  for (int64_t r = revision_; r <= last; ++r) {
    const int64_t first = r == revision_ ? sub_ : 0;
    const int64_t end = r == revision ? sub : matching(r);
    if (first >= end) continue;
    add("watch.lost_event", note,
        "never heard of revision " + std::to_string(r) + " number " + std::to_string(first));
    return;
  }
}

}  // namespace

void check_watches(const History& history, const Model& model, Report& report) {
  for (size_t id = 0; id < history.streams.size(); ++id) {
    const Stream& stream = history.streams[id];
    auto glob = core::Glob::compile(stream.glob);
    if (!glob) {
      report.add("watch.bad_glob", glob.error().message);
      continue;
    }
    WatchCheck(id, stream, std::move(*glob), model, report).run();
  }
}

}  // namespace doozer::sim
