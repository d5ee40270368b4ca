#include "io/net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "io/address.h"
#include "io/fd.h"
#include "io/io_testing.h"

#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
#define DOOZER_UBSAN
#endif
#endif

namespace doozer::io {
namespace {

class NetTest : public StreamTest {
 protected:
  void listen(const std::string& address = "127.0.0.1:0") {
    auto listener = net_.listen({.address = address}, acceptor_);
    ASSERT_TRUE(listener) << listener.error().message;
    listener_ = std::move(*listener);
  }
  std::unique_ptr<Peer> dial() { return dial(listener_->address()); }
  std::unique_ptr<Peer> dial(const std::string& address, uint64_t timeout_us = kTestLimitUs) {
    return dial_over(net_, {.address = address, .timeout_us = timeout_us});
  }
  std::pair<Peer*, Peer*> pair() {
    if (listener_ == nullptr) listen();
    return pair_of(dial());
  }
};

TEST(Address, TextsAreTakenApart) {
  struct Case {
    const char* text;
    const char* host;
    int port;
  };
  for (const Case& good : {Case{"127.0.0.1:8046", "127.0.0.1", 8046}, Case{"[::1]:0", "::1", 0},
                           Case{":80", "", 80}, Case{"db.example:65535", "db.example", 65535}}) {
    const Result<HostPort> parsed = parse_host_port(good.text);
    ASSERT_TRUE(parsed) << good.text;
    EXPECT_EQ(parsed->host, good.host);
    EXPECT_EQ(parsed->port, good.port);
  }
  for (const char* bad : {"", "localhost", "localhost:", "::1:80", "[::1]", "[::1:80", "[]:80",
                          "h:65536", "h:-1", "h:+1", "h: 1", "h:0x1", "a:b:1"}) {
    const Result<HostPort> parsed = parse_host_port(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, Code::bad_argument);
  }
}

TEST(Address, AnIPv4PeerOfAnIPv6SocketIsToldAsIPv4) {
  EXPECT_EQ(numeric_address("::ffff:10.0.0.1", 7)->to_string(), "10.0.0.1:7");
  EXPECT_EQ(numeric_address("::1", 7)->to_string(), "[::1]:7");
  EXPECT_FALSE(numeric_address("localhost", 7).has_value());
}

TEST_F(NetTest, BytesGoBothWaysAndTheAddressesAreTold) {
  const auto [client, server] = pair();
  EXPECT_EQ(client->stream->peer(), listener_->address());
  EXPECT_TRUE(server->stream->peer().starts_with("127.0.0.1:"));
  EXPECT_FALSE(listener_->address().ends_with(":0"));
  EXPECT_FALSE(server->connected);
  client->stream->write("ping");
  ASSERT_TRUE(until([&] { return server->received == "ping"; }));
  server->stream->write("pong");
  ASSERT_TRUE(until([&] { return client->received == "pong"; }));
  EXPECT_EQ(client->stream->unsent(), 0U);
}

TEST_F(NetTest, IPv6AndNamesAndAllInterfacesWork) {
  for (const char* address : {"[::1]:0", "localhost:0", ":0"}) {
    auto listener = net_.listen({.address = address}, acceptor_);
    ASSERT_TRUE(listener) << listener.error().message;
    const std::string port((*listener)->address().substr((*listener)->address().rfind(':')));
    const auto client = dial((address[0] == '[' ? "[::1]" : "localhost") + port);
    ASSERT_TRUE(until([&] { return client->connected || client->failed; }));
    EXPECT_TRUE(client->connected) << address << ": " << client->failed->message;
  }
}

TEST_F(NetTest, WhatIsWrittenBeforeConnectingIsSentInOrder) {
  listen();
  const auto client = dial();
  client->stream->write("one ");
  client->stream->write("two ");
  EXPECT_EQ(client->stream->unsent(), 8U);
  client->stream->shutdown();
  ASSERT_TRUE(until([&] { return !acceptor_.peers.empty() && acceptor_.peers[0]->ended; }));
  EXPECT_EQ(acceptor_.peers[0]->received, "one two ");
}

TEST_F(NetTest, LargeWritesArriveWholeInChunksOfAtMostTheLimit) {
  const auto [client, server] = pair();
  std::string sent;
  for (size_t i = 0; i < 8 * kMiB; ++i) sent += static_cast<char>(i * 7 + i / 256);
  for (size_t i = 0; i < sent.size(); i += kMiB) client->stream->write(sent.substr(i, kMiB));
  EXPECT_GT(client->stream->unsent(), 0U);
  ASSERT_TRUE(until([&] { return server->received.size() == sent.size(); }));
  EXPECT_TRUE(server->received == sent);
  EXPECT_LE(server->largest, kReadChunkBytes);
  EXPECT_GT(client->progress, 0);
  EXPECT_EQ(client->stream->unsent(), 0U);
}

TEST_F(NetTest, ASlowReaderFillsUnsentAndDrainsItLater) {
  const auto [client, server] = pair();
  server->stream->pause_reading();
  std::string expected;
  // Odd sizes, so that parts of the queue are cut everywhere.
  for (int i = 0; client->stream->unsent() < 2 * kMiB; ++i) {
    std::string bytes(static_cast<size_t>(1 + i * 997 % 30'000), static_cast<char>('a' + i % 26));
    expected += bytes;
    client->stream->write(std::move(bytes));
  }
  settle();
  EXPECT_EQ(server->received, "");
  const size_t unsent = client->stream->unsent();
  EXPECT_GT(unsent, 1 * kMiB);
  server->stream->resume_reading();
  ASSERT_TRUE(until([&] { return server->received.size() == expected.size(); }));
  EXPECT_TRUE(server->received == expected);
  EXPECT_EQ(client->stream->unsent(), 0U);
}

TEST_F(NetTest, HalfCloseEndsOneDirectionOnly) {
  const auto [client, server] = pair();
  client->stream->write("last words");
  client->stream->shutdown();
  client->stream->write("never sent");
  ASSERT_TRUE(until([&] { return server->ended; }));
  EXPECT_EQ(server->received, "last words");
  server->stream->write("answer");
  server->stream->shutdown();
  ASSERT_TRUE(until([&] { return client->ended; }));
  EXPECT_EQ(client->received, "answer");
  EXPECT_FALSE(client->failed || server->failed);
}

TEST_F(NetTest, ShutdownComesAfterWhatIsUnsent) {
  const auto [client, server] = pair();
  client->stream->write(std::string(4 * kMiB, 'x'));
  EXPECT_GT(client->stream->unsent(), 0U);
  client->stream->shutdown();
  ASSERT_TRUE(until([&] { return server->ended; }));
  EXPECT_EQ(server->received.size(), 4 * kMiB);
}

TEST_F(NetTest, AResetIsAFailureAndTheLastCall) {
  listen();
  UniqueFd raw = raw_connect(listener_->address());
  ASSERT_TRUE(until([&] { return acceptor_.peers.size() == 1; }));
  const linger now{.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(setsockopt(raw.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
  raw.reset();
  Peer& server = *acceptor_.peers[0];
  ASSERT_TRUE(until([&] { return server.failed.has_value(); }));
  EXPECT_EQ(server.failed->code, Code::closed);
  EXPECT_NE(server.failed->message.find(server.stream->peer()), std::string::npos);
  server.stream->write("into the void");
  server.stream->shutdown();
  settle();
}

TEST_F(NetTest, WhatThePeerSaidBeforeItClosedIsHeardBeforeTheFailureOfASend) {
  const auto [client, server] = pair();
  server->stream->write("sorry, too many connections");
  client->stream->write("a request that nobody reads");
  // The server goes with the request unread: its peer gets the answer, then a reset.
  acceptor_.peers.clear();
  client->stream->write("more");
  client->stream->write("and more");
  ASSERT_TRUE(until([&] { return client->failed || client->ended; }));
  EXPECT_EQ(client->received, "sorry, too many connections");
}

TEST_F(NetTest, PausedNothingIsHeardAndResumedNothingIsMissing) {
  const auto [client, server] = pair();
  client->stream->pause_reading();
  server->stream->write("abc");
  server->stream->shutdown();
  settle();
  EXPECT_EQ(client->received, "");
  EXPECT_FALSE(client->ended);
  client->stream->resume_reading();
  ASSERT_TRUE(until([&] { return client->ended; }));
  EXPECT_EQ(client->received, "abc");
}

TEST_F(NetTest, PausingFromInsideOnBytesHoldsBackTheRest) {
  const auto [client, server] = pair();
  server->then = [server](std::string_view) { server->stream->pause_reading(); };
  client->stream->write(std::string(3 * kReadChunkBytes, 'x'));
  size_t heard = 0;
  while (server->received.size() < 3 * kReadChunkBytes) {
    ASSERT_TRUE(until([&] { return server->received.size() > heard; }));
    heard = server->received.size();
    settle();
    EXPECT_EQ(server->received.size(), heard);
    server->stream->resume_reading();
  }
}

TEST_F(NetTest, AStreamMayBeDestroyedInsideAnyOfItsCalls) {
  listen();
  enum Where { in_connected, in_bytes, in_end, in_failure, in_progress, kinds };
  struct Owner : Peer {
    void on_connected() override {
      Peer::on_connected();
      if (where == in_connected) stream.reset();
    }
    void on_progress() override {
      Peer::on_progress();
      if (where == in_progress) stream.reset();
    }
    Where where = kinds;
  };
  for (int kind = 0; kind < kinds; ++kind) {
    Owner owner;
    owner.where = static_cast<Where>(kind);
    owner.stream = net_.dial({.address = listener_->address()}, owner);
    const size_t before = acceptor_.peers.size();
    owner.then = [&](std::string_view) {
      if (kind == in_bytes) owner.stream.reset();
    };
    owner.at_end = [&] {
      if (kind == in_end) owner.stream.reset();
    };
    owner.at_failure = [&] { owner.stream.reset(); };
    ASSERT_TRUE(until([&] { return owner.connected && acceptor_.peers.size() > before; }));
    Peer& server = *acceptor_.peers.back();
    server.stream->write("x");
    if (kind == in_progress) owner.stream->write(std::string(16 * kMiB, 'x'));
    if (kind == in_end) server.stream->shutdown();
    if (kind == in_failure) {
      server.stream->pause_reading();
      owner.stream->write("unread");
      settle();
      server.stream.reset();
      settle();
      if (owner.stream != nullptr) owner.stream->write("y");
    }
    ASSERT_TRUE(until([&] { return owner.stream == nullptr; })) << kind;
  }
}

TEST_F(NetTest, NobodyListeningIsRefused) {
  listen();
  const std::string address = listener_->address();
  listener_.reset();
  const auto client = dial(address);
  EXPECT_FALSE(client->failed) << "never at once";
  ASSERT_TRUE(until([&] { return client->failed.has_value(); }));
  EXPECT_EQ(client->failed->code, Code::refused);
  EXPECT_EQ(client->failed->message, address + ": Connection refused (ECONNREFUSED)");
}

TEST_F(NetTest, BadAddressesAndUnknownNamesFailLater) {
  struct Case {
    const char* address;
    Code code;
  };
  for (const Case& bad : {Case{"nonsense", Code::bad_argument}, Case{":80", Code::bad_argument},
                          Case{"name.invalid:1", Code::not_found}}) {
    const auto client = dial(bad.address);
    EXPECT_FALSE(client->failed);
    ASSERT_TRUE(until([&] { return client->failed.has_value(); }));
    EXPECT_EQ(client->failed->code, bad.code) << client->failed->message;
    EXPECT_NE(client->failed->message.find(bad.address), std::string::npos);
  }
}

TEST_F(NetTest, ADialThatIsNotAnsweredTimesOut) {
  // A backlog of one that is full swallows further connections.
  const UniqueFd full(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  SocketAddress address = *numeric_address("127.0.0.1", 0);
  ASSERT_EQ(bind(full.get(), address.get(), address.size), 0);
  ASSERT_EQ(::listen(full.get(), 0), 0);
  const std::string name = local_address_of(full.get());
  for (int i = 0; i < 4; ++i) clients_.push_back(dial(name, 50'000));
  Peer& last = *clients_.back();
  ASSERT_TRUE(until([&] { return last.failed.has_value(); }));
  EXPECT_EQ(last.failed->code, Code::timed_out);
  EXPECT_EQ(last.failed->message, name + ": timed out (no answer)");
}

TEST_F(NetTest, AStreamMayGoWhileItDials) {
  listen();
  for (const std::string& address : {listener_->address(), std::string("localhost:1")}) {
    auto client = dial(address);
    client.reset();
    client = dial(address);
    ASSERT_FALSE(loop_->run_for(0));
    client.reset();
  }
  settle();
}

TEST_F(NetTest, AnAddressInUseIsAConflict) {
  listen();
  const auto second = net_.listen({.address = listener_->address()}, acceptor_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::conflict);
  EXPECT_NE(second.error().message.find(listener_->address()), std::string::npos);
  EXPECT_EQ(net_.listen({.address = "nowhere"}, acceptor_).error().code, Code::bad_argument);
}

TEST_F(NetTest, AcceptedStreamsOutliveTheirListener) {
  Peer* const client = pair().first;
  listener_.reset();
  client->stream->write("still here");
  ASSERT_TRUE(until([&] { return acceptor_.peers[0]->received == "still here"; }));
}

TEST_F(NetTest, AListenerMayBeDestroyedInsideOnAccept) {
  listen();
  acceptor_.prepare = [this](Peer&) { listener_.reset(); };
  const std::string address = listener_->address();
  const UniqueFd one = raw_connect(address);
  const UniqueFd two = raw_connect(address);
  ASSERT_TRUE(until([&] { return !acceptor_.peers.empty(); }));
  settle();
  EXPECT_EQ(acceptor_.peers.size(), 1U);
}

TEST_F(NetTest, ControlStreamsAreHeardBeforeClients) {
  Acceptor control;
  auto listener = std::move(
      *net_.listen({.address = "127.0.0.1:0", .stream_class = env::StreamClass::control}, control));
  listen();
  const UniqueFd client = raw_connect(listener_->address());
  const UniqueFd peer = raw_connect(listener->address());
  std::string order;
  acceptor_.prepare = [&](Peer& p) { p.then = [&](std::string_view) { order += "client "; }; };
  control.prepare = [&](Peer& p) { p.then = [&](std::string_view) { order += "control "; }; };
  ASSERT_TRUE(until([&] { return acceptor_.peers.size() + control.peers.size() == 2; }));
  settle();
  ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
  ASSERT_EQ(send(peer.get(), "x", 1, 0), 1);
  ASSERT_TRUE(until([&] { return order.size() >= 15; }));
  EXPECT_EQ(order, "control client ");
}

TEST_F(NetTest, AStreamIsRedirectedInsideItsOwnCallAndTheNewOwnerHearsFromThenOn) {
  const auto [client, server] = pair();
  Peer heir;
  Peer* const old = server;
  old->then = [&heir, old](std::string_view) { old->stream->redirect(heir); };
  client->stream->write("first");
  ASSERT_TRUE(until([&] { return old->received == "first"; }));
  old->stream->set_class(env::StreamClass::control);
  client->stream->write("second");
  ASSERT_TRUE(until([&] { return heir.received == "second"; }));
  old->stream->write(std::string(8 * kMiB, 'x'));
  client->stream->shutdown();
  ASSERT_TRUE(until([&] { return heir.ended && heir.progress > 0; }));
  EXPECT_EQ(old->received, "first");
  EXPECT_EQ(old->progress, 0);
  EXPECT_FALSE(old->ended);
}

TEST_F(NetTest, ADialIsRedirectedBeforeItsOutcome) {
  listen();
  Peer heir;
  const auto good = dial();
  good->stream->redirect(heir);
  ASSERT_TRUE(until([&] { return heir.connected; }));
  EXPECT_FALSE(good->connected);
  const std::string gone = listener_->address();
  listener_.reset();
  Peer told;
  const auto bad = dial(gone);
  bad->stream->redirect(told);
  ASSERT_TRUE(until([&] { return told.failed.has_value(); }));
  EXPECT_EQ(told.failed->code, Code::refused);
  EXPECT_FALSE(bad->failed.has_value());
}

TEST_F(NetTest, TwoThousandConnectionsTalkAndCostLittle) {
  listen();
  constexpr size_t kCount = 2000;
  acceptor_.prepare = [](Peer& peer) {
    peer.then = [&peer](std::string_view bytes) { peer.stream->write(std::string(bytes)); };
  };
  for (size_t i = 0; i < kCount; ++i) clients_.push_back(dial());
  ASSERT_TRUE(until([&] { return acceptor_.peers.size() == kCount; }));
  size_t answered = 0;
  for (size_t i = 0; i < kCount; ++i) {
    clients_[i]->then = [&](std::string_view) { ++answered; };
    clients_[i]->stream->write("hello " + std::to_string(i));
  }
  ASSERT_TRUE(until([&] { return answered == kCount; }));
  for (size_t i = 0; i < kCount; ++i) {
    ASSERT_EQ(clients_[i]->received, "hello " + std::to_string(i));
  }
}

TEST_F(NetTest, AnIdleConnectionCostsUnderOneKibibyte) {
  pair();  // what is made once
  constexpr size_t kCount = 500;
  std::vector<UniqueFd> raw;
  raw.reserve(kCount);
  acceptor_.peers.reserve(kCount + 1);
  const auto used = [] { return mallinfo2().uordblks; };
  const size_t before = used();
  for (size_t i = 0; i < kCount; ++i) raw.push_back(raw_connect(listener_->address()));
  ASSERT_TRUE(until([&] { return acceptor_.peers.size() == kCount + 1; }));
  for (size_t i = 0; i < kCount; ++i) ASSERT_EQ(send(raw[i].get(), "x", 1, 0), 1);
  ASSERT_TRUE(until([&] { return acceptor_.peers.back()->received == "x"; }));
  const size_t after = used();
#if !defined(DOOZER_DCHECK)  // a sanitizer has an allocator of its own
  const size_t each = (after - before) / kCount - sizeof(Peer);
  RecordProperty("bytes", static_cast<int>(each));
  EXPECT_LT(each, 1024U);
#else
  static_cast<void>(before), static_cast<void>(after);
#endif
}

TEST_F(NetTest, OutOfDescriptorsNewConnectionsAreRefusedAndAllElseGoesOn) {
#if defined(__SANITIZE_ADDRESS__) || defined(DOOZER_UBSAN)
  GTEST_SKIP() << "the sanitizer's own checks need file descriptors";
#endif
  const auto [client, server] = pair();
  UniqueFd waiting[8];
  for (UniqueFd& fd : waiting) {
    fd.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  }
  std::vector<UniqueFd> hogs;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit small{.rlim_cur = 200, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &small), 0);
  for (;;) {
    UniqueFd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!fd) break;
    hogs.push_back(std::move(fd));
  }
  const HostPort where = *parse_host_port(listener_->address());
  const SocketAddress to = *numeric_address(where.host, where.port);
  for (const UniqueFd& fd : waiting) connect(fd.get(), to.get(), to.size);
  ASSERT_TRUE(until([&] { return acceptor_.refusals >= 1; }));
  EXPECT_EQ(acceptor_.refused.size(), 1U) << "told at most once a second";
  EXPECT_NE(acceptor_.refused[0].message.find("Too many open files (EMFILE)"), std::string::npos);
  EXPECT_NE(acceptor_.refused[0].message.find(listener_->address()), std::string::npos);
  // The refused ones are told so at once.
  for (const UniqueFd& fd : waiting) {
    char byte = 0;
    ASSERT_TRUE(until([&] {
      loop_->post([] {});
      const ssize_t count = recv(fd.get(), &byte, 1, 0);
      return count == 0 || (count < 0 && errno == ECONNRESET);
    }));
  }
  client->stream->write("as before");
  ASSERT_TRUE(until([&] { return server->received == "as before"; }));
  // The rest of the count comes with the next report.
  ASSERT_TRUE(until([&] { return acceptor_.refusals == std::size(waiting); }));
  hogs.clear();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  const auto later = dial();
  ASSERT_TRUE(until([&] { return later->connected && acceptor_.peers.size() == 2; }));
}

TEST_F(NetTest, TheLastDescriptorsAreNotForClients) {
#if defined(__SANITIZE_ADDRESS__) || defined(DOOZER_UBSAN)
  GTEST_SKIP() << "the sanitizer's own checks need file descriptors";
#endif
  const auto held = pair();
  ASSERT_TRUE(held.first->connected);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit small{.rlim_cur = 100, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &small), 0);
  UniqueFd clients[120];
  const HostPort where = *parse_host_port(listener_->address());
  const SocketAddress to = *numeric_address(where.host, where.port);
  // Of 100, a quarter is the disk's; a client and its server's side take one each.
  for (UniqueFd& fd : clients) {
    fd.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) break;
    connect(fd.get(), to.get(), to.size);
    static_cast<void>(loop_->run_for(1'000));
    if (acceptor_.refusals > 0) break;
  }
  ASSERT_TRUE(until([&] { return acceptor_.refusals > 0; }));
  EXPECT_NE(acceptor_.refused[0].message.find("Too many open files (EMFILE)"), std::string::npos);
  std::vector<UniqueFd> files;
  for (int i = 0; i < 20; ++i) {
    files.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
    EXPECT_TRUE(static_cast<bool>(files.back())) << "file " << i;
  }
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace doozer::io
