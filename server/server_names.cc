// A server that finds its cluster through a name service, and is found there.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/probe.h"
#include "raft/quorum.h"
#include "server/server.h"
#include "transport/limits.h"

namespace doozer::server {

// The identity under which this server stands for election outlives a crash: whoever was chosen and
// has no cluster yet is chosen still, while an emptied directory never is.
Result<void> Server::begin_find() {
  TRY_ASSIGN(options_.fresh_identity, candidate_identity(world_.disk, options_.fresh_identity));
  logger_.info("asking_name_service", {{"listen", address()},
                                       {"cluster", std::string_view(options_.config.cluster)},
                                       {"identity", options_.fresh_identity.to_string()}});
  options_.names->find(options_.fresh_identity, advertised_,
                       [this](const NameService::Finding& found) { on_found(found); });
  return {};
}

void Server::on_found(const NameService::Finding& found) {
  if (phase_ != Phase::attaching || attached_) return;
  std::vector<std::string> addresses = options_.config.attach;
  for (const std::string& address : found.addresses) {
    const bool known = std::find(addresses.begin(), addresses.end(), address) != addresses.end();
    if (!known && addresses.size() < transport::kSeedsMax) addresses.push_back(address);
  }
  logger_.info("found_by_name_service",
               {{"addresses", addresses.size()}, {"may_boot", found.may_boot}});
  if (attacher_ != nullptr) {
    PROBE("server: the name service knows other addresses by now");
    attacher_->stop();
  }
  if (addresses.empty()) {
    // Chosen, and alone; or the first is there and has not told its address yet.
    if (found.may_boot) on_boot();
    return;
  }
  seeds_ = addresses;
  begin_attach(std::move(addresses), found.may_boot);
}

// Members tell, as in the original; a standby is found through them.
void Server::mind_names() {
  if (options_.names == nullptr || published_ || phase_ != Phase::serving) return;
  if (!raft::is_voter(cluster_->replica().core().configuration(), identity())) return;
  published_ = true;
  options_.names->publish(identity(), advertised_);
}

}  // namespace doozer::server
