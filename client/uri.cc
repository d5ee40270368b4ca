// One line that names a cluster, parsed and printed (doozer/uri.h). The bytes come from people,
// environments and files: every fault is a Result.
#include "doozer/uri.h"

#include <algorithm>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "client/limits.h"
#include "client/options.h"

namespace doozer {
namespace {

constexpr std::string_view kPrefix = "doozer:?";
constexpr std::string_view kKeys = "ca, cn, sk, tls, tlsca, tlsname, tlsinsecure";

std::optional<uint8_t> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<uint8_t>(c - 'A' + 10);
  return std::nullopt;
}

/// `what` stands for the text in messages: it may be a secret.
Result<std::string> percent_decode(std::string_view text, std::string_view what) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    const auto high = i + 1 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
    const auto low = i + 2 < text.size() ? hex_digit(text[i + 2]) : std::nullopt;
    if (!high || !low) {
      return fail(Code::bad_argument, "URI: " + std::string(what) + ": the % at byte " +
                                          std::to_string(i) +
                                          " is not followed by two hexadecimal digits");
    }
    decoded.push_back(static_cast<char>((*high << 4U) | *low));
    i += 2;
  }
  return decoded;
}

/// Everything but letters, digits and `keep` as %XX.
void percent_encode(std::string_view text, std::string_view keep, std::string& out) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (plain || keep.find(c) != std::string_view::npos) {
      out.push_back(c);
      continue;
    }
    const auto byte = static_cast<uint8_t>(c);
    out.push_back('%');
    out.push_back(kDigits[byte >> 4U]);
    out.push_back(kDigits[byte & 15U]);
  }
}

Result<bool> parse_flag(std::string_view key, std::string_view value) {
  if (value == "1") return true;
  if (value == "0") return false;
  return fail(Code::bad_argument,
              "URI: " + std::string(key) + "=" + quote(value) + ": must be 0 or 1");
}

/// What the keys said so far. A flag that contradicts itself is found at the end.
struct Parsing {
  Options options;
  std::optional<bool> tls;
  std::vector<std::string> seen;
};

Result<> once(Parsing& parsing, const std::string& key) {
  if (std::find(parsing.seen.begin(), parsing.seen.end(), key) != parsing.seen.end()) {
    return fail(Code::bad_argument, "URI: " + key + " is given twice");
  }
  parsing.seen.push_back(key);
  return {};
}

Result<> take(Parsing& parsing, const std::string& key, std::string value) {
  if (key == "ca") {
    if (parsing.options.addresses.size() == client::kAddressesMax) {
      return fail(Code::bad_argument,
                  "URI: more than " + std::to_string(client::kAddressesMax) + " addresses (ca)");
    }
    TRY_ASSIGN(std::string address, client::complete_address(value));
    parsing.options.addresses.push_back(std::move(address));
    return {};
  }
  TRY(once(parsing, key));
  if (key == "cn" || key == "tlsca" || key == "tlsname") {
    if (value.empty()) return fail(Code::bad_argument, "URI: " + key + " is empty");
    if (key == "cn")
      parsing.options.cluster_name = std::move(value);
    else if (key == "tlsca")
      parsing.options.tls.ca_file = std::move(value);
    else
      parsing.options.tls.server_name = std::move(value);
    return {};
  }
  if (key == "sk") {
    parsing.options.secret = std::move(value);
    return {};
  }
  if (key == "tls") {
    TRY_ASSIGN(parsing.tls, parse_flag(key, value));
    return {};
  }
  if (key == "tlsinsecure") {
    TRY_ASSIGN(parsing.options.tls.insecure, parse_flag(key, value));
    return {};
  }
  return fail(Code::bad_argument,
              "URI: unknown key " + quote(key) + "; known are " + std::string(kKeys));
}

Result<Options> finish(Parsing parsing) {
  TlsOptions& tls = parsing.options.tls;
  const bool implied = !tls.ca_file.empty() || !tls.server_name.empty() || tls.insecure;
  if (implied && parsing.tls == false) {
    return fail(Code::bad_argument, "URI: tls=0 contradicts tlsca, tlsname or tlsinsecure");
  }
  tls.enabled = implied || parsing.tls == true;
  if (parsing.options.addresses.empty() && parsing.options.cluster_name.empty()) {
    return fail(Code::bad_argument,
                "URI: no address: give at least one ca=HOST:PORT, or cn=NAME to look it up");
  }
  if (parsing.options.secret.size() > kSecretBytesMax) {
    return fail(Code::bad_argument, "URI: sk is longer than " + std::to_string(kSecretBytesMax) +
                                        " bytes (kSecretBytesMax)");
  }
  return std::move(parsing.options);
}

}  // namespace

Result<Options> parse_uri(std::string_view uri) {
  if (uri.size() > client::kUriBytesMax) {
    return fail(Code::bad_argument,
                "URI: longer than " + std::to_string(client::kUriBytesMax) + " bytes");
  }
  if (!uri.starts_with(kPrefix)) {
    return fail(Code::bad_argument,
                "URI: must begin with \"doozer:?\", as in "
                "doozer:?ca=127.0.0.1:8046");
  }
  std::string_view rest = uri.substr(kPrefix.size());
  Parsing parsing;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    TRY_ASSIGN(const std::string key, percent_decode(pair.substr(0, equals), "a key"));
    if (equals == pair.size()) {
      return fail(Code::bad_argument, "URI: key " + quote(key) + " has no value");
    }
    TRY_ASSIGN(std::string value, percent_decode(pair.substr(equals + 1), key));
    TRY(take(parsing, key, std::move(value)));
  }
  return finish(std::move(parsing));
}

std::string format_uri(const Options& options) {
  std::string uri(kPrefix);
  const auto add = [&uri](std::string_view key, std::string_view value, std::string_view keep) {
    if (uri.size() > kPrefix.size()) uri.push_back('&');
    uri.append(key).push_back('=');
    percent_encode(value, keep, uri);
  };
  for (const std::string& address : options.addresses) add("ca", address, ".:-_[]");
  if (!options.cluster_name.empty()) add("cn", options.cluster_name, ".-_");
  if (!options.secret.empty()) add("sk", options.secret, ".-_");
  const TlsOptions& tls = options.tls;
  if (!tls.ca_file.empty()) add("tlsca", tls.ca_file, "/.-_");
  if (!tls.server_name.empty()) add("tlsname", tls.server_name, ".-_");
  if (tls.insecure) add("tlsinsecure", "1", "");
  const bool implied = !tls.ca_file.empty() || !tls.server_name.empty() || tls.insecure;
  if (tls.enabled && !implied) add("tls", "1", "");
  return uri;
}

std::string describe(const Options& options) {
  if (options.addresses.empty()) return "cluster " + quote(options.cluster_name);
  std::string text;
  for (const std::string& address : options.addresses) {
    if (!text.empty()) text += ", ";
    text += address;
  }
  return text;
}

}  // namespace doozer
