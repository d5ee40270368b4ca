#include "server/connections.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

#include "base/check.h"
#include "base/probe.h"

namespace doozer::server {
namespace {

constexpr uint64_t kLogLinesPerSecond = 10;
constexpr size_t kHeldBytesMax = 16 * kMiB;
// A deadline may be overrun by this much: it saves moving timers for every half frame.
constexpr uint64_t kDeadlineGrainUs = 50'000;

std::string address_of(std::string_view peer) {
  const size_t colon = peer.rfind(':');
  return std::string(peer.substr(0, colon));
}

}  // namespace

Connections::Connections(env::Clock& clock, door::Host& host, const ConnectionsOptions& options,
                         const Logger& logger)
    : clock_(clock), host_(host), options_(options), logger_(logger) {}

Connections::~Connections() {
  if (timer_ != 0) clock_.cancel(timer_);
}

void Connections::on_accept(std::unique_ptr<env::AcceptedStream> stream) {
  if (closing_) return;
  std::string address = address_of(stream->peer());
  if (connections_.size() >= options_.connections_max) {
    refuse(stream->peer(), "connections-max is reached", options_.connections_max);
    return;
  }
  size_t& of_address = per_address_[address];
  if (of_address >= options_.per_address_max) {
    refuse(stream->peer(), "connections-per-address-max is reached", options_.per_address_max);
    return;
  }
  ++of_address;
  ++accepted_;
  const uint64_t id = next_id_++;
  Held& held = connections_[id];
  held.address = std::move(address);
  held.connection = std::make_unique<Connection>(id, *this, host_, options_.limits);
  held.connection->attach(*stream);
}

void Connections::refuse(std::string_view peer, std::string_view why, size_t limit) {
  ++refused_;
  if (may_log()) {
    logger_.warn("connection_refused", {{"peer", peer}, {"why", why}, {"limit", limit}});
  }
}

void Connections::on_refused(const Error& why, uint64_t count) {
  refused_ += count;
  logger_.warn("connection_refused", {{"why", std::string_view(why.message)}, {"count", count}});
}

void Connections::tell_hidden(bool now) {
  const uint64_t second = clock_.now_us() / 1'000'000;
  if (second == log_second_ && !now) return;
  log_second_ = second;
  logged_ = 0;
  if (const uint64_t hidden = std::exchange(not_logged_, 0); hidden > 0) {
    logger_.warn("connection_lines_not_logged", {{"count", hidden}});
  }
}

bool Connections::may_log() {
  tell_hidden(false);
  if (logged_ < kLogLinesPerSecond) {
    ++logged_;
    return true;
  }
  if (not_logged_++ == 0) {
    // Told in a second, also if nothing else happens.
    clock_.at(clock_.now_us() + 1'000'000, [this, alive = std::weak_ptr<int>(alive_)] {
      if (!alive.expired()) tell_hidden(true);
    });
  }
  return false;
}

bool Connections::may_hold(size_t bytes) {
  if (held_bytes_ + bytes > kHeldBytesMax) return false;
  held_bytes_ += bytes;
  return true;
}

void Connections::hand_over(std::unique_ptr<env::Stream> stream, std::string bytes) {
  ++peers_taken_;
  peers_(std::move(stream), std::move(bytes));
}

void Connections::log_protocol_error(const Connection& connection, const Error& error) {
  if (!may_log()) return;
  logger_.warn("connection_closed", {{"peer", std::string_view(connection.peer())},
                                     {"why", std::string_view(error.message)}});
}

void Connections::touch(Connection& connection) {
  const auto found = connections_.find(connection.id());
  if (found == connections_.end() || found->second.touched) return;
  found->second.touched = true;
  touched_.push_back(connection.id());
}

void Connections::turn_end() {
  // Serving one may touch others; those come in the same turn, until its time is used up.
  const uint64_t began = clock_.now_us();
  Budget budget(kSliceSteps);
  while (!touched_.empty()) {
    const uint64_t id = touched_.front();
    touched_.pop_front();
    const auto found = connections_.find(id);
    if (found == connections_.end()) continue;
    serve(found->second, budget);
    // One may have sent a mebibyte, or have ended with thousands of waits.
    if (clock_.now_us() - began > kClientsPerTurnUs) break;
  }
  if (unsent_ > options_.unsent_max) cut_largest();
  const bool more_to_cut = cut_half_frames(began);
  // The turn's steps are shared: who found none left goes before those who had some, so that one
  // whose listings never end cannot keep the others from theirs.
  for (std::vector<uint64_t>* const list : {&starved_, &again_}) {
    for (const uint64_t id : *list) {
      const auto found = connections_.find(id);
      if (found != connections_.end()) touch(*found->second.connection);
    }
    list->clear();
  }
  while (!budget.empty() && !leaving_.empty() && leaving_.front()->wind_up(budget)) {
    leaving_.pop_front();
  }
  if (!touched_.empty() || !leaving_.empty() || more_to_cut) clock_.post([] {});
  arm_timer();
  if (closing_ && connections_.empty() && closed_) {
    UniqueFunction<void()> closed = std::move(closed_);
    closed_ = {};
    closed();
  }
}

void Connections::serve(Held& held, Budget& budget) {
  Connection& connection = *held.connection;
  const bool starved = budget.empty();
  if (connection.turn_end(clock_.now_us(), budget)) {
    (starved ? starved_ : again_).push_back(connection.id());
  }
  held.touched = false;  // only now: what it does to itself needs no second call
  if (connection.dead()) {
    remove(connection.id());
  } else {
    set_deadline(held, connection.deadline_us());
  }
}

void Connections::remove(uint64_t id) {
  const auto found = connections_.find(id);
  CHECK(found != connections_.end());
  half_frames_.note(id, {}, false, 0);
  set_deadline(found->second, 0);
  const auto counted = per_address_.find(found->second.address);
  CHECK(counted != per_address_.end());
  if (--counted->second == 0) per_address_.erase(counted);
  // Thousands of waits are dropped in slices: ends come in crowds.
  Budget none(0);
  if (!found->second.connection->wind_up(none)) {
    leaving_.push_back(std::move(found->second.connection));
  }
  connections_.erase(found);
}

void Connections::set_deadline(Held& held, uint64_t deadline_us) {
  if (held.deadline_us == deadline_us) return;
  const uint64_t id = held.connection->id();
  if (held.deadline_us != 0) deadlines_.erase({held.deadline_us, id});
  held.deadline_us = deadline_us;
  if (deadline_us != 0) deadlines_.insert({deadline_us, id});
}

void Connections::arm_timer() {
  if (deadlines_.empty()) return;
  const uint64_t when = std::max(deadlines_.begin()->first, clock_.now_us()) + kDeadlineGrainUs;
  if (timer_ != 0 && timer_us_ <= when) return;
  if (timer_ != 0) clock_.cancel(timer_);
  timer_us_ = when;
  timer_ = clock_.at(when, [this] {
    timer_ = 0;
    cut_late();
  });
}

void Connections::cut_late() {
  const uint64_t now = clock_.now_us();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const uint64_t id = deadlines_.begin()->second;
    cut(id, connections_.at(id).connection->deadline_reason());
  }
  // turn_end() of this same turn arms the timer anew.
}

// Nobody knows for whom memory is short: those that hold the most give the most back.
void Connections::cut_largest() {
  PROBE("connections: all together hold too many unsent bytes");
  std::vector<std::pair<size_t, uint64_t>> holders;
  for (const auto& [id, held] : connections_) {
    if (held.connection->unsent() > 0) holders.emplace_back(held.connection->unsent(), id);
  }
  std::sort(holders.begin(), holders.end(), std::greater<>());
  for (const auto& [unsent, id] : holders) {
    if (unsent_ <= options_.unsent_max) break;
    cut(id, "all clients together do not take their answers, and this one has the most waiting");
  }
}

void Connections::note_half(const Connection& connection, bool trusted) {
  const auto found = connections_.find(connection.id());
  CHECK(found != connections_.end());
  half_frames_.note(connection.id(), found->second.address, trusted, connection.half());
}

/// True if some are left for the next turn.
bool Connections::cut_half_frames(uint64_t began_us) {
  for (size_t i = 0; half_frames_.bytes() > options_.half_frames_max; ++i) {
    const bool late = clock_.now_us() - began_us > kClientsPerTurnUs;
    if (i >= kHalfFramesCutPerTurn && late) return true;
    PROBE("connections: all together hold too much of requests that are not whole");
    const std::optional<uint64_t> id = half_frames_.first_to_go();
    CHECK(id.has_value());
    cut(*id, "all clients together have begun too much and not finished it");
  }
  return false;
}

void Connections::cut(uint64_t id, std::string_view why) {
  if (!why.empty()) {
    ++cut_;
    log_protocol_error(*connections_.at(id).connection, {Code::timed_out, std::string(why)});
  }
  remove(id);
}

void Connections::resume() {
  serving_ = true;
  for (const uint64_t id : ids()) connections_.at(id).connection->resume();
}

// Nothing may be left that knows the old state: what is wound up in slices otherwise is so at once.
void Connections::suspend() {
  serving_ = false;
  for (const uint64_t id : ids()) remove(id);
  touched_.clear();
  again_.clear();
  starved_.clear();
  for (const auto& connection : leaving_) {
    Budget all(INT64_MAX);
    while (!connection->wind_up(all)) {
    }
  }
  leaving_.clear();
}

std::vector<uint64_t> Connections::ids() const {
  std::vector<uint64_t> ids;
  for (const auto& [id, held] : connections_) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

void Connections::close_all(UniqueFunction<void()> done) {
  closing_ = true;
  closed_ = std::move(done);
  for (const uint64_t id : ids()) connections_.at(id).connection->begin_stop();
}

}  // namespace doozer::server
