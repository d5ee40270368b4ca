// The parts below the machine: the B+tree against a sorted vector, the path table against a set,
// and the tree's indexes against each other while files come and go and history passes.
#include "core/tree.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/rng.h"
#include "core/testing.h"

namespace doozer::core {
namespace {

struct Nodes {
  ~Nodes() {
    for (auto& [key, node] : by_key) {
      Node::free(node);
    }
  }
  Node* get(const std::string& key) {
    Node*& node = by_key[key];
    if (node == nullptr) {
      node = Node::make(key);
    }
    return node;
  }
  std::map<std::string, Node*> by_key;
};

void compare(const Ordered& tree, const std::map<std::string, bool>& expected) {
  tree.check();
  ASSERT_EQ(tree.size(), expected.size());
  Ordered::Place place = tree.first();
  uint32_t live = 0;
  for (const auto& [key, listed] : expected) {
    ASSERT_EQ(Ordered::get(place)->key(), key);
    ASSERT_EQ(Ordered::get(tree.lower_bound(key))->key(), key);
    if (listed) {
      ASSERT_EQ(Ordered::get(tree.select(live))->key(), key);
      ++live;
    }
    Ordered::next(place);
  }
  ASSERT_TRUE(place.end());
  ASSERT_EQ(tree.live(), live);
  ASSERT_TRUE(tree.select(live).end());
  for (auto it = expected.rbegin(); it != expected.rend(); ++it) {
    tree.previous(place);
    ASSERT_EQ(Ordered::get(place)->key(), it->first);
  }
  tree.previous(place);
  ASSERT_TRUE(place.end());
}

TEST(Ordered, IsASortedMapWithCounts) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Rng rng(seed);
    Nodes nodes;
    Ordered tree(1, Ordered::Counts::yes);
    std::map<std::string, bool> expected;
    for (int round = 0; round < 6; ++round) {
      const bool growing = round % 2 == 0;
      for (int i = 0; i < 3000; ++i) {
        const std::string key = "/" + std::to_string(rng.below(seed % 2 == 0 ? 400 : 20'000));
        Node* node = nodes.get(key);
        const auto found = expected.find(key);
        if (found == expected.end()) {
          if (growing) {
            node->set_listed(rng.chance(1, 2));
            tree.insert(node);
            expected[key] = node->listed();
          }
        } else if (found->second) {
          node->set_listed(false);
          tree.add_live(node, -1);
          found->second = false;
        } else if (growing) {
          node->set_listed(true);
          tree.add_live(node, 1);
          found->second = true;
        } else {
          tree.erase(node);
          expected.erase(found);
        }
      }
      ASSERT_NO_FATAL_FAILURE(compare(tree, expected));
    }
    while (!expected.empty()) {
      auto victim = rng.chance(1, 2) ? expected.begin() : std::prev(expected.end());
      Node* node = nodes.get(victim->first);
      if (victim->second) {
        node->set_listed(false);
        tree.add_live(node, -1);
      }
      tree.erase(node);
      expected.erase(victim);
      if (expected.size() % 500 == 0) {
        ASSERT_NO_FATAL_FAILURE(compare(tree, expected));
      }
    }
  }
}

TEST(Ordered, ManyInOrderAndInReverseAndReleasedInSlices) {
  for (const bool reverse : {false, true}) {
    Nodes nodes;
    Ordered tree(0, Ordered::Counts::yes);
    std::map<std::string, bool> expected;
    for (int i = 0; i < 20'000; ++i) {
      const std::string key = "/" + std::to_string(100'000 + (reverse ? 20'000 - i : i));
      nodes.get(key)->set_listed(true);
      tree.insert(nodes.get(key));
      expected[key] = true;
    }
    ASSERT_NO_FATAL_FAILURE(compare(tree, expected));
    int slices = 0;
    for (bool more = true; more; ++slices) {
      Budget budget(10);
      more = tree.release(budget);
    }
    EXPECT_GT(slices, 20);
    EXPECT_EQ(tree.size(), 0U);
  }
}

TEST(PathTable, IsASetOfPaths) {
  Rng rng(3);
  Nodes nodes;
  PathTable table;
  std::set<std::string> expected;
  for (int i = 0; i < 200'000; ++i) {
    const std::string key = "/" + std::to_string(rng.below(30'000));
    Node* node = nodes.get(key);
    const bool in = expected.contains(key);
    ASSERT_EQ(table.find(key), in ? node : nullptr);
    if (in) {
      table.erase(node);
      expected.erase(key);
    } else {
      table.insert(node);
      expected.insert(key);
    }
  }
  ASSERT_EQ(table.size(), expected.size());
  while (const Node* node = table.take_any()) {
    ASSERT_EQ(expected.erase(std::string(node->key())), 1U);
  }
  EXPECT_TRUE(expected.empty());
}

TEST(Tree, IndexesAgreeWhileFilesComeAndGoAndHistoryPasses) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Rng rng(seed);
    Tree tree;
    std::deque<Change> history;
    Revision revision;
    for (int i = 0; i < 3000; ++i) {
      ++revision;
      std::string path;
      for (uint64_t depth = 1 + rng.below(4); depth > 0; --depth) {
        path += "/" + std::to_string(rng.below(6));
      }
      Node* node = tree.find(path);
      const bool file = node != nullptr && node->file() != nullptr;
      // A value above other values is allowed here: the rule against it is in the procedures.
      const Change change = file && rng.chance(2, 3) ? tree.remove(*node, revision)
                                                     : tree.put(node, path, "v", revision);
      if (rng.chance(1, 10)) {
        tree.undo(*change.node, revision);
      } else {
        history.push_back(change);
      }
      while (history.size() > seed * 20) {
        tree.retire(history.front());
        history.pop_front();
      }
      if (i % 500 == 0) {
        tree.check();
      }
    }
    for (const Change& change : history) {
      tree.retire(change);
    }
    tree.check();
    while (tree.totals().files > 0) {
      Node* node = Ordered::get(tree.files().first());
      tree.retire(tree.remove(*node, ++revision));
    }
    EXPECT_EQ(tree.totals().directories, 0U);
    EXPECT_EQ(tree.totals().digest, Hash128{});
    EXPECT_EQ(tree.files().size(), 0U);
    EXPECT_EQ(tree.root().directory()->children.size(), 0U);  // nothing is left behind
  }
}

TEST(Tree, AFileThatIsDeadButHeldGoesWithWhatIsHeldUnlessItLivesAgain) {
  for (const bool again : {false, true}) {
    Tree tree;
    Node& node = *tree.put(nullptr, "/d/a", "1", Revision(1)).node;
    const Change removed = tree.remove(node, Revision(2));
    ASSERT_TRUE(tree.retire(removed, 0, true));
    EXPECT_EQ(tree.find("/d/a"), &node);
    EXPECT_EQ(tree.version_at(node, Revision(1))->value(), "1");
    const Version* tombstone = node.newest();
    if (again) tree.put(&node, "/d/a", "3", Revision(3));
    tree.release_held(node, 1, tombstone);
    EXPECT_EQ(tree.find("/d/a"), again ? &node : nullptr);
    EXPECT_EQ(tree.find("/d") != nullptr, again);
  }
}

}  // namespace
}  // namespace doozer::core
