// The values that go in and out of the client library. A revision is the store's one number: it
// grows by one with each change. Nothing here needs more than the standard library.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "doozer/result.h"

namespace doozer {

using Duration = std::chrono::microseconds;

/// "The client's own": Options::request_timeout.
constexpr Duration kDefaultTimeout{-1};
/// Without a time limit.
constexpr Duration kNoTimeout = Duration::max();

/// Revisions for set and del. They pass if nothing newer than the given revision is in the file.
constexpr int64_t kMissing = 0;       ///< only if there is no file
constexpr int64_t kAnyRevision = -1;  ///< whatever is there

/// A file as it was at some revision.
struct File {
  std::string path = {};
  std::string value = {};
  int64_t revision = 0;  ///< of its last change; 0: there is no such file

  bool exists() const { return revision != 0; }
  bool operator==(const File&) const = default;
};

/// What stands at a path.
struct Stat {
  enum class Kind : uint8_t { missing, file, directory } kind = Kind::missing;
  int64_t revision = 0;  ///< of a file; 0 otherwise
  int64_t length = 0;    ///< bytes of a file, entries of a directory

  bool operator==(const Stat&) const = default;
};

/// Where an event stands among the events that match one glob: `sub` counts, from 0, those that
/// share the revision (a transaction has several). From this the next one is asked for.
struct Position {
  int64_t revision = 0;
  int64_t sub = 0;

  auto operator<=>(const Position&) const = default;
};

/// One change of one file.
struct Event {
  enum class Kind : uint8_t { nop = 0, set = 4, del = 8 } kind = Kind::nop;
  std::string path = {};   ///< "/" for a nop
  std::string value = {};  ///< empty for del and nop
  Position position = {};
  int64_t more = 0;  ///< how many later events of the same revision match the glob too

  /// Where a watch goes on after this event, in this process or a later one.
  Position next() const {
    return more > 0 ? Position{position.revision, position.sub + 1}
                    : Position{position.revision + 1, 0};
  }
  bool operator==(const Event&) const = default;
};

/// The entries of a directory, bare names in byte order, all as of `revision`.
struct Listing {
  std::vector<std::string> names = {};
  int64_t revision = 0;
};

/// The files that a glob matches, in byte order of the whole path, all as of `revision`.
struct Files {
  std::vector<File> files = {};
  int64_t revision = 0;
};

struct ReadOptions {
  /// The state as of exactly this revision; 0 or less: the newest. One in the future is waited for;
  /// one that has left the history is Code::too_late.
  int64_t revision = 0;
  /// False: the read sees every write that was acknowledged to anybody before it began. True: it is
  /// answered by the server at hand, also in a minority, and may lag; but never goes back behind
  /// what this client has seen. Without effect at a given revision.
  bool local = false;
  Duration timeout = kDefaultTimeout;
};

struct WriteOptions {
  /// When it passes before the request was sent: Code::timed_out, nothing happened. After it was
  /// sent: Code::unknown_outcome. 0 or less has passed already: nothing is sent. So it is for
  /// reads.
  Duration timeout = kDefaultTimeout;
};

struct WaitOptions {
  Duration timeout = kNoTimeout;
};

struct TlsOptions {
  bool enabled = false;
  std::string ca_file = {};      ///< PEM; empty: the system's trust store
  std::string server_name = {};  ///< that the certificate must bear; empty: the host of the address
  std::string cert_file = {};    ///< PEM, with key_file: this side's own certificate
  std::string key_file = {};
  bool insecure = false;  ///< accept any certificate: only for tests
};

/// What became of the connection; told to Options::on_connection.
struct ConnectionEvent {
  enum class Kind : uint8_t {
    connected,  ///< requests flow
    lost,       ///< it broke; the library looks for another server
    failed,     ///< one attempt at one address failed; it goes on
  } kind = Kind::connected;
  std::string address = {};
  Error error = {};  ///< why, but for `connected`
};

struct Options {
  /// Servers, "HOST:PORT" or "[V6]:PORT"; tried from a random one on, names resolved anew each
  /// time.
  std::vector<std::string> addresses = {};
  /// Of the cluster, to be looked up through `boot_uri`. Without `boot_uri` it has no effect.
  std::string cluster_name = {};
  /// A Doozer cluster that serves as name service: the addresses are the values of
  /// /ctl/ns/NAME/* in it. Only Client::connect() looks there, when cluster_name is set.
  std::string boot_uri = {};
  std::string secret = {};  ///< sent as ACCESS on each connection; empty: none is sent
  TlsOptions tls = {};

  /// 16 base32 characters. Servers of any other cluster are refused with Code::conflict. Empty: the
  /// first server that tells one decides.
  std::string cluster_id = {};
  /// Servers older than the extensions cannot make a read linearizable, so such reads are refused
  /// (Code::unsupported) before they are sent. True: they are answered like local ones.
  bool old_server_reads = false;

  /// For one address: resolution, connection, handshake and the first questions together.
  Duration connect_timeout = std::chrono::seconds(5);
  /// False: Client::connect() fails once every address has failed. True: it goes on trying until
  /// `request_timeout` has passed.
  bool wait_for_server = false;
  /// Of each request that brings no time limit of its own, from the call to the answer,
  /// reconnections included.
  Duration request_timeout = std::chrono::seconds(10);
  /// The pause before the second round over the addresses; it doubles up to the maximum, and each
  /// is shortened by a random part of up to one half.
  Duration backoff_min = std::chrono::milliseconds(50);
  Duration backoff_max = std::chrono::seconds(5);

  /// A server from which nothing has come for so long, although it was asked, is given up.
  Duration silence_max = std::chrono::seconds(10);
  /// Larger values are refused (Code::too_large) before they are sent: a server whose own limit is
  /// lower would close the connection. Raise it together with the servers' --value-bytes-max.
  size_t value_bytes_max = size_t{1} << 20U;

  /// Called on the library's thread.
  std::function<void(const ConnectionEvent&)> on_connection = {};
};

/// How the client stands.
struct Connection {
  bool connected = false;
  std::string address = {};     ///< of the server at hand; empty when there is none
  std::string cluster_id = {};  ///< 16 base32 characters; empty: no server has told one
  bool extensions = false;      ///< linearizable reads and outcomes are understood
  int64_t revision_seen = 0;    ///< the highest that any answer bore
  int64_t connects = 0;         ///< connections made so far
};

}  // namespace doozer
