// All other servers that are known: what they told of themselves, the two connections of the link
// to each, and what waits to be sent. And the judgement of who may be a peer at all.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transport/connection.h"
#include "transport/health.h"
#include "transport/limits.h"
#include "transport/mesh.h"
#include "transport/outbox.h"

namespace doozer::transport {

struct Peer {
  Peer(const Identity& who, RelayLedger& ledger)
      : identity(who), control_out(ledger), bulk_out(ledger) {}

  // What it told, newest first by incarnation.
  Identity identity;
  std::string address;
  Incarnation incarnation;  ///< the highest seen
  uint64_t life = 0;        ///< of that incarnation; 0: not met yet
  uint32_t version = 0;
  bool never_lead = false;
  uint64_t heard_us = 0;

  // The link. Borrowed from the pool; null: none.
  Connection* control = nullptr;
  Connection* bulk = nullptr;
  LinkHealth health;
  bool answer_next = false;  ///< its next beat is answered at once
  Outbox control_out;
  Outbox bulk_out;
  bool bulk_good = false;
  uint64_t bulk_acknowledged = 0;  ///< bytes of the bulk connection that it has told to have
  uint64_t bulk_progress_us = 0;   ///< when that rose last, or nothing was outstanding
  uint64_t bulk_dial_us = 0;       ///< not before
  uint64_t bulk_backoff_us = 0;
  bool bulk_dialling = false;

  // Proof of death.
  Incarnation answered;         ///< the life of it that answered a dial of `address`
  bool closed_by_peer = false;  ///< its side ended the last link, unplanned
  uint64_t closed_us = 0;
  int proof_redials = 0;
  Incarnation gone;  ///< the life that was told to be gone

  // A life with a higher incarnation that was not believed yet.
  uint64_t rival_life = 0;
  uint64_t rival_since_us = 0;
  uint64_t absent_us = 0;  ///< when `address` was last found without it
};

class PeerTable {
 public:
  explicit PeerTable(RelayLedger& ledger) : ledger_(ledger) {}
  Peer* find(const Identity& identity);
  const Peer* find(const Identity& identity) const;
  /// kServersMax, with this one, are known.
  bool full() const { return peers_.size() + 1 >= kServersMax; }
  /// REQUIRES that it is not there and the table is not full.
  Peer& add(const Identity& identity);
  void erase(const Identity& identity) { peers_.erase(identity); }
  const std::map<Identity, std::unique_ptr<Peer>>& all() const { return peers_; }

 private:
  RelayLedger& ledger_;
  std::map<Identity, std::unique_ptr<Peer>> peers_;
};

/// Who this server is, for judge().
struct Self {
  Identity cluster;
  Identity identity;
  Incarnation incarnation;
  uint64_t life = 0;
  std::string address;
};

/// Why the proven server that said `theirs` may not be a peer; nullopt: it may, if no earlier life
/// of it lives. `known` is what was known of that identity before, or null; `lives`: that life
/// answers. Pure.
std::optional<Refusal> judge(const Self& self, const Hello& theirs, const std::string& from,
                             const Peer* known, bool lives);
/// Of the one that said `theirs` and the life that is `known`: both are refused.
Refusal two_live(const Self& self, const Hello& theirs, const std::string& from, const Peer& known);

}  // namespace doozer::transport
