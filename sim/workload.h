// Clients that do what users do, in virtual time, and write down what they saw. Half of them speak
// the raw protocol, half are the library that ships. All over env::Net and env::Clock; everything
// is decided by the seed and by the answers.
//
// Values are unique over the whole history. A client does one thing at a time but for bursts; who
// gave up on an answer goes on with another connection, and the operation stays unknown.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "env/clock.h"
#include "env/net.h"
#include "sim/history.h"

namespace doozer::sim {

struct WorkloadOptions {
  uint64_t seed = 1;
  // How many clients of each kind; each has a host of its own.
  size_t raw_clients = 3;      ///< any operation on a few keys, one at a time
  size_t library_clients = 3;  ///< the same through the client library
  size_t counters = 2;         ///< of each of the next three, every second one uses the library
  size_t lockers = 2;
  size_t adders = 2;
  size_t watchers = 3;      ///< every second one by raw WAITs, at changing servers
  size_t slow_readers = 1;  ///< stop reading for a while, with much to read
  size_t bursters = 1;      ///< now and then send many writes at once
  /// At each server one client that writes there and nowhere else all the time: what liveness is
  /// judged by.
  bool pulses = true;

  size_t keys = 3;
  uint64_t think_us_max = 12'000;   ///< between an answer and the next operation
  uint64_t give_up_us = 4'000'000;  ///< no answer for so long: unknown, another connection
  uint64_t pulse_us = 25'000;       ///< between the answer and the next write of a pulse
  uint64_t pulse_give_up_us = 2'500'000;
  uint64_t burst_us = 2'000'000;  ///< between two bursts of one client, at the most
  size_t burst_writes = 100;
  size_t large_bytes = 64 * 1024;  ///< the size of large values, one in a hundred
};

/// Where one client lives. The clocks of all hosts must tell one and the same virtual time; all may
/// share one. `net` is its own, with an address of its own. Both outlive the workload.
struct ClientHost {
  env::Clock* clock = nullptr;
  env::Net* net = nullptr;
};

struct WorkloadStatistics {
  uint64_t ok = 0;
  uint64_t refused = 0;
  uint64_t unknown = 0;
  uint64_t failed = 0;
  uint64_t writes_ok = 0;
  uint64_t events = 0;
};

namespace workload {
struct Shared;
class Actor;
class Auditor;
class WatchActor;
}  // namespace workload

class Workload {
 public:
  /// `host_of(i)` makes the host of client i, from 0 on; it is called for each client once, also
  /// later (add_server, audit). `history` outlives the workload; nobody else adds to its ops and
  /// streams.
  Workload(const WorkloadOptions& options, std::vector<std::string> servers,
           std::function<ClientHost(size_t)> host_of, History& history);
  ~Workload();
  Workload(const Workload&) = delete;
  Workload& operator=(const Workload&) = delete;

  void start();
  /// One more address for clients that choose anew, and a pulse there.
  void add_server(const std::string& address);
  /// No client begins anything new; watches go on.
  void stop_issuing();
  /// After stop_issuing(): nothing is outstanding any more.
  bool quiesced() const;

  /// Reads everything once the world is whole again: the last revision, every change from the first
  /// revision on at each server, every file; then notes how far each watch must have come.
  /// `patience_us`: from when the last revision is known or any watch has last heard an event; who
  /// has not heard everything by then has lost it, and a server that has not told everything is
  /// left out. REQUIRES quiesced().
  void audit(uint64_t patience_us = 20'000'000);
  /// audit() is over. It never is if no server answers a linearizable read.
  bool audited() const;

  /// A request at `server` by the client with this number from 0, over a connection that stood and
  /// was read all the time, to which nothing was said from `since_us` until it was given up.
  struct Silence {
    std::string server;
    uint64_t client = 0;
    uint64_t since_us = 0;
    std::string what;
  };
  /// Of writes and linearizable reads, since the last call.
  std::vector<Silence> take_silences();

  const WorkloadStatistics& statistics() const;
  /// When the last write that succeeded there was answered; nullopt: none ever was. Pulses alone
  /// count.
  std::optional<uint64_t> last_success_us(const std::string& server) const;
  /// "has a write at this server succeeded since": one that began at or after `since_us`.
  bool succeeded_since(const std::string& server, uint64_t since_us) const;

 private:
  template <typename A, typename... Args>
  A& add(Args&&... args);
  void add_watchers();

  std::function<ClientHost(size_t)> host_of_;
  size_t hosts_ = 0;
  std::unique_ptr<workload::Shared> shared_;
  std::vector<std::unique_ptr<workload::Actor>> actors_;
  std::vector<workload::WatchActor*> watchers_;  ///< among the actors
  std::unique_ptr<workload::Auditor> auditor_;
};

}  // namespace doozer::sim
