// Generated histories of attaching, emptying and reconciling, judged by a reference that writes the
// rules out the long way; another machine follows through images.
#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"
#include "core/testing.h"

namespace doozer::core {
namespace {

constexpr uint8_t kServers = 80;  // more than the register holds
constexpr int kSlots = 5;

Identity server(uint64_t number) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes.back() = static_cast<uint8_t>(number);
  return Identity(bytes);
}
std::string slot(uint64_t number) { return "/ctl/cal/" + std::to_string(number); }

/// The rules of design section 7, the long way.
struct Reference {
  struct Slot {
    int64_t revision = 0;
    uint64_t holder = 0;  // 0: empty
  };
  struct Entry {
    uint64_t incarnation = 0;
    uint64_t registered = 0;
    bool removed = false;
  };
  std::map<std::string, Slot> slots;
  std::map<uint64_t, Entry> entries;
  int64_t revision = 0;

  size_t filled() const {
    return static_cast<size_t>(std::count_if(
        slots.begin(), slots.end(), [](const auto& each) { return each.second.holder != 0; }));
  }
  bool seated(uint64_t number) const {
    return std::any_of(slots.begin(), slots.end(),
                       [&](const auto& each) { return each.second.holder == number; });
  }
  bool attach(uint64_t number, uint64_t incarnation, uint64_t index) {
    const auto known = entries.find(number);
    if (known != entries.end()) {
      if (incarnation < known->second.incarnation) return false;
      if (incarnation > known->second.incarnation) known->second.removed = false;
      known->second.incarnation = incarnation;
      known->second.registered = index;
      return true;
    }
    if (entries.size() == kRegisterMax) {
      auto oldest = entries.end();
      for (auto each = entries.begin(); each != entries.end(); ++each) {
        const bool older =
            oldest == entries.end() || each->second.registered < oldest->second.registered;
        if (!seated(each->first) && older) oldest = each;
      }
      entries.erase(oldest);
    }
    entries[number] = {.incarnation = incarnation, .registered = index, .removed = false};
    return true;
  }
  bool vacate(const std::string& path, bool del) {
    const auto found = slots.find(path);
    const uint64_t holder = found == slots.end() ? 0 : found->second.holder;
    if (holder != 0 && filled() == 1) return false;
    if (holder != 0 && entries.contains(holder)) entries[holder].removed = true;
    if (!del) {
      slots[path] = {.revision = ++revision, .holder = 0};
    } else if (found != slots.end()) {
      slots.erase(found);
      ++revision;
    }
    return true;
  }
  struct Update {
    std::string path;
    int64_t revision = 0;
    uint64_t holder = 0;
  };
  bool reconcile(const std::vector<Update>& updates) {
    Reference after = *this;
    for (const Update& update : updates) {
      const auto found = slots.find(update.path);
      if (found == slots.end() || found->second.revision != update.revision) return false;
      if (update.holder != 0 && !entries.contains(update.holder)) return false;
      if (after.slots[update.path].revision == revision + 1) return false;  // twice
      after.slots[update.path] = {.revision = revision + 1, .holder = update.holder};
      if (update.holder != 0) after.entries[update.holder].removed = false;
    }
    std::map<uint64_t, int> seats;
    for (const auto& [path, each] : after.slots) {
      if (each.holder != 0 && ++seats[each.holder] > 1) return false;
    }
    if (seats.empty()) return false;
    ++after.revision;
    *this = after;
    return true;
  }
};

class Trial {
 public:
  explicit Trial(uint64_t seed) : rng_(seed) {
    driver_.system_set(slot(0), server(1).to_string());
    reference_.slots[slot(0)] = {.revision = 1, .holder = 1};
    reference_.revision = 1;
  }
  void step() {
    const uint64_t kind = rng_.below(10);
    kind < 4 ? attach() : kind < 7 ? reconcile() : vacate();
    ASSERT_NO_FATAL_FAILURE(compare(*driver_.machine));
    if (rng_.chance(1, 20)) {
      follower_.machine = Machine::make({});
      ASSERT_TRUE(load_image(*follower_.machine, write_image(*driver_.machine), 50).has_value());
    } else if (follower_.machine->applied() == Index(0)) {
      return;
    }
    ASSERT_EQ(follower_.machine->digests(), driver_.machine->digests());
    ASSERT_NO_FATAL_FAILURE(compare(*follower_.machine));
  }
  uint64_t refused() const { return refused_; }
  uint64_t reconciled() const { return reconciled_; }

 private:
  void apply(const BodyView& body, const Envelope& envelope, bool expected) {
    const Applied applied = driver_.apply(body, envelope);
    ASSERT_EQ(!applied.refused.has_value(), expected)
        << (applied.refused ? applied.refused->message : "");
    ASSERT_EQ(applied.revision.value(), reference_.revision);
    refused_ += expected ? 0 : 1;
    if (follower_.machine->applied() > Index(0)) follower_.apply(body, envelope);
  }
  void attach() {
    const uint64_t number = 1 + rng_.below(kServers);
    const uint64_t incarnation = 1 + rng_.below(3);
    const uint64_t index = driver_.machine->applied().value() + 1;
    const bool expected = reference_.attach(number, incarnation, index);
    apply(AttachView{server(number), Incarnation(incarnation), 1, "host:1"}, as_system(), expected);
  }
  void vacate() {
    const std::string path = slot(rng_.below(kSlots));
    const bool del = rng_.chance(1, 3);
    const bool expected = reference_.vacate(path, del);
    if (del) {
      apply(DelView{path, -1}, {}, expected);
    } else if (rng_.chance(1, 2)) {
      apply(SetView{path, -1, ""}, {}, expected);
    } else {
      apply(TransactionView{{}, {{true, path, ""}}}, {}, expected);
    }
  }
  uint64_t pick_holder() {
    if (rng_.chance(1, 4)) return 0;
    if (rng_.chance(1, 8)) return 1 + rng_.below(kServers);
    auto known = reference_.entries.begin();
    if (known == reference_.entries.end()) return 1;
    std::advance(known, static_cast<int64_t>(rng_.below(reference_.entries.size())));
    return known->first;
  }
  void reconcile() {
    std::vector<Reference::Update> updates;
    for (uint64_t i = 1 + rng_.below(3); i > 0; --i) {
      const std::string path = slot(rng_.below(kSlots));
      const auto found = reference_.slots.find(path);
      const int64_t has = found == reference_.slots.end() ? 0 : found->second.revision;
      updates.push_back({path, rng_.chance(1, 12) ? has + 1 : has, pick_holder()});
    }
    ReconcileView body;
    for (const Reference::Update& each : updates) {
      body.updates.push_back({.path = each.path,
                              .revision = each.revision,
                              .identity = each.holder == 0 ? Identity() : server(each.holder)});
    }
    const bool expected = reference_.reconcile(updates);
    reconciled_ += expected ? 1 : 0;
    apply(body, as_system(), expected);
  }
  void compare(const Machine& machine) {
    const std::vector<SlotView> slots = machine.slots();
    ASSERT_EQ(slots.size(), reference_.slots.size());
    size_t at = 0;
    for (const auto& [path, expected] : reference_.slots) {
      const SlotView& view = slots[at++];
      ASSERT_EQ(view.path, path);
      ASSERT_EQ(view.revision.value(), expected.revision);
      ASSERT_EQ(view.value, expected.holder == 0 ? "" : server(expected.holder).to_string());
    }
    ASSERT_EQ(machine.members().size(), reference_.entries.size());
    for (const auto& [number, expected] : reference_.entries) {
      const Member* member = machine.members().find(server(number));
      ASSERT_NE(member, nullptr) << number;
      ASSERT_EQ(member->incarnation.value(), expected.incarnation);
      ASSERT_EQ(member->registered.value(), expected.registered);
      ASSERT_EQ(member->removed, expected.removed) << number;
    }
  }

  Rng rng_;
  Driver driver_;
  Driver follower_;
  Reference reference_;
  uint64_t refused_ = 0;
  uint64_t reconciled_ = 0;
};

TEST(MembershipModel, TheMachineDoesAsTheReferenceThroughGeneratedHistories) {
  uint64_t refused = 0;
  uint64_t reconciled = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Trial trial(seed);
    for (int i = 0; i < 500; ++i) {
      ASSERT_NO_FATAL_FAILURE(trial.step()) << "step " << i;
    }
    refused += trial.refused();
    reconciled += trial.reconciled();
  }
  EXPECT_GT(refused, 1000U);
  EXPECT_GT(reconciled, 300U);
}

}  // namespace
}  // namespace doozer::core
