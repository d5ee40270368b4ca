// The mesh: links to all other servers, and messages that find their way while any path of links
// is left ("transitively connected is connected"). It tells who is reachable, and who is provably
// dead. docs/mesh.md tells how it works, docs/peer-protocol.md the bytes.
//
// Messages may be lost, repeated (never by the mesh itself) and reordered. It must never deliver
// one of another cluster, of an older life of its sender, or meant for an older life of this
// server.
//
// One thread; no call of MeshEvents is made inside send(), turn_end() or the constructor. The
// owner may call anything but the destructor from inside MeshEvents.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/types.h"
#include "env/clock.h"
#include "env/net.h"

namespace doozer::transport {

/// Which connection of a link carries a message. Control goes first everywhere; what is larger
/// than kPartBytesMax is bulk, whatever was asked for.
enum class Channel : uint8_t { control = 0, bulk = 1 };

/// A server that was met once: dialled until it is forgotten. Cached in the data directory.
struct KnownPeer {
  Identity identity;
  std::string address;      ///< HOST:PORT, as it told
  Incarnation incarnation;  ///< the highest seen: a lower one is a disk that was rolled back

  bool operator==(const KnownPeer&) const = default;
};

struct MeshOptions {
  Identity cluster;
  Identity self;
  Incarnation incarnation;
  std::string advertise;           ///< HOST:PORT at which others reach this server
  std::vector<std::string> seeds;  ///< always tried; at most kSeedsMax
  std::vector<KnownPeer> known;    ///< at most kServersMax; entries of `self` are ignored
  std::string secret;              ///< proves both sides; empty: none
  bool insecure_peers = false;     ///< peers beyond loopback need no proof
  bool certificates = false;       ///< a peer must have shown one (env::Stream::certified)
  env::DialOptions dial;           ///< the TLS part is used for every dial
  uint32_t cluster_version_max = 0;
  uint64_t seed = 0;  ///< from the operating system's entropy: jitter, nonces, the life's number
  bool never_lead = false;
  /// This server has booted the cluster itself and no other server ever belonged to it: meeting
  /// another cluster that knows its address is fatal (a volume that was not mounted).
  bool booted_alone = false;
};

/// What is told of one other server.
struct PeerInfo {
  Identity identity;
  Incarnation incarnation;  ///< 0: never met in its present life
  std::string address;
  bool up = false;        ///< reachable, directly or by relay
  bool direct = false;    ///< by a link of our own
  bool damped = false;    ///< our link to it has flapped and is a last resort for now
  bool answered = false;  ///< its address has answered a dial of ours in this life: without that
                          ///< its death cannot be proven
  uint32_t hops = 0;      ///< links on the way; 0: not reachable
  uint64_t rtt_us = 0;    ///< of the way; of a direct link measured, else added up
  uint32_t version = 0;   ///< its cluster_version_max
  bool never_lead = false;
  uint64_t last_heard_us = 0;  ///< by our clock, directly or by flooding; 0: never
};

struct MeshStats {
  uint64_t messages_sent = 0;  ///< by send(), and not dropped there
  uint64_t messages_received = 0;
  uint64_t frames_relayed = 0;
  uint64_t bytes_sent = 0;  ///< given to streams
  uint64_t bytes_received = 0;
  uint64_t dropped_unreachable = 0;
  uint64_t dropped_queue_full = 0;
  uint64_t dropped_relay_full = 0;
  uint64_t dropped_hops = 0;
  uint64_t dropped_incarnation = 0;  ///< from or to another life, or another cluster
  uint64_t dropped_reassembly = 0;   ///< messages of which a part was missing or too much
  uint64_t dropped_too_large = 0;
  uint64_t links_up = 0;  ///< events, not a level
  uint64_t links_down = 0;
  uint64_t dials = 0;
  uint64_t refused = 0;  ///< handshakes that either side refused
};

class MeshEvents {
 public:
  virtual ~MeshEvents() = default;
  /// `payload` is borrowed for the call.
  virtual void on_message(const Identity& from, Incarnation incarnation, Channel channel,
                          std::string_view payload) = 0;
  /// Proof of death: the peer's side closed without goodbye and the redial of an address at which
  /// this very life of it had answered was refused. At most once for each life.
  virtual void on_gone(const Identity& identity, Incarnation incarnation) = 0;
  /// Something of peers() changed but round trips and last_heard_us. At most once a turn.
  virtual void on_peers_changed() = 0;
  /// known() changed and should be written to the cache. At most once a turn.
  virtual void on_known_changed() = 0;
  /// A proven peer shows that this server must not go on: a disk that was copied or rolled back, or
  /// booted_alone and another cluster knows its address. Code: conflict. The message names both
  /// sides. `rolled_back`: the disk is older than what others have seen of it, and must not be
  /// started again. The mesh goes on until it is stopped.
  virtual void on_fatal(const Error& error, bool rolled_back) = 0;
};

class Mesh {
 public:
  /// All borrowed, all outlive it. `logger` is copied.
  Mesh(env::Clock& clock, env::Net& net, MeshOptions options, MeshEvents& events,
       const Logger& logger);
  /// As stop(). Not from inside MeshEvents.
  ~Mesh();
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;

  /// Begins to dial.
  void start();
  /// Never fails and promises nothing: dropped, and counted, if `to` is not reachable, a queue is
  /// full or the payload is over kMessageBytesMax. Leaves with the turn_end() of this turn.
  void send(const Identity& to, Channel channel, std::string payload);
  /// Gives what was sent in this turn to the streams: one write for each connection. To be called
  /// at the end of every turn, after everything that may send.
  void turn_end();
  /// Takes a connection that was accepted on the client port, with the bytes that came. REQUIRES
  /// that the first of them is kPeerFirstByte (transport/limits.h) or more.
  void adopt(std::unique_ptr<env::Stream> stream, std::string first_bytes);
  /// Takes a connection of a listener that is for peers alone.
  void accept(std::unique_ptr<env::AcceptedStream> accepted);
  /// Tells the peers that the close which follows is planned: nobody takes it for a crash. Further
  /// messages still pass.
  void goodbye();
  /// Closes everything; nothing is heard afterwards.
  void stop();
  /// Never dials it again and drops its place in known(), until it comes by itself. A removed
  /// server.
  void forget(const Identity& identity);
  /// These are never forgotten for a newcomer: the members.
  void keep(std::vector<Identity> members);

  /// A direct link is up, damped or not.
  bool linked(const Identity& identity) const;
  /// Directly or by relay.
  bool reachable(const Identity& identity) const;
  /// All others that are known, in the order of their identities.
  std::vector<PeerInfo> peers() const;
  std::vector<KnownPeer> known() const;
  const MeshStats& stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace doozer::transport
