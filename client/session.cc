// Operations: queued, sent, answered, expired. What happens to them when a link comes or goes is in
// session_link.cc.
#include "client/session.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/probe.h"
#include "base/result.h"
#include "base/units.h"
#include "client/limits.h"
#include "client/options.h"

namespace doozer::client {
namespace {

/// `get "/a"`, for messages.
std::string describe(const Call& call) {
  std::string text(verb_name(call.verb));
  if (!call.path.empty()) text.append(" ").append(quote(call.path));
  return text;
}

}  // namespace

Session::Session(env::Clock& clock, env::Net& net, Options options, uint64_t seed)
    : clock_(clock), options_(std::move(options)), dialer_(clock, net, options_, seed, *this) {
  requests_.sent_max = kInFlightMax;
  waits_.sent_max = kWaitsInFlightMax;
}

Session::~Session() {
  *alive_ = false;
  clock_.cancel(timer_);
  clock_.cancel(connect_timer_);
  clock_.cancel(silence_timer_);
}

OperationId Session::start(Operation operation) {
  if (closed_) {
    refuse_later(std::move(operation), {Code::closed, "the client is closed"});
    return 0;
  }
  if (entries_.size() >= kQueuedMax) {
    refuse_later(std::move(operation),
                 {Code::busy, std::to_string(kQueuedMax) +
                                  " operations are outstanding (kQueuedMax): wait for some"});
    return 0;
  }
  const OperationId id = next_id_++;
  if (operation.deadline_us != UINT64_MAX) deadlines_.emplace(operation.deadline_us, id);
  lane_of(operation).unsent.insert(id);
  entries_.emplace(id, Entry{.id = id, .operation = std::move(operation)});
  arm();
  if (link_ == nullptr && !dialer_.running()) dialer_.start();
  send_later();
  return id;
}

void Session::refuse_later(Operation operation, Error error) {
  clock_.post([then = std::move(operation.then), error = std::move(error)]() mutable {
    then(fail(std::move(error)));
  });
}

void Session::cancel(OperationId id) {
  const auto it = entries_.find(id);
  if (it == entries_.end()) return;
  it->second.operation.then = {};
  finish(id, fail(Code::closed, "cancelled"));
}

Session::Lane& Session::lane_of(const Operation& operation) {
  return operation.call.verb == Verb::wait ? waits_ : requests_;
}

// --- Sending

/// Gathers what one turn starts into one write.
void Session::send_later() {
  if (send_posted_ || link_ == nullptr || leaving_) return;
  if (requests_.unsent.empty() && waits_.unsent.empty()) return;
  send_posted_ = true;
  clock_.post([this, alive = alive_] {
    if (!*alive) return;
    send_posted_ = false;
    send();
  });
}

void Session::send() {
  if (link_ == nullptr || leaving_) return;
  std::string frames;
  std::vector<std::pair<OperationId, Error>> refused;
  send_lane(requests_, frames, refused);
  send_lane(waits_, frames, refused);
  if (!frames.empty()) link_->write(std::move(frames));
  // What stays unsent goes on when the stream has room (on_room) or answers make room in the lane.
  finish_all(refused);
}

void Session::send_lane(Lane& lane, std::string& frames,
                        std::vector<std::pair<OperationId, Error>>& refused) {
  while (!lane.unsent.empty() && lane.sent < lane.sent_max &&
         link_->unsent() + frames.size() < kUnsentBytesMax) {
    Entry& entry = entries_.at(*lane.unsent.begin());
    lane.unsent.erase(lane.unsent.begin());
    const Operation& operation = entry.operation;
    if (operation.consistency == Consistency::required && !hello_.extensions &&
        !options_.old_server_reads) {
      refused.emplace_back(
          entry.id, Error{Code::unsupported,
                          describe(operation.call) + ": the server " + link_->address() +
                              " is too old for linearizable reads: ask for a local read, or set "
                              "Options::old_server_reads to take what it has"});
      continue;
    }
    encode(entry, frames);
    ++lane.sent;
    if (operation.writes) ++writes_in_flight_;
  }
}

/// Gives the entry a tag and appends its frame.
void Session::encode(Entry& entry, std::string& frames) {
  while (tags_.contains(next_tag_) || abandoned_.contains(next_tag_)) {
    next_tag_ = next_tag_ == INT32_MAX ? Link::kFirstTag : next_tag_ + 1;
  }
  entry.tag = next_tag_;
  next_tag_ = next_tag_ == INT32_MAX ? Link::kFirstTag : next_tag_ + 1;
  tags_.emplace(entry.tag, entry.id);

  const Operation& operation = entry.operation;
  Stamp stamp{.tag = entry.tag, .extensions = hello_.extensions};
  if (hello_.extensions) {
    stamp.linearizable = operation.consistency == Consistency::required ||
                         operation.consistency == Consistency::preferred;
    if (operation.consistency != Consistency::none) stamp.min_rev = revision_seen_;
  }
  if (operation.continues_on_link == link_number_) {
    Call call = operation.call;
    call.rev = *call.rev + 1;
    call.offset.reset();
    encode_call(call, stamp, frames);
  } else {
    encode_call(operation.call, stamp, frames);
  }
}

/// The request no longer counts as in flight.
void Session::unsend(Entry& entry) {
  CHECK(entry.tag != 0);
  tags_.erase(entry.tag);
  entry.tag = 0;
  Lane& lane = lane_of(entry.operation);
  CHECK(lane.sent > 0);
  --lane.sent;
  if (entry.operation.writes) --writes_in_flight_;
}

// --- Answers

void Session::on_answer(const AnswerView& view) {
  const auto tagged = tags_.find(view.tag);
  if (tagged == tags_.end()) {
    abandoned_.erase(view.tag);
    return;
  }
  const OperationId id = tagged->second;
  Entry& entry = entries_.at(id);
  unsend(entry);
  revision_seen_ = std::max({revision_seen_, view.store_rev, view.error ? 0 : view.rev});
  if (view.error) {
    if (!try_elsewhere(entry, *view.error)) {
      finish(id, fail(with_context(*view.error, describe(entry.operation.call))));
    }
  } else {
    finish(id, Answer{.flags = view.flags,
                      .rev = view.rev,
                      .len = view.len,
                      .path = std::string(view.path),
                      .value = std::string(view.value),
                      .store_rev = view.store_rev,
                      .link = link_number_,
                      .extensions = hello_.extensions});
  }
  send_later();
  leave_if_free();
}

/// READONLY says that nothing was given to any log: another server may do it.
bool Session::try_elsewhere(Entry& entry, const Error& error) {
  if (error.code != Code::read_only) return false;
  if (++entry.read_only_answers >= options_.addresses.size()) return false;
  PROBE("client.read_only_elsewhere");
  lane_of(entry.operation).unsent.insert(entry.id);
  leave(error, /*counts_as_failure=*/true);
  return true;
}

/// Forgets the operation, then tells its owner. A request in flight leaves its tag behind.
void Session::finish(OperationId id, Result<Answer> result) {
  const auto it = entries_.find(id);
  CHECK(it != entries_.end());
  Entry& entry = it->second;
  lane_of(entry.operation).unsent.erase(id);
  if (entry.tag != 0) {
    abandoned_.insert(entry.tag);
    unsend(entry);
    if (abandoned_.size() >= kAbandonedMax) {
      leave({Code::closed, "too many abandoned requests"}, /*counts_as_failure=*/false);
    }
  }
  if (entry.operation.deadline_us != UINT64_MAX) {
    deadlines_.erase({entry.operation.deadline_us, id});
  }
  Then<Answer> then = std::move(entry.operation.then);
  entries_.erase(it);
  if (then) then(std::move(result));
}

void Session::finish_all(const std::vector<std::pair<OperationId, Error>>& ended) {
  for (const auto& [id, error] : ended) {
    // A callback before this one may have cancelled it.
    if (entries_.contains(id)) finish(id, fail(error));
  }
}

// --- Time

void Session::arm() {
  if (deadlines_.empty() || deadlines_.begin()->first >= timer_us_) return;
  clock_.cancel(timer_);
  timer_us_ = deadlines_.begin()->first;
  timer_ = clock_.at(timer_us_, [this] { expire(); });
}

void Session::expire() {
  timer_us_ = UINT64_MAX;
  std::vector<std::pair<OperationId, Error>> ended;
  for (const auto& [deadline, id] : deadlines_) {
    if (deadline > clock_.now_us()) break;
    ended.emplace_back(id, expired(entries_.at(id)));
  }
  finish_all(ended);
  arm();
  send_later();
  leave_if_free();
}

Error Session::expired(const Entry& entry) const {
  const std::string what = describe(entry.operation.call);
  CHECK(!entry.in_doubt);
  if (entry.tag != 0) {
    const std::string words = "no answer from " + link_->address() + " within the time limit";
    if (!entry.operation.writes) return {Code::timed_out, what + ": " + words};
    PROBE("client.write_timed_out_unknown");
    return {Code::unknown_outcome, what + ": " + words + ": it may or may not have happened"};
  }
  if (link_ != nullptr) {
    return {Code::timed_out, what + ": not sent within the time limit: too much is outstanding"};
  }
  std::string words = what + ": no server could be reached within the time limit";
  if (!last_failure_.message.empty()) words += ": " + last_failure_.message;
  return {Code::timed_out, std::move(words)};
}

}  // namespace doozer::client
