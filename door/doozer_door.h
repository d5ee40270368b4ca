// The Doozer protocol of one connection (docs/protocol-doozer.md; semantics in full there).
//
// A request is answered at once, or becomes one of these, each in its slab:
//   write    given to the host; its outcome comes by on_written()
//   read     waits for a majority (linearizable), for a revision, for room, or is a listing that
//            goes on slice by slice
//   wait     a WAIT: waits for an event, or for room to answer with it
// "Room" is unsent bytes below the soft limit. An event that comes while there is none is not kept:
// its wait is asked again from that event's position, so that a client that does not read costs a
// cursor and no queue.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "door/access.h"
#include "door/door.h"
#include "door/listings.h"
#include "door/slab.h"
#include "wire/doozer.h"

namespace doozer::door {

/// What an answer needs of its request.
struct Reply {
  int32_t tag = 0;
  wire::Verb verb = wire::Verb::get;
  bool has_tag = false;
  bool extended = false;   ///< `mode` came: an extension client
  bool tell_more = false;  ///< and asked for the extension fields
};

/// A GET, STAT, REV, GETDIR or WALK whose arguments are good.
struct Read {
  Reply reply;
  std::string_view path;                   ///< or the glob
  std::shared_ptr<const core::Glob> glob;  ///< WALK
  std::optional<int64_t> rev;
  int64_t min_rev = 0;
  int32_t offset = 0;
  bool linearizable = false;
};

class DoozerDoor final : public Door,
                         private WriteCompletion,
                         private ReadCompletion,
                         private core::Waiter {
 public:
  DoozerDoor(Host& host, DoorEvents& events);
  ~DoozerDoor() override;
  DoozerDoor(const DoozerDoor&) = delete;
  DoozerDoor& operator=(const DoozerDoor&) = delete;

  Result<size_t> receive(std::string_view bytes) override;
  size_t frame_bytes(std::string_view bytes) const override;
  bool trusted() const override { return access_.may_write(); }
  bool blocked() const override;
  void set_unsent(size_t bytes) override { unsent_ = bytes; }
  bool run(Budget& budget) override;
  std::string& output() override { return output_; }
  bool has_work() const override;
  void end_of_input() override;
  bool give_up(Budget& budget) override;
  bool finished() const override;
  bool must_close() const override { return must_close_; }

 private:
  struct ParkedRead {
    enum class State : uint8_t {
      asking,   ///< a majority
      waiting,  ///< for a revision
      ready,    ///< for room
      listing,  ///< for its turn, or in the middle
    } state = State::asking;
    Read read;  ///< read.path is set anew from `path` at each use
    std::string path;
    core::WatchId watch;
  };
  struct Wait {
    Reply reply;
    std::shared_ptr<const core::Glob> glob;
    core::Position from;
    uint32_t skip = 0;
    bool again = false;  ///< it was deferred and is being asked again
    core::WatchId watch;
  };
  /// Where a WAIT goes on in a revision of several events: keyed by (rev + 1, glob).
  using Continuations = std::multimap<std::pair<int64_t, std::string>, core::Position>;

  // doozer_door.cc: dispatch and answers.
  void handle(const wire::RequestView& request);
  static Reply reply_to(const wire::RequestView& request);
  Result<size_t> refuse_large(std::string_view bytes, size_t frame);
  bool require(const Reply& reply, bool there, std::string_view what);
  void answer(const Reply& reply, wire::ResponseView response);
  void answer_error(const Reply& reply, const Error& error);
  void fill_extension(const Reply& reply, wire::ResponseView& response, Identity& cluster) const;
  bool full() const { return unsent_ + output_.size() >= limits_.unsent_soft; }
  size_t outstanding() const { return writes_.live() + reads_.live() - reads_waiting_; }
  void handle_access(const Reply& reply, const wire::RequestView& request);
  void handle_self(const Reply& reply);
  void handle_status(const Reply& reply);

  // doozer_writes.cc
  void handle_write(const Reply& reply, const wire::RequestView& request);
  void on_written(uint64_t cookie, const WriteOutcome& outcome) override;
  void answer_unknown(const Reply& reply);

  // doozer_reads.cc
  void handle_read(const Reply& reply, const wire::RequestView& request);
  std::shared_ptr<const core::Glob> compile(const Reply& reply, std::string_view pattern);
  enum class Gate : uint8_t { open, later, failed };
  Gate pass_revision(const Read& read, Revision& until);
  void begin_read(const Read& read);
  void wait_for_revision(ParkedRead& parked, uint32_t id, Revision until);
  uint32_t park(const Read& read, ParkedRead::State state);
  void resume_read(uint32_t id);
  void go_on(uint32_t id);
  void answer_read(const Read& read);
  void answer_get(const Read& read);
  void answer_stat(const Read& read);
  const Read& view(ParkedRead& parked);
  void on_readable(uint64_t cookie, const Result<void>& outcome) override;

  // doozer_listings.cc
  bool answer_listing(const Read& read, Budget& budget);
  bool answer_getdir(const Read& read, Budget& budget);
  bool answer_walk(const Read& read, Budget& budget);
  bool end_listing(const Read& read, core::Seek seek, std::string_view what);
  bool run_listings(Budget& budget);

  // doozer_waits.cc
  bool admit_wait(const Reply& reply, size_t bytes);
  bool may_hold(size_t bytes) const;
  void hold(size_t bytes);
  void release(size_t bytes);
  static size_t bytes_of(const Read& read);
  Wait end_wait(uint64_t slot);
  void end_waiting(const ParkedRead& parked);
  void drop_continuation(Continuations::iterator at);
  void handle_wait(const Reply& reply, const wire::RequestView& request);
  std::optional<core::Position> take_continuation(std::string_view glob, int64_t rev);
  void leave_continuation(const Wait& wait, const core::EventView& event);
  void ask_again(Budget& budget);
  void on_event(core::WatchId id, uint64_t cookie, const core::EventView& event,
                uint32_t more) override;
  void on_revision(core::WatchId id, uint64_t cookie) override;
  void on_too_late(core::WatchId id, uint64_t cookie, Revision oldest) override;

  // Fixed after construction.
  Host& host_;
  DoorEvents& events_;
  const DoorLimits& limits_;

  // Volatile.
  Access access_;
  std::string output_;
  size_t unsent_ = 0;
  size_t skip_ = 0;  ///< bytes of a frame, refused already, that are still to come
  Budget slice_{0};  ///< for listings begun within one receive()
  Slab<Reply> writes_;
  Slab<ParkedRead> reads_;
  size_t reads_waiting_ = 0;  ///< of reads_, for a revision
  size_t wait_bytes_ = 0;     ///< held for waits, reads that wait and continuations
  Slab<Wait> waits_;
  std::deque<uint32_t> ready_;           ///< reads that may go on when there is room
  std::deque<uint32_t> listings_queue_;  ///< in the order asked
  std::deque<uint32_t> deferred_;        ///< waits to be asked again when there is room
  size_t asked_again_ = 0;               ///< of those under way
  Continuations continuations_;
  Listings listings_;
  std::shared_ptr<const core::Glob> last_glob_;  ///< compiled last: often asked again
  bool write_unknown_ = false;                   ///< no later write is submitted
  bool must_close_ = false;
  bool input_ended_ = false;
  uint32_t given_up_ = 0;  ///< waits_, and then reads_, below this are given up
  bool waits_given_up_ = false;
};

}  // namespace doozer::door
