#include "core/path.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/limits.h"

namespace doozer::core {
namespace {

std::string utf8(char32_t c) {
  std::string out;
  const auto tail = [&](unsigned shift) {
    out += static_cast<char>(0x80U | ((static_cast<uint32_t>(c) >> shift) & 0x3FU));
  };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0U | (static_cast<uint32_t>(c) >> 6U));
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0U | (static_cast<uint32_t>(c) >> 12U));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0U | (static_cast<uint32_t>(c) >> 18U));
    tail(12);
    tail(6);
    tail(0);
  }
  return out;
}

TEST(Path, NamesOfTheOriginalAreAllowed) {
  for (const char* path : {"/a", "/a/b", "/A.b-9", "/.", "/..", "/a/./b", "/a/../b", "/-", "/0",
                           "/ctl/node/ABCDEFGH/addr"}) {
    EXPECT_TRUE(is_file_path(path)) << path;
    EXPECT_TRUE(check_path(path).has_value()) << path;
  }
}

TEST(Path, ANameIsOneOrMoreBytesOfValidUtf8) {
  for (const char* path : {"/a_b", "/a+b", "/a=b", "/a:b", "/\xE4\xB8\x96\xE7\x95\x8C", "/~!@#$%^&",
                           "/(x)", "/a|b", "/\"'`", "/<a>;,", "/\xF0\x9F\x98\x80"}) {
    EXPECT_TRUE(is_file_path(path)) << path;
  }
}

TEST(Path, NoTrailingOrDoubleSlash) {
  struct Case {
    std::string path;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"", "path \"\": does not begin with \"/\""},
      {"a", "path \"a\": does not begin with \"/\""},
      {"a/b", "path \"a/b\": does not begin with \"/\""},
      {"/", "path \"/\": is the root directory, not a file"},
      {"//", "path \"//\": empty name at byte 1"},
      {"/a/", "path \"/a/\": empty name at byte 3"},
      {"/a//b", "path \"/a//b\": empty name at byte 3"},
      {"//a", "path \"//a\": empty name at byte 1"},
      {"/a b", "path \"/a b\": forbidden character at byte 2"},
      {"/a\\b", "path \"/a\\\\b\": forbidden character at byte 2"},
      {"/a\xFF", "path \"/a\\xff\": invalid UTF-8 at byte 2"},
      {std::string("/a\0", 3), "path \"/a\\x00\": forbidden character at byte 2"},
  };
  for (const Case& c : cases) {
    EXPECT_FALSE(is_file_path(c.path)) << c.message;
    const Result<void> result = check_path(c.path);
    ASSERT_FALSE(result.has_value()) << c.message;
    EXPECT_EQ(result.error().code, Code::bad_path);
    EXPECT_EQ(result.error().message, c.message);
  }
}

TEST(Path, EveryForbiddenCodePointIsRefusedAndNoOther) {
  // Written out from the rule, not from the code: all of Unicode is tried.
  const auto forbidden = [](char32_t c) {
    if (c <= 0x20 || (c >= 0x7F && c <= 0xA0)) return true;
    if (c < 0x80 && std::string("/*?[]{}\\").find(static_cast<char>(c)) != std::string::npos) {
      return true;
    }
    for (const char32_t white : {0x1680U, 0x2028U, 0x2029U, 0x202FU, 0x205FU, 0x3000U}) {
      if (c == white) return true;
    }
    return c >= 0x2000 && c <= 0x200A;
  };
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    ASSERT_EQ(is_forbidden_in_name(c), forbidden(c)) << std::hex << static_cast<uint32_t>(c);
    const std::string text = utf8(c);
    const DecodedCodePoint decoded = decode_utf8(text);
    ASSERT_EQ(decoded.value, c);
    ASSERT_EQ(decoded.bytes, text.size());
    ASSERT_EQ(is_file_path("/x" + text + "y"), !forbidden(c) || c == U'/')
        << std::hex << static_cast<uint32_t>(c);
  }
}

TEST(Path, InvalidUtf8IsNoName) {
  for (const std::string bytes :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x80\x80", "\xE0\x9F\xBF",
        "\xED\xA0\x80", "\xED\xBF\xBF", "\xE4\xB8", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF8\x88\x80\x80\x80", "\xFE", "\xFF"}) {
    EXPECT_EQ(decode_utf8(bytes).bytes, 0U);
    EXPECT_FALSE(is_file_path("/" + bytes));
    EXPECT_FALSE(is_file_path("/a" + bytes + "/b"));
  }
  EXPECT_EQ(decode_utf8("").bytes, 0U);
}

TEST(Path, TheLimitIsInclusiveAndNamed) {
  const std::string longest = "/" + std::string(kPathBytesMax - 1, 'a');
  EXPECT_TRUE(is_file_path(longest));
  EXPECT_FALSE(is_file_path(longest + "a"));
  const std::string message = check_path(longest + "a").error().message;
  EXPECT_NE(message.find("4097 bytes, the limit is 4096"), std::string::npos) << message;
}

TEST(Path, ParentAndBaseSplitAtTheLastSlash) {
  EXPECT_EQ(parent_path("/a/b"), "/a");
  EXPECT_EQ(parent_path("/a"), "/");
  EXPECT_EQ(parent_path("/a/b/c"), "/a/b");
  EXPECT_EQ(base_name("/a/b"), "b");
  EXPECT_EQ(base_name("/a"), "a");
}

}  // namespace
}  // namespace doozer::core
