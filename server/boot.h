// How a server begins: whether an empty directory may become a new cluster (design section 5), and
// the files that a cluster of one finds or makes under /ctl (semantics, "Cluster").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "core/machine.h"
#include "env/disk.h"
#include "storage/storage.h"

namespace doozer::server {

struct BootInputs {
  std::string listen;               ///< as given to --listen
  bool boot = false;                ///< --boot
  std::vector<std::string> attach;  ///< --attach
  std::string boot_uri;             ///< --boot-uri
};

enum class FirstStart : uint8_t {
  boot,    ///< a new cluster, of this server
  attach,  ///< look for a cluster at the addresses given (with --boot: boot if they hold none)
  ask,     ///< ask the name service who boots and whom to attach to
};

/// What an empty data directory becomes: whatever the name service says, with --boot-uri; a new
/// cluster when listening on loopback without --attach, or with --boot. A volume that failed to
/// mount must not become a second, empty cluster at the old address. Errors: bad_argument, telling
/// what to do.
Result<FirstStart> first_start(const BootInputs& inputs);

/// The identity under which this server stands for election at the name service: the one that it
/// stood under before, else `fresh`, durably noted. Errors: corrupt (the note), io_error, no_space.
Result<Identity> candidate_identity(env::Disk& disk, const Identity& fresh);
/// Once the directory holds a cluster, nobody stands for anything. Errors: io_error.
Result<void> forget_candidate(env::Disk& disk);

/// One file to write at boot.
struct BootWrite {
  std::string path;
  std::string value;
};

struct NodeFacts {
  Identity identity;
  std::string cluster_name;
  std::string address;  ///< told to others
  std::string hostname;
  std::string version;
  uint64_t slots = 1;    ///< made when the cluster is new
  bool founder = false;  ///< the only voter: nobody else may fill the slots of a new cluster
};

/// What the founder of a new cluster writes, in this order from revision 1, or the rest of it if
/// the first boot was cut short; for a restart, and for whoever attaches, even while the founder is
/// not done, only what differs from what the machine holds (and never the cluster's name or its
/// slots).
std::vector<BootWrite> boot_writes(const NodeFacts& facts, const core::Machine& machine);

}  // namespace doozer::server
