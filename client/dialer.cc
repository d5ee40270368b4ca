#include "client/dialer.h"

#include <algorithm>

#include "base/probe.h"
#include "base/result.h"
#include "base/units.h"
#include "client/limits.h"

namespace doozer::client {
namespace {

/// Higher tells more about what to do.
int weight(Code code) {
  if (code == Code::conflict) return 3;
  if (code == Code::permission_denied) return 2;
  return code == Code::refused ? 0 : 1;
}

bool cannot_mend(Code code) { return code == Code::conflict || code == Code::permission_denied; }

env::DialOptions dial_options(const Options& options, const std::string& address) {
  return {.address = address,
          .timeout_us = static_cast<uint64_t>(options.connect_timeout.count()),
          .tls = options.tls.enabled,
          .tls_ca_file = options.tls.ca_file,
          .tls_server_name = options.tls.server_name,
          .tls_cert_file = options.tls.cert_file,
          .tls_key_file = options.tls.key_file,
          .tls_insecure = options.tls.insecure};
}

}  // namespace

Error with_address(const Attempt& attempt) {
  Error error = attempt.error;
  if (error.code == Code::not_found) error.code = Code::refused;
  if (error.message.find(attempt.address) != std::string::npos) return error;
  return with_context(std::move(error), attempt.address);
}

Error round_error(const std::vector<Attempt>& attempts) {
  CHECK(!attempts.empty());
  Error error{Code::refused, "cannot connect: "};
  int heaviest = -1;
  std::vector<std::string> told;
  for (const Attempt& attempt : attempts) {
    Error one = with_address(attempt);
    if (weight(one.code) > heaviest) {
      heaviest = weight(one.code);
      error.code = one.code;
    }
    if (std::find(told.begin(), told.end(), one.message) != told.end()) continue;
    if (!told.empty()) error.message += "; ";
    error.message += one.message;
    told.push_back(std::move(one.message));
  }
  return error;
}

bool is_final(const std::vector<Attempt>& attempts) {
  return std::all_of(attempts.begin(), attempts.end(),
                     [](const Attempt& attempt) { return cannot_mend(attempt.error.code); });
}

uint64_t backoff_us(uint64_t round, uint64_t min_us, uint64_t max_us, Rng& rng) {
  CHECK(round > 0);
  CHECK(min_us > 0);
  uint64_t pause = min_us;
  for (uint64_t i = 1; i < round && pause < max_us; ++i) pause *= 2;
  pause = std::min(pause, max_us);
  return pause - rng.below(pause / 2 + 1);
}

Dialer::Dialer(env::Clock& clock, env::Net& net, const Options& options, uint64_t seed,
               DialerEvents& events)
    : clock_(clock),
      net_(net),
      options_(options),
      events_(events),
      rng_(seed),
      secret_(options.secret),
      cluster_(options.cluster_id) {
  CHECK(!options.addresses.empty());
  next_address_ = static_cast<size_t>(rng_.below(options.addresses.size()));
}

Dialer::~Dialer() { stop(); }

void Dialer::start(const std::optional<Attempt>& after_failure) {
  CHECK(!running_);
  running_ = true;
  if (!after_failure) {
    round_.clear();
    rounds_failed_ = 0;
    dial();
    return;
  }
  round_.push_back(*after_failure);
  if (round_.size() < options_.addresses.size()) {
    dial();
    return;
  }
  round_.clear();
  ++rounds_failed_;
  timer_ =
      clock_.at(clock_.now_us() +
                    backoff_us(rounds_failed_, static_cast<uint64_t>(options_.backoff_min.count()),
                               static_cast<uint64_t>(options_.backoff_max.count()), rng_),
                [this] { dial(); });
}

void Dialer::stop() {
  running_ = false;
  clock_.cancel(timer_);
  timer_ = 0;
  link_.reset();
}

void Dialer::dial() {
  const std::string& address = options_.addresses[next_address_];
  next_address_ = (next_address_ + 1) % options_.addresses.size();
  clock_.cancel(timer_);
  // The net's own limit covers the handshake; this one the first questions too.
  const auto limit = static_cast<uint64_t>(options_.connect_timeout.count());
  timer_ = clock_.at(clock_.now_us() + limit, [this, limit] {
    timer_ = 0;
    attempt_failed({Code::timed_out, "no answer within " + format_duration_us(limit)});
  });
  LinkEvents& events = *this;
  link_ = std::make_unique<Link>(net_, dial_options(options_, address), secret_, events);
}

void Dialer::attempt_failed(Error error) {
  CHECK(running_);
  clock_.cancel(timer_);
  timer_ = 0;
  Attempt attempt{link_->address(), std::move(error)};
  link_.reset();
  round_.push_back(attempt);
  events_.on_attempt_failed(attempt);
  if (!running_ || link_ != nullptr) return;
  if (round_.size() < options_.addresses.size()) {
    dial();
    return;
  }
  const std::vector<Attempt> round = std::move(round_);
  round_.clear();
  ++rounds_failed_;
  PROBE("client.round_failed");
  timer_ =
      clock_.at(clock_.now_us() +
                    backoff_us(rounds_failed_, static_cast<uint64_t>(options_.backoff_min.count()),
                               static_cast<uint64_t>(options_.backoff_max.count()), rng_),
                [this] { dial(); });
  events_.on_round_failed(round);
}

void Dialer::on_ready(const Hello& hello) {
  if (Result<> checked = check_cluster(hello); !checked) {
    attempt_failed(checked.error());
    return;
  }
  if (cluster_.empty()) cluster_ = hello.cluster;
  running_ = false;
  clock_.cancel(timer_);
  timer_ = 0;
  events_.on_link(std::move(link_), hello);
}

Result<> Dialer::check_cluster(const Hello& hello) const {
  if (cluster_.empty() || hello.cluster == cluster_) return {};
  PROBE("client.wrong_cluster");
  return fail(Code::conflict,
              "is of cluster " +
                  (hello.cluster.empty() ? "unknown (an old server)" : hello.cluster) +
                  ", but this client belongs to cluster " + cluster_);
}

void Dialer::on_answer(const AnswerView& /*answer*/) { UNREACHABLE(); }

}  // namespace doozer::client
