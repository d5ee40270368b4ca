// One client connection: joins a stream (bytes of the network) with a door (requests), and keeps
// the connection's limits. It begins nothing by itself; Connections calls it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/budget.h"
#include "door/door.h"
#include "env/clock.h"
#include "env/net.h"

namespace doozer::server {

class Connections;

struct ConnectionLimits {
  uint64_t frame_complete_us = kFrameCompleteUsMax;
  uint64_t unsent_stall_us = kUnsentStallUsMax;
  uint64_t linger_us = kGracefulLingerUs;
  uint64_t stop_us = kGracefulAnswersUs;
};

class Connection final : public env::StreamEvents, public door::DoorEvents {
 public:
  Connection(uint64_t id, Connections& owner, door::Host& host, const ConnectionLimits& limits);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void attach(env::AcceptedStream& accepted);
  uint64_t id() const { return id_; }
  const std::string& peer() const { return peer_; }

  /// Starts reading, if it was attached before the server served.
  void resume();
  /// Goes on with slices, offers kept bytes to the door, sends what is ready in one write.
  /// True if it wants to be called again in the next turn.
  bool turn_end(uint64_t now_us, Budget& budget);
  /// Handles no further input, answers what is under way, tells the peer, waits for it to close.
  void begin_close();
  /// The same, for a server that stops: who takes nothing of his answers for `linger_us`, or not
  /// all of them in `stop_us`, is cut.
  void begin_stop();
  /// The connection is over: closes the stream and drops what the client had waited for, in slices;
  /// true when nothing is left of that.
  bool wind_up(Budget& budget);
  /// The moment at which the connection will be cut if nothing changes; 0: none.
  uint64_t deadline_us() const;
  /// Why, for the log.
  std::string_view deadline_reason() const;
  /// Nothing is left to do; the owner destroys it.
  bool dead() const { return state_ == State::dead; }
  /// Waits only for the peer to close.
  bool lingering() const { return state_ == State::lingering; }
  /// What it holds of requests that the door has not taken, as counted with the owner.
  size_t half() const { return half_; }
  /// Bytes of answers that the operating system has not taken, as counted with the owner.
  size_t unsent() const { return unsent_; }

  void on_bytes(std::string_view bytes) override;
  void on_progress() override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_output() override;

 private:
  enum class State : uint8_t {
    open,
    closing,    ///< no more input is handled; answers are still sent
    lingering,  ///< all is sent and the sending side shut; waits for the peer to close
    dead,
  };
  bool is_peer(std::string_view bytes) const;
  void wait_to_be_served(std::string_view bytes);
  void feed();
  void note_frame();
  void note_half(bool heard);
  void send(uint64_t now_us);
  void note_unsent();
  void maybe_finish(uint64_t now_us);
  void set_paused(bool paused);

  // Fixed after construction.
  uint64_t id_;
  Connections& owner_;
  ConnectionLimits limits_;
  std::string peer_;
  // Volatile.
  std::unique_ptr<door::Door> door_;
  std::unique_ptr<env::Stream> stream_;
  State state_ = State::open;
  bool input_ended_ = false;  ///< the door knows
  bool peer_ended_ = false;   ///< the peer sends no more
  bool paused_ = false;
  bool heard_ = false;            ///< something came: it is known whose connection this is
  std::string in_;                ///< bytes that the door has not taken
  size_t half_ = 0;               ///< what they cost, as counted with the owner
  uint64_t frame_since_us_ = 0;   ///< a frame is begun and not whole; 0: none
  uint64_t unsent_since_us_ = 0;  ///< the peer takes nothing since; 0: all sent
  uint64_t linger_since_us_ = 0;
  uint64_t stop_since_us_ = 0;  ///< the server stops since; 0: it does not
  size_t held_ = 0;  ///< bytes that came before the owner served, as may_hold() counted them
  size_t unsent_ = 0;
};

}  // namespace doozer::server
