#include "transport/frame.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "transport/limits.h"

namespace doozer::transport {
namespace {

uint32_t checksum(std::string_view type_and_body) { return crc32c(type_and_body); }

bool known_type(uint8_t type) {
  return type >= static_cast<uint8_t>(FrameType::hello) &&
         type <= static_cast<uint8_t>(FrameType::relayed_part);
}

}  // namespace

void append_frame(FrameType type, std::string_view body, std::string& out) {
  CHECK(body.size() <= kFrameBodyBytesMax);
  const size_t begin = out.size();
  ByteWriter writer(out);
  writer.u32(static_cast<uint32_t>(body.size()));
  writer.u32(0);
  writer.u8(static_cast<uint8_t>(type));
  writer.bytes(body);
  overwrite_u32(out, begin + 4, checksum(std::string_view(out).substr(begin + 8)));
}

void FrameReader::feed(std::string_view bytes) {
  in_.erase(0, at_);
  at_ = 0;
  in_.append(bytes);
}

Result<bool> FrameReader::next(Frame& frame) {
  const std::string_view rest = std::string_view(in_).substr(at_);
  if (!greeted_) {
    const size_t known = std::min(rest.size(), kPreamble.size());
    if (rest.substr(0, known) != kPreamble.substr(0, known)) {
      return fail(Code::corrupt, "peer connection: begins with " + quote(rest.substr(0, 9)) +
                                     ", which no server says");
    }
    if (known < kPreamble.size()) return false;
    greeted_ = true;
    at_ += kPreamble.size();
    return next(frame);
  }
  if (rest.empty()) {
    in_ = std::string();  // an idle connection keeps no buffer
    at_ = 0;
  }
  if (rest.size() < kFrameHeadBytes) return false;
  ByteReader reader(rest);
  const uint32_t size = reader.u32();
  const uint32_t crc = reader.u32();
  const uint8_t type = reader.u8();
  if (size > body_max_) {
    return fail(Code::corrupt, "peer frame: body of " + std::to_string(size) +
                                   " bytes, the limit is " + std::to_string(body_max_));
  }
  if (!known_type(type)) {
    return fail(Code::corrupt, "peer frame: type " + std::to_string(type) + " is unknown");
  }
  if (rest.size() < kFrameHeadBytes + size) return false;
  if (checksum(rest.substr(kFrameHeadBytes - 1, size + 1)) != crc) {
    return fail(Code::corrupt, "peer frame: type " + std::to_string(type) + ", " +
                                   std::to_string(size) + " bytes: checksum does not match");
  }
  frame.type = static_cast<FrameType>(type);
  frame.body = rest.substr(kFrameHeadBytes, size);
  at_ += kFrameHeadBytes + size;
  return true;
}

}  // namespace doozer::transport
