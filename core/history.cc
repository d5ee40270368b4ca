#include "core/history.h"

#include <algorithm>

#include "base/limits.h"
#include "base/probe.h"

namespace doozer::core {

namespace {

/// Giving back a large value costs what its pages cost.
constexpr size_t kFreedBytesPerStep = 16 * kKiB;

/// What the heap holds for this event and nobody else: its record and the version that it replaced.
uint32_t cost_of(const Change& change) {
  size_t bytes = sizeof(Event);
  if (change.node != nullptr) {
    if (change.version->older != nullptr) {
      bytes += version_bytes(change.version->older->size);
    }
    if (!change.version->live()) {
      bytes += version_bytes(0) + sizeof(Node) + change.node->key().size();
    }
  }
  return static_cast<uint32_t>(bytes);
}

}  // namespace

void History::add(Revision revision, const std::vector<Change>& changes) {
  CHECK(revision > newest_);
  CHECK(!changes.empty());
  newest_ = revision;
  for (size_t i = 0; i < changes.size(); ++i) {
    Event event{};
    event.change = changes[i];
    event.revision = revision;
    event.sub = static_cast<uint32_t>(i) & 0x7FFFFFFFU;
    event.last = i + 1 == changes.size() ? 1 : 0;
    event.cost = cost_of(changes[i]);
    bytes_ += event.cost;
    kept_bytes_ += event.cost;
    events_.push_back(event);
  }
  advance();
}

/// Moves oldest() on: the newest revision itself always stays.
void History::advance() {
  Revision oldest = std::max(oldest_, newest_ - (revisions_max_ - 1));
  for (;;) {
    while (kept_first_ < end() && at(kept_first_).revision < oldest) {
      kept_bytes_ -= at(kept_first_).cost;
      ++kept_first_;
    }
    if (kept_bytes_ <= bytes_max_ || oldest >= newest_) {
      break;
    }
    PROBE("core_history_bytes_limit");
    oldest = at(kept_first_).revision + 1;
  }
  oldest_ = oldest;
}

EventView History::view(uint64_t number) const {
  const Event& event = at(number);
  EventView view;
  view.position = {.revision = event.revision, .sub = event.sub};
  view.last = event.last != 0;
  if (event.change.node == nullptr) {
    view.kind = EventKind::nop;
    view.path = "/";
    return view;
  }
  const Version& version = *event.change.version;
  view.kind = version.live() ? EventKind::set : EventKind::del;
  view.created = version.live() && version.count == 1;
  view.path = event.change.node->key();
  view.value = version.value();
  return view;
}

uint64_t History::find(Position position) const {
  const auto found = std::lower_bound(
      events_.begin(), events_.end(), position, [](const Event& event, const Position& wanted) {
        return Position{.revision = event.revision, .sub = event.sub} < wanted;
      });
  return first_ + static_cast<uint64_t>(found - events_.begin());
}

/// Forgets pins that nobody refers to any more, and gives up those for which too much is held.
void History::look_at_pins() {
  std::erase_if(pins_, [](const std::shared_ptr<Pin>& pin) { return pin.use_count() == 1; });
  if (held_bytes_ > kPinnedBytesMax) {
    for (const std::shared_ptr<Pin>& pin : pins_) {
      pin->lost = true;
      PROBE("core_pin_lost");
    }
    pins_.clear();
  }
}

std::shared_ptr<Pin> History::pin() {
  look_at_pins();
  if (pins_.empty()) {
    ++pin_sets_;  // what is held until now is not for this one
  }
  pins_.push_back(std::make_shared<Pin>(Pin{.revision = newest_, .passed = {}, .lost = false}));
  return pins_.back();
}

/// Whether a pin needs the version that the event replaced. It needs a tombstone only in front of
/// what is held for an older pin, which would come to light.
bool History::is_pinned(const Event& event) const {
  const Version* old = event.change.version->older;
  if (old == nullptr || (!old->live() && old->older == nullptr)) {
    return false;
  }
  return std::any_of(pins_.begin(), pins_.end(), [&](const std::shared_ptr<Pin>& pin) {
    return old->modified <= pin->revision && pin->revision < event.revision &&
           event.change.node->key() >= pin->passed;
  });
}

void History::hold(Node& node, size_t bytes) {
  Held& held = held_[&node];
  if (held.versions == 0) {
    held.since = pin_sets_;
    held_order_.push_back({.node = &node, .since = pin_sets_});
  }
  ++held.versions;
  held.bytes += bytes;
  held_bytes_ += bytes;
}

/// Lets go of the event's change and of what it replaced.
void History::retire(const Event& event) {
  Node& node = *event.change.node;
  const bool pinned = !pins_.empty() && is_pinned(event);
  auto held = held_.empty() ? held_.end() : held_.find(&node);
  if (pinned && held != held_.end() && held->second.since != pin_sets_) {
    release_held(node);  // of pins that are gone
    held = held_.end();
  }
  const size_t versions = held == held_.end() ? 0 : held->second.versions;
  const size_t bytes = pinned ? version_bytes(event.change.version->older->size) : 0;
  const bool dead = tree_.retire(event.change, versions, pinned);
  if (pinned) {
    hold(node, bytes);
  }
  if (pinned || versions > 0) {
    held_[&node].tombstone = dead ? node.newest() : nullptr;
  }
}

/// Lets go of the next event that nobody may ask for.
bool History::trim_event() {
  if (events_.empty() || events_.front().revision >= oldest_) {
    return false;
  }
  const Event event = events_.front();
  events_.pop_front();
  ++first_;
  bytes_ -= event.cost;
  if (event.change.node != nullptr) {
    retire(event);
  }
  return true;
}

void History::release_held(Node& node) {
  const auto found = held_.find(&node);
  const Held held = found->second;
  held_.erase(found);
  held_bytes_ -= held.bytes;
  tree_.release_held(node, held.versions, held.tombstone);
}

/// Lets go of the next file that no pin needs any more.
bool History::release_one() {
  if (held_order_.empty() || (!pins_.empty() && held_order_.front().since == pin_sets_)) {
    return false;
  }
  const HeldNode next = held_order_.front();
  held_order_.pop_front();
  if (const auto found = held_.find(next.node);
      found != held_.end() && found->second.since == next.since) {
    release_held(*next.node);
  }
  return true;
}

bool History::trim_one() {
  look_at_pins();
  return trim_event() || release_one();
}

bool History::trim(size_t events) {
  for (size_t i = 0; i < events; ++i) {
    if (!trim_one()) {
      return false;
    }
  }
  return true;
}

bool History::trim(Budget& budget) {
  while (!budget.empty()) {
    const size_t before = bytes();
    if (!trim_one()) {
      return false;
    }
    const size_t freed = before - std::min(before, bytes());
    budget.spend(1 + static_cast<int64_t>(freed / kFreedBytesPerStep));
  }
  return true;
}

bool History::release(Budget& budget) {
  for (; !held_order_.empty() && !budget.empty(); budget.spend()) {
    held_.erase(held_order_.front().node);
    held_order_.pop_front();
  }
  while (!events_.empty() && !budget.empty()) {
    budget.spend();
    for (int i = 0; i < 16 && !events_.empty(); ++i) {
      events_.pop_front();  // a plain record: sixteen are one step
    }
  }
  return !events_.empty() || !held_order_.empty();
}

}  // namespace doozer::core
