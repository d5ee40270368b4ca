// The network of the client's tests keeps the promises of env/net.h that others build on.

#include <gtest/gtest.h>

#include "client/testing/fake_net.h"

namespace doozer::client {
namespace {

struct Owner final : env::StreamEvents {
  void on_connected() override { connected = true; }
  void on_bytes(std::string_view bytes) override {
    heard += bytes;
    if (stream != nullptr && heir != nullptr) stream->redirect(*heir);
  }
  void on_end() override { ended = true; }
  void on_failed(const Error& /*error*/) override { failed = true; }
  env::Stream* stream = nullptr;
  env::StreamEvents* heir = nullptr;
  std::string heard;
  bool connected = false;
  bool ended = false;
  bool failed = false;
};

struct Server final : FakeEndpoint {
  void on_open(FakePeer& opened) override { peer = &opened; }
  void on_bytes(FakePeer& /*peer*/, std::string_view /*bytes*/) override {}
  void on_close(FakePeer& /*peer*/) override { peer = nullptr; }
  FakePeer* peer = nullptr;
};

TEST(FakeNetTest, AStreamIsRedirectedInsideItsOwnCall) {
  FakeClock clock;
  FakeNet net(clock);
  Server server;
  net.serve("a:1", &server);
  Owner old;
  Owner heir;
  const auto stream = net.dial({.address = "a:1"}, old);
  old.stream = stream.get();
  old.heir = &heir;
  clock.run_for(10'000);
  ASSERT_TRUE(old.connected);
  net.fragment(3);
  server.peer->send("onetwo");
  clock.run_for(10'000);
  EXPECT_EQ(old.heard, "one");
  EXPECT_EQ(heir.heard, "two");
  server.peer->reset();
  clock.run_for(10'000);
  EXPECT_TRUE(heir.failed);
  EXPECT_FALSE(old.failed);
  stream->redirect(old);  // a dead stream stays silent
  clock.run_for(10'000);
  EXPECT_FALSE(old.failed);
}

}  // namespace
}  // namespace doozer::client
