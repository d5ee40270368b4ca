// All client connections of a server: admits them, calls them at the end of a turn in which
// something happened to them, cuts those that pass a limit, and closes all when the server stops.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "door/door.h"
#include "env/clock.h"
#include "env/net.h"
#include "server/connection.h"
#include "server/half_frames.h"

namespace doozer::server {

struct ConnectionsOptions {
  size_t connections_max = kConnectionsMax;
  size_t per_address_max = kConnectionsPerAddressMax;
  // Of what all hold together in answers that the operating system has not taken: above the first
  // whoever has any begins no request, above the second those with the most are cut.
  size_t unsent_soft = kUnsentBytesAllSoft;
  size_t unsent_max = kUnsentBytesAllMax;
  /// And of what they hold of requests that are not whole (server/half_frames.h).
  size_t half_frames_max = kHalfFrameBytesAllMax;
  ConnectionLimits limits;
};

class Connections final : public env::AcceptEvents {
 public:
  Connections(env::Clock& clock, door::Host& host, const ConnectionsOptions& options,
              const Logger& logger);
  ~Connections() override;
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  /// Takes a connection of another server (its first byte is transport::kPeerFirstByte or more),
  /// with what it has said so far, in the call in which that is heard: also before resume(), and
  /// while clients are closed. Without a handler such bytes are a bad frame.
  using PeerHandler = UniqueFunction<void(std::unique_ptr<env::Stream>, std::string)>;
  void on_peer(PeerHandler handler) { peers_ = std::move(handler); }
  /// From now on requests are handled; connections that came before have waited.
  void resume();
  /// The opposite: cuts all clients at once, with all that they waited for, and lets those who come
  /// wait. For a server whose state is about to be another one, or is not to be trusted.
  void suspend();
  /// Serves every connection that was touched: called at the end of each turn.
  void turn_end();
  /// Closes all, politely; `done` is called when none is left, at the latest after `stop` and
  /// `linger` of the limits: answers are sent to the end to whoever takes them.
  void close_all(UniqueFunction<void()> done);
  size_t count() const { return connections_.size(); }
  uint64_t accepted() const { return accepted_; }
  uint64_t refused() const { return refused_; }
  uint64_t cut() const { return cut_; }
  uint64_t peers_taken() const { return peers_taken_; }
  size_t unsent() const { return unsent_; }
  size_t half_frames() const { return half_frames_.bytes(); }

  // For Connection.
  void touch(Connection& connection);
  uint64_t now_us() const { return clock_.now_us(); }
  bool serving() const { return serving_; }
  bool takes_peers() const { return static_cast<bool>(peers_); }
  void hand_over(std::unique_ptr<env::Stream> stream, std::string bytes);
  bool closing() const { return closing_; }
  /// Before it serves: what clients have said may not fill the memory.
  bool may_hold(size_t bytes);
  /// What may_hold() allowed was served, or will not be.
  void release_held(size_t bytes) { held_bytes_ -= bytes; }
  void count_unsent(size_t before, size_t now) { unsent_ += now - before; }
  /// It holds half() now; trusted: its client has shown that it may write.
  void note_half(const Connection& connection, bool trusted);
  bool crowded() const { return unsent_ > options_.unsent_soft; }
  void log_protocol_error(const Connection& connection, const Error& error);

  void on_accept(std::unique_ptr<env::AcceptedStream> stream) override;
  void on_refused(const Error& why, uint64_t count) override;

 private:
  struct Held {
    std::unique_ptr<Connection> connection;
    std::string address;  ///< of the peer, without its port
    bool touched = false;
    uint64_t deadline_us = 0;  ///< as it stands in deadlines_; 0: not there
  };
  void refuse(std::string_view peer, std::string_view why, size_t limit);
  void serve(Held& held, Budget& budget);
  void remove(uint64_t id);
  std::vector<uint64_t> ids() const;  ///< in rising order
  void set_deadline(Held& held, uint64_t deadline_us);
  void arm_timer();
  void cut_late();
  void cut_largest();
  bool cut_half_frames(uint64_t began_us);
  void cut(uint64_t id, std::string_view why);
  /// True if one more line of this kind may be logged this second.
  bool may_log();
  /// Says how many lines of the last second were not logged; at once or once that second is over.
  void tell_hidden(bool now);

  // Fixed after construction.
  env::Clock& clock_;
  door::Host& host_;
  ConnectionsOptions options_;
  Logger logger_;
  // Volatile.
  std::unordered_map<uint64_t, Held> connections_;  ///< never iterated where the order shows
  std::unordered_map<std::string, size_t> per_address_;
  std::deque<std::unique_ptr<Connection>> leaving_;  ///< over, with waits still to be dropped
  std::deque<uint64_t> touched_;                     ///< to be served, in the order of the touches
  std::vector<uint64_t> again_;                      ///< served, and wanting more next turn
  std::vector<uint64_t> starved_;  ///< the same, but nothing was left of the turn's steps
  std::set<std::pair<uint64_t, uint64_t>> deadlines_;  ///< (when, id)
  env::TimerId timer_ = 0;
  uint64_t timer_us_ = 0;  ///< when it runs
  uint64_t next_id_ = 1;
  uint64_t accepted_ = 0;
  uint64_t refused_ = 0;
  uint64_t cut_ = 0;
  uint64_t peers_taken_ = 0;
  size_t held_bytes_ = 0;  ///< of requests that came before it serves
  size_t unsent_ = 0;      ///< of all connections
  HalfFrames half_frames_;
  uint64_t log_second_ = 0;
  uint64_t logged_ = 0;
  uint64_t not_logged_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< for a timer that may outlive this
  UniqueFunction<void()> closed_;
  PeerHandler peers_;
  bool serving_ = false;
  bool closing_ = false;
};

}  // namespace doozer::server
