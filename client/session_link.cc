// What becomes of a session when a link comes, breaks or is left.
#include <algorithm>

#include "base/probe.h"
#include "base/result.h"
#include "client/limits.h"
#include "client/options.h"
#include "client/session.h"

namespace doozer::client {

void Session::connect(Then<> then) {
  if (closed_ || link_ != nullptr) {
    Result<> outcome;
    if (closed_) outcome = fail(Code::closed, "the client is closed");
    clock_.post([then = std::move(then), outcome = std::move(outcome)]() mutable {
      then(std::move(outcome));
    });
    return;
  }
  const uint64_t deadline =
      deadline_us(clock_.now_us(), options_.request_timeout, options_.request_timeout);
  connects_.push_back({std::move(then), deadline});
  if (connect_timer_ == 0 && deadline != UINT64_MAX) {
    connect_timer_ = clock_.at(deadline, [this] { expire_connects(); });
  }
  if (!dialer_.running()) dialer_.start();
}

void Session::expire_connects() {
  connect_timer_ = 0;
  Error error = last_failure_;
  if (error.message.empty()) {
    std::string asked;
    for (const std::string& address : options_.addresses) {
      asked += (asked.empty() ? "" : ", ") + address;
    }
    error = {Code::timed_out, "cannot connect: no answer from " + asked + " within the time limit"};
  }
  std::vector<Connect> expired;
  while (!connects_.empty() && connects_.front().deadline_us <= clock_.now_us()) {
    expired.push_back(std::move(connects_.front()));
    connects_.erase(connects_.begin());
  }
  if (!connects_.empty()) {
    connect_timer_ = clock_.at(connects_.front().deadline_us, [this] { expire_connects(); });
  }
  for (Connect& connect : expired) connect.then(fail(error));
}

void Session::end_connects(const Result<>& outcome) {
  clock_.cancel(connect_timer_);
  connect_timer_ = 0;
  std::vector<Connect> ended = std::move(connects_);
  connects_.clear();
  for (Connect& connect : ended) connect.then(outcome);
}

void Session::on_ready(const Hello& /*hello*/) { UNREACHABLE(); }

void Session::on_link(std::unique_ptr<Link> link, const Hello& hello) {
  CHECK(link_ == nullptr);
  link_ = std::move(link);
  link_->set_events(*this);
  hello_ = hello;
  ++link_number_;
  link_since_us_ = clock_.now_us();
  revision_seen_ = std::max(revision_seen_, hello.revision);
  pinged_ = false;
  signs_of_life_ = link_->signs_of_life();
  watch_silence();
  send_later();
  report(ConnectionEvent::Kind::connected, link_->address(), {});
  end_connects({});
}

void Session::on_attempt_failed(const Attempt& attempt) {
  last_failure_ = with_address(attempt);
  report(ConnectionEvent::Kind::failed, attempt.address, attempt.error);
}

void Session::on_round_failed(const std::vector<Attempt>& attempts) {
  const Error error = round_error(attempts);
  last_failure_ = error;
  const bool final = is_final(attempts);
  std::vector<std::pair<OperationId, Error>> ended;
  if (final) {
    // Nothing is in flight without a link, so all of this was refused.
    PROBE("client.final_round");
    dialer_.stop();
    for (const auto& [id, entry] : entries_) ended.emplace_back(id, error);
  }
  finish_all(ended);
  if (final || !options_.wait_for_server) end_connects(fail(error));
}

void Session::on_lost(const Error& error) {
  const bool young = clock_.now_us() - link_since_us_ < kStableUs;
  drop_link(error, young);
}

/// A peer that vanished without a word looks like one that has nothing to say, above all to a
/// watch. So after half of the limit without a byte it is asked something, after all of it given
/// up.
void Session::watch_silence() {
  const auto half_us = static_cast<uint64_t>(options_.silence_max.count()) / 2;
  silence_timer_ = clock_.at(clock_.now_us() + half_us, [this] {
    silence_timer_ = 0;
    if (link_->signs_of_life() != signs_of_life_) {
      pinged_ = false;
      signs_of_life_ = link_->signs_of_life();
    } else if (pinged_) {
      PROBE("client.silent_server");
      on_lost({Code::timed_out, "the server has been silent for too long"});
      return;
    } else {
      pinged_ = true;
      link_->ping();
    }
    watch_silence();
  });
}

/// Asks for another server. With a write in flight the link lives until that is answered.
void Session::leave(Error why, bool counts_as_failure) {
  if (leaving_ || link_ == nullptr) return;
  leaving_ = std::move(why);
  leaving_counts_ = counts_as_failure;
  // Whoever waits for one of the last answers calls leave_if_free(); if nothing is in flight,
  // nobody would.
  clock_.post([this, alive = alive_] {
    if (*alive) leave_if_free();
  });
}

void Session::leave_if_free() {
  if (!leaving_ || writes_in_flight_ > 0) return;
  PROBE("client.left_link");
  const Error why = *leaving_;
  drop_link(why, leaving_counts_);
}

void Session::drop_link(const Error& why, bool counts_as_failure) {
  const std::string address = link_->address();
  link_.reset();
  clock_.cancel(silence_timer_);
  leaving_.reset();
  std::vector<std::pair<OperationId, Error>> ended;
  for (auto& [id, entry] : entries_) {
    if (entry.tag == 0) continue;
    unsend(entry);
    if (entry.operation.writes) {
      PROBE("client.write_unknown");
      entry.in_doubt = true;
      ended.emplace_back(
          id, Error{Code::unknown_outcome, std::string(verb_name(entry.operation.call.verb)) + " " +
                                               entry.operation.call.path + ": the connection to " +
                                               address + " broke before the answer (" +
                                               why.message + "): it may or may not have happened"});
    } else {
      lane_of(entry.operation).unsent.insert(id);
    }
  }
  CHECK(tags_.empty());
  abandoned_.clear();
  last_failure_ = with_address({address, why});
  if (counts_as_failure) {
    dialer_.start(Attempt{address, why});
  } else {
    dialer_.start();
  }
  report(ConnectionEvent::Kind::lost, address, why);
  finish_all(ended);
}

void Session::close() {
  if (closed_) return;
  closed_ = true;
  dialer_.stop();
  std::vector<std::pair<OperationId, Error>> ended;
  for (auto& [id, entry] : entries_) {
    const bool sent = entry.tag != 0;
    if (sent) unsend(entry);
    entry.in_doubt = entry.in_doubt || (sent && entry.operation.writes);
    ended.emplace_back(id, entry.in_doubt
                               ? Error{Code::unknown_outcome,
                                       "the client was closed before the answer: it may or "
                                       "may not have happened"}
                               : Error{Code::closed, "the client is closed"});
  }
  link_.reset();
  clock_.cancel(silence_timer_);
  leaving_.reset();
  abandoned_.clear();
  finish_all(ended);
  end_connects(fail(Code::closed, "the client is closed"));
}

Connection Session::connection() const {
  Connection now;
  now.connected = link_ != nullptr;
  if (now.connected) now.address = link_->address();
  now.cluster_id = dialer_.cluster();
  now.extensions = now.connected && hello_.extensions;
  now.revision_seen = revision_seen_;
  now.connects = static_cast<int64_t>(link_number_);
  return now;
}

void Session::report(ConnectionEvent::Kind kind, const std::string& address, const Error& error) {
  if (options_.on_connection) {
    options_.on_connection({.kind = kind, .address = address, .error = error});
  }
}

}  // namespace doozer::client
