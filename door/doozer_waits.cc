// WAIT, and everything that watches tell.

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "base/probe.h"
#include "door/doozer_door.h"

namespace doozer::door {
namespace {

/// So many deferred waits are asked again at a time: each may bring an answer of the largest size.
constexpr size_t kAskedAgainMax = 16;

// One cookie space for two kinds.
constexpr uint64_t cookie_of_wait(uint32_t id) { return uint64_t{id} * 2; }
constexpr bool is_wait(uint64_t cookie) { return cookie % 2 == 0; }

}  // namespace

void DoozerDoor::handle_wait(const Reply& reply, const wire::RequestView& request) {
  if (!access_.may_read()) return answer_error(reply, {Code::permission_denied, {}});
  if (!require(reply, request.path.has_value(), "path")) return;
  if (!require(reply, request.rev.has_value(), "rev")) return;
  Wait wait;
  wait.reply = reply;
  wait.glob = compile(reply, *request.path);
  if (!wait.glob) return;
  wait.from.revision = Revision(std::max<int64_t>(*request.rev, 1));
  if (request.offset.value_or(0) > 0) {
    wait.skip = static_cast<uint32_t>(*request.offset);
  } else if (const auto next = take_continuation(*request.path, *request.rev)) {
    wait.from = *next;
  }
  if (auto kept = host_.machine().check_kept(wait.from.revision); !kept) {
    return answer_error(reply, kept.error());
  }
  const size_t bytes = core::wait_bytes(*wait.glob);
  if (!admit_wait(reply, bytes)) return;
  hold(bytes);
  const uint32_t id = waits_.put(std::move(wait));
  Wait& held = waits_.at(id);
  held.watch = host_.machine().watches().wait_event(held.glob, held.from, held.skip, *this,
                                                    cookie_of_wait(id));
}

/// True if one more wait, with so many bytes of its own, may be held; else answers that there are
/// too many.
bool DoozerDoor::admit_wait(const Reply& reply, size_t bytes) {
  const size_t held = waits_.live() + reads_waiting_;
  if (held >= limits_.waits_max) {
    PROBE("door: too many waits on a connection");
    answer_error(reply,
                 {Code::busy, std::to_string(held) + " waits on this connection, the limit is " +
                                  std::to_string(limits_.waits_max)});
    return false;
  }
  if (may_hold(bytes)) return true;
  PROBE("door: too many bytes of waits");
  const bool own = wait_bytes_ + bytes > limits_.wait_bytes_max;
  answer_error(
      reply, {Code::busy,
              "the globs and paths of the waits " +
                  std::string(own ? "on this connection" : "on all connections") + " hold " +
                  std::to_string(own ? wait_bytes_ : host_.wait_bytes()) + " bytes, the limit is " +
                  std::to_string(own ? limits_.wait_bytes_max : limits_.wait_bytes_all_max)});
  return false;
}

bool DoozerDoor::may_hold(size_t bytes) const {
  if (wait_bytes_ + bytes > limits_.wait_bytes_max) return false;
  return host_.wait_bytes() + bytes <= limits_.wait_bytes_all_max ||
         wait_bytes_ + bytes <= kWaitBytesAlways;
}

void DoozerDoor::hold(size_t bytes) {
  wait_bytes_ += bytes;
  host_.wait_bytes() += bytes;
}

void DoozerDoor::release(size_t bytes) {
  CHECK(bytes <= wait_bytes_);
  CHECK(bytes <= host_.wait_bytes());
  wait_bytes_ -= bytes;
  host_.wait_bytes() -= bytes;
}

/// What a read that waits holds; looks at no byte of its path, which may lie elsewhere by now.
size_t DoozerDoor::bytes_of(const Read& read) {
  return read.path.size() + (read.glob ? core::wait_bytes(*read.glob) : 0);
}

DoozerDoor::Wait DoozerDoor::end_wait(uint64_t slot) {
  Wait wait = waits_.take(slot);
  release(core::wait_bytes(*wait.glob));
  return wait;
}

/// A read that waited for a revision does so no longer.
void DoozerDoor::end_waiting(const ParkedRead& parked) {
  CHECK(parked.state == ParkedRead::State::waiting);
  CHECK(reads_waiting_ > 0);
  --reads_waiting_;
  release(bytes_of(parked.read));
}

void DoozerDoor::drop_continuation(Continuations::iterator at) {
  release(at->first.second.size());
  continuations_.erase(at);
}

std::optional<core::Position> DoozerDoor::take_continuation(std::string_view glob, int64_t rev) {
  if (continuations_.empty()) return std::nullopt;
  const auto found = continuations_.find({rev, std::string(glob)});
  if (found == continuations_.end()) return std::nullopt;
  const core::Position next = found->second;
  drop_continuation(found);
  return next;
}

void DoozerDoor::leave_continuation(const Wait& wait, const core::EventView& event) {
  const size_t bytes = wait.glob->pattern().size();
  while (!continuations_.empty() &&
         (continuations_.size() >= limits_.waits_max || !may_hold(bytes))) {
    drop_continuation(continuations_.begin());
  }
  if (!may_hold(bytes)) return;
  hold(bytes);
  const core::Position next{event.position.revision, event.position.sub + 1};
  continuations_.emplace(
      Continuations::key_type{event.position.revision.value() + 1, wait.glob->pattern()}, next);
}

void DoozerDoor::on_event(core::WatchId id, uint64_t cookie, const core::EventView& event,
                          uint32_t more) {
  CHECK(is_wait(cookie));
  const auto slot = static_cast<uint32_t>(cookie / 2);
  Wait& wait = waits_.at(slot);
  CHECK(wait.watch == id);
  if (input_ended_) {  // it was about to be given up
    end_wait(slot);
    return;
  }
  if (wait.again) --asked_again_;
  wait.again = false;
  if (full()) {
    PROBE("door: an event came while there was no room");
    wait.from = event.position;
    wait.skip = 0;
    wait.watch = core::WatchId();
    deferred_.push_back(slot);
    return;
  }
  const Wait done = end_wait(slot);
  wire::ResponseView before;
  wire::ResponseView after;
  Identity cluster;
  if (done.reply.has_tag) before.tag = done.reply.tag;
  fill_extension(done.reply, after, cluster);
  wire::append_response(before, host_.event_answers().fields(event, more), after, output_);
  if (more > 0) leave_continuation(done, event);
  events_.on_output();
}

void DoozerDoor::ask_again(Budget& budget) {
  while (!deferred_.empty() && asked_again_ < kAskedAgainMax && !full()) {
    const uint32_t slot = deferred_.front();
    deferred_.pop_front();
    Wait& wait = waits_.at(slot);
    if (auto kept = host_.machine().check_kept(wait.from.revision); !kept) {
      answer_error(end_wait(slot).reply, kept.error());
    } else {
      wait.again = true;
      ++asked_again_;
      wait.watch = host_.machine().watches().wait_event(wait.glob, wait.from, wait.skip, *this,
                                                        cookie_of_wait(slot));
    }
    if (!budget.spend()) return;
  }
}

void DoozerDoor::on_revision(core::WatchId id, uint64_t cookie) {
  CHECK(!is_wait(cookie));
  const auto slot = static_cast<uint32_t>(cookie / 2);
  ParkedRead& parked = reads_.at(slot);
  CHECK(parked.watch == id);
  end_waiting(parked);
  if (input_ended_) {
    reads_.take(slot);
    events_.on_output();
    return;
  }
  resume_read(slot);
}

void DoozerDoor::on_too_late(core::WatchId /*id*/, uint64_t cookie, Revision oldest) {
  Reply reply;
  Revision asked;
  if (is_wait(cookie)) {
    const Wait wait = end_wait(cookie / 2);
    if (input_ended_) return;
    if (wait.again) --asked_again_;
    reply = wait.reply;
    asked = wait.from.revision;
  } else {
    const ParkedRead parked = reads_.take(cookie / 2);
    end_waiting(parked);
    if (input_ended_) return events_.on_output();
    reply = parked.read.reply;
    asked = Revision(std::max<int64_t>(parked.read.rev.value_or(1), 1));
  }
  answer_error(reply, {Code::too_late, "revision " + std::to_string(asked.value()) +
                                           " has left the history, the oldest kept is " +
                                           std::to_string(oldest.value())});
  events_.on_output();
}

}  // namespace doozer::door
