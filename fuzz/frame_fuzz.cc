// A stream of frames: what is taken for a frame has the size that its head tells, whatever comes.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "wire/doozer.h"

namespace doozer {

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kBodyMax = 1000;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (!rest.empty()) {
    const Result<size_t> whole = wire::frame_bytes(rest, kBodyMax);
    if (!whole) {
      CHECK(rest.size() >= wire::kHeadBytes);
      CHECK(!whole.error().message.empty());
      return 0;
    }
    if (*whole == 0) {
      CHECK(rest.size() < wire::kHeadBytes);
      return 0;
    }
    CHECK(*whole >= wire::kHeadBytes);
    CHECK(*whole <= wire::kHeadBytes + kBodyMax);
    if (*whole > rest.size()) return 0;
    const std::string_view body = rest.substr(wire::kHeadBytes, *whole - wire::kHeadBytes);
    (void)wire::decode_request(body).has_value();
    (void)wire::decode_response(body).has_value();
    rest.remove_prefix(*whole);
  }
  return 0;
}

}  // namespace doozer
