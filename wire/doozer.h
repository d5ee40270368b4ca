// The bytes of the Doozer protocol (docs/protocol-doozer.md), in both directions. A frame is
//
//   be32 size of the body | body: a protobuf message
//
//   Request                        Response
//    1 tag       int32              1 tag        int32
//    2 verb      enum               2 flags      int32
//    4 path      string             3 rev        int64
//    5 value     bytes              5 path       string
//    6 other_tag int32              6 value      bytes
//    7 offset    int32              8 len        int32
//    9 rev       int64             20 store_rev  int64   (extension)
//   20 mode      int32 (extension) 21 outcome    int32   (extension)
//   21 min_rev   int64 (extension) 22 cluster    bytes   (extension)
//   22 client    bytes (extension) 100 err_code  enum
//   23 sequence  int64 (extension) 101 err_detail string
//
// Reading: unknown fields are skipped, the last of a repeated field wins, order is free, an int32
// keeps the low 32 bits of its varint. A known field of another wire type is an error. Writing:
// ascending order, a field that is there is written even when zero or empty. Strings are not
// checked to be UTF-8. Nothing here allocates but the string written to, and errors.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "base/result.h"

namespace doozer::wire {

enum class Verb : int32_t {
  get = 1,
  set = 2,
  del = 3,
  rev = 5,
  wait = 6,
  nop = 7,
  walk = 9,
  getdir = 14,
  stat = 16,
  self = 20,
  status = 30,  ///< extension: JSON about the server in `value`
  access = 99,
};

/// "GET", "SET" ...; empty for a number that is no verb.
std::string_view verb_name(int32_t verb);

enum class ErrCode : int32_t {
  tag_in_use = 1,
  unknown_verb = 2,
  read_only = 3,
  too_late = 4,
  rev_mismatch = 5,
  bad_path = 6,
  missing_arg = 7,
  range = 8,
  not_dir = 20,
  is_dir = 21,
  no_ent = 22,
  other = 127,
};

/// "REV_MISMATCH" ...; empty for a number that is no error.
std::string_view err_code_name(int32_t err_code);

/// Bits of `flags` in a Response.
constexpr int32_t kFlagSet = 4;  ///< of an event: a set; of WALK: a file
constexpr int32_t kFlagDel = 8;

/// Bits of `mode` in a Request.
constexpr int32_t kModeLinearizable = 1;  ///< the read sees all that was acknowledged before it
constexpr int32_t kModeTellMore = 2;      ///< the answer carries the extension fields

/// `outcome` of an error answer: may the write have happened?
constexpr int32_t kOutcomeRefused = 1;  ///< nothing happened and nothing will
constexpr int32_t kOutcomeUnknown = 2;  ///< it may have happened, or may happen yet

/// Views are borrowed from the bytes decoded, or from whoever fills it for encoding.
struct RequestView {
  std::optional<int32_t> tag;
  std::optional<int32_t> verb;  ///< any number may come
  std::optional<std::string_view> path;
  std::optional<std::string_view> value;
  std::optional<int32_t> other_tag;
  std::optional<int32_t> offset;
  std::optional<int64_t> rev;
  std::optional<int32_t> mode;
  std::optional<int64_t> min_rev;
  std::optional<std::string_view> client;
  std::optional<int64_t> sequence;
  bool operator==(const RequestView&) const = default;
};

struct ResponseView {
  std::optional<int32_t> tag;
  std::optional<int32_t> flags;
  std::optional<int64_t> rev;
  std::optional<std::string_view> path;
  std::optional<std::string_view> value;
  std::optional<int32_t> len;
  std::optional<int64_t> store_rev;
  std::optional<int32_t> outcome;
  std::optional<std::string_view> cluster;  ///< the ten bytes of the cluster's Identity
  std::optional<int32_t> err_code;
  std::optional<std::string_view> err_detail;
  bool operator==(const ResponseView&) const = default;
};

/// `body` is that of one frame; empty is a message without fields. Errors: corrupt.
Result<RequestView> decode_request(std::string_view body);
Result<ResponseView> decode_response(std::string_view body);
/// The fields at the beginning of a request's body of which only `part` is there: up to the first
/// that is not all there, or is no field.
RequestView decode_request_beginning(std::string_view part);

/// Append the whole frame, head and body.
void append_request(const RequestView& request, std::string& out);
void append_response(const ResponseView& response, std::string& out);

/// For answers whose middle is shared: the fields of `response` alone, without a head; and a frame
/// of `before`, such fields, and `after`. The caller keeps the order of the fields.
void append_fields(const ResponseView& response, std::string& out);
void append_response(const ResponseView& before, std::string_view fields, const ResponseView& after,
                     std::string& out);

constexpr size_t kHeadBytes = 4;
/// The largest body that a server with this limit of a value takes.
constexpr size_t body_bytes_max(size_t value_bytes_max) {
  return value_bytes_max + kFrameOverheadBytes;
}

/// The whole size, head and body, of the frame that begins at `bytes`; 0 if the head is not all
/// there. The frame is whole if `bytes` has so many; its body begins at kHeadBytes.
/// Errors: too_large if the body is over `body_max`, bad_argument if its length is negative.
Result<size_t> frame_bytes(std::string_view bytes, size_t body_max);

/// One table maps Codes to err_codes. Codes without an err_code of their own are OTHER, and their
/// names then open the detail ("too_large: value of ..."), so that error_of() finds them again;
/// permission_denied, bad_glob and other have the bare message.
ErrCode err_code_of(Code code);
std::string err_detail_of(const Error& error);
/// The Error that a Response stands for; an unknown `outcome` makes it unknown_outcome.
/// REQUIRES response.err_code.
Error error_of(const ResponseView& response);

}  // namespace doozer::wire
