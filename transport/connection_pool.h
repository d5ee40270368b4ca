// All connections of one owner, from dial or accept to their end. Those that are over are kept
// until reap(), so that none is destroyed inside its own calls.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "env/net.h"
#include "transport/connection.h"

namespace doozer::transport {

class ConnectionPool {
 public:
  ConnectionPool(ConnectionOwner& owner, env::Net& net) : owner_(owner), net_(net) {}

  Connection& dial(env::DialOptions options, const std::string& address, Role role,
                   const Identity& expected);
  /// False if too many wait for their proof: the stream is closed.
  bool adopt(std::unique_ptr<env::Stream> stream, const std::string& first_bytes);
  bool accept(env::AcceptedStream& accepted);
  /// Ends handshakes and lingerings that take too long.
  void tick();
  /// Destroys what is dead. Not from inside a call of a connection.
  void reap();
  /// Ends all without a word; nothing is heard afterwards.
  void cut_all();
  template <typename F>
  void for_each(F then) {
    for (auto& [id, connection] : all_) then(*connection);
  }
  size_t count() const { return all_.size(); }

 private:
  bool too_many_unproven() const;
  ConnectionOwner& owner_;
  env::Net& net_;
  uint64_t last_id_ = 0;
  std::map<uint64_t, std::unique_ptr<Connection>> all_;
};

/// Numbers that nobody can foresee who does not know the seed, and that never repeat within one
/// life of a server: challenges of the handshake.
class Nonces {
 public:
  Nonces(std::string_view secret, const Identity& self, Incarnation incarnation, uint64_t seed);
  std::array<uint8_t, kNonceBytes> next();
  /// The number of this life; not 0.
  uint64_t life() const { return life_; }

 private:
  std::string key_;
  uint64_t count_ = 0;
  uint64_t life_;
};

}  // namespace doozer::transport
