#include "io/own_host.h"

#include <ifaddrs.h>
#include <net/if.h>

#include <cstring>
#include <memory>
#include <optional>

#include "io/address.h"
#include "io/fd.h"

namespace doozer::io {
namespace {

/// Addresses for documentation (RFC 5737, RFC 3849): nobody has them, so the way there is the way
/// to the rest of the world. Any port will do.
constexpr const char* kElsewhere[] = {"192.0.2.1", "2001:db8::1"};
constexpr uint16_t kAnyPort = 9;

/// "10.0.0.1:80" -> "10.0.0.1".
std::string without_port(const std::string& address) {
  return address.substr(0, address.rfind(':'));
}

/// Others reach it as it stands: no wildcard, and none that is good on one cable only.
bool is_of_use(const SocketAddress& address, bool ipv4_only) {
  if (address.family() == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.storage, sizeof v4);
    return v4.sin_addr.s_addr != htonl(INADDR_ANY);
  }
  if (address.family() != AF_INET6 || ipv4_only) return false;
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address.storage, sizeof v6);
  return !IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr) && !IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr);
}

/// To connect a datagram socket looks the way up, and nothing more.
std::optional<std::string> host_towards(const SocketAddress& there, bool ipv4_only) {
  if (!is_of_use(there, ipv4_only)) return std::nullopt;
  const UniqueFd fd(::socket(there.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), there.get(), there.size) != 0) return std::nullopt;
  SocketAddress here;
  if (::getsockname(fd.get(), here.get(), &here.size) != 0) return std::nullopt;
  if (!is_of_use(here, ipv4_only)) return std::nullopt;
  return without_port(here.to_string());
}

/// Of the first interface that is up and is not loopback; IPv4 first.
std::optional<std::string> host_of_interface(bool ipv4_only) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return std::nullopt;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owned(list, &::freeifaddrs);
  for (const int family : {AF_INET, AF_INET6}) {
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
      const bool up = (entry->ifa_flags & IFF_UP) != 0 && (entry->ifa_flags & IFF_LOOPBACK) == 0;
      if (!up || entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != family) continue;
      SocketAddress address;
      address.size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
      std::memcpy(&address.storage, entry->ifa_addr, address.size);
      if (is_of_use(address, ipv4_only)) return without_port(address.to_string());
    }
  }
  return std::nullopt;
}

}  // namespace

std::string own_host(std::span<const std::string> others, bool ipv4_only) {
  for (const std::string& other : others) {
    const auto parts = parse_host_port(other);
    if (!parts) continue;
    const bool here = parts->host == "localhost";
    const auto there = numeric_address(here ? "127.0.0.1" : parts->host, parts->port);
    if (!there) continue;
    if (auto host = host_towards(*there, ipv4_only)) return std::move(*host);
  }
  for (const char* elsewhere : kElsewhere) {
    if (auto host = host_towards(*numeric_address(elsewhere, kAnyPort), ipv4_only)) {
      return std::move(*host);
    }
  }
  return host_of_interface(ipv4_only).value_or("127.0.0.1");
}

}  // namespace doozer::io
