// A cluster URI from anywhere: parsed without a fault, or refused; what is accepted prints to
// something that parses to the same.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "doozer/uri.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const doozer::Result<doozer::Options> options = doozer::parse_uri(text);
  if (!options) {
    CHECK(options.error().code == doozer::Code::bad_argument);
    return 0;
  }
  const std::string printed = doozer::format_uri(*options);
  // Percent-encoding may triple what was within the limit.
  constexpr size_t kPrintedBytesMax = 32 * 1024;
  if (printed.size() > kPrintedBytesMax) return 0;
  const doozer::Result<doozer::Options> again = doozer::parse_uri(printed);
  CHECK(again.has_value());
  CHECK(again->addresses == options->addresses);
  CHECK(again->cluster_name == options->cluster_name);
  CHECK(again->secret == options->secret);
  CHECK(again->tls.enabled == options->tls.enabled);
  CHECK(again->tls.ca_file == options->tls.ca_file);
  CHECK(again->tls.server_name == options->tls.server_name);
  CHECK(again->tls.insecure == options->tls.insecure);
  CHECK(doozer::format_uri(*again) == printed);
  return 0;
}
