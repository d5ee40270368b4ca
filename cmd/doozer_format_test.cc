#include "cmd/doozer_format.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cmd/doozer_json.h"
#include "cmd/doozer_table.h"

namespace doozer::cli {
namespace {

const Style kText{};
const Style kJson{.json = true};

Event event(Event::Kind kind, std::string path, std::string value, int64_t revision) {
  return {.kind = kind,
          .path = std::move(path),
          .value = std::move(value),
          .position = {.revision = revision}};
}

TEST(DoozerFormat, EventsStandAsInTheOriginal) {
  EXPECT_EQ(format_event(event(Event::Kind::set, "/a", "v\n", 7), kText), "/a 7 set 2\nv\n\n");
  EXPECT_EQ(format_event(event(Event::Kind::del, "/a", "", 8), kText), "/a 8 del 0\n\n");
  EXPECT_EQ(format_event(event(Event::Kind::nop, "/", "", 9), kText), "/ 9 nop 0\n\n");
}

TEST(DoozerFormat, EventsAsJsonBearBytesThatAreNoText) {
  EXPECT_EQ(format_event(event(Event::Kind::set, "/a", "é\n\"", 7), kJson),
            "{\"path\":\"/a\",\"rev\":7,\"flag\":\"set\",\"value\":\"é\\n\\\"\"}\n");
  EXPECT_EQ(format_event(event(Event::Kind::set, "/a", "\xFF\xFE", 7), kJson),
            "{\"path\":\"/a\",\"rev\":7,\"flag\":\"set\",\"value_base64\":\"//4=\"}\n");
  EXPECT_EQ(format_event(event(Event::Kind::del, "/a", "", 8), kJson),
            "{\"path\":\"/a\",\"rev\":8,\"flag\":\"del\"}\n");
}

TEST(DoozerFormat, StatTellsFilesFromDirectories) {
  const Stat file{.kind = Stat::Kind::file, .revision = 5, .length = 12};
  const Stat directory{.kind = Stat::Kind::directory, .revision = 0, .length = 3};
  EXPECT_EQ(format_stat("/a", file, kText), "5 12\n");
  EXPECT_EQ(format_stat("/a", directory, kText), "d 3\n");
  EXPECT_EQ(format_stat("/a", file, kJson),
            "{\"path\":\"/a\",\"type\":\"file\",\"rev\":5,\"len\":12}\n");
  EXPECT_EQ(format_stat("/a", directory, kJson),
            "{\"path\":\"/a\",\"type\":\"directory\",\"entries\":3}\n");
}

TEST(DoozerFormat, GetIsTheBytesAndNothingElse) {
  const File file{.path = "/a", .value = std::string("\0x", 2), .revision = 3};
  EXPECT_EQ(format_get(file, kText), std::string("\0x", 2));
  EXPECT_EQ(format_get(file, kJson), "{\"path\":\"/a\",\"rev\":3,\"value\":\"\\u0000x\"}\n");
  EXPECT_EQ(format_file(file, kText), std::string("/a 3 2\n\0x\n", 10));
}

TEST(DoozerFormat, ListingsAreNamesAndLongOnesTellStat) {
  EXPECT_EQ(format_names("/", {.names = {"a", "b"}, .revision = 4}, kText), "a\nb\n");
  EXPECT_EQ(format_names("/", {.names = {"a", "b"}, .revision = 4}, kJson),
            "{\"path\":\"/\",\"rev\":4,\"names\":[\"a\",\"b\"]}\n");
  const std::vector<LongName> names = {
      {"a", {.kind = Stat::Kind::directory, .revision = 0, .length = 2}},
      {"b", {.kind = Stat::Kind::file, .revision = 17, .length = 5}}};
  EXPECT_EQ(format_long_names("/", names, 20, kText), " d 2  a\n17 5  b\n");
}

TEST(DoozerFormat, ATreeHasEachDirectoryBeforeItsContent) {
  const auto paths = tree_paths("/", {"/a-b/x", "/a/y", "/a/z/w", "/c"});
  std::string drawn = format_tree(paths, kText);
  EXPECT_EQ(drawn,
            "/\n"
            "├── a\n"
            "│   ├── y\n"
            "│   └── z\n"
            "│       └── w\n"
            "├── a-b\n"
            "│   └── x\n"
            "└── c\n"
            "\n3 directories, 4 files\n");
  EXPECT_EQ(format_paths("/", paths, 1, kText), "/\n/a\n/a/y\n/a/z\n/a/z/w\n/a-b\n/a-b/x\n/c\n");
}

TEST(DoozerFormat, ATreeBelowAPathAndOneThatIsAFile) {
  EXPECT_EQ(format_paths("/a", tree_paths("/a", {"/a/x/y", "/a/x/z"}), 1, kText),
            "/a\n/a/x\n/a/x/y\n/a/x/z\n");
  const auto file = tree_paths("/a", {"/a"});
  EXPECT_EQ(format_paths("/a", file, 1, kText), "/a\n");
  EXPECT_FALSE(file[0].directory);
  EXPECT_EQ(format_tree(tree_paths("/", {}), kText), "/\n\n0 directories, 0 files\n");
}

TEST(DoozerFormat, TheOrderOfTheFilesGivenMakesNoDifference) {
  std::vector<std::string> files = {"/a!/x", "/a/y", "/a-b", "/a.c/d/e", "/a.c/d!", "/z"};
  const std::string expected = format_paths("/", tree_paths("/", files), 1, kText);
  for (int i = 0; i < 720; ++i) {
    std::ranges::next_permutation(files);
    EXPECT_EQ(format_paths("/", tree_paths("/", files), 1, kText), expected);
  }
}

TEST(DoozerFormat, BelowMeansAWholeNameBelow) {
  EXPECT_TRUE(is_below("/a", "/a"));
  EXPECT_TRUE(is_below("/a/b", "/a"));
  EXPECT_TRUE(is_below("/a", "/"));
  EXPECT_FALSE(is_below("/ab", "/a"));
  EXPECT_FALSE(is_below("/", "/a"));
  EXPECT_FALSE(is_below("/ctlx", "/ctl"));
}

TEST(DoozerFormat, ErrorsTellWhatToDoNext) {
  EXPECT_EQ(format_error({Code::not_found, "no /x"}, "Look.", kText), "doozer: no /x\n  Look.\n");
  EXPECT_EQ(format_error({Code::not_found, "no /x"}, "", kText), "doozer: no /x\n");
  EXPECT_EQ(format_error({Code::not_found, "no /x"}, "Look.", kJson),
            "{\"error\":{\"code\":\"not_found\",\"message\":\"no /x\",\"hint\":\"Look.\"}}\n");
  const Style colour{.json = false, .colour = true};
  EXPECT_EQ(format_error({Code::other, "x"}, "", colour), "\x1b[31;1mdoozer:\x1b[0m x\n");
}

TEST(DoozerFormat, ExitStatusesFollowTheTable) {
  struct Case {
    Error error;
    bool connected;
    ExitStatus status;
  };
  const Case cases[] = {
      {{Code::revision_mismatch, ""}, true, kExitRefused},
      {{Code::not_found, ""}, true, kExitRefused},
      {{Code::bad_argument, ""}, true, kExitUsage},
      {{Code::refused, ""}, false, kExitNoConnection},
      {{Code::timed_out, ""}, false, kExitNoConnection},
      {{Code::timed_out, ""}, true, kExitRefused},
      {{Code::corrupt, "no Doozer server"}, false, kExitNoConnection},
      {{Code::corrupt, "a torn export"}, true, kExitRefused},
      {{Code::too_large, "frame length"}, false, kExitNoConnection},
      {{Code::too_large, "the value"}, true, kExitRefused},
      {{Code::unknown_outcome, ""}, true, kExitUnknown},
      {{Code::unknown_outcome, ""}, false, kExitUnknown},
      {{Code::permission_denied, "the secret was refused"}, false, kExitRefused},
      {{Code::permission_denied, "the peer's certificate is refused"}, false, kExitNoConnection},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(exit_status(c.error, c.connected), c.status) << code_name(c.error.code);
  }
}

TEST(DoozerJson, Base64IsExactBothWays) {
  const std::vector<std::pair<std::string, std::string>> pairs = {
      {"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
      {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xFF\xFE", "//4="}};
  for (const auto& [bytes, text] : pairs) {
    EXPECT_EQ(base64_encode(bytes), text);
    EXPECT_EQ(base64_decode(text), bytes);
  }
  for (const char* bad :
       {"Z", "Zg=", "Zg==Zg==", "Z===", "====", "Zm9v Zg", "Zh==", "Zm9=", "\xFFm9v"}) {
    EXPECT_FALSE(base64_decode(bad)) << bad;
  }
}

TEST(DoozerErrors, TellTheCommandAndNameThePathOnce) {
  struct Case {
    const char* command;
    const char* argument;
    const char* from_library;
    const char* told;
  };
  for (const Case& one : {
           Case{"add", "/x", "set \"/x\": path \"/x\": revision 8 is not at most 0",
                "add: path \"/x\": revision 8 is not at most 0"},
           Case{"touch", "/d", "get \"/d\": path \"/d\" is a directory",
                "touch: path \"/d\" is a directory"},
           Case{"set", "/x", "set \"/x\": busy", "set \"/x\": busy"},
           Case{"add", "/x", "set \"/x\": path \"/x/y\": why", "add \"/x\": path \"/x/y\": why"},
           Case{"add", "a\n", "set \"a\\x0a\": path \"a\\x0a\": why", "add: path \"a\\x0a\": why"},
           // Not of that shape: as they came.
           Case{"add", "/x", "set \"/y\": path \"/y\": why", "set \"/y\": path \"/y\": why"},
           Case{"add", "/x", "connection to 127.0.0.1:1 lost", "connection to 127.0.0.1:1 lost"},
           Case{"rev", "", "", ""},
       }) {
    const CommandRow* const command = find_command(one.command);
    ASSERT_NE(command, nullptr);
    const Error told = told_of(*command, one.argument, {Code::conflict, one.from_library});
    EXPECT_EQ(told.message, one.told);
    EXPECT_EQ(told.code, Code::conflict);
  }
}

TEST(DoozerJson, OnlyWholeUtf8IsText) {
  for (const char* good : {"", "a", "é", "€", "\xF0\x9F\x98\x80", "\xED\x9F\xBF"}) {
    EXPECT_TRUE(is_utf8(good)) << good;
  }
  for (const char* bad : {"\x80", "\xC0\x80", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80",
                          "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "a\xFF"}) {
    EXPECT_FALSE(is_utf8(bad));
  }
  EXPECT_EQ(json_string("a\xFF\x01\""), "\"a\xEF\xBF\xBD\\u0001\\\"\"");
}

}  // namespace
}  // namespace doozer::cli
