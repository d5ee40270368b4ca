// Socket addresses and their text.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace doozer::io {

/// "HOST:PORT" taken apart; a host with colons stands in brackets.
struct HostPort {
  std::string host;  ///< without brackets; may be empty
  uint16_t port = 0;
};

/// Errors: bad_argument, naming the text.
Result<HostPort> parse_host_port(std::string_view text);

/// An IPv4 or IPv6 address with its port.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  /// "127.0.0.1:40312" or "[::1]:40312". An IPv4 address that came in through an IPv6 socket is
  /// told as IPv4.
  std::string to_string() const;
};

/// The address if `host` is a number ("127.0.0.1", "::1"), else nothing.
std::optional<SocketAddress> numeric_address(const std::string& host, uint16_t port);

/// All addresses of a name; blocks while it asks. An empty host means all interfaces. Errors:
/// not_found naming the host and the resolver's words.
Result<std::vector<SocketAddress>> resolve_blocking(const HostPort& where);

/// The address that a socket is bound to, or its peer's; empty text if it has none (any more).
std::string local_address_of(int fd);

}  // namespace doozer::io
