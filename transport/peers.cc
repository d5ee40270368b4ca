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

Refusal two_live(const Self& self, const Hello& theirs, const std::string& from,
                 const Peer& known) {
  const std::string at = theirs.address.empty() ? from : theirs.address;
  return {RefusalCode::copied,
          "two servers live with one identity (a copied disk): " +
              named(theirs.identity, theirs.incarnation, at) + " and the one with start " +
              std::to_string(known.incarnation.value()) + " at " + known.address +
              ", says server " + named(self.identity, self.incarnation, self.address)};
}

std::optional<Refusal> judge(const Self& self, const Hello& theirs, const std::string& from,
                             const Peer* known, bool lives) {
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
  // Each start counts up durably: another process with the same count has another disk.
  const bool other = known->life != 0 && theirs.life != known->life;
  const bool behind = theirs.incarnation < known->incarnation ||
                      (theirs.incarnation == known->incarnation && other);
  if (!behind) return std::nullopt;
  if (lives) return two_live(self, theirs, from, *known);
  return Refusal{RefusalCode::rolled_back,
                 "server " + them + " was seen with start " +
                     std::to_string(known->incarnation.value()) + " at " + known->address +
                     " before (a disk that was rolled back, or a copy), says server " + us};
}

}  // namespace doozer::transport
