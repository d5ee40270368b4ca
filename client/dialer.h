// Finds a server: goes round the addresses, backs off with jitter after each round in which none
// answered, and hands over a link that has passed the first questions and belongs to the right
// cluster.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/function.h"
#include "base/rng.h"
#include "client/link.h"
#include "doozer/types.h"
#include "env/clock.h"

namespace doozer::client {

/// Why an address did not give a link.
struct Attempt {
  std::string address = {};
  Error error = {};
};

class DialerEvents {
 public:
  virtual ~DialerEvents() = default;
  virtual void on_link(std::unique_ptr<Link> link, const Hello& hello) = 0;
  virtual void on_attempt_failed(const Attempt& attempt) = 0;
  /// Every address failed once since the last link or the last round; the dialer goes on after a
  /// pause unless it is stopped from inside this call.
  virtual void on_round_failed(const std::vector<Attempt>& attempts) = 0;
};

/// The attempt's error, which names its address once, whoever has told it.
Error with_address(const Attempt& attempt);
/// One error out of a round: the code of the most telling attempt, the words of all. A host that
/// is not known is `refused`: not_found is for files.
Error round_error(const std::vector<Attempt>& attempts);
/// True if trying again cannot help: each address refused the secret or is of another cluster.
bool is_final(const std::vector<Attempt>& attempts);
/// The pause before round `round` (from 1): doubling, capped, a random part of a half taken off.
uint64_t backoff_us(uint64_t round, uint64_t min_us, uint64_t max_us, Rng& rng);

class Dialer final : private LinkEvents {
 public:
  /// `options` has passed check_options().
  Dialer(env::Clock& clock, env::Net& net, const Options& options, uint64_t seed,
         DialerEvents& events);
  ~Dialer() override;

  /// Looks for a server, beginning at the next address. `after_failure`: what led here counts as a
  /// failed attempt (a connection that broke at once), so that a server that lets everybody in and
  /// drops them is not stormed.
  void start(const std::optional<Attempt>& after_failure = std::nullopt);
  void stop();
  bool running() const { return running_; }
  void set_secret(std::string secret) { secret_ = std::move(secret); }
  const std::string& secret() const { return secret_; }
  /// 16 characters; empty: not known yet. Learned from the first server with extensions.
  const std::string& cluster() const { return cluster_; }

 private:
  void dial();
  void attempt_failed(Error error);
  void on_ready(const Hello& hello) override;
  void on_answer(const AnswerView& answer) override;
  void on_room() override {}
  void on_lost(const Error& error) override { attempt_failed(error); }
  Result<> check_cluster(const Hello& hello) const;

  // Fixed after construction.
  env::Clock& clock_;
  env::Net& net_;
  const Options& options_;
  DialerEvents& events_;

  Rng rng_;
  std::string secret_;
  std::string cluster_;
  bool running_ = false;
  size_t next_address_;
  uint64_t rounds_failed_ = 0;
  std::vector<Attempt> round_;  ///< the failed attempts of this round
  std::unique_ptr<Link> link_;
  env::TimerId timer_ = 0;  ///< of the attempt, or of the pause
};

}  // namespace doozer::client
