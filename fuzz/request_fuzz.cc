// Messages of the Doozer protocol: what was read means the same when it is written and read again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "wire/doozer.h"

namespace doozer {

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  if (const auto request = wire::decode_request(body)) {
    std::string frame;
    wire::append_request(*request, frame);
    CHECK(wire::frame_bytes(frame, frame.size()).value() == frame.size());
    const auto again = wire::decode_request(std::string_view(frame).substr(wire::kHeadBytes));
    CHECK(again.has_value());
    CHECK(*again == *request);
  }
  if (const auto response = wire::decode_response(body)) {
    std::string frame;
    wire::append_response(*response, frame);
    const auto again = wire::decode_response(std::string_view(frame).substr(wire::kHeadBytes));
    CHECK(again.has_value());
    CHECK(*again == *response);
    if (response->err_code) (void)wire::error_of(*response).message.size();
  }
  return 0;
}

}  // namespace doozer
