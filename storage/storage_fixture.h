// One data directory on a simulated disk, for the tests of this room: open, write, die, open again.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "sim/disk.h"
#include "sim/loop.h"
#include "storage/storage.h"

namespace doozer::storage {

inline Identity test_identity(uint8_t number) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes.fill(number);
  return Identity(bytes);
}

inline const Ownership kTestOwner{.cluster = test_identity(0xC1), .identity = test_identity(0x1D)};
inline const raft::Configuration kTestConfiguration{.voters = {kTestOwner.identity},
                                                    .old_voters = {}};
constexpr StorageOptions kTestOptions{.segment_bytes = kSegmentBytesMin,
                                      .disk_reserve_bytes = 64 * kKiB};
constexpr uint64_t kTestPatienceUs = 60'000'000;

class EventSink : public LogSink {
 public:
  void write(const LogRecord& record) override { events.emplace_back(record.event); }
  bool has(std::string_view event) const {
    for (const std::string& one : events) {
      if (one == event) return true;
    }
    return false;
  }
  std::vector<std::string> events;
};

/// A process on `disk`. Destroying it is kill -9.
class Process {
 public:
  explicit Process(sim::SimDisk& disk, const StorageOptions& options = kTestOptions)
      : disk_(disk), options_(options), lanes_(clock_, &disk) {}

  Result<void> create() { return Storage::create(disk_, kTestOwner, kTestConfiguration, options_); }
  Result<void> open() {
    auto opened = Storage::open(disk_, lanes_, clock_, logger_, options_);
    if (!opened) return fail(opened.error());
    storage_ = *std::move(opened);
    storage_->on_persisted([this](Result<uint64_t> tag) {
      if (tag) {
        EXPECT_GT(*tag, persisted_);
        persisted_ = *tag;
      } else {
        EXPECT_FALSE(error_.has_value());
        error_ = tag.error();
      }
    });
    last_ = storage_->recovered().last_index;
    term_ = std::max(storage_->recovered().last_term, storage_->recovered().hard_state.term);
    return {};
  }

  Storage& storage() { return *storage_; }
  const Recovered& recovered() const { return storage_->recovered(); }
  sim::SimClock& clock() { return clock_; }
  sim::SimLanes& lanes() { return lanes_; }
  EventSink& sink() { return sink_; }
  uint64_t persisted() const { return persisted_; }
  const std::optional<Error>& error() const { return error_; }
  Index last() const { return last_; }
  Term term() const { return term_; }
  void set_term(Term term) { term_ = term; }
  void set_last(Index last) { last_ = last; }

  void add_entry(raft::EntryKind kind, std::string payload) {
    last_ = last_ + 1;
    storage_->append({.index = last_, .term = term_, .kind = kind, .payload = std::move(payload)});
  }
  void add(std::string payload) { add_entry(raft::EntryKind::command, std::move(payload)); }
  void truncate(Index from) {
    storage_->truncate_from(from);
    last_ = from - 1;
  }
  uint64_t flush() {
    storage_->flush(++tag_);
    return tag_;
  }
  /// Runs the loop until the newest flush is durable (or the log died, or the disk crashed).
  bool settle() {
    flush();
    return clock_.run_until_done([this] {
      return persisted_ >= tag_ || error_.has_value() || disk_.crashed();
    }) && persisted_ >= tag_;
  }
  bool put(std::string payload) {
    add(std::move(payload));
    return settle();
  }
  void run_for(uint64_t us) { clock_.run_until(clock_.now_us() + us); }

  void set_hard_state(Term term, Index commit, const Identity& vote = kTestOwner.identity) {
    term_ = term;
    storage_->set_hard_state({.term = term, .vote = vote, .commit = commit});
  }

  Result<std::vector<raft::Entry>> entries() {
    std::vector<raft::Entry> all;
    if (recovered().last_index < recovered().first_index) return all;
    TRY(storage_->replay(recovered().first_index, recovered().last_index,
                         [&](raft::Entry entry) -> Result<void> {
                           all.push_back(std::move(entry));
                           return {};
                         }));
    return all;
  }
  /// Writes a whole snapshot of `chunks` and waits; false if it failed.
  Result<void> snapshot(const SnapshotHeader& header, const std::vector<std::string>& chunks) {
    return write_with(storage_->write_snapshot(header), chunks);
  }
  /// The same with one that came from another server.
  Result<void> receive(const SnapshotHeader& header, const std::vector<std::string>& chunks) {
    auto written = write_with(storage_->write_received_snapshot(header), chunks);
    if (written) last_ = storage_->last_index();
    return written;
  }
  Result<void> write_with(Result<std::unique_ptr<SnapshotWriter>> writer,
                          const std::vector<std::string>& chunks) {
    if (!writer) return fail(writer.error());
    for (const std::string& chunk : chunks) {
      if (!clock_.run_until_done([&] { return (*writer)->ready(); })) {
        return fail(Code::other, "the writer is never ready");
      }
      (*writer)->add(chunk);
    }
    std::optional<Result<void>> ended;
    (*writer)->finish([&](Result<void> result) { ended = std::move(result); });
    if (!clock_.run_until_done([&] { return ended.has_value() || disk_.crashed(); })) {
      return fail(Code::timed_out, "the snapshot does not end");
    }
    if (!ended) return fail(Code::closed, "crashed");
    return *ended;
  }
  static SnapshotHeader header_at(Index index, Term term) {
    return {.cluster = kTestOwner.cluster,
            .identity = kTestOwner.identity,
            .point = {.index = index, .term = term, .configuration = kTestConfiguration},
            .cluster_version = 1,
            .revision = Revision(static_cast<int64_t>(index.value())),
            .chain_digest = {.low = 1, .high = index.value()},
            .state_digest = {.low = 2, .high = term.value()}};
  }

 private:
  sim::SimDisk& disk_;
  const StorageOptions options_;
  sim::SimClock clock_;
  sim::SimLanes lanes_;
  EventSink sink_;
  LogContext context_;
  Logger logger_{sink_, context_, LogLevel::debug};
  std::unique_ptr<Storage> storage_;
  uint64_t tag_ = 0;
  uint64_t persisted_ = 0;
  std::optional<Error> error_;
  Index last_;
  Term term_ = Term(1);
};

}  // namespace doozer::storage
