#include "core/client_table.h"

#include "base/check.h"

namespace doozer::core {

const Applied* ClientTable::remembered(std::string_view client, uint64_t sequence) const {
  const auto found = clients_.find(client);
  return found != clients_.end() && sequence <= found->second.sequence ? &found->second.result
                                                                       : nullptr;
}

void ClientTable::remember(std::string_view client, const Entry& entry) {
  const auto found = clients_.find(client);
  if (found != clients_.end()) {
    CHECK(by_use_.erase(found->second.used) == 1);
    found->second = entry;
  } else {
    if (clients_.size() == kClientsMax) {
      const auto oldest = by_use_.begin();
      clients_.erase(oldest->second);
      by_use_.erase(oldest);
    }
    clients_.emplace(std::string(client), entry);
  }
  by_use_.emplace(entry.used, std::string(client));
}

bool ClientTable::restore(std::string_view client, const Entry& entry) {
  if (clients_.size() == kClientsMax || !by_use_.emplace(entry.used, client).second) {
    return false;
  }
  return clients_.emplace(std::string(client), entry).second;
}

}  // namespace doozer::core
