// Another cluster in which servers find each other (`--boot-uri`): whom a server without a cluster
// asks, and where a member tells its address. The server knows only this; cmd/ makes it of the
// client library, as server/ may not include that.
//
// What stands there, as in the original: /ctl/ns/NAME/IDENTITY holds a server's address,
// /ctl/boot/NAME the identity of the one that was first, written by compare-and-set, once for ever.
#pragma once

#include <string>
#include <vector>

#include "base/function.h"
#include "base/types.h"

namespace doozer::server {

class NameService {
 public:
  /// What is known of the cluster.
  struct Finding {
    std::vector<std::string> addresses;  ///< of its servers, this one's not among them
    /// This server was chosen to make the cluster, if those addresses hold none.
    bool may_boot = false;
    bool operator==(const Finding&) const = default;
  };

  virtual ~NameService() = default;
  /// Looks, and stands for election where nobody was first yet. `then` hears what was found, and
  /// again whenever it is something else, until settled(); never from inside this call. As long as
  /// the name service cannot be reached it says so in the log and tries again.
  virtual void find(const Identity& self, const std::string& address,
                    UniqueFunction<void(const Finding&)> then) = 0;
  /// The search is over.
  virtual void settled() = 0;
  /// This server is a member, reached at `address`: sees to it that the name service says so, from
  /// now on. Never fails; it is tried again.
  virtual void publish(const Identity& self, const std::string& address) = 0;
  /// Nothing is done or heard afterwards.
  virtual void stop() = 0;
};

}  // namespace doozer::server
