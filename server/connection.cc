#include "server/connection.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "server/connections.h"
#include "transport/limits.h"

namespace doozer::server {
namespace {

/// Room for a whole frame is made once one part of so many of it is there.
constexpr size_t kEarnsWholeFrame = 8;

}  // namespace

Connection::Connection(uint64_t id, Connections& owner, door::Host& host,
                       const ConnectionLimits& limits)
    : id_(id), owner_(owner), limits_(limits), door_(door::make_doozer_door(host, *this)) {}

void Connection::attach(env::AcceptedStream& accepted) {
  peer_ = accepted.peer();
  stream_ = accepted.attach(*this);
  // Only what it says first tells a server from a client, who has to wait.
  set_paused(!owner_.serving() && !owner_.takes_peers());
}

void Connection::resume() {
  owner_.release_held(std::exchange(held_, 0));
  set_paused(false);
  if (!in_.empty() || peer_ended_) owner_.touch(*this);
}

bool Connection::is_peer(std::string_view bytes) const {
  return !heard_ && owner_.takes_peers() && !bytes.empty() &&
         static_cast<uint8_t>(bytes.front()) >= transport::kPeerFirstByte;
}

void Connection::on_bytes(std::string_view bytes) {
  owner_.touch(*this);
  if (is_peer(bytes)) {
    state_ = State::dead;
    owner_.hand_over(std::move(stream_), std::string(bytes));
    return;
  }
  heard_ = true;
  if (state_ != State::open) return;  // a closing or lingering connection hears and forgets
  if (!owner_.serving()) {
    wait_to_be_served(bytes);
    return;
  }
  if (unsent_ > 0) note_unsent();  // whether there are too many is the others' doing
  if (in_.empty()) {
    // The usual case: whole frames straight out of the network's buffer.
    auto taken = door_->receive(bytes);
    if (!taken) {
      owner_.log_protocol_error(*this, taken.error());
      begin_close();
      return;
    }
    in_.assign(bytes.substr(*taken));
  } else {
    in_.append(bytes);
    feed();
  }
  if (state_ == State::open) note_frame();
  note_half(true);
}

// Had it waited unread, nobody would know that it is no peer's.
void Connection::wait_to_be_served(std::string_view bytes) {
  set_paused(true);
  if (owner_.may_hold(bytes.size())) {
    held_ += bytes.size();
    in_.append(bytes);
    return;
  }
  owner_.log_protocol_error(*this, {Code::busy, "too much came before the server serves"});
  state_ = State::dead;
}

void Connection::feed() {
  if (in_.empty() || door_->blocked()) return;
  auto taken = door_->receive(in_);
  if (!taken) {
    owner_.log_protocol_error(*this, taken.error());
    in_ = std::string();
    begin_close();
    return;
  }
  if (*taken > 0) frame_since_us_ = 0;  // what is left began later
  if (*taken == in_.size()) {
    in_ = std::string();  // an idle connection keeps no buffer
  } else {
    in_.erase(0, *taken);
  }
}

// Reading goes on only while the door takes what comes: this bounds in_ by one frame and one chunk.
void Connection::note_frame() {
  const bool blocked = door_->blocked();
  set_paused(blocked && !in_.empty());
  if (in_.empty() || blocked) {
    frame_since_us_ = 0;
    return;
  }
  if (frame_since_us_ == 0) frame_since_us_ = owner_.now_us();
  // A head alone earns no memory: thousands of them would claim gigabytes.
  const size_t whole = door_->frame_bytes(in_);
  if (whole > in_.capacity() && in_.size() >= whole / kEarnsWholeFrame) in_.reserve(whole);
}

// One frame is bounded; thousands of connections that each hold most of one are by their owner.
void Connection::note_half(bool heard) {
  const size_t half = in_.empty() ? 0 : in_.capacity();
  if (half == half_ && !(heard && half > 0)) return;
  half_ = half;
  owner_.note_half(*this, door_->trusted());
}

void Connection::set_paused(bool paused) {
  if (paused == paused_ || stream_ == nullptr) return;
  paused_ = paused;
  if (paused) {
    stream_->pause_reading();
  } else {
    stream_->resume_reading();
  }
}

void Connection::on_progress() {
  owner_.touch(*this);
  note_unsent();
  unsent_since_us_ = unsent_ > 0 ? owner_.now_us() : 0;
}

// While all connections together hold too much, whoever has anything unsent begins no request: what
// is under way then ends, and his own progress lets him go on.
void Connection::note_unsent() {
  const size_t unsent = stream_->unsent();
  owner_.count_unsent(unsent_, unsent);
  unsent_ = unsent;
  door_->set_unsent(unsent > 0 && owner_.crowded() ? std::max(unsent, kUnsentBytesAllSoft)
                                                   : unsent);
}

void Connection::on_end() {
  owner_.touch(*this);
  peer_ended_ = true;
  if (state_ == State::lingering) {
    state_ = State::dead;
    return;
  }
  // A half-closed connection still gets the answers that are pending, except WAITs.
  if (state_ == State::open) begin_close();
}

void Connection::on_failed(const Error& error) {
  (void)error;  // a client that goes away is no event of ours
  owner_.touch(*this);
  state_ = State::dead;
}

void Connection::on_output() { owner_.touch(*this); }

void Connection::begin_close() {
  if (state_ != State::open) return;
  state_ = State::closing;
  frame_since_us_ = 0;
  owner_.touch(*this);
  set_paused(false);  // to hear the peer's end
}

void Connection::begin_stop() {
  if (state_ == State::dead || stop_since_us_ != 0) return;
  stop_since_us_ = owner_.now_us();
  begin_close();
  owner_.touch(*this);  // one that was closing has another deadline now
}

bool Connection::turn_end(uint64_t now_us, Budget& budget) {
  if (state_ == State::dead) return false;
  if (unsent_ > 0) note_unsent();
  if (door_->has_work()) door_->run(budget);
  if (door_->must_close()) begin_close();
  if (!owner_.serving()) {
    if (!owner_.closing()) return false;
    in_ = std::string();
  }
  if (state_ == State::open && !in_.empty() && !door_->blocked()) {
    feed();
    if (state_ == State::open) note_frame();
  } else if (state_ == State::open && paused_ && !door_->blocked() && owner_.serving()) {
    set_paused(false);
  }
  // Whole frames that came before the end are still handled, as fast as the door takes them.
  if (state_ == State::closing && !input_ended_) {
    feed();
    if (!door_->blocked()) {
      input_ended_ = true;
      in_ = std::string();
      door_->end_of_input();
    }
  }
  send(now_us);
  maybe_finish(now_us);
  note_half(false);
  // Sending may have made room for what the door had refused to take.
  const bool waits = (state_ == State::open && paused_ && owner_.serving()) ||
                     (state_ == State::closing && !input_ended_);
  const bool can_feed = waits && !door_->blocked();
  return door_->has_work() || can_feed || (door_->must_close() && state_ == State::open);
}

void Connection::send(uint64_t now_us) {
  std::string& output = door_->output();
  if (!output.empty()) {
    stream_->write(std::exchange(output, {}));
    note_unsent();
    if (unsent_ > 0 && unsent_since_us_ == 0) unsent_since_us_ = now_us;
  }
}

void Connection::maybe_finish(uint64_t now_us) {
  if (state_ != State::closing || !input_ended_) return;
  if (!door_->finished() && !door_->must_close()) return;
  if (unsent_ > 0) return;
  stream_->shutdown();
  linger_since_us_ = now_us;
  state_ = peer_ended_ ? State::dead : State::lingering;
}

bool Connection::wind_up(Budget& budget) {
  state_ = State::dead;
  owner_.count_unsent(std::exchange(unsent_, 0), 0);
  owner_.release_held(std::exchange(held_, 0));
  stream_.reset();
  in_ = std::string();
  door_->end_of_input();
  return door_->give_up(budget);
}

uint64_t Connection::deadline_us() const {
  uint64_t deadline = 0;
  const auto at = [&](uint64_t since, uint64_t limit) {
    if (since != 0 && (deadline == 0 || since + limit < deadline)) deadline = since + limit;
  };
  at(frame_since_us_, limits_.frame_complete_us);
  at(unsent_since_us_, limits_.unsent_stall_us);
  at(linger_since_us_, limits_.linger_us);
  if (linger_since_us_ == 0) at(stop_since_us_, limits_.stop_us);
  if (stop_since_us_ != 0 && unsent_since_us_ != 0) {
    at(std::max(stop_since_us_, unsent_since_us_), limits_.linger_us);
  }
  return deadline;
}

std::string_view Connection::deadline_reason() const {
  if (linger_since_us_ != 0) return "";
  if (stop_since_us_ != 0) return "the server stops and the client does not take its answers";
  if (unsent_since_us_ != 0) return "the client takes no answers";
  return "a frame was begun and not finished in time";
}

}  // namespace doozer::server
