#include "io/address.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <cstring>

#include "base/bytes.h"
#include "base/units.h"

namespace doozer::io {

Result<HostPort> parse_host_port(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(Code::bad_argument, "address " + quote(text) + ": " + std::string(why));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad("no port; HOST:PORT is needed");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return bad("the bracket is not closed");
    host = host.substr(1, host.size() - 2);
    if (host.empty()) return bad("nothing between the brackets");
  } else if (host.find(':') != std::string_view::npos) {
    return bad("an IPv6 address needs brackets: [::1]:8046");
  }
  if (host.find('\0') != std::string_view::npos) return bad("a zero byte in the host");
  const Result<int64_t> port = parse_int(digits);
  if (!port || *port < 0 || *port > 65535 || digits.starts_with('+')) {
    return bad("the port must be a number from 0 to 65535");
  }
  return HostPort{.host = std::string(host), .port = static_cast<uint16_t>(*port)};
}

std::string SocketAddress::to_string() const {
  char host[INET6_ADDRSTRLEN] = "?";
  if (family() == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &storage, sizeof v4);
    inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
    return std::string(host) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  if (family() != AF_INET6) return "?";
  sockaddr_in6 v6{};
  std::memcpy(&v6, &storage, sizeof v6);
  const std::string port = std::to_string(ntohs(v6.sin6_port));
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, host, sizeof host);
    return std::string(host) + ":" + port;
  }
  inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
  return "[" + std::string(host) + "]:" + port;
}

std::optional<SocketAddress> numeric_address(const std::string& host, uint16_t port) {
  SocketAddress address;
  sockaddr_in v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&address.storage, &v4, sizeof v4);
    address.size = sizeof v4;
    return address;
  }
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&address.storage, &v6, sizeof v6);
    address.size = sizeof v6;
    return address;
  }
  return std::nullopt;
}

Result<std::vector<SocketAddress>> resolve_blocking(const HostPort& where) {
  std::vector<SocketAddress> found;
  if (where.host.empty()) {
    // All interfaces: the IPv6 wildcard takes IPv4 too, where the machine has IPv6 at all.
    found.push_back(*numeric_address("::", where.port));
    found.push_back(*numeric_address("0.0.0.0", where.port));
    return found;
  }
  if (const auto address = numeric_address(where.host, where.port)) return std::vector{*address};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(where.host.c_str(), nullptr, &hints, &list);
  if (error != 0) {
    return fail(Code::not_found, "host " + quote(where.host) + ": " + gai_strerror(error));
  }
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
    SocketAddress address;
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    address.size = entry->ai_addrlen;
    if (entry->ai_family == AF_INET) {
      reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port = htons(where.port);
    } else {
      reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_port = htons(where.port);
    }
    found.push_back(address);
  }
  freeaddrinfo(list);
  if (found.empty()) return fail(Code::not_found, "host " + quote(where.host) + ": no address");
  return found;
}

std::string local_address_of(int fd) {
  SocketAddress address;
  if (getsockname(fd, address.get(), &address.size) != 0) return {};
  return address.to_string();
}

}  // namespace doozer::io
