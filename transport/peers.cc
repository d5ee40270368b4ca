#include "transport/peers.h"

#include "base/check.h"

namespace doozer::transport {
namespace {

std::string named(const Identity& identity, Incarnation incarnation, const std::string& address) {
  return identity.to_string() + " (start " + std::to_string(incarnation.value()) + ") at " +
         address;
}

}  // namespace

Peer* PeerTable::find(const Identity& identity) {
  const auto found = peers_.find(identity);
  return found == peers_.end() ? nullptr : found->second.get();
}

const Peer* PeerTable::find(const Identity& identity) const {
  const auto found = peers_.find(identity);
  return found == peers_.end() ? nullptr : found->second.get();
}

Peer& PeerTable::add(const Identity& identity) {
  CHECK(!full());
  CHECK(!peers_.contains(identity));
  return *peers_.emplace(identity, std::make_unique<Peer>(identity, ledger_)).first->second;
}

std::optional<Refusal> judge(const Self& self, const Hello& theirs, const std::string& from,
                             const Peer* known) {
  const std::string them =
      named(theirs.identity, theirs.incarnation, theirs.address.empty() ? from : theirs.address);
  const std::string us = named(self.identity, self.incarnation, self.address);
  if (theirs.identity == self.identity && theirs.life == self.life) {
    return Refusal{RefusalCode::itself, "server " + us + " has reached itself at " + from};
  }
  if (theirs.cluster != self.cluster) {
    return Refusal{RefusalCode::other_cluster, "server " + them + " is of cluster " +
                                                   theirs.cluster.to_string() + ", server " + us +
                                                   " of cluster " + self.cluster.to_string()};
  }
  if (theirs.identity == self.identity) {
    return Refusal{RefusalCode::copied,
                   "two servers live with one identity (a copied disk): " + us + " and " + them};
  }
  if (known == nullptr) return std::nullopt;
  if (theirs.incarnation < known->incarnation) {
    return Refusal{RefusalCode::rolled_back,
                   "server " + them + " was seen with start " +
                       std::to_string(known->incarnation.value()) +
                       " before (a disk that was rolled back, or a copy), says server " + us};
  }
  // Each start counts up durably: two processes with one count have two disks.
  if (theirs.incarnation == known->incarnation && known->life != 0 && theirs.life != known->life) {
    return Refusal{RefusalCode::copied,
                   "two servers live with one identity (a copied disk): " + them +
                       " and the one at " + known->address + ", says server " + us};
  }
  return std::nullopt;
}

}  // namespace doozer::transport
