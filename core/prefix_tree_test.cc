// Finding groups by an event's path: just those that match, however deep or many they are.
#include "core/prefix_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/limits.h"
#include "base/rng.h"

namespace doozer::core {
namespace {

std::shared_ptr<const Glob> glob(const std::string& pattern) {
  return std::make_shared<const Glob>(Glob::compile(pattern).value());
}

std::string directories(const std::string& name, size_t count) {
  std::string path;
  for (size_t i = 0; i < count; ++i) path += "/" + name + std::to_string(i);
  return path;
}

/// The patterns of the groups found for a path, in order.
std::vector<std::string> found(PrefixTree& tree, std::string_view path) {
  int64_t work = INT64_MAX;
  std::vector<WatchGroup*> matched;
  tree.match(path, 1, work, matched);
  std::vector<std::string> patterns;
  for (const WatchGroup* group : matched) patterns.push_back(group->pattern);
  std::sort(patterns.begin(), patterns.end());
  return patterns;
}

TEST(PrefixTree, GlobsBelowManyDirectoriesAreFound) {
  PrefixTree tree;
  for (const size_t depth : std::vector<size_t>{1, 15, 16, 17, 18, 40}) {
    const std::string in = directories("d", depth);
    WatchGroup& below = tree.group(glob(in + "/*"));
    WatchGroup& beginning = tree.group(glob(in + "/x*"));
    WatchGroup& deeper = tree.group(glob(in + "/y/*"));
    EXPECT_EQ(found(tree, in + "/x"), (std::vector<std::string>{in + "/*", in + "/x*"})) << depth;
    EXPECT_EQ(found(tree, in + "/y/x"), (std::vector<std::string>{in + "/y/*"})) << depth;
    EXPECT_TRUE(found(tree, directories("d", depth - 1) + "/x").empty()) << depth;
    EXPECT_TRUE(found(tree, directories("e", depth) + "/x").empty()) << depth;
    tree.erase(below);
    EXPECT_EQ(found(tree, in + "/x"), (std::vector<std::string>{in + "/x*"})) << depth;
    tree.erase(deeper);
    tree.erase(beginning);
  }
  EXPECT_EQ(tree.size(), 0U);
}

TEST(PrefixTree, AGlobOfManyDirectoriesHoldsAFewTimesItsBytes) {
  std::string deep;
  while (deep.size() < kPathBytesMax - 2) deep += "/x";
  EXPECT_LT(PrefixTree::bytes_of(*glob(deep + "/*")), 2 * kPathBytesMax);
  EXPECT_GE(PrefixTree::bytes_of(*glob(deep)), kPathBytesMax - 2);
}

TEST(PrefixTree, FindsWhatMatchesWhileGroupsComeAndGo) {
  const std::string names[] = {"a", "b", "ab", "c*", "*", "?", "a*b"};
  Rng rng(5);
  PrefixTree tree;
  std::map<std::string, WatchGroup*> groups;
  for (int step = 0; step < 4'000; ++step) {
    std::string pattern;
    std::string path;
    for (uint64_t i = 0, depth = 1 + rng.below(4); i < depth; ++i) {
      pattern += "/" + names[rng.below(std::size(names))];
      path += "/" + names[rng.below(3)];
    }
    const auto known = groups.find(pattern);
    if (known == groups.end()) {
      groups[pattern] = &tree.group(glob(pattern));
    } else {
      ASSERT_EQ(&tree.group(glob(pattern)), known->second);
      tree.erase(*known->second);
      groups.erase(known);
    }
    std::vector<std::string> expected;
    for (const auto& [each, group] : groups) {
      if (group->matches(path)) expected.push_back(each);
    }
    ASSERT_EQ(found(tree, path), expected) << path << " at step " << step;
    ASSERT_EQ(tree.size(), groups.size());
  }
}

}  // namespace
}  // namespace doozer::core
