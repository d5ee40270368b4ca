// Frames, tags, unknown things and errors: what holds for every verb.

#include <gtest/gtest.h>

#include "door/door_testing.h"

namespace doozer::door {
namespace {

std::string unhex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return out;
}

TEST(DoozerFrames, AnswersAreByteForByteThoseOfTheOriginal) {
  TestHost host;
  TestClient client(host);
  host.set("/f1", "one");
  client.receive(get("/nope").tag(20).frame());
  client.receive(get("/f1").tag(26).frame());
  client.receive(get("/").tag(22).frame().substr(0));
  EXPECT_EQ(quote(client.door().output().substr(0, 10)), quote(unhex("00000006081418003200")));
  EXPECT_EQ(quote(client.door().output().substr(10, 13)),
            quote(unhex("00000009081a180132036f6e65")));
  // Tag and err_code as the original; then our detail.
  EXPECT_EQ(quote(client.door().output().substr(27, 5)), quote(unhex("0816a00615")));
}

TEST(DoozerFrames, TheTagIsEchoedAbsentIfNoneCame) {
  TestHost host;
  TestClient client(host);
  for (const int32_t tag : {0, 1, -1, INT32_MAX, INT32_MIN}) {
    client.receive(rev().tag(tag).frame());
    client.take();
    EXPECT_TRUE(client.answers().back().tagged);
    EXPECT_EQ(client.answers().back().tag, tag);
  }
  client.receive(rev().no_tag().frame());
  client.take();
  EXPECT_FALSE(client.answers().back().tagged);
}

TEST(DoozerFrames, TheSameTagTwiceAtOnceBothAreAnswered) {
  TestHost host;
  TestClient client(host);
  client.receive(set("/a", -1, "x").tag(7).frame() + set("/a", -1, "y").tag(7).frame());
  host.settle();
  EXPECT_EQ(client.all(), (std::vector<std::string>{"rev=1", "rev=2"}));
}

TEST(DoozerFrames, VerbMissingOrUnknownIsUnknownVerbWithoutATagForAnEmptyFrame) {
  TestHost host;
  TestClient client(host);
  EXPECT_EQ(client.ask(Ask(0)), "error=UNKNOWN_VERB");
  EXPECT_EQ(client.ask(Ask(4)), "error=UNKNOWN_VERB");
  EXPECT_EQ(client.ask(Ask(-7)), "error=UNKNOWN_VERB");
  EXPECT_EQ(client.detail(Ask(77)), "verb 77");
  client.all();
  client.receive(std::string(4, '\0'));
  ASSERT_EQ(client.count(), 1U);
  EXPECT_FALSE(client.answers().front().tagged);
  EXPECT_EQ(client.answers().front().text(), "error=UNKNOWN_VERB");
  EXPECT_EQ(client.answers().front().detail(), "the request has no verb");
}

TEST(DoozerFrames, FramesComeInPiecesOfAnySize) {
  TestHost host;
  TestClient client(host);
  host.set("/a", "1");
  const std::string bytes = get("/a").tag(1).frame() + rev().tag(2).frame();
  for (const char byte : bytes) client.receive(std::string_view(&byte, 1));
  EXPECT_EQ(client.text(1), "rev=1 value=\"1\"");
  EXPECT_EQ(client.text(2), "rev=1");
  EXPECT_EQ(client.pending_bytes(), 0U);
}

TEST(DoozerFrames, FrameBytesTellsHalfAFrameFromNone) {
  TestHost host;
  TestClient client(host);
  const std::string bytes = get("/a").tag(1).frame();
  EXPECT_EQ(client.door().frame_bytes(""), 0U);
  EXPECT_EQ(client.door().frame_bytes(bytes.substr(0, 3)), 0U);
  EXPECT_EQ(client.door().frame_bytes(bytes.substr(0, 4)), bytes.size());
  EXPECT_EQ(client.door().frame_bytes("\xFF\xFF\xFF\xFF"), 0U);
}

TEST(DoozerFrames, UnparsableBytesCloseTheConnectionAfterWhatCameBeforeWasAnswered) {
  TestHost host;
  TestClient client(host);
  client.receive(rev().tag(1).frame() + set("/a", 0, "x").tag(2).frame() + unhex("00000002ffff"));
  ASSERT_TRUE(client.failed().has_value());
  EXPECT_EQ(client.text(1), "rev=0");
  client.door().end_of_input();
  EXPECT_FALSE(client.door().finished());
  host.settle();
  EXPECT_EQ(client.text(2), "rev=1");
  EXPECT_TRUE(client.door().finished());
}

TEST(DoozerFrames, ALengthThatIsNegativeOrOverTheLimitClosesTheConnectionWithAReason) {
  for (const auto& [head, why] : std::vector<std::pair<std::string, std::string>>{
           {"ffffffff", "frame length -1 is negative"},
           {"80000000", "frame length -2147483648 is negative"},
           {"00102001", "frame length 1056769, the limit is 1056768"},
           {"7fffffff", "frame length 2147483647, the limit is 1056768"}}) {
    TestHost host;
    TestClient client(host);
    client.receive(rev().tag(1).frame() + unhex(head));
    ASSERT_TRUE(client.failed().has_value()) << head;
    EXPECT_EQ(client.failed()->message, why);
    EXPECT_EQ(client.text(1), "rev=0");
  }
}

TEST(DoozerFrames, AKnownFieldOfTheWrongWireTypeClosesTheConnection) {
  TestHost host;
  TestClient client(host);
  client.receive(
      unhex("00000003"
            "2001"
            "08"));
  ASSERT_TRUE(client.failed().has_value());
  EXPECT_EQ(client.failed()->message, "message: field 4 of wire type 0 at byte 0");
}

TEST(DoozerFrames, MissingRequiredFieldsAreMissingArg) {
  TestHost host;
  TestClient client(host);
  using wire::Verb;
  for (const auto& [ask, detail] : std::vector<std::pair<Ask, std::string>>{
           {Ask(Verb::get), "GET: path is missing"},
           {Ask(Verb::set).rev(0), "SET: path is missing"},
           {Ask(Verb::set).path("/a"), "SET: rev is missing"},
           {Ask(Verb::del).rev(0), "DEL: path is missing"},
           {Ask(Verb::del).path("/a"), "DEL: rev is missing"},
           {Ask(Verb::getdir).offset(0), "GETDIR: path is missing"},
           {Ask(Verb::getdir).path("/"), "GETDIR: offset is missing"},
           {Ask(Verb::walk).offset(0), "WALK: path is missing"},
           {Ask(Verb::walk).path("/**"), "WALK: offset is missing"},
           {Ask(Verb::wait).rev(1), "WAIT: path is missing"},
           {Ask(Verb::wait).path("/**"), "WAIT: rev is missing"}}) {
    EXPECT_EQ(client.ask(ask), "error=MISSING_ARG") << detail;
    EXPECT_EQ(client.detail(ask), detail);
  }
  EXPECT_EQ(client.ask(Ask(Verb::stat)), "rev=0 len=0");
  EXPECT_EQ(client.ask(Ask(Verb::access)), "ok");
  EXPECT_EQ(host.machine().revision(), Revision(0));
}

TEST(DoozerFrames, EveryErrorCarriesADetailThatNamesTheThingAndTheValue) {
  core::MachineOptions options;
  options.history_revisions = 2;
  TestHost host(options);
  TestClient client(host);
  host.set("/d/f", "x");
  for (int i = 0; i < 5; ++i) host.set("/g", "x");
  host.run_machine();
  using wire::Verb;
  // error, ask, and what the detail must hold
  for (const auto& [ask, error, thing, value] :
       std::vector<std::tuple<Ask, std::string, std::string, std::string>>{
           {get("/d"), "ISDIR", "/d", "directory"},
           {get("x"), "BAD_PATH", "\"x\"", "begin"},
           {set("/a//b", 0, ""), "BAD_PATH", "/a//b", "byte 3"},
           {set("/g", 1, ""), "REV_MISMATCH", "/g", "6"},
           {set("/g", -2, ""), "REV_MISMATCH", "/g", "-2"},
           {del("/g", 1), "REV_MISMATCH", "/g", "1"},
           {set("/d", -1, ""), "ISDIR", "/d", ""},
           {del("/d", -1), "ISDIR", "/d", ""},
           {set("/g/x", -1, ""), "NOTDIR", "/g", ""},
           {get("/g").rev(2), "TOO_LATE", "2", "5"},
           {stat("/g").rev(2), "TOO_LATE", "2", "5"},
           {wait("/g", 2), "TOO_LATE", "2", "5"},
           {getdir("/d", 0).rev(2), "TOO_LATE", "2", "5"},
           {walk("/**", 0).rev(2), "TOO_LATE", "2", "5"},
           {getdir("/no", 0), "NOENT", "/no", ""},
           {getdir("/g", 0), "NOTDIR", "/g", ""},
           {getdir("/d", 9), "RANGE", "/d", "9"},
           {getdir("/d", -4), "RANGE", "GETDIR", "-4"},
           {walk("/d/*", 9), "RANGE", "/d/*", "9"},
           {walk("/d/*", -4), "RANGE", "WALK", "-4"},
           {walk("d", 0), "OTHER", "invalid glob pattern: d", ""},
           {Ask(Verb::access).value("x"), "OTHER", "permission denied", ""},
           {Ask(66), "UNKNOWN_VERB", "verb", "66"}}) {
    EXPECT_EQ(client.ask(ask), "error=" + error) << thing;
    const std::string detail = client.detail(ask);
    EXPECT_NE(detail.find(thing), std::string::npos) << detail << " lacks " << thing;
    EXPECT_NE(detail.find(value), std::string::npos) << detail << " lacks " << value;
  }
}

TEST(DoozerFrames, ErrorAnswersHaveTagErrCodeErrDetailAndNothingElse) {
  TestHost host;
  TestClient client(host);
  const int32_t tag = client.send(get("/"));
  const Answer* answer = client.find(tag);
  ASSERT_NE(answer, nullptr);
  wire::ResponseView only;
  only.err_code = 21;
  only.err_detail = answer->view.err_detail;
  EXPECT_EQ(answer->view, only);
}

TEST(DoozerFrames, SelfIsTheServersIdentityAs16Base32Characters) {
  TestHost host;
  TestClient client(host);
  const int32_t tag = client.send(self());
  EXPECT_EQ(client.find(tag)->view.value, host.identity().to_string());
  EXPECT_EQ(client.find(tag)->view.value->size(), 16U);
}

TEST(DoozerFrames, StatusIsJsonAboutTheServer) {
  TestHost host;
  TestClient client(host);
  EXPECT_EQ(client.ask(Ask(wire::Verb::status)), R"(value="{\"role\":\"leader\"}")");
}

TEST(DoozerFrames, ExtensionFieldsAreSentOnlyIfModeCameOnErrorsToo) {
  TestHost host;
  TestClient client(host);
  host.set("/a", "x");
  const std::string more = "store_rev=1 ";
  const std::string cluster = "cluster=\"abcdefghij\"";
  EXPECT_EQ(client.ask(get("/a").mode(2)), "rev=1 value=\"x\" " + more + cluster);
  EXPECT_EQ(client.ask(get("/").mode(2)), more + "outcome=1 " + cluster + " error=ISDIR");
  EXPECT_EQ(client.ask(rev().mode(2)), "rev=1 " + more + cluster);
  EXPECT_EQ(client.ask(set("/a", 0, "").mode(2)),
            more + "outcome=1 " + cluster + " error=REV_MISMATCH");
  EXPECT_EQ(client.ask(set("/a", 0, "").mode(0)), "outcome=1 error=REV_MISMATCH");
  EXPECT_EQ(client.ask(set("/a", 0, "")), "error=REV_MISMATCH");
  EXPECT_EQ(client.ask(set("/a", 1, "").mode(2)), "rev=2 store_rev=2 " + cluster);
  EXPECT_EQ(client.ask(wait("/a", 1).mode(2)),
            "flags=4 rev=1 path=\"/a\" value=\"x\" store_rev=2 " + cluster);
  EXPECT_EQ(client.ask(get("/a")), "rev=2 value=\"\"");
}

}  // namespace
}  // namespace doozer::door
