// What a server tells others to reach it at.
#include <algorithm>
#include <utility>

#include "server/config_address.h"
#include "server/known_peers.h"
#include "server/server.h"
#include "transport/hello.h"

namespace doozer::server {

// Who listens on every interface has no address to tell, and finds out which one leads to the
// others: those that it was given, or met in an earlier life.
void Server::choose_advertised() {
  const Config& config = options_.config;
  const std::string& bound = peer_listener_ != nullptr ? peer_listener_->address() : address_;
  advertised_ = config.advertise.empty() ? bound : config.advertise;
  if (!is_wildcard(advertised_) || !options_.own_host) return;
  std::vector<std::string> others = config.attach;
  // A file that does not read is told of by whoever needs more of it.
  if (const auto known = read_known_peers(world_.disk)) {
    for (const transport::KnownPeer& peer : *known) {
      // Where a machine had no network yet, others may have been told of this one only.
      if (!transport::is_loopback(peer.address)) others.push_back(peer.address);
    }
  }
  const bool ipv4_only = !bound.starts_with('[');
  advertised_ = options_.own_host(std::move(others), ipv4_only) + bound.substr(bound.rfind(':'));
  logger_.info("address_chosen", {{"listen", std::string_view(bound)},
                                  {"told_to_others", std::string_view(advertised_)}});
}

// The others dial what they know until they hear better; who restarts without the flags of the
// first start should be told, since it may be by mistake.
void Server::warn_if_moved() {
  const core::Member* const known = machine().members().find(identity());
  const std::string_view now =
      std::string_view(advertised_).substr(0, core::kMemberAddressBytesMax);
  if (moved_ || known == nullptr || known->address == now) return;
  moved_ = true;
  logger_.warn("address_changed",
               {{"known_to_others", std::string_view(known->address)}, {"told_now", now}});
}

// It would wait for ever, and for nobody but itself.
void Server::warn_if_alone() {
  if (told_alone_ || attacher_ == nullptr || attached_ || options_.config.boot) return;
  const std::vector<transport::AttachState> states = attacher_->states();
  const bool others = std::ranges::any_of(states, [](const transport::AttachState& state) {
    return state.kind != transport::AttachState::Kind::ourselves;
  });
  if (others || options_.names != nullptr) return;
  told_alone_ = true;
  logger_.warn("attach_names_itself",
               {{"address", std::string_view(states.front().address)},
                {"effect", "it waits; name another server, or give --boot for a new cluster"}});
}

}  // namespace doozer::server
