#include "wire/doozer.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace doozer::wire {
namespace {

std::string frame(const ResponseView& response) {
  std::string out;
  append_response(response, out);
  return out;
}
std::string frame(const RequestView& request) {
  std::string out;
  append_request(request, out);
  return out;
}
std::string unhex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return out;
}

TEST(DoozerWire, FieldsOfTheVerbArePresentEvenWhenZeroOrEmpty) {
  // The answers of the original server to a GET of a missing file and a STAT of a directory.
  ResponseView missing;
  missing.tag = 20;
  missing.rev = 0;
  missing.value = "";
  EXPECT_EQ(frame(missing), unhex("00000006081418003200"));
  ResponseView directory;
  directory.tag = 161;
  directory.rev = -2;
  directory.len = 1;
  EXPECT_EQ(frame(directory), unhex("00000010"
                                    "08a10118feffffffffffffffff014001"));
}

TEST(DoozerWire, ResponseFieldsAreInAscendingOrder) {
  ResponseView all;
  all.tag = 1;
  all.flags = 2;
  all.rev = 3;
  all.path = "p";
  all.value = "v";
  all.len = 4;
  all.store_rev = 5;
  all.outcome = 6;
  all.cluster = "c";
  all.err_code = 7;
  all.err_detail = "d";
  EXPECT_EQ(frame(all), unhex("0000001f"
                              "080110021803"
                              "2a01703201764004"
                              "a00105a80106b2010163"
                              "a00607aa060164"));
  EXPECT_EQ(decode_response(std::string_view(frame(all)).substr(kHeadBytes)).value(), all);
}

TEST(DoozerWire, UnknownFieldsAreSkipped) {
  const std::string body = unhex(
      "1801"                // 3, varint
      "0807"                // tag 7
      "4203616263"          // 8, sized
      "510102030405060708"  // 10, fixed64
      "5d01020304"          // 11, fixed32
      "63"
      "0801"
      "6b"
      "1205"
      "68656c6c6f"
      "6c"
      "64"            // groups 12 and in it 13
      "f8ffffff0f01"  // the highest field number
      "1001");        // verb 1
  RequestView expected;
  expected.tag = 7;
  expected.verb = 1;
  const Result<RequestView> request = decode_request(body);
  ASSERT_TRUE(request.has_value()) << request.error().message;
  EXPECT_EQ(*request, expected);
}

TEST(DoozerWire, TheLastOfARepeatedFieldWins) {
  const std::string body = unhex("080122012f080222022f6148014800");
  const Result<RequestView> request = decode_request(body);
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->tag, 2);
  EXPECT_EQ(request->path, "/a");
  EXPECT_EQ(request->rev, 0);
}

TEST(DoozerWire, FieldOrderIsFree) {
  const std::string body = unhex("480322022f6110010809");
  const Result<RequestView> request = decode_request(body);
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->rev, 3);
  EXPECT_EQ(request->path, "/a");
  EXPECT_EQ(request->verb, 1);
  EXPECT_EQ(request->tag, 9);
}

TEST(DoozerWire, Int32KeepsTheLow32BitsOfItsVarint) {
  EXPECT_EQ(decode_request(unhex("08ffffffffffffffffff01"))->tag, -1);
  EXPECT_EQ(decode_request(unhex("088180808010"))->tag, 1);
  EXPECT_EQ(decode_request(unhex("08ffffffff0f"))->tag, -1);
  EXPECT_EQ(decode_request(unhex("108180808010"))->verb, 1);
}

TEST(DoozerWire, UnparsableBytesAreAnError) {
  for (const char* hex : {
           "08",                      // no value
           "0880",                    // value cut short
           "2205616263",              // length past the end
           "22ffffffffffffffffff01",  // length past every end
           "00",
           "0001",  // field 0
           "07",
           "0f01",
           "1601",  // wire types 6 and 7
           "64",    // end of a group that was not begun
           "63",
           "630801",
           "6374",                  // group not ended, ended by another
           "ffffffffffffffffffff",  // key that never ends
           "8880808080800101",      // key over 32 bits
           "08ffffffffffffffffffff01",
       }) {
    const Result<RequestView> request = decode_request(unhex(hex));
    ASSERT_FALSE(request.has_value()) << hex;
    EXPECT_EQ(request.error().code, Code::corrupt);
    EXPECT_NE(request.error().message.find("at byte"), std::string::npos);
  }
  std::string deep(101, '\x63');
  deep += std::string(101, '\x64');
  EXPECT_FALSE(decode_request(deep).has_value());
  EXPECT_TRUE(decode_request(deep.substr(1, 200)).has_value());
}

TEST(DoozerWire, AKnownFieldOfTheWrongWireTypeIsAnError) {
  for (const uint32_t field : {1U, 2U, 4U, 5U, 6U, 7U, 9U, 20U, 21U, 22U, 23U}) {
    const bool sized = field == 4 || field == 5 || field == 22;
    for (uint32_t type = 0; type < 6; ++type) {
      if (type == (sized ? 2U : 0U)) continue;
      std::string body;
      ByteWriter writer(body);
      writer.varint((field << 3U) | type);
      writer.bytes(std::string(12, '\x01'));
      EXPECT_FALSE(decode_request(body).has_value()) << field << " " << type;
    }
  }
  EXPECT_EQ(decode_request(unhex("08011801"
                                 "0d01020304"))
                .error()
                .message,
            "message: field 1 of wire type 5 at byte 4");
}

TEST(DoozerWire, RequestsSurviveTheirEncoding) {
  RequestView request;
  EXPECT_EQ(frame(request), std::string(4, '\0'));
  request.tag = -5;
  request.verb = static_cast<int32_t>(Verb::access);
  request.path = "/x";
  request.value = std::string_view("\0\xFF", 2);
  request.other_tag = 0;
  request.offset = std::numeric_limits<int32_t>::min();
  request.rev = std::numeric_limits<int64_t>::min();
  request.mode = 3;
  request.min_rev = std::numeric_limits<int64_t>::max();
  request.client = "";
  request.sequence = 9;
  const std::string bytes = frame(request);
  EXPECT_EQ(frame_bytes(bytes, 1000).value(), bytes.size());
  EXPECT_EQ(decode_request(std::string_view(bytes).substr(kHeadBytes)).value(), request);
}

TEST(DoozerWire, TheBeginningOfARequestTellsTheFieldsThatAreAllThere) {
  RequestView request;
  request.tag = 300;
  request.verb = static_cast<int32_t>(Verb::set);
  request.path = "/x";
  request.value = "value";
  request.rev = 5;
  const std::string body = frame(request).substr(kHeadBytes);
  for (size_t size = 0; size <= body.size(); ++size) {
    const RequestView part = decode_request_beginning(std::string_view(body).substr(0, size));
    const size_t ends[] = {3, 5, 9, 16, 18};  // of the fields, in their order
    EXPECT_EQ(part.tag.has_value(), size >= ends[0]) << size;
    EXPECT_EQ(part.verb.has_value(), size >= ends[1]) << size;
    EXPECT_EQ(part.path.has_value(), size >= ends[2]) << size;
    EXPECT_EQ(part.value.has_value(), size >= ends[3]) << size;
    EXPECT_EQ(part.rev.has_value(), size >= ends[4]) << size;
  }
  EXPECT_EQ(decode_request_beginning(body), request);
  EXPECT_EQ(decode_request_beginning(unhex("080109ff")).tag, 1) << "up to a field of a wrong type";
  EXPECT_EQ(decode_request_beginning(unhex("a80601080107")).tag, 1) << "unknown ones are skipped";
  EXPECT_EQ(decode_request_beginning("\xFF\xFF"), RequestView());
}

TEST(DoozerWire, AFrameIsA4ByteBigEndianLengthAndAMessage) {
  EXPECT_EQ(frame_bytes("", 10).value(), 0U);
  EXPECT_EQ(frame_bytes(std::string(3, '\0'), 10).value(), 0U);
  EXPECT_EQ(frame_bytes(std::string(4, '\0'), 10).value(), 4U);
  EXPECT_EQ(frame_bytes(unhex("0000000a"), 10).value(), 14U);
  EXPECT_EQ(frame_bytes(unhex("00010002ff"), 100'000).value(), 65'542U);
}

TEST(DoozerWire, ALengthThatIsNegativeOrOverTheLimitIsAnError) {
  EXPECT_EQ(frame_bytes(unhex("0000000b"), 10).error(),
            (Error{Code::too_large, "frame length 11, the limit is 10"}));
  EXPECT_EQ(frame_bytes(unhex("fffffffe"), 10).error(),
            (Error{Code::bad_argument, "frame length -2 is negative"}));
  EXPECT_EQ(frame_bytes(unhex("80000000"), SIZE_MAX).error().code, Code::bad_argument);
}

TEST(DoozerWire, EveryCodeTravelsThroughItsErrCodeAndDetail) {
  for (int number = 0; number <= static_cast<int>(Code::other); ++number) {
    const auto code = static_cast<Code>(number);
    Error error{code, "what and why"};
    if (code == Code::permission_denied) error.message = "permission denied";
    if (code == Code::bad_glob) error.message = "invalid glob pattern: a";
    const std::string detail = err_detail_of(error);
    ResponseView response;
    response.err_code = static_cast<int32_t>(err_code_of(code));
    response.err_detail = detail;
    EXPECT_EQ(error_of(response), error) << code_name(code);
    EXPECT_FALSE(err_code_name(*response.err_code).empty());
  }
}

TEST(DoozerWire, TextsOfTheOriginalStayByteForByte) {
  EXPECT_EQ(err_detail_of({Code::permission_denied, "whatever"}), "permission denied");
  EXPECT_EQ(err_detail_of({Code::bad_glob, "invalid glob pattern: a"}), "invalid glob pattern: a");
  EXPECT_EQ(err_detail_of({Code::too_large, "x"}), "too_large: x");
}

TEST(DoozerWire, ErrorsOfTheOriginalHaveNoDetail) {
  ResponseView response;
  response.err_code = 5;
  EXPECT_EQ(error_of(response), (Error{Code::revision_mismatch, "REV_MISMATCH"}));
  response.err_code = 1;
  EXPECT_EQ(error_of(response).code, Code::other);
  response.err_code = 55;
  EXPECT_EQ(error_of(response), (Error{Code::other, "error 55: "}));
  response.err_code = 127;
  response.outcome = kOutcomeUnknown;
  response.err_detail = "unknown_outcome: it may have happened";
  EXPECT_EQ(error_of(response), (Error{Code::unknown_outcome, "it may have happened"}));
}

TEST(DoozerWire, VerbsHaveNames) {
  for (const int32_t verb : {1, 2, 3, 5, 6, 7, 9, 14, 16, 20, 30, 99}) {
    EXPECT_FALSE(verb_name(verb).empty()) << verb;
  }
  EXPECT_EQ(verb_name(14), "GETDIR");
  EXPECT_TRUE(verb_name(4).empty());
  EXPECT_TRUE(verb_name(-1).empty());
}

}  // namespace
}  // namespace doozer::wire
