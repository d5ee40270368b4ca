// What concerns several values at once: addresses, and settings that need or exclude each other.
#include <array>
#include <charconv>

#include "base/units.h"
#include "server/config.h"
#include "server/config_address.h"

namespace doozer::server {
namespace {

constexpr size_t kHostBytesMax = 255;

bool is_host(std::string_view host, std::string_view punctuation) {
  for (const char c : host) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      punctuation.find(c) != std::string_view::npos;
    if (!good) return false;
  }
  return host.size() <= kHostBytesMax;
}

// "127.0.0.1" -> its bytes; false for anything else, such as "127.example.org".
bool parse_v4(std::string_view host, std::array<uint8_t, 4>& out) {
  const char* at = host.data();
  const char* const end = at + host.size();
  for (size_t i = 0; i < out.size(); ++i) {
    if (i > 0 && (at == end || *at++ != '.')) return false;
    const auto [next, error] = std::from_chars(at, end, out[i]);
    if (error != std::errc()) return false;
    at = next;
  }
  return at == end;
}

}  // namespace

Result<HostPort> split_address(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return fail(Code::bad_argument, "must be HOST:PORT");
  std::string_view host = address.substr(0, colon);
  const std::string_view port = address.substr(colon + 1);
  if (host.starts_with('[')) {
    if (!host.ends_with(']') || !is_host(host.substr(1, host.size() - 2), ":.%")) {
      return fail(Code::bad_argument, "must be [ADDRESS]:PORT");
    }
    host = host.substr(1, host.size() - 2);
    if (host.empty()) return fail(Code::bad_argument, "nothing stands between the brackets");
  } else if (host.find(':') != std::string_view::npos) {
    return fail(Code::bad_argument, "an IPv6 address needs brackets: [::1]:8046");
  } else if (!is_host(host, ".-_")) {
    return fail(Code::bad_argument, "must be HOST:PORT");
  }
  HostPort out{.host = std::string(host)};
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (error != std::errc() || end != port.data() + port.size()) {
    return fail(Code::bad_argument, "the port must be from 0 to 65535");
  }
  return out;
}

bool is_loopback_address(std::string_view address) {
  const auto parts = split_address(address);
  if (!parts) return false;
  std::array<uint8_t, 4> v4{};
  if (parse_v4(parts->host, v4)) return v4[0] == 127;
  return parts->host == "localhost" || parts->host == "::1";
}

bool is_wildcard(std::string_view address) {
  const auto parts = split_address(address);
  return parts && (parts->host.empty() || parts->host == "0.0.0.0" || parts->host == "::");
}

void ConfigBuilder::check_together() {
  const Config& config = configured_.config;
  if (config.tls_cert.empty() != config.tls_key.empty()) {
    const bool lacks_key = config.tls_key.empty();
    problem(std::string(lacks_key ? "tls-cert" : "tls-key") + " is set, " +
            (lacks_key ? "tls-key" : "tls-cert") + " is not: TLS needs both");
  }
  if (!config.peer_ca.empty() && !config.tls()) {
    problem("peer-ca is set, tls-cert is not: peers prove themselves with certificates both ways");
  }
  if (!config.peer_ca.empty() && config.insecure_peers) {
    problem("peer-ca and insecure-peers exclude each other");
  }
  if (config.boot && !config.boot_uri.empty()) {
    problem("boot and boot-uri exclude each other: the name service decides who boots");
  }
  constexpr uint64_t kBeside = 128 * kKiB;
  if (config.segment_bytes < config.value_bytes_max + kBeside) {
    problem("segment-bytes " + format_size(config.segment_bytes) + ": must be at least " +
            format_size(config.value_bytes_max + kBeside) + ", value-bytes-max and 128KiB");
  }
  const StartSecrets& secrets = configured_.secrets;
  if (!secrets.read_only.empty() && secrets.read_write.empty()) {
    problem("DOOZER_ROSECRET is set, DOOZER_RWSECRET is not: anyone could write");
  }
  if (!secrets.read_only.empty() && secrets.read_only == secrets.read_write) {
    problem("DOOZER_ROSECRET and DOOZER_RWSECRET are the same: readers could write");
  }
}

}  // namespace doozer::server
