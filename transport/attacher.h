// What a server without a cluster does first: asks the addresses that it was given whether they
// hold one (design: `-a` on an empty directory, and the rule of `--boot` together with `-a`).
// It also answers those who ask this server meanwhile: "holds none".
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/types.h"
#include "env/clock.h"
#include "env/net.h"

namespace doozer::transport {

struct AttacherOptions {
  Identity self;  ///< fresh, of a directory that is still empty
  std::string advertise;
  std::vector<std::string> addresses;  ///< at most kSeedsMax
  std::string secret;
  bool insecure_peers = false;
  bool certificates = false;  ///< as in MeshOptions
  env::DialOptions dial;      ///< the TLS part is used
  uint64_t seed = 0;          ///< from the operating system's entropy
  bool boot = false;          ///< --boot: a new cluster once every address holds none
};

/// A cluster that an address holds.
struct AttachAnswer {
  Identity cluster;
  Identity identity;  ///< of the server that answered
  std::string address;
};

/// What is known of one address.
struct AttachState {
  enum class Kind : uint8_t {
    silent,      ///< no answer yet, or none lately
    holds_none,  ///< a server that waits as this one does
    ourselves,   ///< the address is our own
    holds,       ///< a cluster
    refused,     ///< it answers and refuses this server, such as for a wrong secret
  };
  std::string address;
  Kind kind = Kind::silent;
  std::string why;  ///< of the last failure, for people
};

class AttacherEvents {
 public:
  virtual ~AttacherEvents() = default;
  /// The first address that holds a cluster has answered. The last call.
  virtual void on_attach(const AttachAnswer& answer) = 0;
  /// Only with `boot`: every address has answered lately that it holds none, and of the servers
  /// there that were told to boot too this one has the lowest identity. The last call.
  virtual void on_boot() = 0;
};

/// One thread; events are never heard inside start() or adopt(). It may not be destroyed from
/// inside its events. After the last one it neither dials nor answers.
class Attacher {
 public:
  Attacher(env::Clock& clock, env::Net& net, AttacherOptions options, AttacherEvents& events,
           const Logger& logger);
  ~Attacher();
  Attacher(const Attacher&) = delete;
  Attacher& operator=(const Attacher&) = delete;

  void start();
  /// As Mesh::adopt().
  void adopt(std::unique_ptr<env::Stream> stream, std::string first_bytes);
  /// As Mesh::accept().
  void accept(std::unique_ptr<env::AcceptedStream> accepted);
  /// Nothing is heard afterwards.
  void stop();
  /// In the order of the options.
  std::vector<AttachState> states() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace doozer::transport
