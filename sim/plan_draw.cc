#include "sim/plan_draw.h"

#include <algorithm>

#include "base/check.h"
#include "base/limits.h"

namespace doozer::sim {
namespace {

constexpr uint64_t kSecond = 1'000'000;

Who server(uint64_t number) { return {Who::Kind::server, number}; }

/// One plan under construction.
class Drawing {
 public:
  explicit Drawing(uint64_t seed) : rng_(seed) { plan_.seed = seed; }
  Plan draw();

 private:
  using Family = void (Drawing::*)();
  void shape();
  void networks();
  void partitions();
  void flapping();
  void processes();
  void machines();
  void pauses();
  void slow_disks();
  void failing_disks();
  void lost_disk();
  void clocks();
  void membership();
  void torn_change();
  void load();
  void lanes();
  void rivals();
  void laggards();
  void keep_little();
  void leader_falls(uint64_t from_us, uint64_t within_us);
  void falls(uint64_t at_us, const Who& who, uint64_t most_us);
  void spare_majority();

  /// Mostly a server, at times the one that leads just then.
  Who someone() {
    if (rng_.chance(1, 3)) return {Who::Kind::leader};
    return server(1 + rng_.below(plan_.servers));
  }
  Who anyone() {
    if (rng_.chance(1, 4)) return {Who::Kind::client, 1 + rng_.below(plan_.clients)};
    return someone();
  }
  /// Log-uniform, so that short ones are as likely as long ones.
  uint64_t time_between(uint64_t least_us, uint64_t most_us) {
    uint64_t most = least_us;
    while (most * 2 <= most_us && rng_.chance(2, 3)) most *= 2;
    const uint64_t us = least_us + rng_.below(std::min(most * 2, most_us) - least_us + 1);
    return us / 1'000 * 1'000;
  }
  uint64_t moment() { return rng_.below(plan_.faults_us) / 1'000 * 1'000; }
  Step& add(StepKind kind, uint64_t for_us) {
    plan_.steps.push_back({.at_us = moment(), .for_us = for_us, .kind = kind});
    return plan_.steps.back();
  }
  /// The kind may be drawn by the caller: it is drawn first, with every compiler.
  Step& add_lasting(StepKind kind, uint64_t least_us, uint64_t most_us) {
    return add(kind, time_between(least_us, most_us));
  }
  /// How often something happens: about so many seconds apart.
  uint64_t times(uint64_t apart_us) { return 1 + rng_.below(1 + plan_.faults_us / apart_us); }

  Rng rng_;
  Plan plan_;
  uint64_t weak_ = 0;        ///< the one server whose disk may be lost or rot; 0: none
  bool loses_disk_ = false;  ///< and it does
};

void Drawing::shape() {
  static constexpr uint64_t kSlots[] = {1, 3, 3, 3, 3, 3, 3, 5, 5, 2, 4, 7};
  plan_.slots = kSlots[rng_.below(std::size(kSlots))];
  plan_.servers = plan_.slots + (rng_.chance(1, 3) ? rng_.below(3) : 0);
  plan_.clients = 4 + rng_.below(12);
  plan_.faults_us = (4 + rng_.below(10)) * kSecond;
  if (rng_.chance(1, 10)) plan_.faults_us *= 3;
  plan_.latency_us = rng_.chance(1, 4) ? 1'000 + rng_.below(9'000) : 50 + rng_.below(450);
  plan_.sync_us = rng_.chance(1, 4) ? 100 : 500 + rng_.below(6'000);
  if (rng_.chance(1, 2)) plan_.history = 20 + rng_.below(2'000);
  if (rng_.chance(1, 2)) plan_.snapshot_bytes = (16 + rng_.below(240)) * kKiB;
  // Who was away for a moment then needs a snapshot.
  if (plan_.snapshot_bytes != 0 && plan_.history != 0 && rng_.chance(2, 3)) {
    plan_.retain_entries = 10 + rng_.below(300);
  }
  if (plan_.slots >= 3) weak_ = 1 + rng_.below(plan_.servers);
}

void Drawing::networks() {
  static constexpr StepKind kKinds[] = {StepKind::delay, StepKind::slow,   StepKind::mtu,
                                        StepKind::loss,  StepKind::resets, StepKind::clog,
                                        StepKind::reject};
  // A few kinds in one plan: all at once hide each other.
  const StepKind kinds[] = {kKinds[rng_.below(std::size(kKinds))],
                            kKinds[rng_.below(std::size(kKinds))]};
  for (uint64_t i = times(kSecond); i > 0; --i) {
    Step& step = add_lasting(kinds[rng_.below(2)], 100'000, 6 * kSecond);
    step.a = someone();
    step.b = rng_.chance(1, 4) ? Who{Who::Kind::servers} : anyone();
    step.both = rng_.chance(1, 2);
    if (step.kind == StepKind::delay) step.amount = time_between(1'000, 800'000);
    if (step.kind == StepKind::slow) step.amount = 2'000 + rng_.below(500'000);
    if (step.kind == StepKind::mtu) step.amount = 200 + rng_.below(4'000);
    if (step.kind == StepKind::loss) step.amount = 5 + rng_.below(300);
    if (step.kind == StepKind::resets) step.amount = 5 + rng_.below(1'000);
  }
}

void Drawing::partitions() {
  for (uint64_t i = times(2 * kSecond); i > 0; --i) {
    Step& step = add_lasting(StepKind::cut, 200'000, 8 * kSecond);
    step.a = someone();
    step.b = rng_.chance(1, 3) ? Who{Who::Kind::servers} : anyone();
    step.both = rng_.chance(2, 3);
  }
  if (!rng_.chance(1, 2)) return;
  // One side and the other.
  const uint64_t split = rng_.next();
  const uint64_t at_us = moment();
  const uint64_t for_us = time_between(500'000, 8 * kSecond);
  for (uint64_t a = 1; a <= plan_.servers; ++a) {
    for (uint64_t b = a + 1; b <= plan_.servers; ++b) {
      if (((split >> a) & 1U) == ((split >> b) & 1U)) continue;
      Step& step = add(StepKind::cut, for_us);
      step.at_us = at_us;
      step.a = server(a);
      step.b = server(b);
    }
  }
}

void Drawing::flapping() {
  for (uint64_t i = 1 + rng_.below(3); i > 0; --i) {
    Step& step = add_lasting(StepKind::flap, kSecond, 8 * kSecond);
    step.a = someone();
    step.b = rng_.chance(1, 4) ? Who{Who::Kind::servers} : someone();
    step.both = rng_.chance(2, 3);
    step.amount = time_between(20'000, kSecond);
  }
}

void Drawing::processes() {
  for (uint64_t i = times(2 * kSecond); i > 0; --i) {
    Step& step =
        add_lasting(rng_.chance(1, 4) ? StepKind::stop : StepKind::kill, 50'000, 5 * kSecond);
    step.a = rng_.chance(1, 12) ? Who{Who::Kind::servers} : someone();
  }
}

void Drawing::machines() {
  static constexpr CrashKind kKinds[] = {CrashKind::machine_lost, CrashKind::machine_kept,
                                         CrashKind::machine_torn, CrashKind::machine_mixed};
  for (uint64_t i = times(3 * kSecond); i > 0; --i) {
    Step& step = add_lasting(StepKind::crash, 50'000, 5 * kSecond);
    step.a = rng_.chance(1, 6) ? Who{Who::Kind::servers} : someone();
    step.crash = kKinds[rng_.below(std::size(kKinds))];
  }
}

void Drawing::pauses() {
  for (uint64_t i = times(2 * kSecond); i > 0; --i) {
    const bool whole = rng_.chance(1, 2);
    Step& step = add_lasting(whole ? StepKind::pause : StepKind::stall, whole ? 200'000 : 5'000,
                             6 * kSecond);
    step.a = rng_.chance(1, 12) ? Who{Who::Kind::servers} : someone();
  }
}

void Drawing::slow_disks() {
  for (uint64_t i = times(3 * kSecond); i > 0; --i) {
    const bool stuck = rng_.chance(1, 3);
    Step& step =
        add_lasting(stuck ? StepKind::stuck_sync : StepKind::slow_sync, 200'000, 6 * kSecond);
    step.a = rng_.chance(1, 8) ? Who{Who::Kind::servers} : someone();
    if (!stuck) step.amount = time_between(1'000, 1'500'000);
  }
}

void Drawing::failing_disks() {
  for (uint64_t i = times(4 * kSecond); i > 0; --i) {
    const uint64_t which = rng_.below(3);
    if (which == 0) {
      add(StepKind::fail_sync, 0).a = someone();
    } else if (which == 1) {
      Step& step = add_lasting(StepKind::fail_reads, 200'000, 4 * kSecond);
      step.a = someone();
      step.amount = 1 + rng_.below(200);
    } else {
      Step& step = add_lasting(StepKind::full, 500'000, 5 * kSecond);
      step.a = rng_.chance(1, 3) ? Who{Who::Kind::servers} : someone();
      step.amount = rng_.below(2 * kMiB);
    }
  }
}

/// One server loses its disk, or gets one that is not the newest, or rots.
void Drawing::lost_disk() {
  if (weak_ == 0) return;
  loses_disk_ = true;
  uint64_t loss = rng_.below(6);
  // Both claimants of one identity are refused: together they must be a minority.
  if (loss == 2 && plan_.slots < 5) loss = 5;
  switch (loss) {
    case 0: add_lasting(StepKind::wipe, 50'000, 3 * kSecond).a = server(weak_); break;
    case 1: {
      Step& save = add(StepKind::save, 0);
      save.a = server(weak_);
      save.at_us = plan_.faults_us / 8;
      Step& back = add_lasting(StepKind::rollback, 50'000, kSecond);
      back.a = server(weak_);
      back.at_us = std::max(back.at_us, plan_.faults_us / 4);
      break;
    }
    case 2: {
      Step& step = add_lasting(StepKind::copy, 50'000, kSecond);
      step.a = server(weak_ % plan_.servers + 1);
      step.b = server(weak_);
      break;
    }
    case 3: add_lasting(StepKind::foreign, kSecond, 5 * kSecond).a = server(weak_); break;
    case 4: {
      Step& rot = add(StepKind::rot, 0);
      rot.a = server(weak_);
      rot.amount = 1 + rng_.below(3);
      const uint64_t rot_us = rot.at_us;  // the next step moves the others
      Step& kill = add_lasting(StepKind::kill, 50'000, kSecond);
      kill.a = server(weak_);
      kill.at_us = std::max(rot_us, kill.at_us);
      break;
    }
    case 5: {
      // What was synced last is gone with the power, and those who know better may be gone as well.
      Step& kill = add_lasting(StepKind::kill, 50'000, kSecond);
      kill.a = server(weak_);
      const uint64_t at_us = kill.at_us;
      Step& rot = add(StepKind::rot_tail, 0);
      rot.a = server(weak_);
      rot.at_us = at_us + 1'000;
      rot.amount = 1 + rng_.below(3);
      if (rng_.chance(1, 3)) break;
      Step& others = add_lasting(StepKind::kill, 50'000, kSecond);
      others.a = rng_.chance(1, 2) ? Who{Who::Kind::servers} : Who{Who::Kind::leader};
      others.at_us = at_us;
      break;
    }
    default: UNREACHABLE();
  }
}

void Drawing::clocks() {
  for (uint64_t number = 1; number <= plan_.servers; ++number) {
    if (rng_.chance(2, 3)) plan_.drift_ppm[number] = rng_.between(-10'000, 10'000);
  }
  for (uint64_t i = rng_.below(6); i > 0; --i) {
    Step& step = add(rng_.chance(1, 2) ? StepKind::wall : StepKind::wall_back, 0);
    step.a = someone();
    step.amount = time_between(1'000, 100'000 * kSecond);
  }
}

void Drawing::membership() {
  for (uint64_t i = 1 + rng_.below(4); i > 0; --i) {
    switch (rng_.below(4)) {
      case 0: add(StepKind::empty_slot, 0).amount = rng_.below(plan_.slots); break;
      case 1: add(StepKind::create_slot, 0).amount = plan_.slots + rng_.below(2); break;
      case 2: add(StepKind::delete_slot, 0).amount = rng_.below(plan_.slots + 1); break;
      case 3: add(StepKind::add_server, 0); break;
      default: UNREACHABLE();
    }
  }
}

/// Members change, several at once, and in the midst of it the old and the new ones are torn apart,
/// or whoever leads the change falls.
void Drawing::torn_change() {
  static constexpr StepKind kBlows[] = {StepKind::cut,   StepKind::cut,   StepKind::cut,
                                        StepKind::crash, StepKind::pause, StepKind::kill};
  for (uint64_t i = 1 + rng_.below(3); i > 0; --i) {
    const uint64_t at_us = moment();
    const bool shrinks = plan_.slots >= 3 && rng_.chance(2, 3);
    const uint64_t first = rng_.below(plan_.slots);
    for (uint64_t n = 0; n < (plan_.slots == 1 ? 1 : 2); ++n) {
      const StepKind kind = !shrinks            ? StepKind::create_slot
                            : rng_.chance(1, 2) ? StepKind::empty_slot
                                                : StepKind::delete_slot;
      Step& change = add(kind, 0);
      change.at_us = at_us;
      change.amount = shrinks ? (first + n) % plan_.slots : plan_.slots + n;
      if (!shrinks) add(StepKind::add_server, 0).at_us = at_us / 4'000 * 3'000;
    }
    // Slow disks keep both sets in charge for longer.
    if (rng_.chance(1, 2)) {
      Step& slow = add_lasting(StepKind::slow_sync, 500'000, 2 * kSecond);
      slow.at_us = at_us;
      slow.a = {Who::Kind::servers};
      slow.amount = time_between(10'000, 200'000);
    }
    for (uint64_t blows = 1 + rng_.below(2); blows > 0; --blows) {
      Step& blow = add_lasting(kBlows[rng_.below(std::size(kBlows))], 200'000, 6 * kSecond);
      // The change begins within a tenth of a second after the slots were written.
      blow.at_us = at_us + rng_.below(rng_.chance(1, 2) ? 120'000 : 600'000) / 1'000 * 1'000;
      blow.a = {Who::Kind::leader};
      if (blow.kind == StepKind::cut) blow.b = {Who::Kind::servers};
      if (blow.kind == StepKind::crash) blow.crash = CrashKind::machine_lost;
    }
  }
}

void Drawing::load() {
  for (uint64_t i = times(3 * kSecond); i > 0; --i) {
    Step& step = add(StepKind::burst, 0);
    step.a = someone();
    if (rng_.chance(1, 4)) {
      step.amount = 5 + rng_.below(kLargeBurstMax - 5);
      continue;
    }
    // Where ways are long, watches take theirs to hear of all that.
    step.amount = kLargeBurstMax + (10 + rng_.below(2'000)) * 1'000 / (1'000 + plan_.latency_us);
  }
}

/// Only the log is slow, or only what is beside it hangs; and the machine may fall meanwhile.
void Drawing::lanes() {
  keep_little();
  for (uint64_t i = times(3 * kSecond); i > 0; --i) {
    const Who who = someone();
    const uint64_t for_us = time_between(50'000, 2 * kSecond);
    Step& slow = add(rng_.chance(1, 2) ? StepKind::slow_log : StepKind::stuck_bulk, for_us);
    slow.a = who;
    if (slow.kind == StepKind::slow_log) slow.amount = time_between(10'000, 300'000);
    const uint64_t at_us = slow.at_us;
    if (rng_.chance(1, 2)) continue;
    falls(at_us + rng_.below(for_us), who, kSecond);
  }
}

/// For at most so long, by a crash or the end of its process; what of its disk is left is whole.
void Drawing::falls(uint64_t at_us, const Who& who, uint64_t most_us) {
  Step& fall = add_lasting(rng_.chance(1, 2) ? StepKind::crash : StepKind::kill, 50'000, most_us);
  fall.at_us = at_us / 1'000 * 1'000;
  fall.a = who;
  const bool lost = rng_.chance(1, 2);
  if (fall.kind != StepKind::crash) return;
  fall.crash = lost ? CrashKind::machine_lost : CrashKind::machine_kept;
}

/// So that who was away for a moment needs a snapshot.
void Drawing::keep_little() {
  plan_.snapshot_bytes = (16 + rng_.below(48)) * kKiB;
  plan_.retain_entries = 5 + rng_.below(40);
  plan_.history = 5 + rng_.below(200);
}

void Drawing::leader_falls(uint64_t from_us, uint64_t within_us) {
  static constexpr StepKind kBlows[] = {StepKind::kill, StepKind::pause, StepKind::cut};
  Step& blow = add_lasting(kBlows[rng_.below(std::size(kBlows))], 200'000, 3 * kSecond);
  blow.at_us = from_us + rng_.below(within_us) / 1'000 * 1'000;
  blow.a = {Who::Kind::leader};
  if (blow.kind == StepKind::cut) blow.b = {Who::Kind::servers};
}

/// A leader is cut off while much is asked of it, so that its log and that of the next one grow
/// apart; when they meet again, some fall.
void Drawing::rivals() {
  if (rng_.chance(1, 2)) keep_little();
  for (uint64_t i = times(4 * kSecond); i > 0; --i) {
    const uint64_t for_us = time_between(300'000, 2'500'000);
    Step& cut = add(StepKind::cut, for_us);
    cut.a = {Who::Kind::leader};
    cut.b = {Who::Kind::servers};
    const uint64_t at_us = cut.at_us;
    Step& much = add(StepKind::burst, 0);
    much.at_us = at_us;
    much.a = {Who::Kind::leader};
    much.amount = 5 + rng_.below(300);
    if (rng_.chance(1, 2)) continue;
    const Who who = rng_.chance(1, 3) ? Who{Who::Kind::servers} : someone();
    falls(at_us + for_us + rng_.below(500'000), who, 500'000);
  }
}

/// One hears nothing for a moment, comes back by a snapshot, and then the leader falls.
void Drawing::laggards() {
  keep_little();
  for (uint64_t i = times(2 * kSecond); i > 0; --i) {
    const uint64_t for_us = time_between(50'000, 1'500'000);
    Step& cut = add(StepKind::cut, for_us);
    cut.a = {Who::Kind::servers};
    cut.b = server(1 + rng_.below(plan_.servers));
    cut.both = rng_.chance(1, 4);
    const uint64_t at_us = cut.at_us;
    if (rng_.chance(1, 2)) leader_falls(at_us + for_us, 600'000);
  }
}

/// A majority is to outlive the disk that is lost: there is one without it all the time, and trash
/// brings no other log into doubt meanwhile.
void Drawing::spare_majority() {
  if (!loses_disk_) return;
  uint64_t removable = plan_.slots - std::min<uint64_t>(plan_.slots, 3);
  std::erase_if(plan_.steps, [&](const Step& step) {
    if (step.kind != StepKind::empty_slot && step.kind != StepKind::delete_slot) return false;
    if (removable == 0) return true;
    --removable;
    return false;
  });
  for (Step& step : plan_.steps) {
    if (step.kind != StepKind::crash || step.a == server(weak_)) continue;
    if (step.crash == CrashKind::machine_mixed) step.crash = CrashKind::machine_kept;
  }
}

Plan Drawing::draw() {
  struct Chance {
    Family family;
    uint64_t percent;
  };
  static constexpr Chance kFamilies[] = {
      {&Drawing::networks, 35},   {&Drawing::partitions, 45},    {&Drawing::flapping, 20},
      {&Drawing::processes, 40},  {&Drawing::machines, 35},      {&Drawing::pauses, 30},
      {&Drawing::slow_disks, 25}, {&Drawing::failing_disks, 15}, {&Drawing::lost_disk, 20},
      {&Drawing::clocks, 30},     {&Drawing::membership, 20},    {&Drawing::torn_change, 15},
      {&Drawing::load, 20},       {&Drawing::lanes, 12},         {&Drawing::rivals, 12},
      {&Drawing::laggards, 12}};
  shape();
  for (const Chance& chance : kFamilies) {
    if (rng_.chance(chance.percent, 100)) (this->*chance.family)();
  }
  sort_by_time(plan_.steps);
  spare_majority();
  return plan_;
}

}  // namespace

Plan draw_plan(uint64_t seed) { return Drawing(seed).draw(); }

}  // namespace doozer::sim
