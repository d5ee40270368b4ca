// Keeps one good link and carries operations over it: queues, tags, limits, time limits, and what
// becomes of each operation when the link breaks. The rule of the house for that is here alone:
//
//   not sent yet          stays queued, whatever it is
//   sent, only reads      is queued again, until its deadline
//   sent, writes          ends as Code::unknown_outcome and is never sent again
//
// A write that a server answered READONLY was not given to any log: with several addresses it is
// tried once at each. Operations of one lane are sent in the order in which they were started.
//
// Nothing calls back from inside a call of the owner; callbacks run on the loop of the clock. The
// session must not be destroyed from inside one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/function.h"
#include "client/codec.h"
#include "client/dialer.h"
#include "doozer/types.h"
#include "env/clock.h"
#include "env/net.h"

namespace doozer::client {

/// An answer that is kept.
struct Answer {
  int32_t flags = 0;
  int64_t rev = 0;
  int32_t len = 0;
  std::string path = {};
  std::string value = {};
  int64_t store_rev = 0;
  uint64_t link = 0;        ///< on which connection it came, from 1
  bool extensions = false;  ///< of that connection's server
};

template <typename T = void>
using Then = UniqueFunction<void(Result<T>)>;

enum class Consistency : uint8_t {
  none,       ///< the newest of the server at hand, whatever was seen before
  monotonic,  ///< not older than what this client has seen (servers with extensions)
  preferred,  ///< linearizable if the server can
  required,   ///< linearizable or refused
};

/// Names an operation; 0 is none.
using OperationId = uint64_t;

struct Operation {
  Call call = {};
  bool writes = false;  ///< must not be sent twice
  Consistency consistency = Consistency::none;
  uint64_t deadline_us = UINT64_MAX;
  /// WAIT only: on this very connection the continuation left by the last event is taken instead of
  /// counting with `offset`. 0: none.
  uint64_t continues_on_link = 0;
  Then<Answer> then = {};
};

class Session final : private LinkEvents, private DialerEvents {
 public:
  /// `options` must have passed check_options(). Nothing is dialled before connect() or start().
  Session(env::Clock& clock, env::Net& net, Options options, uint64_t seed);
  ~Session() override;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// `then` hears when a server is there; the last round's error when all addresses have failed,
  /// or, with Options::wait_for_server, when request_timeout has passed.
  void connect(Then<> then);
  /// `then` is called once, later. An operation over the limits ends as busy.
  OperationId start(Operation operation);
  /// `then` will not be called. One that is over is ignored. A write that was sent may happen.
  void cancel(OperationId id);
  /// Ends everything (see Client::close()), from inside this call. Later operations are `closed`.
  void close();

  Connection connection() const;
  const Options& options() const { return options_; }
  env::Clock& clock() const { return clock_; }
  /// For all links to come.
  void set_secret(std::string secret) { dialer_.set_secret(std::move(secret)); }

 private:
  struct Entry {
    OperationId id = 0;
    Operation operation = {};
    int32_t tag = 0;  ///< not 0: sent on the present link
    size_t read_only_answers = 0;
    bool in_doubt = false;  ///< a write whose link broke; about to end as unknown
  };
  /// Requests that are sent in order, so many at once. Waits have their own, because they stay.
  struct Lane {
    std::set<OperationId> unsent = {};
    size_t sent = 0;
    size_t sent_max = 0;
  };
  using Entries = std::map<OperationId, Entry>;

  // Links.
  void on_link(std::unique_ptr<Link> link, const Hello& hello) override;
  void on_attempt_failed(const Attempt& attempt) override;
  void on_round_failed(const std::vector<Attempt>& attempts) override;
  void on_ready(const Hello& hello) override;
  void on_answer(const AnswerView& answer) override;
  void on_room() override { send_later(); }
  void on_lost(const Error& error) override;
  void drop_link(const Error& why, bool counts_as_failure);
  void leave(Error why, bool counts_as_failure);
  void leave_if_free();
  void watch_silence();

  // Operations.
  Lane& lane_of(const Operation& operation);
  void send_later();
  void send();
  void send_lane(Lane& lane, std::string& frames,
                 std::vector<std::pair<OperationId, Error>>& refused);
  void encode(Entry& entry, std::string& frames);
  void unsend(Entry& entry);
  void finish(OperationId id, Result<Answer> result);
  void finish_all(const std::vector<std::pair<OperationId, Error>>& ended);
  bool try_elsewhere(Entry& entry, const Error& error);
  void refuse_later(Operation operation, Error error);

  // Time.
  void arm();
  void expire();
  Error expired(const Entry& entry) const;
  void end_connects(const Result<>& outcome);
  void expire_connects();
  void report(ConnectionEvent::Kind kind, const std::string& address, const Error& error);

  // Fixed after construction.
  env::Clock& clock_;
  const Options options_;
  Dialer dialer_;

  // The link.
  std::unique_ptr<Link> link_;
  Hello hello_;
  uint64_t link_number_ = 0;
  uint64_t link_since_us_ = 0;
  env::TimerId silence_timer_ = 0;
  uint64_t signs_of_life_ = 0;  ///< Link::signs_of_life() at the last look
  bool pinged_ = false;
  /// The link is given up, for this reason, as soon as no write is in flight.
  std::optional<Error> leaving_;
  bool leaving_counts_ = false;
  int32_t next_tag_ = Link::kFirstTag;
  std::unordered_map<int32_t, OperationId> tags_;
  std::set<int32_t> abandoned_;  ///< tags that will be answered, but nobody listens any more
  size_t writes_in_flight_ = 0;

  // Operations.
  Entries entries_;
  OperationId next_id_ = 1;
  Lane requests_;
  Lane waits_;
  std::set<std::pair<uint64_t, OperationId>> deadlines_;
  bool send_posted_ = false;
  env::TimerId timer_ = 0;
  uint64_t timer_us_ = UINT64_MAX;

  // Waiting for the first server.
  struct Connect {
    Then<> then;
    uint64_t deadline_us;
  };
  std::vector<Connect> connects_;
  env::TimerId connect_timer_ = 0;
  Error last_failure_;

  int64_t revision_seen_ = 0;
  bool closed_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace doozer::client
