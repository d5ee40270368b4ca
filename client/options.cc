#include "client/options.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/types.h"
#include "base/units.h"
#include "client/limits.h"

namespace doozer::client {
namespace {

constexpr size_t kHostBytesMax = 255;

tl::unexpected<Error> bad_address(std::string_view address, std::string_view why) {
  return fail(Code::bad_argument, "address " + quote(address) + ": " + std::string(why));
}

/// Where the host ends: after the bracket of a V6 address, else at the only colon.
Result<size_t> host_end(std::string_view address) {
  if (address.starts_with('[')) {
    const size_t bracket = address.find(']');
    if (bracket == std::string_view::npos) return bad_address(address, "no ] after [");
    if (bracket == 1) return bad_address(address, "no host");
    return bracket + 1;
  }
  const size_t colon = address.find(':');
  if (colon == std::string_view::npos) return address.size();
  if (address.find(':', colon + 1) != std::string_view::npos) {
    return bad_address(address, "a numeric V6 host stands in brackets: [::1]:8046");
  }
  if (colon == 0) return bad_address(address, "no host");
  return colon;
}

Result<> check_host(std::string_view address, std::string_view host) {
  if (host.size() > kHostBytesMax) return bad_address(address, "the host is too long");
  for (const char c : host) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte <= 0x20 || byte == 0x7F || c == '/' || c == '@' || c == '?' || c == '#') {
      return bad_address(address, "the host has a byte that no host has");
    }
  }
  return {};
}

Result<> positive(Duration duration, std::string_view name) {
  if (duration > Duration::zero()) return {};
  return fail(Code::bad_argument, "option " + std::string(name) + ": must be more than 0");
}

}  // namespace

Result<std::string> complete_address(std::string_view address) {
  if (address.empty()) return bad_address(address, "is empty");
  TRY_ASSIGN(const size_t end, host_end(address));
  const std::string_view host = address.substr(0, end);
  TRY(check_host(address, host));
  std::string_view port = address.substr(end);
  if (port.empty()) {
    return std::string(host).append(":").append(kDefaultPort);
  }
  if (port.front() != ':') return bad_address(address, "something follows the ]");
  port.remove_prefix(1);
  constexpr size_t kPortDigitsMax = 5;
  constexpr int kPortMax = 65'535;
  int number = 0;
  for (const char c : port) {
    if (c < '0' || c > '9') return bad_address(address, "the port is not a number");
    if (port.size() <= kPortDigitsMax) number = number * 10 + (c - '0');
  }
  if (port.size() > kPortDigitsMax || number < 1 || number > kPortMax) {
    return bad_address(address, "the port is not between 1 and 65535");
  }
  return std::string(address);
}

Result<Options> check_options(Options options) {
  if (options.addresses.empty()) {
    return fail(Code::bad_argument, "no address of a server is given");
  }
  if (options.addresses.size() > kAddressesMax) {
    return fail(Code::bad_argument,
                "more than " + std::to_string(kAddressesMax) + " addresses (kAddressesMax)");
  }
  for (std::string& address : options.addresses) {
    TRY_ASSIGN(address, complete_address(address));
  }
  if (options.secret.size() > kSecretBytesMax) {
    return fail(Code::bad_argument, "the secret is longer than " + std::to_string(kSecretBytesMax) +
                                        " bytes (kSecretBytesMax)");
  }
  if (!options.cluster_id.empty()) TRY(Identity::parse(options.cluster_id));
  TRY(positive(options.connect_timeout, "connect_timeout"));
  TRY(positive(options.request_timeout, "request_timeout"));
  TRY(positive(options.backoff_min, "backoff_min"));
  TRY(positive(options.silence_max, "silence_max"));
  if (options.value_bytes_max > kValueBytesCeiling) {
    return fail(Code::bad_argument, "option value_bytes_max: is more than " +
                                        format_size(kValueBytesCeiling) + " (kValueBytesCeiling)");
  }
  if (options.backoff_max < options.backoff_min) {
    return fail(Code::bad_argument, "option backoff_max: is less than backoff_min");
  }
  const TlsOptions& tls = options.tls;
  if (tls.cert_file.empty() != tls.key_file.empty()) {
    return fail(Code::bad_argument, "options tls.cert_file and tls.key_file go together");
  }
  return options;
}

uint64_t deadline_us(uint64_t now_us, Duration timeout, Duration otherwise) {
  if (timeout == kDefaultTimeout) timeout = otherwise;
  if (timeout == kNoTimeout) return UINT64_MAX;
  if (timeout <= Duration::zero()) return now_us;
  return now_us + static_cast<uint64_t>(timeout.count());
}

}  // namespace doozer::client
