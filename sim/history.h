// What happened, as clients and servers saw it: the only thing that the checkers look at. Plain
// data, so that a history comes from a simulated world, from a file or from a test's own hand.
//
// Times are microseconds of one clock that all clients share. An operation whose answer never came
// stays possible for ever: it may take effect at any time after it was invoked, or never.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace doozer::sim {

constexpr uint64_t kNever = UINT64_MAX;

enum class Action : uint8_t { set, del, nop, get, stat, walk, getdir, rev };

inline bool is_write(Action kind) {
  return kind == Action::set || kind == Action::del || kind == Action::nop;
}

enum class Outcome : uint8_t {
  open,     ///< not answered yet; in a history that is over: unknown
  ok,       ///< answered without an error
  refused,  ///< answered with an error that says that nothing happened
  unknown,  ///< may have happened, may happen yet
  failed,   ///< nobody answered, but nothing can have happened (never sent, or only a read)
};

/// One entry of a listing; `revision` and `value` of WALK only.
struct Listed {
  std::string name;  ///< WALK: the whole path; GETDIR: the bare name
  int64_t revision = 0;
  std::string value = {};  ///< a tag
  bool operator==(const Listed&) const = default;
};

struct Op {
  Action kind = Action::nop;
  uint64_t client = 0;
  /// Operations of one session (not 0) never see time run backwards: one connection of a raw
  /// client, or a whole life of the library, which tells each server what it has seen.
  uint64_t session = 0;
  std::string server = {};  ///< address; may be empty if the client does not know
  std::string path = {};    ///< WALK: the glob
  std::string value = {};   ///< a tag (value_tag); of SET what was given, of GET what was answered
  uint64_t length = 0;      ///< SET: bytes of the value. STAT: what was answered
  int64_t cas = -1;         ///< SET, DEL: the revision given
  bool linearizable = false;  ///< reads
  int64_t min_rev = 0;        ///< reads
  int64_t at_rev = 0;         ///< reads: the revision asked for; 0: the newest
  int64_t offset = -1;        ///< WALK, GETDIR: one entry; -1: the whole listing
  uint64_t invoked_us = 0;
  uint64_t completed_us = kNever;  ///< when it was answered, or given up
  Outcome outcome = Outcome::open;
  Code code = Code::other;  ///< unless ok
  /// SET: the new one. GET: the file's, 0 if there is none. STAT: as answered. REV: the answer.
  /// A whole WALK or GETDIR: the one revision that it shows.
  int64_t revision = 0;
  /// What the server had applied when it answered: of a read exactly the state that was read (if
  /// at_rev is 0), of a write at least its own revision. 0: not told.
  int64_t store_rev = 0;
  std::vector<Listed> listed = {};
  bool operator==(const Op&) const = default;
};

/// What a watch heard, in the order in which it heard it.
struct WatchNote {
  enum class Kind : uint8_t {
    event,    ///< one event
    gap,      ///< TOO_LATE: it goes on from `revision`, what lies between is not told
    resumed,  ///< asked again, perhaps elsewhere, from (revision, sub)
    /// By now it must have heard everything up to and including `revision`, which is not below
    /// anything that was acknowledged before `at_us`.
    through,
  };
  enum class Change : uint8_t { nop, set, del };
  Kind kind = Kind::event;
  uint64_t at_us = 0;
  int64_t revision = 0;
  int64_t sub = 0;  ///< how many events of that revision that match the glob came before
  Change change = Change::nop;
  std::string path = {};
  std::string value = {};   ///< a tag
  std::string server = {};  ///< `resumed`: the one asked, if known
  bool operator==(const WatchNote&) const = default;
};

struct Stream {
  uint64_t client = 0;
  std::string glob;
  int64_t from = 1;  ///< the first revision asked for
  std::vector<WatchNote> notes = {};
  bool operator==(const Stream&) const = default;
};

/// What one server did with its log, in its order. `server` is its identity, not its address; where
/// disks are copied or put back, something that tells one disk from another.
struct ReplicaNote {
  enum class Kind : uint8_t {
    started,   ///< a new life; the state is that of `index` (0: empty)
    entry,     ///< applied this entry
    snapshot,  ///< took a snapshot of others; the state is that of `index`, forward or back
    digest,    ///< its digests at `index`
  };
  Kind kind = Kind::entry;
  std::string server;
  uint64_t incarnation = 0;
  uint64_t index = 0;
  uint64_t term = 0;
  uint64_t command = 0;  ///< hash of the entry's bytes
  uint64_t chain = 0;    ///< digest: of (index, command, result) of all entries so far
  uint64_t state = 0;    ///< digest: of the live entries of the tree
  bool operator==(const ReplicaNote&) const = default;
};

struct History {
  std::vector<Op> ops = {};
  std::vector<Stream> streams = {};
  std::vector<ReplicaNote> replicas = {};
  bool operator==(const History&) const = default;
};

/// How a value stands in a history: itself if it has at most 40 bytes, else its beginning, length
/// and hash. Two values of one tag are taken for the same.
std::string value_tag(std::string_view value);

std::string_view kind_name(Action kind);
std::string_view outcome_name(Outcome outcome);
/// One line for people and messages: `#17 client 3 set "/a" = "x" cas 4 -> ok, revision 5`.
std::string describe(const Op& op);

}  // namespace doozer::sim
