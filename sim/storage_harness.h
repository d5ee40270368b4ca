// One server reduced to its storage, so that crash tests can judge it: a session writes a log of
// core commands through storage::Storage on a SimDisk, a model remembers every step that it gave
// out and which of them were acknowledged, and examine() compares what a later boot recovers.
//
// The rule: the log that is recovered is the one after some number of steps, in order, not fewer
// than were acknowledged and not more than were given out. So nothing acknowledged is missing,
// nothing refused is there and nothing stale came back.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/rng.h"
#include "core/machine.h"
#include "raft/types.h"
#include "sim/disk.h"
#include "sim/loop.h"
#include "storage/storage.h"

namespace doozer::sim {

/// One call that changes the log.
struct LogStep {
  enum class Kind : uint8_t { append, truncate, hard_state } kind = Kind::append;
  raft::Entry entry = {};           ///< append
  Index from = {};                  ///< truncate
  raft::HardState hard_state = {};  ///< hard_state
};

/// What a number of steps amounts to.
struct LogState {
  std::vector<raft::Entry> entries;  ///< entries[i] has index i + 1
  raft::HardState hard_state;

  void apply(const LogStep& step);
  Index last_index() const { return Index(entries.size()); }
  Term last_term() const { return entries.empty() ? Term() : entries.back().term; }
};

/// What must be true of the directory, whatever happens to its server. Copyable.
struct LogModel {
  std::vector<std::shared_ptr<const LogStep>> steps;
  size_t durable = 0;  ///< of the steps: so many were acknowledged
  bool created = false;
  Index committed;  ///< durable, applied, never cut off
  /// Of a machine that applied the committed entries and never saw a disk; [i] at index i.
  std::vector<core::Digests> digests = {core::Digests{}};
  /// The tree by a rule of its own: value and revision of each path, and the store's revision.
  std::map<std::string, std::pair<std::string, int64_t>> tree;
  int64_t revision = 0;
  std::set<Index> snapshots;  ///< published, told, and not purged
  Incarnation incarnation;    ///< the highest that any boot was told

  void add(LogStep step) { steps.push_back(std::make_shared<LogStep>(std::move(step))); }
  LogState state_after(size_t count) const;
};

/// One boot of the server: from recovery to its end, which is its destructor.
class Session {
 public:
  /// Creates the directory if nothing of it is there, opens it, judges what was recovered and loads
  /// the machine. Errors: those of the storage. A complaint() means that a promise was broken.
  static Result<std::unique_ptr<Session>> start(SimDisk& disk, LogModel& model, uint64_t seed);
  ~Session();

  const storage::Recovered& recovered() const { return storage_->recovered(); }
  storage::Storage& storage() { return *storage_; }
  core::Machine& machine() { return *machine_; }
  SimClock& clock() { return clock_; }
  /// What was found wrong; empty if nothing.
  const std::string& complaint() const { return complaint_; }
  /// The disk crashed or the log died: no further step is taken.
  bool dead() const { return dead_.has_value() || disk_.crashed(); }
  /// The error that on_persisted() told, if it did.
  const std::optional<Error>& told_dead() const { return dead_; }
  Index last_index() const { return last_; }
  Term term() const { return term_; }

  // --- Steps; nothing is waited for.
  std::string draw_path();
  void append_set(size_t value_bytes);
  void append_del();
  void append_noop();
  void truncate_from(Index index);
  /// A new term with a vote; the commit hint is what is committed.
  void new_term();
  void flush();

  // --- Waiting
  /// Until everything flushed is acknowledged; false if the server died.
  bool settle();
  /// Lets virtual time pass (idle markers, deletions).
  void pass(uint64_t us) {
    if (!dead()) clock_.run_until(clock_.now_us() + us);
  }
  /// Applies everything that is durable in the log to machine and model.
  void commit_all();
  /// Writes and publishes a snapshot of the machine. False if the server died; `error` if the
  /// snapshot alone failed.
  bool take_snapshot(Error* error = nullptr);
  /// Drops all snapshots but the newest, and the log before it.
  void purge();

 private:
  Session(SimDisk& disk, LogModel& model, uint64_t seed);
  Result<void> open();
  void note_created();
  Result<void> examine();
  Result<void> examine_log();
  Result<void> examine_snapshots();
  void append(raft::EntryKind kind, std::string payload);
  void persisted(Result<uint64_t> tag);
  void complain(std::string what);
  bool run_until(const std::function<bool()>& done);

  // Fixed after construction.
  SimDisk& disk_;
  LogModel& model_;
  Rng rng_;
  struct Silence final : LogSink {
    void write(const LogRecord&) override {}
  } sink_;
  LogContext context_;
  SimClock clock_;
  SimLanes lanes_;
  // Volatile.
  std::unique_ptr<storage::Storage> storage_;
  std::unique_ptr<core::Machine> machine_;
  std::string complaint_;
  std::optional<Error> dead_;
  Index last_;
  Term term_;
  raft::HardState hard_state_;
  uint64_t tag_ = 0;
  uint64_t persisted_ = 0;
  std::map<uint64_t, size_t> steps_at_tag_;
};

/// The storage options of these tests: small segments, no reserve worth mentioning.
storage::StorageOptions crash_test_options();

/// Loads the image of a snapshot into an empty machine and checks it against the header.
/// Errors: corrupt, io_error.
Result<std::unique_ptr<core::Machine>> load_snapshot(storage::Storage& storage, Index index);

}  // namespace doozer::sim
