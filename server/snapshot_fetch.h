// Pulls a snapshot from other servers, into a new machine and onto this disk at once, and has it
// installed (design section 4, "Snapshots are pulled").
//
// Snapshots of one index and term have the same bytes wherever they are (docs/image-format.md), and
// the digests are compared at the end. So a lost chunk is asked for again, and where one source
// falls silent, or has lost the snapshot, any other server that has it goes on. What was begun is
// pulled to its end, however often a newer one is offered meanwhile: at a slow link each would be
// outdated before it is whole. Only if nobody goes on with it for kSnapshotGiveUpUs another one is
// begun.
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
#include "base/types.h"
#include "core/machine.h"
#include "env/clock.h"
#include "server/peer_message.h"
#include "storage/storage.h"

namespace doozer::server {

class SnapshotFetch {
 public:
  struct Hooks {
    std::function<void(const Identity& to, std::string payload)> post;
    /// Who could be asked just now, in the order of their identities, without this server.
    std::function<std::vector<Identity>()> others;
    /// Right before machine and log are replaced: is it still wanted? From then on, if so, the
    /// replica appends nothing until `installed` or `failed`.
    std::function<bool(const raft::SnapshotPoint&)> begin_install;
    std::function<void(std::unique_ptr<core::Machine>, const raft::SnapshotPoint&)> installed;
    std::function<void()> install_failed;
    /// A machine that is no longer needed: to be freed in slices.
    std::function<void(std::unique_ptr<core::Machine>)> discard;
  };
  SnapshotFetch(env::Clock& clock, storage::Storage& storage, const core::MachineOptions& machine,
                Hooks hooks, const Logger& logger);
  ~SnapshotFetch();
  SnapshotFetch(const SnapshotFetch&) = delete;
  SnapshotFetch& operator=(const SnapshotFetch&) = delete;

  /// A snapshot is needed, of `point` or (term 0) not below its index; `from` should have one. Said
  /// again and again while it is.
  void want(const Identity& from, const raft::LogPosition& point);
  void on_chunk(const Identity& from, const SnapshotChunk& chunk);
  void on_gone(const Identity& from, const SnapshotGone& gone);
  /// Goes on with what waited for the disk.
  void turn_end();
  bool running() const { return source_.has_value(); }
  /// Nothing has come for long: want() may tell of a better source.
  bool stalled() const;
  bool installing() const { return installing_; }
  /// Gives up what is under way (but not an installation).
  void stop();

 private:
  bool goes_on(const Identity& from, const raft::LogPosition& point);
  raft::LogPosition under_way() const;
  bool next_source();
  void go_on_at(const Identity& source);
  void ask(uint64_t first);
  void arm_timer();
  void on_timer();
  void begin(const storage::SnapshotHeader& header);
  void consume();
  Result<void> take(std::string bytes);
  void complete();
  void install();
  void give_up(std::string_view why);
  void drop_image();

  // Fixed after construction.
  env::Clock& clock_;
  storage::Storage& storage_;
  core::MachineOptions machine_options_;
  Hooks hooks_;
  Logger logger_;
  // Volatile.
  std::optional<Identity> source_;  ///< who is asked; none: nothing is under way
  raft::LogPosition wanted_;        ///< asked for, until a header comes
  Identity told_by_;                ///< the newest want(), and
  raft::LogPosition told_;          ///< what it said
  std::set<Identity> without_;      ///< asked in vain for what is under way
  uint64_t began_us_ = 0;
  uint64_t progress_us_ = 0;
  uint64_t source_since_us_ = 0;
  env::TimerId timer_ = 0;
  std::optional<storage::SnapshotHeader> header_;  ///< of the one that is being fetched
  std::unique_ptr<core::Machine> machine_;
  std::unique_ptr<core::ImageReader> image_;
  std::unique_ptr<storage::SnapshotWriter> writer_;
  uint64_t next_ = 0;                        ///< chunk that is taken next
  uint64_t asked_to_ = 0;                    ///< chunks before it were asked for
  std::map<uint64_t, std::string> waiting_;  ///< came, and not yet taken; at most the window
  std::optional<uint64_t> end_;              ///< so many chunks there are
  bool installing_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace doozer::server
