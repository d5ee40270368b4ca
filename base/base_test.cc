#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/function.h"
#include "base/hash.h"
#include "base/probe.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/types.h"
#include "base/units.h"

namespace doozer {
namespace {

TEST(Identity, TextIsSixteenBase32CharactersAndComesBack) {
  Rng rng(1);
  for (int i = 0; i < 100; ++i) {
    std::array<uint8_t, Identity::kSize> bytes{};
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.next());
    const Identity identity(bytes);
    const std::string text = identity.to_string();
    EXPECT_EQ(text.size(), 16U);
    EXPECT_EQ(text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), std::string::npos);
    EXPECT_EQ(Identity::parse(text).value(), identity);
  }
  EXPECT_EQ(Identity().to_string(), "AAAAAAAAAAAAAAAA");
}

TEST(Identity, BadTextIsRefusedWithTheText) {
  for (const char* text :
       {"", "AAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAA1", "aaaaaaaaaaaaaaaa"}) {
    const auto parsed = Identity::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Code::bad_argument);
    EXPECT_NE(parsed.error().message.find(text), std::string::npos);
  }
}

TEST(Bytes, EveryWidthComesBack) {
  std::string out;
  ByteWriter writer(out);
  writer.u8(0xAB);
  writer.u16(0xBEEF);
  writer.u32(0xDEADBEEF);
  writer.u64(0x0123456789ABCDEF);
  writer.be32(0x01020304);
  const uint64_t varints[] = {0, 1, 127, 128, 16383, 16384, std::numeric_limits<uint64_t>::max()};
  for (const uint64_t value : varints) writer.varint(value);
  writer.sized("hello");
  EXPECT_EQ(out.substr(15, 4), std::string("\x01\x02\x03\x04"));
  ByteReader reader(out);
  EXPECT_EQ(reader.u8(), 0xAB);
  EXPECT_EQ(reader.u16(), 0xBEEF);
  EXPECT_EQ(reader.u32(), 0xDEADBEEF);
  EXPECT_EQ(reader.u64(), 0x0123456789ABCDEF);
  EXPECT_EQ(reader.be32(), 0x01020304U);
  for (const uint64_t value : varints) EXPECT_EQ(reader.varint(), value);
  EXPECT_EQ(reader.sized(), "hello");
  EXPECT_TRUE(reader.done());
}

TEST(Bytes, ReadingPastTheEndSpoilsTheReaderForGood) {
  for (size_t cut = 0; cut < 8; ++cut) {
    ByteReader reader(std::string_view("\x01\x02\x03\x04\x05\x06\x07\x08", cut));
    EXPECT_EQ(reader.u64(), 0U);
    EXPECT_FALSE(reader.ok());
    EXPECT_EQ(reader.u8(), 0U);
    EXPECT_FALSE(reader.done());
  }
  ByteReader unfinished("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01");
  EXPECT_EQ(unfinished.varint(), 0U);
  EXPECT_FALSE(unfinished.ok());
  ByteReader overlong(
      "\x05"
      "abc");
  EXPECT_EQ(overlong.sized(), "");
  EXPECT_FALSE(overlong.ok());
}

TEST(Bytes, QuoteShowsEveryByteAndIsCut) {
  EXPECT_EQ(quote("a\"b\\c\n\xC3"), "\"a\\\"b\\\\c\\x0a\\xc3\"");
  EXPECT_EQ(quote(std::string(300, 'x')), "\"" + std::string(200, 'x') + "\"...");
}

TEST(Crc32c, KnownValueAndContinuation) {
  // The check value of CRC-32C, RFC 3720 appendix B.4 and the usual catalogue.
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c("6789", crc32c("12345")), 0xE3069283U);
}

TEST(Crc32c, PortableAgreesWithTheInstruction) {
  Rng rng(7);
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    const auto seed = static_cast<uint32_t>(rng.next());
    EXPECT_EQ(crc32c(bytes, seed), crc32c_portable(bytes, seed)) << bytes.size();
    bytes.push_back(static_cast<char>(rng.next()));
  }
}

TEST(Hash, DependsOnBytesAndSeed) {
  EXPECT_EQ(hash64("a", 1), hash64("a", 1));
  EXPECT_NE(hash64("a", 1), hash64("a", 2));
  EXPECT_NE(hash128("a"), hash128("b"));
}

TEST(Rng, SameSeedSameStreamAndBoundsHold) {
  Rng one(42);
  Rng two(42);
  std::set<int64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(one.next(), two.next());
    const int64_t value = one.between(-2, 2);
    EXPECT_EQ(value, two.between(-2, 2));
    EXPECT_GE(value, -2);
    EXPECT_LE(value, 2);
    seen.insert(value);
  }
  EXPECT_EQ(seen.size(), 5U);
}

TEST(UniqueFunction, OwnsWhatItCaptures) {
  UniqueFunction<int(int)> add;
  EXPECT_FALSE(static_cast<bool>(add));
  add = [held = std::make_unique<int>(40)](int x) { return *held + x; };
  UniqueFunction<int(int)> moved = std::move(add);
  EXPECT_EQ(moved(2), 42);
}

Result<int> half(int value) {
  if (value % 2 != 0) return fail(Code::bad_argument, "odd");
  return value / 2;
}
Result<int> quarter(int value) {
  TRY_ASSIGN(const int halved, half(value));
  TRY(half(halved));
  return half(halved);
}

TEST(Result, TryPassesErrorsUp) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error().message, "odd");
  EXPECT_EQ(with_context({Code::range, "x"}, "while y").message, "while y: x");
}

TEST(Units, DurationTable) {
  const struct {
    const char* text;
    uint64_t us;
  } good[] = {{"0", 0},         {"60", 60'000'000}, {"60s", 60'000'000}, {"1.5h", 5'400'000'000},
              {"10ms", 10'000}, {"250us", 250},     {"5m", 300'000'000}, {"0.001s", 1'000}};
  for (const auto& test : good)
    EXPECT_EQ(parse_duration_us(test.text).value(), test.us) << test.text;
  for (const char* text : {"", "s", "-1s", "1x", "1 s", "1..5s", "1.s", ".5s", "0.1us",
                           "99999999999999999999h", "1e3s", "1S"}) {
    const auto parsed = parse_duration_us(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message.find(quote(text)), std::string::npos)
        << parsed.error().message;
  }
  EXPECT_EQ(format_duration_us(60'000'000), "1m");
  EXPECT_EQ(format_duration_us(1'500'000), "1500ms");
  EXPECT_EQ(format_duration_us(0), "0us");
}

TEST(Units, SizeTable) {
  const struct {
    const char* text;
    uint64_t bytes;
  } good[] = {{"0", 0},
              {"512", 512},
              {"64KiB", 65536},
              {"1MiB", 1048576},
              {"1.5GiB", 1610612736},
              {"10kB", 10'000},
              {"10KB", 10'000},
              {"7B", 7}};
  for (const auto& test : good) EXPECT_EQ(parse_size(test.text).value(), test.bytes) << test.text;
  for (const char* text : {"", "KiB", "-1", "1K", "1kib", "0.1B", "1MiB "}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
  for (const uint64_t bytes : {0ULL, 1ULL, 1000ULL, 1024ULL, 1048576ULL, 268435456ULL}) {
    EXPECT_EQ(parse_size(format_size(bytes)).value(), bytes);
  }
  EXPECT_EQ(format_size(268435456), "256MiB");
}

TEST(Units, Integers) {
  EXPECT_EQ(parse_int("-5").value(), -5);
  EXPECT_EQ(parse_int("9223372036854775807").value(), std::numeric_limits<int64_t>::max());
  for (const char* text : {"", "+1", "1x", " 1", "9223372036854775808"})
    EXPECT_FALSE(parse_int(text));
}

TEST(Probe, CountsWhatPassed) {
  EXPECT_EQ(Probe::reached("base test probe"), 0U);
  for (int i = 0; i < 3; ++i) PROBE("base test probe");
  EXPECT_EQ(Probe::reached("base test probe"), 3U);
}

}  // namespace
}  // namespace doozer
