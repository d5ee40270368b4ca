#include "core/glob.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "core/path.h"

namespace doozer::core {
namespace {

bool match(std::string_view pattern, std::string_view path) {
  const Result<Glob> glob = Glob::compile(pattern);
  EXPECT_TRUE(glob.has_value()) << pattern;
  return glob.has_value() && glob->matches(path);
}

TEST(Glob, Matches) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"/", "/"},
      {"/*", "/"},  // so these three see nops
      {"/**", "/"},
      {"/*", "/a"},
      {"/**", "/a"},
      {"/**", "/a/b/c"},
      {"/a", "/a"},
      {"/a*", "/a"},
      {"/a*", "/abc"},
      {"/*b", "/b"},
      {"/*b", "/ab"},
      {"/*b", "/abab"},
      {"/a/*/c", "/a/b/c"},
      {"/a/**/c", "/a/b/c"},
      {"/a/**/c", "/a/b/b/c"},
      {"/a/**c", "/a/c"},
      {"/w**", "/w2"},
      {"/w**", "/w"},
      {"/w**", "/w/x/y"},
      {"/?", "/a"},
      {"/a?c", "/abc"},
      {"/?", "/\xE4\xB8\x96"},
      {"/??", "/\xE4\xB8\x96\xE7\x95\x8C"},
      {"/*?", "/\xE4\xB8\x96"},
      {"/\xE4\xB8\x96*", "/\xE4\xB8\x96\xE7\x95\x8C"},
      {"/***", "/a/b"},
      {"/**x*", "/a/xb"},
      {"/*/*", "/a/b"},
      {"/a.b", "/a.b"},
      {"/+", "/+"},
      {"/**/x", "/w/x"},
  };
  for (const auto& [pattern, path] : cases) {
    EXPECT_TRUE(match(pattern, path)) << pattern << " " << path;
  }
}

TEST(Glob, DoesNotMatch) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"/", "/a"},
      {"/a", "/"},
      {"/a", "/ab"},
      {"/a", "/a/b"},
      {"/*", "/a/b"},
      {"/?", "/"},
      {"/?", "/ab"},
      {"/?", "/a/b"},
      {"/a?b", "/a/b"},
      {"/*/*", "/a"},
      {"/*/*", "/a/b/c"},
      {"/w/**/x", "/w/x"},  // `**` is the regular expression `.*`
      {"/a/*", "/a"},
      {"/a/**", "/a"},
      {"/a.b", "/axb"},
      {"/?", "/\xE4\xB8\x96\xE7\x95\x8C"},
      {"/??", "/\xE4\xB8\x96"},
      {"/*??", "/\xE4\xB8\x96"},
      {"/**x*", "/a/xb/c"},
  };
  for (const auto& [pattern, path] : cases) {
    EXPECT_FALSE(match(pattern, path)) << pattern << " " << path;
  }
}

TEST(Glob, AGlobIsBadIfReplacingEachStarAndQuestionMarkByXLeavesNoAllowedPath) {
  const std::vector<std::string> cases = {"",      "*",
                                          "**",    "a",
                                          "?",     "a/b",
                                          "//",    "/a/",
                                          "/*/",   "/a//b",
                                          "/[a]",  "/{a}",
                                          "/a\\b", "/a b",
                                          "/\t",   "/\x7F",
                                          "/\xFF", "/\xE4\xB8*",
                                          "//**",  "/*\xC2\xA0",
                                          "*/a",   std::string("/a\0b", 4)};
  for (const std::string& pattern : cases) {
    const Result<Glob> glob = Glob::compile(pattern);
    ASSERT_FALSE(glob.has_value()) << pattern;
    EXPECT_EQ(glob.error().code, Code::bad_glob);
    EXPECT_EQ(glob.error().message, "invalid glob pattern: " + pattern);
  }
}

TEST(Glob, WhatIsTooLongIsToldByItsBeginAndTheLimit) {
  EXPECT_TRUE(Glob::compile("/" + std::string(kPathBytesMax - 1, '*')));
  const Result<Glob> glob = Glob::compile("/" + std::string(kPathBytesMax, 'a'));
  ASSERT_FALSE(glob);
  EXPECT_EQ(glob.error().code, Code::bad_glob);
  EXPECT_EQ(glob.error().message, "invalid glob pattern: /" + std::string(59, 'a') +
                                      "... has 4097 bytes, the limit is 4096");
  // No character is cut in two.
  std::string wide = "/a";
  while (wide.size() <= kPathBytesMax) wide += "\xC3\xA4";
  EXPECT_TRUE(Glob::compile(wide).error().message.starts_with(
      "invalid glob pattern: " + wide.substr(0, 60) + "... has"));
  EXPECT_TRUE(Glob::compile(wide.substr(0, 1) + wide.substr(2))
                  .error()
                  .message.starts_with("invalid glob pattern: /" + wide.substr(2, 58) + "... has"));
}

TEST(Glob, TellsItsLiteralPrefix) {
  struct Case {
    std::string pattern;
    std::string prefix;
    bool literal;
  };
  for (const Case& c : std::vector<Case>{{"/", "/", true},
                                         {"/a/b", "/a/b", true},
                                         {"/*", "/", false},
                                         {"/a/b*", "/a/b", false},
                                         {"/a/**/c", "/a/", false},
                                         {"/a?", "/a", false}}) {
    const Glob glob = Glob::compile(c.pattern).value();
    EXPECT_EQ(glob.literal_prefix(), c.prefix);
    EXPECT_EQ(glob.literal(), c.literal);
    EXPECT_EQ(glob.pattern(), c.pattern);
  }
}

/// What the rule says, by trying everything. Exponential; good for short texts only.
bool oracle(std::u32string_view pattern, std::u32string_view path) {
  if (pattern.empty()) return path.empty();
  if (pattern[0] == U'*') {
    const bool across = pattern.size() > 1 && pattern[1] == U'*';
    const std::u32string_view rest = pattern.substr(across ? 2 : 1);
    for (size_t taken = 0;; ++taken) {
      if (oracle(rest, path.substr(taken))) return true;
      if (taken == path.size() || (!across && path[taken] == U'/')) return false;
    }
  }
  if (path.empty()) return false;
  const bool same = pattern[0] == U'?' ? path[0] != U'/' : pattern[0] == path[0];
  return same && oracle(pattern.substr(1), path.substr(1));
}

std::string narrow(std::u32string_view text) {
  std::string out;
  for (const char32_t c : text) {
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else {  // only U+00E9 is used
      out += "\xC3\xA9";
    }
  }
  return out;
}

/// Calls `each` with every text over `alphabet` of at most `size_max` characters behind "/".
void enumerate(std::u32string_view alphabet, size_t size_max,
               const std::function<void(const std::u32string&)>& each) {
  std::vector<std::u32string> last = {U"/"};
  each(last[0]);
  for (size_t size = 1; size <= size_max; ++size) {
    std::vector<std::u32string> next;
    for (const std::u32string& text : last) {
      for (const char32_t c : alphabet) {
        next.push_back(text + c);
        each(next.back());
      }
    }
    last = std::move(next);
  }
}

TEST(Glob, AgreesWithTheRuleOnAllShortPatternsAndPaths) {
  std::vector<std::u32string> paths;
  enumerate(U"a\u00E9/", 5, [&](const std::u32string& path) {
    if (path == U"/" || is_file_path(narrow(path))) paths.push_back(path);
  });
  size_t patterns = 0;
  enumerate(U"a\u00E9/*?", 5, [&](const std::u32string& pattern) {
    const Result<Glob> glob = Glob::compile(narrow(pattern));
    if (!glob) return;
    ++patterns;
    for (const std::u32string& path : paths) {
      ASSERT_EQ(glob->matches(narrow(path)), oracle(pattern, path))
          << narrow(pattern) << " " << narrow(path);
    }
  });
  EXPECT_GT(patterns, 1500U);
  EXPECT_GT(paths.size(), 100U);
}

TEST(Glob, PatternsOfSeveralWordsMatch) {
  for (const size_t size : {62U, 63U, 64U, 65U, 127U, 128U, 129U, 1000U, 4000U}) {
    const std::string name(size, 'a');
    EXPECT_TRUE(match("/*" + name, "/" + name));
    EXPECT_TRUE(match("/*" + name, "/b" + name));
    EXPECT_FALSE(match("/*" + name, "/" + name + "b"));
    EXPECT_FALSE(match("/*" + name, "/" + name.substr(1)));
    EXPECT_TRUE(match("/" + std::string(size, '?'), "/" + name));
    EXPECT_FALSE(match("/" + std::string(size, '?'), "/" + name + "a"));
    EXPECT_TRUE(match("/?" + name + "**z", "/b" + name + "/x/z"));
  }
  std::string wide;
  for (int i = 0; i < 70; ++i) wide += "\xE4\xB8\x96";
  EXPECT_TRUE(match("/" + std::string(70, '?'), "/" + wide));
  EXPECT_FALSE(match("/" + std::string(69, '?'), "/" + wide));
  EXPECT_FALSE(match("/" + std::string(71, '?'), "/" + wide));
}

TEST(Glob, ManyStarsAgainstALongNameCostNoMoreThanPatternTimesPath) {
  // Exponential or cubic matchers never come back from these.
  const std::string name = "/" + std::string(kPathBytesMax - 1, 'a');
  EXPECT_FALSE(match("/*a*a*a*a*a*b", name));
  EXPECT_TRUE(match("/*a*a*a*a*a*a", name));
  std::string stars = "/";
  std::string doubles = "/";
  std::string both = "/";
  while (stars.size() + 4 < kPathBytesMax) stars += "*a";
  while (doubles.size() + 4 < kPathBytesMax) doubles += "**a";
  while (both.size() + 8 < kPathBytesMax) both += "**a*a";
  EXPECT_FALSE(match(stars + "b", name));
  EXPECT_FALSE(match(doubles + "b", name));
  EXPECT_FALSE(match(both + "b", name));
  EXPECT_TRUE(match(both, name));
}

TEST(Glob, StepsTellWhatMatchingCosts) {
  const auto steps = [](std::string_view pattern, size_t path) {
    return Glob::compile(pattern).value().steps(path);
  };
  EXPECT_EQ(steps("/a", kPathBytesMax), 1);
  EXPECT_EQ(steps("/a/**", kPathBytesMax), 1);
  EXPECT_EQ(steps("/*/config", 100), 1);
  std::string stars = "/";
  while (stars.size() + 4 < kPathBytesMax) stars += "*a";
  EXPECT_EQ(steps(stars, 10), 2);
  EXPECT_GT(steps(stars, kPathBytesMax), 400) << "a slice of its own, nearly";
}

}  // namespace
}  // namespace doozer::core
