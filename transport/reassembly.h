// Puts the parts of bulk messages together. The parts of one message follow one way and come in
// order, or the message is lost: what is out of order, repeated or too much drops it. Memory grows
// only by bytes that came, never by what a head promises.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/types.h"
#include "transport/envelope.h"

namespace doozer::transport {

class Reassembly {
 public:
  /// Adds one part; the whole message once its last part is there.
  std::optional<std::string> add(const Identity& from, Incarnation incarnation,
                                 const PartView& part, uint64_t now_us);
  /// Drops messages that waited too long for a part.
  void expire(uint64_t now_us);
  void forget(const Identity& from);
  size_t bytes() const { return bytes_; }
  size_t messages() const { return open_.size(); }
  /// Messages given up so far.
  uint64_t dropped() const { return dropped_; }

 private:
  struct Key {
    Identity from;
    Incarnation incarnation;
    uint64_t message;
    auto operator<=>(const Key&) const = default;
  };
  struct Open {
    std::string bytes;
    uint32_t total = 0;
    uint64_t heard_us = 0;
  };
  using Map = std::map<Key, Open>;
  void drop(Map::iterator which);
  void make_room(const Key& key, size_t size);

  Map open_;
  size_t bytes_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace doozer::transport
