// One connection to another server: a stream, its handshake, and the frames that come out of it.
// It decides nothing: when both sides are proven it asks its owner, who accepts or refuses.
//
// It is never destroyed inside its own calls: the owner reaps those that are dead() at the end of
// a turn. One that was refused lingers, so that the reason arrives and no reset overtakes it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "env/net.h"
#include "transport/frame.h"
#include "transport/hello.h"

namespace doozer::transport {

class Connection;

class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  /// The hello that this side sends. For an accepted connection `theirs` is what was asked.
  virtual Hello make_hello(const Connection& connection, const Hello* theirs) = 0;
  /// Why no connection with that address may be, whose certificate was shown or not; empty: it may.
  /// Asked before anything is said.
  virtual std::string forbidden(const std::string& address, bool certified) = 0;
  virtual std::string_view secret() const = 0;
  virtual uint64_t now_us() const = 0;
  /// Both sides are proven. The owner calls accept() or refuse(), now.
  virtual void on_proven(Connection& connection) = 0;
  /// Both sides have accepted (the accepted side: this one has).
  virtual void on_established(Connection& connection) = 0;
  /// Frames but those of the handshake. The body is borrowed.
  virtual void on_frame(Connection& connection, const FrameReader::Frame& frame) = 0;
  /// The peer refuses. It is over; on_lost is not heard.
  virtual void on_refused(Connection& connection, const Refusal& refusal) = 0;
  /// It is over, though the owner did not end it: the dial failed, the peer closed, reset or talked
  /// nonsense, or the handshake took too long. Codes: refused (nobody listens there), closed (the
  /// peer did), corrupt, timed_out, permission_denied (the secret, or not even a proof is
  /// possible), unsupported (no common version), and those of a dial.
  virtual void on_lost(Connection& connection, const Error& why) = 0;
};

class Connection final : public env::StreamEvents {
 public:
  enum class State : uint8_t {
    connecting,
    greeting,   ///< hello, proof
    welcoming,  ///< dialled and accepted here: waits for the other's welcome
    established,
    lingering,  ///< all is said; waits for the peer to close
    dead,
  };
  /// Dials. `address` is what is dialled, `expected` whom it hopes to meet (or none).
  Connection(uint64_t id, ConnectionOwner& owner, env::Net& net, env::DialOptions options,
             Role role, const Identity& expected);
  /// Accepted, by somebody else who has heard its first bytes, or just now; call begin() next.
  Connection(uint64_t id, ConnectionOwner& owner, std::unique_ptr<env::Stream> stream);
  Connection(uint64_t id, ConnectionOwner& owner, env::AcceptedStream& accepted);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  /// Handles what an accepted connection has said so far.
  void begin(std::string_view first_bytes);

  uint64_t id() const { return id_; }
  State state() const { return state_; }
  bool dead() const { return state_ == State::dead; }
  bool established() const { return state_ == State::established; }
  bool dialled() const { return side_ == Side::dialled; }
  /// Both proofs were good: what the peer says of itself is true.
  bool proven() const { return proven_; }
  Role role() const { return role_; }
  /// The dialled address, or where the accepted connection came from.
  const std::string& address() const { return address_; }
  const Identity& expected() const { return expected_; }
  /// REQUIRES proven().
  const Hello& theirs() const { return theirs_; }
  uint64_t began_us() const { return began_us_; }
  /// REQUIRES that it is or was established. A dial may have waited long before that.
  uint64_t established_us() const { return established_us_; }
  /// The same at both ends and for no other connection; not 0.
  uint64_t tag() const { return tag_; }
  /// Once established, both count from the same frame; what came of a frame counts.
  uint64_t bytes_received() const { return bytes_received_ + reader_.held(); }
  uint64_t bytes_sent() const { return bytes_sent_; }
  bool planned_close() const { return planned_close_; }

  void accept();
  /// Tells the reason and ends. At any time.
  void refuse(const Refusal& refusal);
  /// Says goodbye; the connection goes on until somebody closes.
  void say_goodbye();
  /// Says goodbye and ends.
  void close();
  /// Ends at once, without a word.
  void cut();
  /// Whole frames, made by append_frame(). REQUIRES established().
  void write(std::string frames);
  size_t unsent() const { return stream_ == nullptr ? 0 : stream_->unsent(); }
  /// The owner's loop has just come back from so long a rest that nobody wanted.
  void away(uint64_t us);
  /// Since when nothing that is unsent has been taken, but for such rests; 0: nothing is unsent.
  uint64_t stalled_since_us() const { return unsent() == 0 ? 0 : unsent_since_us_; }
  /// Ends a handshake or a lingering that takes too long.
  void tick();

  void on_connected() override;
  void on_bytes(std::string_view bytes) override;
  void on_progress() override;
  void on_end() override;
  void on_failed(const Error& error) override;

 private:
  void handle(const FrameReader::Frame& frame);
  void establish();
  void on_hello(std::string_view body);
  void on_proof(std::string_view body);
  void greet(const Hello* theirs);
  void send_frame(FrameType type, std::string_view body);
  void linger();
  void lost(const Error& error);

  // Fixed after construction (what is learned: once).
  const uint64_t id_;
  ConnectionOwner& owner_;
  const Side side_;
  Role role_ = Role::control;
  std::string address_;
  Identity expected_;
  uint64_t began_us_;
  // Volatile.
  State state_;
  std::unique_ptr<env::Stream> stream_;
  FrameReader reader_;
  std::string my_hello_;
  std::string mine_;  ///< for messages: this server and its address
  std::string my_address_;
  std::string their_hello_;
  Hello theirs_;
  uint64_t tag_ = 0;
  uint64_t bytes_received_ = 0;  ///< in whole frames
  uint64_t bytes_sent_ = 0;
  bool proven_ = false;
  bool planned_close_ = false;
  uint64_t established_us_ = 0;
  uint64_t unsent_since_us_ = 0;
  uint64_t linger_since_us_ = 0;
};

}  // namespace doozer::transport
