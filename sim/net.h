// The simulated network: ordered byte streams between processes that each have a SimClock and all
// share one virtual time. Bytes take time, a receiver that does not read fills a window and then
// the sender's queue, a process that dies resets its connections or falls silent, and each way from
// one host to another may have faults (sim/net_path.h).
//
// The order of everything is decided by virtual times and by the order of the calls.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "env/net.h"
#include "sim/loop.h"
#include "sim/net_path.h"

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

/// Ends in the order of their making; those that are no more are dropped now and then.
class Ends {
 public:
  void add(const std::shared_ptr<End>& end) {
    if (ends_.size() >= keep_) {
      std::erase_if(ends_, [](const auto& weak) { return weak.expired(); });
      keep_ = 64 + 2 * ends_.size();
    }
    ends_.push_back(end);
  }
  void clear() { ends_.clear(); }
  const std::vector<std::weak_ptr<End>>& all() const { return ends_; }

 private:
  std::vector<std::weak_ptr<End>> ends_;
  size_t keep_ = 64;
};
}  // namespace net_detail

struct SimNetworkStats {
  uint64_t pieces = 0;
  uint64_t bytes = 0;
};

class SimNet;

/// What all processes share: who listens where, and what befalls the ways between them.
class SimNetwork {
 public:
  explicit SimNetwork(const SimNetworkOptions& options = {});
  ~SimNetwork();
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;

  /// Of the one direction, from `now_us` of the world on. What was held goes on if it may.
  void set_faults(const std::string& from, const std::string& to, const PathFaults& faults,
                  uint64_t now_us);
  const PathFaults& faults(const std::string& from, const std::string& to) const;
  /// Clears every path.
  void heal(uint64_t now_us);

  /// The host has a certificate of the authority that all trust: its streams are certified.
  void certify(const std::string& host) { certified_.insert(host); }
  bool certified(const std::string& host) const { return certified_.contains(host); }

  const SimNetworkStats& stats() const { return stats_; }
  /// Over every piece sent, with its time: equal for equal runs.
  uint64_t digest() const { return digest_; }

 private:
  friend class SimNet;
  friend struct net_detail::End;
  uint64_t latency();
  net_detail::Path& path(const std::string& from, const std::string& to);
  /// Streams to processes of the host that are gone hear of it, if they wait for an answer.
  void reset_orphans(const std::string& host, uint64_t now_us);
  void note(std::string_view piece, const net_detail::End& from);

  SimNetworkOptions options_;
  Rng rng_;
  std::map<std::string, std::shared_ptr<net_detail::Port>> ports_;
  std::map<std::pair<std::string, std::string>, net_detail::Path> paths_;
  std::set<std::string> vanished_;  ///< hosts whose machine is off
  std::set<std::string> certified_;
  net_detail::Ends ends_;
  uint64_t next_port_ = 40'000;
  uint64_t digest_ = 0;
  SimNetworkStats stats_;
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

  /// The process is gone: peers hear a reset, or (`silent`, the machine is off) nothing at all
  /// until a SimNet of the same host is there again. Streams of this process that are destroyed
  /// afterwards say nothing more.
  void die(bool silent);

 private:
  std::shared_ptr<net_detail::End> make_end(env::StreamClass stream_class, const std::string& peer);
  void connect(const std::shared_ptr<net_detail::End>& mine, uint64_t deadline_us, unsigned tries);
  void link(const std::shared_ptr<net_detail::End>& mine,
            const std::shared_ptr<net_detail::Port>& port, uint64_t arrival_us, uint64_t return_us);

  SimNetwork& network_;
  SimClock& clock_;
  std::string host_;
  net_detail::Ends ends_;
  std::vector<std::weak_ptr<net_detail::Port>> listening_;
};

}  // namespace doozer::sim
