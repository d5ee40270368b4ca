// What waits for one connection of a link: the mesh's own frames first, then messages in order.
// Large messages are cut into parts only when they leave. Every byte in it is counted, for the
// owner's limits and, for relayed frames, for the limit of their pair.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>

#include "base/types.h"
#include "transport/frame.h"

namespace doozer::transport {

/// From whom to whom a relayed frame goes.
using Pair = std::pair<Identity, Identity>;

/// Relayed bytes that wait in all outboxes of a server, by pair, and which may be added.
class RelayLedger {
 public:
  size_t bytes(const Pair& pair) const;
  void add(const Pair& pair, size_t bytes);
  void remove(const Pair& pair, size_t bytes);
  bool empty() const { return bytes_.empty(); }

  /// A frame with a whole message.
  bool admits(const Pair& pair, size_t bytes) const;
  /// A part: of a message whose first part was admitted the others are too. Otherwise a message
  /// larger than the limit would never get through a relay whose next link is the slower one.
  bool admits_part(const Pair& pair, size_t bytes, uint64_t message, bool first);

 private:
  std::map<Pair, size_t> bytes_;
  std::map<Pair, uint64_t> begun_;  ///< the message whose first part was admitted last
};

class Outbox {
 public:
  /// One message of this server, or one frame of others.
  struct Item {
    FrameType type = FrameType::message;
    Identity to;                 ///< addressee
    Incarnation to_incarnation;  ///< the life of it that is meant; of a message of this server
    Identity from;               ///< none: this server; else it counts in the ledger
    std::string envelope;        ///< before each part; empty on a direct link
    std::string payload;         ///< of a relayed frame: all of its body
    uint64_t message = 0;        ///< of a message that is sent in parts, or of a relayed part
    bool parts = false;          ///< it is cut when it leaves
    bool first = false;          ///< of a relayed part: it is the first of `message`
    size_t sent = 0;             ///< of the payload, in parts
  };
  explicit Outbox(RelayLedger& ledger) : ledger_(ledger) {}
  ~Outbox() { clear(); }
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  /// A frame that goes before all messages.
  void push_urgent(FrameType type, std::string_view body);
  void push(Item item);
  /// Appends frames until `out` has about `bytes` or nothing waits.
  void fill(std::string& out, size_t bytes);
  /// Drops the relayed frames of the pair; how many.
  size_t drop_pair(const Pair& pair);
  /// Takes out all messages, in order; urgent frames are dropped.
  std::deque<Item> take_all();
  void clear() { take_all(); }
  /// Of messages.
  size_t bytes() const { return bytes_; }
  bool empty() const { return items_.empty() && urgent_.empty(); }

 private:
  void uncount(const Item& item);
  RelayLedger& ledger_;
  std::string urgent_;
  std::deque<Item> items_;
  size_t bytes_ = 0;
};

}  // namespace doozer::transport
