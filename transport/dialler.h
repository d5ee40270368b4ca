// Which addresses are dialled, and when: fast at first, then ever more slowly, with jitter from the
// seed. It only keeps the books; the owner dials.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/types.h"

namespace doozer::transport {

class Dialler {
 public:
  struct Target {
    Identity identity;  ///< the member that is expected there, or was met last; none: not known
    bool seed = false;
    bool busy = false;  ///< a dial is under way
    uint64_t next_us = 0;
    uint64_t backoff_us = 0;
  };
  explicit Dialler(uint64_t seed) : rng_(seed) {}
  void add_seed(const std::string& address) { targets_[address].seed = true; }
  /// The peer is now at `address` and, unless it is a seed, nowhere else. "": nowhere.
  void move(const Identity& identity, const std::string& address);
  /// Addresses that are neither busy nor too early, in their order.
  std::vector<std::string> due(uint64_t now_us) const;
  const Target* find(const std::string& address) const;
  bool empty() const { return targets_.empty(); }
  void begin(const std::string& address);
  /// Who answered there.
  void learned(const std::string& address, const Identity& identity);
  void succeeded(const std::string& address);
  void failed(const std::string& address, uint64_t now_us);
  /// It will not be dialled before then; the next failure starts with the shortest wait.
  void rest(const std::string& address, uint64_t until_us);

 private:
  Rng rng_;
  std::map<std::string, Target> targets_;
};

}  // namespace doozer::transport
