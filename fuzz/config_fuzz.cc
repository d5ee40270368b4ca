// The configuration file: whatever stands in it is either told as a problem or printed as a file
// that gives the same configuration again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "server/config.h"

namespace doozer {

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kFuzzedBytesMax = 64 * kKiB;
  if (size > kFuzzedBytesMax) return 0;
  const auto read = [](std::string_view content) {
    server::ConfigBuilder builder;
    server::read_config_file(builder, "fuzz.toml", content);
    return builder.finish();
  };
  const auto configured = read({reinterpret_cast<const char*>(data), size});
  if (!configured) {
    CHECK(!configured.error().message.empty());
    return 0;
  }
  const auto again = read(server::print_config(*configured));
  CHECK(again.has_value());
  CHECK(again->config.listen == configured->config.listen);
  CHECK(again->config.attach == configured->config.attach);
  CHECK(again->config.data_dir == configured->config.data_dir);
  CHECK(again->config.timeout_us == configured->config.timeout_us);
  CHECK(again->config.history == configured->config.history);
  return 0;
}

}  // namespace doozer
