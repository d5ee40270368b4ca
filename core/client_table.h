// Exactly once: the last sequence of each client and what it came to, so that a command that
// arrives twice is answered twice and applied once. Part of the state: every server holds the same
// table, and images carry it. Bounded: the client whose last command is the oldest is forgotten.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/types.h"
#include "core/machine.h"

namespace doozer::core {

/// Copying the table, as a pin does, stays a matter of a millisecond or two.
constexpr size_t kClientsMax = 16'384;

class ClientTable {
 public:
  struct Entry {
    uint64_t sequence = 0;
    Index used;  ///< of the command that left the result
    Applied result;
  };

  /// What the last command of `client` came to, if `sequence` is not after it; else null.
  const Applied* remembered(std::string_view client, uint64_t sequence) const;
  /// REQUIRES that `entry.used` is after all indexes given before.
  void remember(std::string_view client, const Entry& entry);
  /// For loading: false if the client, or an index, stands there already, or the table is full.
  bool restore(std::string_view client, const Entry& entry);

  size_t size() const { return clients_.size(); }
  /// By client bytes, in order.
  const std::map<std::string, Entry, std::less<>>& entries() const { return clients_; }

 private:
  std::map<std::string, Entry, std::less<>> clients_;
  std::map<Index, std::string> by_use_;
};

}  // namespace doozer::core
