#include "core/directory.h"

#include <algorithm>

namespace doozer::core {

uint32_t Directory::count_at(Revision at) const {
  if (changes == nullptr) {
    return count();
  }
  const auto after =
      std::upper_bound(changes->begin(), changes->end(), at,
                       [](Revision wanted, const Change& c) { return wanted < c.revision; });
  return after == changes->begin() ? before : std::prev(after)->count;
}

void Directory::note(Revision revision, uint32_t old_count) {
  if (changes == nullptr) {
    changes = std::make_unique<std::deque<Change>>();
    before = old_count;
  }
  if (!changes->empty() && changes->back().revision == revision) {
    changes->back().count = count();
  } else {
    changes->push_back({.revision = revision, .count = count()});
  }
  const uint32_t previous = changes->size() > 1 ? (*changes)[changes->size() - 2].count : before;
  if (previous == count()) {
    changes->pop_back();
    if (changes->empty()) {
      changes.reset();
    }
  }
}

bool Directory::forget(Revision passed) {
  if (changes == nullptr || passed < changes->front().revision) {
    return false;
  }
  bool flipped = false;
  while (!changes->empty() && changes->front().revision <= passed) {
    flipped = flipped || before == 0 || changes->front().count == 0;
    before = changes->front().count;
    changes->pop_front();
  }
  if (changes->empty()) {
    changes.reset();
  }
  return flipped;
}

}  // namespace doozer::core
