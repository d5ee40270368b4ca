// GETDIR and WALK, asked offset by offset.

#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "base/probe.h"
#include "base/rng.h"
#include "door/door_testing.h"

namespace doozer::door {
namespace {

/// Asks one offset after the other until RANGE.
std::vector<std::string> list(TestClient& client, const std::function<Ask(int32_t)>& ask) {
  std::vector<std::string> all;
  for (int32_t offset = 0; offset < 100'000; ++offset) {
    const int32_t tag = client.send(ask(offset));
    client.run();
    const Answer* answer = client.find(tag);
    EXPECT_NE(answer, nullptr);
    if (answer == nullptr || answer->view.err_code) {
      EXPECT_EQ(client.text(tag), "error=RANGE");
      break;
    }
    all.emplace_back(*answer->view.path);
    client.all();
  }
  return all;
}

TEST(DoozerGetdir, NamesComeInByteOrderAndFilesAndDirectoriesAlike) {
  TestHost host;
  TestClient client(host);
  for (const char* path : {"/d/b", "/d/a.b", "/d/a/x", "/d/a/y", "/d/a-b", "/d/\xC3\xA9", "/d/Z"}) {
    host.set(path, "");
  }
  EXPECT_EQ(list(client, [](int32_t offset) { return getdir("/d", offset); }),
            (std::vector<std::string>{"Z", "a", "a-b", "a.b", "b", "\xC3\xA9"}));
  EXPECT_EQ(list(client, [](int32_t offset) { return getdir("/", offset); }),
            (std::vector<std::string>{"d"}));
}

TEST(DoozerGetdir, NoentAndNotdirComeBeforeRange) {
  TestHost host;
  TestClient client(host);
  host.set("/d/f", "");
  for (const int32_t offset : {-1, 0, 7}) {
    EXPECT_EQ(client.ask(getdir("/no", offset)), "error=NOENT");
    EXPECT_EQ(client.ask(getdir("/d/f", offset)), "error=NOTDIR");
    EXPECT_EQ(client.ask(getdir("/d/f/x", offset)), "error=NOENT");
  }
  EXPECT_EQ(client.ask(getdir("/d", -1)), "error=RANGE");
  EXPECT_EQ(client.ask(getdir("/d", INT32_MIN)), "error=RANGE");
  EXPECT_EQ(client.ask(getdir("/d", 1)), "error=RANGE");
  EXPECT_EQ(client.ask(getdir("/d", INT32_MAX)), "error=RANGE");
}

TEST(DoozerWalk, FilesOnlyInByteOrderOfTheWholePath) {
  TestHost host;
  TestClient client(host);
  for (const char* path : {"/w/a/b", "/w/a-b", "/w/a.b", "/w/b", "/w/a0", "/v"})
    host.set(path, "v");
  EXPECT_EQ(list(client, [](int32_t offset) { return walk("/**", offset); }),
            (std::vector<std::string>{"/v", "/w/a-b", "/w/a.b", "/w/a/b", "/w/a0", "/w/b"}));
  EXPECT_EQ(list(client, [](int32_t offset) { return walk("/w/*", offset); }),
            (std::vector<std::string>{"/w/a-b", "/w/a.b", "/w/a0", "/w/b"}));
  EXPECT_EQ(client.ask(walk("/w/a/b", 0)), "flags=4 rev=1 path=\"/w/a/b\" value=\"v\"");
  EXPECT_EQ(client.ask(walk("/w", 0)), "error=RANGE");  // a directory never matches
  EXPECT_EQ(client.ask(walk("/", 0)), "error=RANGE");
}

TEST(DoozerWalk, PastTheEndAndNothingAtAllAreRange) {
  TestHost host;
  TestClient client(host);
  EXPECT_EQ(client.ask(walk("/**", 0)), "error=RANGE");
  host.set("/a", "");
  EXPECT_EQ(client.ask(walk("/**", 1)), "error=RANGE");
  EXPECT_EQ(client.ask(walk("/b*", 0)), "error=RANGE");
  EXPECT_EQ(client.ask(walk("/**", -1)), "error=RANGE");
}

TEST(DoozerWalk, ABadGlobIsOtherWithTheBytesAsSent) {
  TestHost host;
  TestClient client(host);
  for (const std::string pattern : {"", "a", "/a/", "/[a]", "/\xFF"}) {
    EXPECT_EQ(client.ask(walk(pattern, 0)), "error=OTHER");
    EXPECT_EQ(client.detail(walk(pattern, 0)), "invalid glob pattern: " + pattern);
    EXPECT_EQ(client.detail(wait(pattern, 1)), "invalid glob pattern: " + pattern);
  }
}

TEST(DoozerListings, TwoInterleavedOnOneConnectionStayRight) {
  TestHost host;
  TestClient client(host);
  std::vector<std::string> paths;
  for (int i = 0; i < 500; ++i) {
    paths.push_back("/d/" + std::to_string(100'000 + i));
    host.set(paths.back(), "");
  }
  for (int32_t i = 0; i < 500; ++i) {
    // The same glob twice at different places, and two listings of the directory.
    const int32_t forward = client.send(walk("/d/*", i));
    const int32_t behind = client.send(walk("/d/*", i / 2));
    const int32_t name = client.send(getdir("/d", i));
    const int32_t backward = client.send(getdir("/d", 499 - i));
    client.run();
    ASSERT_EQ(client.find(forward)->view.path, paths[static_cast<size_t>(i)]);
    ASSERT_EQ(client.find(behind)->view.path, paths[static_cast<size_t>(i) / 2]);
    ASSERT_EQ(client.find(name)->view.path, paths[static_cast<size_t>(i)].substr(3));
    ASSERT_EQ(client.find(backward)->view.path, paths[static_cast<size_t>(499 - i)].substr(3));
    client.all();
  }
}

TEST(DoozerListings, PipelinedOffsetsAreAnsweredEachWithItsOwnEntry) {
  TestHost host;
  TestClient client(host);
  for (int i = 0; i < 3'000; ++i) host.set("/d/" + std::to_string(100'000 + i), "v");
  std::string bytes;
  for (int32_t i = 0; i <= 3'000; ++i) {
    bytes += walk("/**", i).tag(i + 1).frame();
    bytes += getdir("/d", i).tag(10'001 + i).frame();
  }
  client.receive(bytes);
  client.run();
  ASSERT_EQ(client.count(), 6'002U);
  std::map<int32_t, std::string> by_tag;
  for (const Answer& answer : client.answers()) {
    by_tag[answer.tag] = std::string(answer.view.path.value_or("end"));
  }
  for (int32_t i = 0; i < 3'000; ++i) {
    ASSERT_EQ(by_tag[i + 1], "/d/" + std::to_string(100'000 + i));
    ASSERT_EQ(by_tag[10'001 + i], std::to_string(100'000 + i));
  }
  EXPECT_EQ(by_tag[3'001], "end");
}

TEST(DoozerListings, ASparseWalkGoesOnInSlices) {
  TestHost host;
  TestClient client(host);
  for (int i = 0; i < 20'000; ++i) host.set("/d/" + std::to_string(100'000 + i), "");
  host.set("/d/z", "last");
  const int32_t sparse = client.send(walk("/d/*z", 0));
  EXPECT_EQ(client.count(), 0U);
  EXPECT_TRUE(client.door().has_work());
  // Other requests are answered meanwhile.
  EXPECT_EQ(client.text(client.send(get("/d/z"))), "rev=20001 value=\"last\"");
  size_t slices = 0;
  while (client.door().has_work() && slices < 10'000) {
    Budget budget(kSliceSteps);
    client.door().run(budget);
    ++slices;
  }
  EXPECT_GT(slices, 5U);
  EXPECT_GT(Probe::reached("door: a listing goes on in a later slice"), 0U);
  EXPECT_EQ(client.text(sparse), "flags=4 rev=20001 path=\"/d/z\" value=\"last\"");
  EXPECT_FALSE(client.door().has_work());
}

TEST(DoozerListings, WithoutARevisionEachAnswerIsOfTheNewestStateWhileOthersWrite) {
  TestHost host;
  TestClient client(host);
  Rng rng(7);
  std::map<std::string, bool> files;
  const auto change = [&] {
    const std::string name = "k" + std::to_string(rng.below(300));
    if (rng.chance(1, 2)) {
      host.set("/d/" + name, "");
      files[name] = true;
    } else {
      host.apply(core::DelView{"/d/" + name, -1});
      files.erase(name);
    }
    host.run_machine();
  };
  for (int i = 0; i < 300; ++i) change();
  for (int32_t i = 0; i < 600; ++i) {
    change();
    const auto offset = static_cast<int32_t>(i % 150);
    const int32_t name = client.send(getdir("/d", offset));
    const int32_t file = client.send(walk("/d/*", offset));
    client.run();
    if (static_cast<size_t>(offset) < files.size()) {
      const std::string& expected = std::next(files.begin(), offset)->first;
      ASSERT_EQ(client.find(name)->view.path, expected) << i;
      ASSERT_EQ(client.find(file)->view.path, "/d/" + expected) << i;
    } else {
      ASSERT_EQ(client.text(name), "error=RANGE");
    }
    client.all();
  }
}

TEST(DoozerListings, AtAnOldRevisionStayRightWhileOthersWrite) {
  TestHost host;
  TestClient client(host);
  std::vector<std::string> names;
  for (int i = 0; i < 200; ++i) {
    names.push_back(std::to_string(1'000 + i));
    host.set("/d/" + names.back(), "old");
  }
  const int64_t at = host.machine().revision().value();
  for (int32_t i = 0; i < 200; ++i) {
    host.set("/d/" + std::to_string(900 + i), "new");
    host.apply(core::DelView{"/d/" + names[static_cast<size_t>(199 - i)], -1});
    const int32_t name = client.send(getdir("/d", i).rev(at));
    const int32_t file = client.send(walk("/d/*", i).rev(at));
    client.run();
    ASSERT_EQ(client.find(name)->view.path, names[static_cast<size_t>(i)]);
    ASSERT_EQ(client.find(file)->view.path, "/d/" + names[static_cast<size_t>(i)]);
    ASSERT_EQ(client.find(file)->view.value, "old");
    client.all();
  }
  EXPECT_EQ(client.ask(getdir("/d", 200).rev(at)), "error=RANGE");
  EXPECT_EQ(client.ask(walk("/d/*", 200).rev(at)), "error=RANGE");
}

TEST(DoozerListings, OneThatLeavesTheHistoryIsTooLate) {
  core::MachineOptions options;
  options.history_revisions = 5;
  TestHost host(options);
  TestClient client(host);
  for (int i = 0; i < 10; ++i) host.set("/d/" + std::to_string(i), "");
  host.run_machine();
  EXPECT_EQ(client.ask(walk("/d/*", 0).rev(8)), "flags=4 rev=1 path=\"/d/0\" value=\"\"");
  EXPECT_EQ(client.ask(getdir("/d", 0).rev(8)), "path=\"0\"");
  for (int i = 0; i < 10; ++i) host.set("/e", "");
  host.run_machine();
  EXPECT_EQ(client.ask(walk("/d/*", 1).rev(8)), "error=TOO_LATE");
  EXPECT_EQ(client.ask(getdir("/d", 1).rev(8)), "error=TOO_LATE");
}

TEST(DoozerListings, MoreListingsThanCursorsAreStillRight) {
  TestHost host;
  TestClient client(host);
  constexpr int kListings = static_cast<int>(kListCursorsPerConnection) * 2 + 1;
  for (int d = 0; d < kListings; ++d) {
    for (int i = 0; i < 20; ++i) {
      host.set("/d" + std::to_string(d) + "/" + std::to_string(10 + i), "");
    }
  }
  for (int32_t i = 0; i < 20; ++i) {
    for (int d = 0; d < kListings; ++d) {
      EXPECT_EQ(client.ask(getdir("/d" + std::to_string(d), i)),
                "path=\"" + std::to_string(10 + i) + "\"");
    }
  }
}

}  // namespace
}  // namespace doozer::door
