// Pulling one snapshot from whoever has it, chunk by chunk, through losses and changes of source.
// Pure: step(Input) -> Output; the bytes of the questions and answers are the caller's.
//
//   ask who has one -> choose -> ask for chunks, kPullWindow at a time -> give them out in order
//
// Sources are exchangeable if they offer the same snapshot with the same digest in as many chunks.
// If all are lost, those that show up with the same one go on where the others stopped; if none
// does within kPullResumeUs, another snapshot is begun from its first chunk. It must never give out
// a chunk twice, out of order, or of another snapshot than the one that was begun last.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/hash.h"
#include "base/types.h"
#include "raft/events.h"
#include "raft/types.h"

namespace doozer::raft {

constexpr size_t kPullWindow = 4;              ///< chunks asked for or not yet taken
constexpr uint64_t kPullAskUs = 300'000;       ///< who has one is asked again after so long
constexpr uint64_t kPullChunkUs = 1'000'000;   ///< a chunk is asked for again after so long
constexpr uint64_t kPullResumeUs = 3'000'000;  ///< lost sources are waited for so long
constexpr size_t kPullFailuresMax = 3;         ///< in a row, before a source is given up
constexpr size_t kPullSourcesMax = 32;
constexpr uint64_t kPullChunksMax = uint64_t{1} << 32U;

/// What a server says that it has.
struct SnapshotOnOffer {
  LogPosition point;
  uint64_t chunks = 0;  ///< from 1
  Hash128 digest;       ///< of the bytes, so that equal ones have equal chunks

  bool operator==(const SnapshotOnOffer&) const = default;
};

class SnapshotPull {
 public:
  /// Pull this or a newer one; `from` has it. A pull that is under way goes on.
  struct Want {
    FetchSnapshot wanted;
  };
  /// All servers that could be asked now.
  struct Servers {
    std::vector<Identity> reachable;
  };
  /// An answer to Output::ask: nullopt if it has none that is new enough.
  struct Answer {
    Identity from;
    std::optional<SnapshotOnOffer> has;
  };
  struct Chunk {
    Identity from;
    LogPosition point;
    uint64_t number = 0;  ///< from 0
    std::string bytes;
  };
  /// The source does not have it (any more).
  struct Gone {
    Identity from;
    LogPosition point;
  };
  /// The caller is done with all chunks below `count` of the snapshot that was begun last.
  struct Taken {
    uint64_t count = 0;
  };
  struct Tick {};
  /// The snapshot is not wanted any more.
  struct Cancel {};

  using Event = std::variant<Want, Servers, Answer, Chunk, Gone, Taken, Tick, Cancel>;
  struct Input {
    uint64_t now_us = 0;
    Event event;
  };

  struct AskChunk {
    Identity to;
    LogPosition point;
    uint64_t number = 0;
  };
  struct Output {
    std::vector<Identity> ask;  ///< which newest snapshot do you have, at least `ask_from`?
    Index ask_from;
    std::vector<AskChunk> chunks;
    /// Drop what was taken before: the chunks that follow are of this one.
    std::optional<SnapshotOnOffer> begin;
    std::vector<std::string> taken;  ///< the next chunks, in order
    bool complete = false;           ///< all chunks were taken; the pull is idle again
    uint64_t next_deadline_us = 0;   ///< step with Tick at this time; 0: no need
  };

  Output step(Input input);

  bool idle() const { return !wanted_; }
  /// What is being pulled, if a source was found.
  const std::optional<SnapshotOnOffer>& current() const { return current_; }
  uint64_t chunks_taken() const { return done_; }

 private:
  struct Source {
    Identity identity;
    size_t failures = 0;  ///< in a row
  };
  struct Slot {
    Identity asked;  ///< none: nobody
    uint64_t asked_us = 0;
    bool arrived = false;
    bool given = false;  ///< to the caller
    std::string bytes;
  };

  void on(Want& event, Output& out);
  void on(Servers& event, Output& out);
  void on(Answer& event, Output& out);
  void on(Chunk& event, Output& out);
  void on(Gone& event, Output& out);
  void on(Taken& event, Output& out);
  void on(Tick& event, Output& out);
  void on(Cancel& event, Output& out);
  void begin(const SnapshotOnOffer& offer, Output& out);
  void reset();
  void ask_around(Output& out);
  void ask_chunks(Output& out);
  void give(Output& out);
  void remove_source(const Identity& identity);
  void blame(const Identity& identity);
  const Identity* next_source();
  uint64_t deadline() const;

  uint64_t now_us_ = 0;
  std::optional<FetchSnapshot> wanted_;  ///< nullopt: idle
  std::vector<Identity> reachable_;
  uint64_t asked_us_ = 0;  ///< who has one; 0: not yet
  std::optional<SnapshotOnOffer> current_;
  std::vector<Source> sources_;    ///< of current_
  size_t turn_ = 0;                ///< whose turn it is among them
  uint64_t sourceless_since_ = 0;  ///< current_ without sources
  uint64_t done_ = 0;              ///< chunks that the caller took
  std::deque<Slot> window_;        ///< chunks done_ ..
};

}  // namespace doozer::raft
