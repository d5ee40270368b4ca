// Frames between servers, and how a stream of bytes is cut into them. docs/peer-protocol.md draws
// the bytes.
//
//   connection: preamble, then frames, in each direction
//   frame:      u32 length of body | u32 crc32c of type and body | u8 type | body
//
// What comes from the network is judged here before anybody else sees it: a bad length, checksum or
// type ends the connection, and never asks for more memory than the limit that is given.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace doozer::transport {

/// Both sides begin with it. Its first byte makes it a peer's connection (kPeerFirstByte).
constexpr std::string_view kPreamble{"\xD0zr-peer\n", 9};
constexpr size_t kFrameHeadBytes = 9;

enum class FrameType : uint8_t {
  hello = 1,       ///< who I am (hello.h)
  proof = 2,       ///< of the side that dialled
  welcome = 3,     ///< of the side that accepted: both are proven
  refusal = 4,     ///< why this connection ends
  goodbye = 5,     ///< my closing is planned
  beat = 6,        ///< control: heartbeat and echo
  link_state = 7,  ///< control: one server's view, flooded
  message = 8,     ///< control: for the one who hears it
  relayed = 9,     ///< control: passed on to its addressee
  part = 10,       ///< bulk: of a message for the one who hears it
  relayed_part = 11,
};

/// Appends one frame. REQUIRES a body of at most kFrameBodyBytesMax.
void append_frame(FrameType type, std::string_view body, std::string& out);

/// Cuts what comes into frames.
class FrameReader {
 public:
  struct Frame {
    FrameType type = FrameType::hello;
    std::string_view body;  ///< borrowed until the next call of next() or feed()
  };
  /// Bodies over `body_max` are an error; may be changed at any time.
  explicit FrameReader(size_t body_max) : body_max_(body_max) {}
  void set_body_max(size_t body_max) { body_max_ = body_max; }
  /// Takes bytes; call next() until it is empty-handed before feeding again.
  void feed(std::string_view bytes);
  /// The next whole frame. False: more bytes are needed. Errors: corrupt (preamble, length, type,
  /// checksum); nothing can be read afterwards.
  Result<bool> next(Frame& frame);
  /// What was fed and not yet returned by next().
  size_t held() const { return in_.size() - at_; }

 private:
  std::string in_;
  size_t at_ = 0;
  size_t body_max_;
  bool greeted_ = false;  ///< the preamble was read
};

}  // namespace doozer::transport
