// The codec against libprotobuf: whatever either writes the other reads, and on damaged bytes both
// agree (but that we refuse a known field of the wrong wire type, and keys over 32 bits).

#include <gtest/gtest.h>

#include <string>

#include "base/bytes.h"
#include "base/rng.h"
#include "testdata/doozer.pb.h"
#include "wire/doozer.h"

namespace doozer::wire {
namespace {

constexpr int kRounds = 20'000;

int64_t some_number(Rng& rng) {
  const auto bits = static_cast<unsigned>(rng.below(64));
  const auto value = static_cast<int64_t>(rng.next() >> bits);
  return rng.chance(1, 2) ? value : -value;
}
std::string some_bytes(Rng& rng) {
  std::string out(rng.below(rng.chance(1, 20) ? 300 : 6), '\0');
  for (char& byte : out) byte = static_cast<char>(rng.below(256));
  return out;
}
bool maybe(Rng& rng) { return rng.chance(1, 2); }

oracle::Request some_request(Rng& rng) {
  oracle::Request request;
  if (maybe(rng)) request.set_tag(static_cast<int32_t>(some_number(rng)));
  if (maybe(rng)) request.set_verb(static_cast<int32_t>(some_number(rng)));
  if (maybe(rng)) request.set_path(some_bytes(rng));
  if (maybe(rng)) request.set_value(some_bytes(rng));
  if (maybe(rng)) request.set_other_tag(static_cast<int32_t>(some_number(rng)));
  if (maybe(rng)) request.set_offset(static_cast<int32_t>(some_number(rng)));
  if (maybe(rng)) request.set_rev(some_number(rng));
  if (maybe(rng)) request.set_mode(static_cast<int32_t>(some_number(rng)));
  if (maybe(rng)) request.set_min_rev(some_number(rng));
  if (maybe(rng)) request.set_client(some_bytes(rng));
  if (maybe(rng)) request.set_sequence(some_number(rng));
  return request;
}

oracle::Response some_response(Rng& rng) {
  oracle::Response response;
  if (maybe(rng)) response.set_tag(static_cast<int32_t>(some_number(rng)));
  if (maybe(rng)) response.set_flags(static_cast<int32_t>(some_number(rng)));
  if (maybe(rng)) response.set_rev(some_number(rng));
  if (maybe(rng)) response.set_path(some_bytes(rng));
  if (maybe(rng)) response.set_value(some_bytes(rng));
  if (maybe(rng)) response.set_len(static_cast<int32_t>(some_number(rng)));
  if (maybe(rng)) response.set_store_rev(some_number(rng));
  if (maybe(rng)) response.set_outcome(static_cast<int32_t>(some_number(rng)));
  if (maybe(rng)) response.set_cluster(some_bytes(rng));
  if (maybe(rng)) response.set_err_code(static_cast<int32_t>(some_number(rng)));
  if (maybe(rng)) response.set_err_detail(some_bytes(rng));
  return response;
}

/// The same message in our words; views are borrowed.
RequestView ours(const oracle::Request& from) {
  RequestView to;
  if (from.has_tag()) to.tag = from.tag();
  if (from.has_verb()) to.verb = from.verb();
  if (from.has_path()) to.path = from.path();
  if (from.has_value()) to.value = from.value();
  if (from.has_other_tag()) to.other_tag = from.other_tag();
  if (from.has_offset()) to.offset = from.offset();
  if (from.has_rev()) to.rev = from.rev();
  if (from.has_mode()) to.mode = from.mode();
  if (from.has_min_rev()) to.min_rev = from.min_rev();
  if (from.has_client()) to.client = from.client();
  if (from.has_sequence()) to.sequence = from.sequence();
  return to;
}
ResponseView ours(const oracle::Response& from) {
  ResponseView to;
  if (from.has_tag()) to.tag = from.tag();
  if (from.has_flags()) to.flags = from.flags();
  if (from.has_rev()) to.rev = from.rev();
  if (from.has_path()) to.path = from.path();
  if (from.has_value()) to.value = from.value();
  if (from.has_len()) to.len = from.len();
  if (from.has_store_rev()) to.store_rev = from.store_rev();
  if (from.has_outcome()) to.outcome = from.outcome();
  if (from.has_cluster()) to.cluster = from.cluster();
  if (from.has_err_code()) to.err_code = from.err_code();
  if (from.has_err_detail()) to.err_detail = from.err_detail();
  return to;
}

void append(const RequestView& message, std::string& out) { append_request(message, out); }
void append(const ResponseView& message, std::string& out) { append_response(message, out); }
Result<RequestView> decode(std::string_view body, const RequestView&) {
  return decode_request(body);
}
Result<ResponseView> decode(std::string_view body, const ResponseView&) {
  return decode_response(body);
}

template <typename Message>
void round_trip(const Message& message) {
  const std::string theirs = message.SerializeAsString();
  const auto expected = ours(message);
  const auto decoded = decode(theirs, expected);
  ASSERT_TRUE(decoded.has_value()) << decoded.error().message;
  ASSERT_EQ(*decoded, expected);
  std::string written;
  append(expected, written);
  ASSERT_EQ(quote(written.substr(kHeadBytes)), quote(theirs));
}

TEST(DoozerOracle, RequestsAreWhatLibprotobufWritesAndReads) {
  Rng rng(1);
  for (int i = 0; i < kRounds; ++i) round_trip(some_request(rng));
}

TEST(DoozerOracle, ResponsesAreWhatLibprotobufWritesAndReads) {
  Rng rng(2);
  for (int i = 0; i < kRounds; ++i) round_trip(some_response(rng));
}

template <typename Message>
void damage_and_compare(Rng& rng, std::string bytes, uint64_t& both_took) {
  for (uint64_t edits = rng.below(4); edits > 0 && !bytes.empty(); --edits) {
    const size_t at = rng.below(bytes.size());
    switch (rng.below(3)) {
      case 0: bytes[at] = static_cast<char>(rng.below(256)); break;
      case 1: bytes.erase(at, 1 + rng.below(3)); break;
      default: bytes.insert(at, some_bytes(rng)); break;
    }
  }
  Message message;
  const bool they_took = message.ParseFromString(bytes);
  const auto decoded = decode(bytes, ours(message));
  if (decoded.has_value()) {
    ASSERT_TRUE(they_took) << quote(bytes);
    ASSERT_EQ(*decoded, ours(message)) << quote(bytes);
    ++both_took;
  } else if (they_took) {
    const std::string& why = decoded.error().message;
    ASSERT_TRUE(why.find("of wire type") != std::string::npos ||
                why.find("no field key") != std::string::npos)
        << why << " " << quote(bytes);
  }
}

TEST(DoozerOracle, DamagedMessagesAreTakenOnlyWhereLibprotobufTakesThemAndMeanTheSame) {
  Rng rng(3);
  uint64_t both_took = 0;
  for (int i = 0; i < kRounds; ++i) {
    damage_and_compare<oracle::Request>(rng, some_request(rng).SerializeAsString(), both_took);
    damage_and_compare<oracle::Response>(rng, some_response(rng).SerializeAsString(), both_took);
  }
  EXPECT_GT(both_took, uint64_t{kRounds} / 4);
}

}  // namespace
}  // namespace doozer::wire
