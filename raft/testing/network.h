// Servers that are only cores, with disks and a network between them, all from one seed: messages
// are lost, doubled, late and out of order, disks are slow, crashes lose what was not synced, links
// are cut. After each step all invariants are checked. For tests of the core alone; whole servers
// live in sim/.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "raft/core.h"
#include "raft/witness.h"

namespace doozer::raft {

/// Identity of server `n`, from 1.
Identity server_id(size_t n);
/// "n3" of server_id(3); "-" of none.
std::string server_name(const Identity& identity);

/// How unkind the world is.
struct Weather {
  uint64_t delay_us_min = 200;
  uint64_t delay_us_max = 2'000;
  uint64_t lost_per_1000 = 0;
  uint64_t doubled_per_1000 = 0;
  uint64_t bulk_us_max = 5'000;  ///< on top of that, for what goes by the bulk connection
  uint64_t disk_us_min = 100;
  uint64_t disk_us_max = 2'000;
  uint64_t snapshot_every = 0;  ///< applied entries; 0: none unless wanted
  bool applies_late = false;    ///< machines lag behind
};

class Network {
 public:
  /// Servers 1 .. servers; the first `voters` are in the configuration that all logs begin with.
  Network(uint64_t seed, size_t servers, size_t voters, Weather weather,
          const Retention& retention = {});

  void set_weather(const Weather& weather) { weather_ = weather; }
  uint64_t now_us() const { return now_us_; }
  size_t size() const { return servers_.size(); }
  bool is_up(size_t n) const { return at(n).core.has_value(); }
  Core& core(size_t n) { return *at(n).core; }
  /// The leader of the highest term; 0: none.
  size_t leader() const;
  Rng& rng() { return rng_; }

  /// Handles what comes next, if it comes within `us`; then it is that much later.
  void run(uint64_t us);
  /// Runs until `condition`, at most `us`; false if it never was true.
  bool run_until(const std::function<bool()>& condition, uint64_t us);

  /// Gives an event to a server now; false if it is down or refuses.
  bool give(size_t n, Event event);
  /// The payload is like no other: if it is refused, it must never be applied anywhere; if it is
  /// taken, it is applied at its index, or another entry is.
  bool propose(size_t n, std::string payload);
  /// Asks for a read at `n`; it is checked when it is answered.
  void read(size_t n);
  uint64_t reads_answered() const { return reads_answered_; }
  uint64_t reads_asked() const { return next_ticket_; }

  /// The process ends; with `power`, what was not synced is lost too (some of it may be there).
  void crash(size_t n, bool power);
  void restart(size_t n);
  /// While down: the last `entries` of the durable log are gone although they were synced.
  void damage(size_t n, uint64_t entries, LogTrust trust);
  /// What is committed is on some other disk than that of `n`.
  bool survives_without(size_t n) const;
  LogTrust trust(size_t n) const { return at(n).disk.trust; }
  /// Servers that see that `n` is down learn so as proof.
  void prove_gone(size_t n);
  void cut(size_t from, size_t to) { cut_.insert({from, to}); }
  void isolate(size_t n);
  void heal() { cut_.clear(); }

  /// The first thing that was wrong.
  const std::optional<std::string>& failure() const { return failure_; }
  /// What every machine must hold: payloads of committed commands in order.
  const std::map<Index, uint64_t>& applied() const { return applied_; }
  Index committed() const { return witness_.committed(); }
  /// A digest of everything that happened.
  uint64_t digest() const { return digest_; }
  uint64_t steps() const { return steps_; }
  /// Hears every message when it is sent and every output, for traces.
  std::function<void(size_t from, const Send& send)> on_send;
  std::function<void(size_t n, const Event& event, const Output& output)> on_step;

 private:
  struct Snapshot {
    SnapshotPoint point;
    uint64_t chain = 0;
  };
  struct Batch {
    uint64_t sequence = 0;
    std::optional<SnapshotPoint> reset;
    std::optional<Index> truncate_from;
    std::vector<Entry> entries;
    std::optional<HardState> hard_state;
  };
  struct Disk {
    HardState hard_state;
    LogPosition below;
    std::deque<Entry> entries;
    std::vector<ConfigurationAt> configurations;  ///< of `below` and before
    std::optional<Snapshot> snapshot;
    LogTrust trust = LogTrust::sound;
    Index doubtful_to;
    uint64_t incarnation = 0;

    Index last() const { return below.index + entries.size(); }
    std::optional<Term> term_of(Index index) const;
  };
  struct Server {
    Identity identity;
    Disk disk;
    std::optional<Core> core;
    std::deque<Batch> batches;
    bool disk_busy = false;
    bool applying = false;
    Index apply_to;
    Index applied;
    uint64_t chain = 0;
    uint64_t wake_us = 0;
    std::optional<LogPosition> fetching;
    std::map<uint64_t, Index> reads;  ///< ticket: what it must not be older than
  };
  using Action = std::function<void()>;

  Server& at(size_t n) { return servers_[n - 1]; }
  const Server& at(size_t n) const { return servers_[n - 1]; }
  void after(uint64_t us, Action action);
  /// The same, unless the server has restarted or crashed by then.
  void after_alive(size_t n, uint64_t us, Action action);
  Output step(size_t n, Event event);
  void look(size_t n, const Output& out);
  void send(size_t from, const Send& message);
  void deliver(size_t from, size_t to, Incarnation from_incarnation, const std::string& bytes);
  void persist(size_t n, const Output& out);
  void sync(size_t n);
  static void write(Disk& disk, const Batch& batch);
  void apply(size_t n);
  void fetch(size_t n, const FetchSnapshot& wanted);
  void install(size_t n, const Snapshot& snapshot);
  void take_snapshot(size_t n);
  static void compact(Disk& disk);
  void wake(size_t n, uint64_t deadline_us);
  void check_outcome(const Entry& entry);
  void check_durable_majority(const Core& core, Index before, const Configuration& decided);
  void fail(const std::string& what);

  Rng rng_;
  Weather weather_;
  Retention retention_;
  uint64_t now_us_ = 1'000;
  std::vector<Server> servers_;
  std::map<std::pair<uint64_t, uint64_t>, Action> agenda_;
  uint64_t next_action_ = 0;
  std::set<std::pair<size_t, size_t>> cut_;
  Witness witness_;
  std::map<Index, uint64_t> applied_;      ///< the chain after each index, as first applied
  std::map<std::string, Index> proposed_;  ///< 0: refused
  uint64_t next_ticket_ = 0;
  uint64_t reads_answered_ = 0;
  uint64_t digest_ = 0;
  uint64_t steps_ = 0;
  std::optional<std::string> failure_;
};

}  // namespace doozer::raft
