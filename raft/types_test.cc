#include "raft/types.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace doozer::raft {
namespace {

Identity id(uint8_t number) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes[0] = number;
  return Identity(bytes);
}

std::string id_bytes(char number) { return std::string(1, number) + std::string(9, '\0'); }

TEST(Configuration, GoldenBytes) {
  EXPECT_EQ(encode_configuration({.voters = {id(1)}, .old_voters = {}}),
            "\x01" + id_bytes(1) + std::string(1, '\0'));
  EXPECT_EQ(encode_configuration({.voters = {id(1), id(3)}, .old_voters = {id(2)}}),
            "\x02" + id_bytes(1) + id_bytes(3) + "\x01" + id_bytes(2));
}

TEST(Configuration, WhatIsEncodedIsDecoded) {
  std::vector<Identity> all;
  for (size_t i = 1; i <= kServersMax; ++i) {
    all.push_back(id(static_cast<uint8_t>(i)));
    for (const auto& old : {std::vector<Identity>{}, std::vector<Identity>{id(9)}, all}) {
      const Configuration in{.voters = all, .old_voters = old};
      const auto out = decode_configuration(encode_configuration(in));
      ASSERT_TRUE(out) << out.error().message;
      EXPECT_EQ(*out, in);
    }
  }
}

TEST(Configuration, BadBytesAreCorrupt) {
  const std::string good = encode_configuration({.voters = {id(1), id(2)}, .old_voters = {id(3)}});
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(decode_configuration(good.substr(0, size))) << size;
  }
  const std::string zero(1, '\0');
  const std::string bad[] = {
      good + "x",
      zero + zero,                                // no voters
      zero + "\x01" + id_bytes(1),                // only old voters
      "\x02" + id_bytes(2) + id_bytes(1) + zero,  // order
      "\x02" + id_bytes(2) + id_bytes(2) + zero,  // repeat
      "\x01" + id_bytes(1) + "\x02" + id_bytes(2) + id_bytes(2),
      "\x21" + std::string(33 * Identity::kSize, 'x') + zero,  // too many
  };
  for (const std::string& bytes : bad) {
    const auto out = decode_configuration(bytes);
    ASSERT_FALSE(out) << bytes.size();
    EXPECT_EQ(out.error().code, Code::corrupt);
  }
}

}  // namespace
}  // namespace doozer::raft
