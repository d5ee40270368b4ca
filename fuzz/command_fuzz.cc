// Commands: what was read is written as bytes that mean the same, and those are stable.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "core/command.h"

namespace doozer {

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto command = core::decode_command({reinterpret_cast<const char*>(data), size});
  if (!command) {
    CHECK(command.error().code == Code::corrupt || command.error().code == Code::unsupported);
    CHECK(!command.error().message.empty());
    return 0;
  }
  std::string once;
  core::encode_command(*command, once);
  CHECK(once.size() <= size);  // numbers may have come longer than needed, never shorter
  const auto again = core::decode_command(once);
  CHECK(again.has_value());
  std::string twice;
  core::encode_command(*again, twice);
  CHECK(once == twice);
  CHECK(again->body.index() == command->body.index());
  return 0;
}

}  // namespace doozer
