// A plan: everything that makes one simulated world, but for what its seed draws on the way. Plain
// data, printed and read as text, so that a run can be repeated, cut down and kept.
//
//   seed 17
//   servers 5                      processes that exist from the beginning; the rest are standbys
//   slots 3
//   clients 6
//   faults 12s                     how long the steps have; then everything is healed
//   drift s2 800                   its clock gains 800 us a second
//   at 1.5s for 2s cut leader <> servers
//   at 4s for 300ms kill s1
//   at 5s crash servers torn       until the heal, having no `for`
//
// `a <> b` is both ways, `a > b` one. Who: s1..., c1... (a client's host), `leader`, `follower`
// (the first member that does not lead) as they are when the step comes, `servers`, `clients`.
// `#` begins a comment. Times of steps count from the moment at which the cluster serves.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sim/disk.h"

namespace doozer::sim {

constexpr uint64_t kPlanServersMax = 9;
constexpr uint64_t kPlanClientsMax = 64;
constexpr uint64_t kPlanStepsMax = 10'000;
constexpr uint64_t kLargeBurstMax = 40;               ///< of so few writes each is large
constexpr uint64_t kPlanTimeUsMax = 100'000'000'000;  ///< a day and more

struct Who {
  enum class Kind : uint8_t { server, client, leader, follower, servers, clients };
  Kind kind = Kind::server;
  uint64_t number = 0;  ///< server, client: from 1
  bool operator==(const Who&) const = default;
};

enum class StepKind : uint8_t {
  // Ways between hosts.
  cut,     ///< nothing arrives, nobody is told
  reject,  ///< connections are refused and reset
  clog,    ///< everything is held, then released at once
  flap,    ///< cut and healed in turn, amount: microseconds of each
  delay,   ///< amount: microseconds, and up to as much again
  slow,    ///< amount: bytes a second
  mtu,     ///< amount: bytes above which a piece vanishes
  loss,    ///< amount: pieces in a thousand that must be sent again
  resets,  ///< amount: pieces in ten thousand that break their connection
  // Processes and machines; they start again at the end.
  kill,   ///< the process ends without a word
  stop,   ///< it is asked to stop
  crash,  ///< the machine is off: silence, and the disk keeps what `crash` says
  pause,  ///< the whole process gets no time (SIGSTOP)
  stall,  ///< its loop gets no time; what runs beside it does
  // Disks.
  slow_sync,   ///< amount: microseconds that each sync takes longer
  stuck_sync,  ///< syncs do not return before the end
  slow_log,    ///< amount: microseconds that each sync of the log takes longer, and of nothing else
  stuck_bulk,  ///< what writes snapshots and deletes files gets none
  fail_sync,   ///< the next sync fails
  fail_reads,  ///< amount: reads in a thousand that fail
  rot,         ///< amount: bits that flip in log and snapshots
  rot_tail,    ///< amount: bits that flip in what was last written to the log
  full,        ///< amount: bytes that are left free
  wipe,        ///< the process ends and comes back with an empty disk
  save,        ///< remembers the disk, for a later rollback
  rollback,    ///< the process ends and comes back with the disk as saved
  copy,        ///< of `a`; the process of `b` ends and comes back with it
  foreign,     ///< a server of another cluster runs at this address meanwhile
  // Clocks.
  wall,       ///< the wall clock jumps ahead, amount: microseconds
  wall_back,  ///< and back
  // Membership, by a client's write to /ctl/cal.
  empty_slot,   ///< amount: the number of the slot
  create_slot,  ///< amount: the number of the slot
  delete_slot,  ///< amount: the number of the slot
  add_server,   ///< one more process, that attaches
  // Load.
  burst,  ///< amount: writes sent at once to `a`
};

/// What a kind of step needs, and how it is written.
struct StepRule {
  StepKind kind;
  std::string_view name;
  enum class Family : uint8_t { path, process, disk, swap, wall, slot, grow, load } family;
  enum class Takes : uint8_t { nobody, one, path, pair } takes;
  enum class Amount : uint8_t { none, number, time } amount;
  bool lasts;  ///< may have a `for`
};
const StepRule& rule_of(StepKind kind);
/// nullptr if there is none of that name.
const StepRule* find_rule(std::string_view name);

struct Step {
  uint64_t at_us = 0;
  uint64_t for_us = 0;  ///< 0: until everything is healed
  StepKind kind = StepKind::cut;
  Who a = {};
  Who b = {};        ///< path and pair
  bool both = true;  ///< path: also from b to a
  uint64_t amount = 0;
  CrashKind crash = CrashKind::machine_lost;  ///< `crash` only
  bool operator==(const Step&) const = default;
};

struct Plan {
  std::string name = {};  ///< of a named plan; empty otherwise
  uint64_t seed = 1;
  uint64_t servers = 3;
  uint64_t slots = 3;
  uint64_t clients = 6;
  uint64_t faults_us = 10'000'000;
  uint64_t timeout_us = 10'000'000;  ///< --timeout of each server
  uint64_t history = 0;              ///< --history; 0: the default
  uint64_t snapshot_bytes = 0;       ///< a snapshot after so much log; 0: the default
  uint64_t pulse_us = 50'000;        ///< between two writes of the client that tries each server
  uint64_t sync_us = 2'000;          ///< what a disk takes to sync
  uint64_t retain_entries = 0;       ///< of the log, for those that lag; 0: the default
  uint64_t latency_us = 100;         ///< of every way, and up to half as much more
  std::map<uint64_t, int64_t> drift_ppm = {};  ///< by number of the server
  std::vector<Step> steps = {};                ///< by rising time
  bool operator==(const Plan&) const = default;
};

std::string to_string(const Who& who);
/// "1.5s", "300ms", "40us", "0s".
std::string time_text(uint64_t us);
/// One line without its end.
std::string to_string(const Step& step);
/// The text that parse_plan() reads back.
std::string to_string(const Plan& plan);

/// By rising time; those of one time stay in their order. (Some dozens: std::stable_sort of this
/// library warns under clang.)
void sort_by_time(std::vector<Step>& steps);

/// Errors: bad_argument, "line 3: ..." naming the word. Checks everything that a run relies on.
Result<Plan> parse_plan(std::string_view text);

}  // namespace doozer::sim
