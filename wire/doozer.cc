#include "wire/doozer.h"

#include <array>

#include "base/bytes.h"
#include "base/check.h"

namespace doozer::wire {
namespace {

enum class WireType : uint8_t {
  varint = 0,
  fixed64 = 1,
  sized = 2,
  group_begin = 3,
  group_end = 4,
  fixed32 = 5,
};

constexpr size_t kGroupDepthMax = 100;  ///< as libprotobuf: deeper is unparsable
constexpr uint32_t kFieldShift = 3;
constexpr uint32_t kWireTypeMask = 7;

constexpr uint32_t key_of(uint32_t field, WireType type) {
  return (field << kFieldShift) | static_cast<uint32_t>(type);
}

/// A key of 0 means that none could be read.
uint32_t read_key(ByteReader& reader) {
  const uint64_t key = reader.varint();
  const bool good = reader.ok() && key <= UINT32_MAX && (key >> kFieldShift) != 0;
  return good ? static_cast<uint32_t>(key) : 0;
}

/// Skips the field behind `key`, groups with all that is in them. False: unparsable.
bool skip_field(ByteReader& reader, uint32_t key) {
  std::array<uint32_t, kGroupDepthMax> open{};
  size_t depth = 0;
  for (;;) {
    const uint32_t field = key >> kFieldShift;
    switch (static_cast<WireType>(key & kWireTypeMask)) {
      case WireType::varint: reader.varint(); break;
      case WireType::fixed64: reader.u64(); break;
      case WireType::sized: reader.sized(); break;
      case WireType::fixed32: reader.u32(); break;
      case WireType::group_begin:
        if (depth == open.size()) return false;
        open[depth++] = field;
        break;
      case WireType::group_end:
        if (depth == 0 || open[depth - 1] != field) return false;
        --depth;
        break;
      default: return false;
    }
    if (!reader.ok()) return false;
    if (depth == 0) return true;
    key = read_key(reader);
    if (key == 0) return false;
  }
}

// What each message knows: known() says whether a field is one of its own, take() reads one by its
// exact key and returns false if the key is none of its own.

int32_t read_int32(ByteReader& reader) {
  return static_cast<int32_t>(static_cast<uint32_t>(reader.varint()));
}
int64_t read_int64(ByteReader& reader) { return static_cast<int64_t>(reader.varint()); }

bool known(const RequestView& /*of*/, uint32_t field) {
  return (field >= 1 && field <= 9 && field != 3 && field != 8) || (field >= 20 && field <= 23);
}

bool take(ByteReader& reader, uint32_t key, RequestView& request) {
  switch (key) {
    case key_of(1, WireType::varint): request.tag = read_int32(reader); return true;
    case key_of(2, WireType::varint): request.verb = read_int32(reader); return true;
    case key_of(4, WireType::sized): request.path = reader.sized(); return true;
    case key_of(5, WireType::sized): request.value = reader.sized(); return true;
    case key_of(6, WireType::varint): request.other_tag = read_int32(reader); return true;
    case key_of(7, WireType::varint): request.offset = read_int32(reader); return true;
    case key_of(9, WireType::varint): request.rev = read_int64(reader); return true;
    case key_of(20, WireType::varint): request.mode = read_int32(reader); return true;
    case key_of(21, WireType::varint): request.min_rev = read_int64(reader); return true;
    case key_of(22, WireType::sized): request.client = reader.sized(); return true;
    case key_of(23, WireType::varint): request.sequence = read_int64(reader); return true;
    default: return false;
  }
}

bool known(const ResponseView& /*of*/, uint32_t field) {
  return (field >= 1 && field <= 8 && field != 4 && field != 7) || (field >= 20 && field <= 22) ||
         field == 100 || field == 101;
}

bool take(ByteReader& reader, uint32_t key, ResponseView& response) {
  switch (key) {
    case key_of(1, WireType::varint): response.tag = read_int32(reader); return true;
    case key_of(2, WireType::varint): response.flags = read_int32(reader); return true;
    case key_of(3, WireType::varint): response.rev = read_int64(reader); return true;
    case key_of(5, WireType::sized): response.path = reader.sized(); return true;
    case key_of(6, WireType::sized): response.value = reader.sized(); return true;
    case key_of(8, WireType::varint): response.len = read_int32(reader); return true;
    case key_of(20, WireType::varint): response.store_rev = read_int64(reader); return true;
    case key_of(21, WireType::varint): response.outcome = read_int32(reader); return true;
    case key_of(22, WireType::sized): response.cluster = reader.sized(); return true;
    case key_of(100, WireType::varint): response.err_code = read_int32(reader); return true;
    case key_of(101, WireType::sized): response.err_detail = reader.sized(); return true;
    default: return false;
  }
}

tl::unexpected<Error> unparsable(size_t byte, std::string what) {
  return fail(Code::corrupt, "message: " + std::move(what) + " at byte " + std::to_string(byte));
}

template <typename Message>
Result<Message> decode(std::string_view body) {
  Result<Message> message;
  ByteReader reader(body);
  while (!reader.empty()) {
    const size_t byte = body.size() - reader.rest().size();
    const uint32_t key = read_key(reader);
    if (key == 0) return unparsable(byte, "no field key");
    if (!take(reader, key, *message)) {
      const uint32_t field = key >> kFieldShift;
      if (known(*message, field)) {
        return unparsable(byte, "field " + std::to_string(field) + " of wire type " +
                                    std::to_string(key & kWireTypeMask));
      }
      if (!skip_field(reader, key)) {
        return unparsable(byte, "field " + std::to_string(field) + " cannot be skipped");
      }
    }
    if (!reader.ok()) return unparsable(byte, "a field that is cut short");
  }
  return message;
}

void put(ByteWriter& writer, uint32_t field, const std::optional<int32_t>& value) {
  if (!value) return;
  writer.varint(key_of(field, WireType::varint));
  writer.varint(static_cast<uint64_t>(int64_t{*value}));
}
void put(ByteWriter& writer, uint32_t field, const std::optional<int64_t>& value) {
  if (!value) return;
  writer.varint(key_of(field, WireType::varint));
  writer.varint(static_cast<uint64_t>(*value));
}
void put(ByteWriter& writer, uint32_t field, const std::optional<std::string_view>& value) {
  if (!value) return;
  writer.varint(key_of(field, WireType::sized));
  writer.sized(*value);
}

void end_frame(std::string& out, size_t begin) {
  const size_t body = out.size() - begin - kHeadBytes;
  CHECK(body <= INT32_MAX);
  overwrite_be32(out, begin, static_cast<uint32_t>(body));
}

}  // namespace

Result<RequestView> decode_request(std::string_view body) { return decode<RequestView>(body); }

Result<ResponseView> decode_response(std::string_view body) { return decode<ResponseView>(body); }

RequestView decode_request_beginning(std::string_view part) {
  RequestView request;
  ByteReader reader(part);
  while (!reader.empty()) {
    RequestView with_next = request;
    const uint32_t key = read_key(reader);
    if (key == 0) break;
    if (!take(reader, key, with_next) &&
        (known(request, key >> kFieldShift) || !skip_field(reader, key))) {
      break;
    }
    if (!reader.ok()) break;
    request = with_next;
  }
  return request;
}

void append_request(const RequestView& request, std::string& out) {
  const size_t begin = out.size();
  ByteWriter writer(out);
  writer.be32(0);
  put(writer, 1, request.tag);
  put(writer, 2, request.verb);
  put(writer, 4, request.path);
  put(writer, 5, request.value);
  put(writer, 6, request.other_tag);
  put(writer, 7, request.offset);
  put(writer, 9, request.rev);
  put(writer, 20, request.mode);
  put(writer, 21, request.min_rev);
  put(writer, 22, request.client);
  put(writer, 23, request.sequence);
  end_frame(out, begin);
}

void append_fields(const ResponseView& response, std::string& out) {
  ByteWriter writer(out);
  put(writer, 1, response.tag);
  put(writer, 2, response.flags);
  put(writer, 3, response.rev);
  put(writer, 5, response.path);
  put(writer, 6, response.value);
  put(writer, 8, response.len);
  put(writer, 20, response.store_rev);
  put(writer, 21, response.outcome);
  put(writer, 22, response.cluster);
  put(writer, 100, response.err_code);
  put(writer, 101, response.err_detail);
}

void append_response(const ResponseView& response, std::string& out) {
  const size_t begin = out.size();
  ByteWriter(out).be32(0);
  append_fields(response, out);
  end_frame(out, begin);
}

void append_response(const ResponseView& before, std::string_view fields, const ResponseView& after,
                     std::string& out) {
  const size_t begin = out.size();
  ByteWriter(out).be32(0);
  append_fields(before, out);
  out.append(fields);
  append_fields(after, out);
  end_frame(out, begin);
}

Result<size_t> frame_bytes(std::string_view bytes, size_t body_max) {
  if (bytes.size() < kHeadBytes) return size_t{0};
  const uint32_t length = ByteReader(bytes).be32();
  if (static_cast<int32_t>(length) < 0) {
    return fail(Code::bad_argument,
                "frame length " + std::to_string(static_cast<int32_t>(length)) + " is negative");
  }
  if (length > body_max) {
    return fail(Code::too_large, "frame length " + std::to_string(length) + ", the limit is " +
                                     std::to_string(body_max));
  }
  return kHeadBytes + length;
}

}  // namespace doozer::wire
