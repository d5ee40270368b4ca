// The simulated network: ordered byte streams between processes that each have a SimClock and all
// share one virtual time. Bytes take time, a receiver that does not read fills a window and then
// the sender's queue, a process that dies resets its connections or falls silent.
//
// The order of everything is decided by virtual times and by the order of the calls.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "env/net.h"
#include "sim/loop.h"

namespace doozer::sim {

struct SimNetworkOptions {
  uint64_t seed = 1;
  uint64_t latency_us = 30;
  uint64_t jitter_us = 0;            ///< and up to so much more for each piece; order is kept
  size_t window_bytes = 256 * 1024;  ///< under way or not read yet, each direction of a stream
};

namespace net_detail {
struct End;
struct Port;
}  // namespace net_detail

/// What all processes share: who listens where.
class SimNetwork {
 public:
  explicit SimNetwork(const SimNetworkOptions& options = {});
  ~SimNetwork();

 private:
  friend class SimNet;
  friend struct net_detail::End;
  uint64_t latency();

  SimNetworkOptions options_;
  Rng rng_;
  std::map<std::string, std::shared_ptr<net_detail::Port>> ports_;
  uint64_t next_port_ = 40'000;
};

/// One process's view of it. Destroy it after the streams and before the clock.
class SimNet final : public env::Net {
 public:
  /// `host` is this process's address, such as "127.0.0.1".
  SimNet(SimNetwork& network, SimClock& clock, std::string host);
  ~SimNet() override;
  SimNet(const SimNet&) = delete;
  SimNet& operator=(const SimNet&) = delete;

  Result<std::unique_ptr<env::Listener>> listen(const env::ListenOptions& options,
                                                env::AcceptEvents& events) override;
  std::unique_ptr<env::Stream> dial(const env::DialOptions& options,
                                    env::StreamEvents& events) override;

  /// The process is gone: peers hear a reset, or (`silent`) nothing at all, ever. Streams of this
  /// process that are destroyed afterwards say nothing more.
  void die(bool silent);

 private:
  SimNetwork& network_;
  SimClock& clock_;
  std::string host_;
  std::vector<std::weak_ptr<net_detail::End>> ends_;
  std::vector<std::weak_ptr<net_detail::Port>> listening_;
};

}  // namespace doozer::sim
