#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <fstream>

#include "base/limits.h"
#include "io/address.h"
#include "io/descriptors.h"
#include "io/fd.h"
#include "io/io_testing.h"
#include "io/tls_context.h"
#include "io/tls_testing.h"

namespace doozer::io {
namespace {

class TlsTest : public StreamTest {
 protected:
  TlsTest() {
    authority_ = make_certificate({.name = "test authority", .authority = true});
    authority_.write(directory_ / "ca.pem", "");
    write_server({});
  }
  // The streams go before the net and the certificate that they were made with.
  ~TlsTest() override {
    clients_.clear();
    acceptor_.peers.clear();
    listener_.reset();
  }
  /// Makes the server's files anew; what is not said is good.
  void write_server(TestCertificateOptions options) {
    if (options.alternatives.empty()) options.alternatives = "DNS:localhost,IP:127.0.0.1";
    if (options.issuer == nullptr) options.issuer = &authority_;
    make_certificate(options).write(directory_ / "cert.pem", directory_ / "key.pem");
  }
  void serve(const std::string& client_ca = "", bool clients_may_be_unknown = false) {
    auto server = TlsServer::load({.cert_file = directory_ / "cert.pem",
                                   .key_file = directory_ / "key.pem",
                                   .client_ca_file = client_ca,
                                   .clients_may_be_unknown = clients_may_be_unknown});
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    tls_net_ = std::make_unique<RealNet>(*loop_, server_.get());
    auto listener = tls_net_->listen({.address = "127.0.0.1:0", .tls = true}, acceptor_);
    ASSERT_TRUE(listener) << listener.error().message;
    listener_ = std::move(*listener);
  }
  env::DialOptions options() const {
    env::DialOptions options;
    options.address = listener_->address();
    options.timeout_us = kTestLimitUs;
    options.tls = true;
    options.tls_ca_file = directory_ / "ca.pem";
    return options;
  }
  std::unique_ptr<Peer> dial(const env::DialOptions& options) {
    return dial_over(*tls_net_, options);
  }
  std::pair<Peer*, Peer*> pair() {
    if (listener_ == nullptr) serve();
    return pair_of(dial(options()));
  }
  /// What a dial with these options fails with.
  Error failure_of(const env::DialOptions& options) {
    const auto client = dial(options);
    EXPECT_TRUE(until([&] { return client->failed.has_value(); }));
    return client->failed.value_or(Error{});
  }

  TemporaryDirectory directory_;
  TestCertificate authority_;
  std::unique_ptr<TlsServer> server_;
  std::unique_ptr<RealNet> tls_net_;
};

TEST_F(TlsTest, BytesGoBothWaysAndEndInGoodOrder) {
  const auto [client, server] = pair();
  client->stream->write("ping");
  ASSERT_TRUE(until([&] { return server->received == "ping"; }));
  server->stream->write("pong");
  server->stream->shutdown();
  ASSERT_TRUE(until([&] { return client->ended; }));
  EXPECT_EQ(client->received, "pong");
  client->stream->write("half closed only");
  client->stream->shutdown();
  ASSERT_TRUE(until([&] { return server->ended; }));
  EXPECT_EQ(server->received, "pinghalf closed only");
  EXPECT_FALSE(client->failed || server->failed);
}

TEST_F(TlsTest, WhatIsWrittenBeforeTheHandshakeIsSentAfterIt) {
  serve();
  const auto client = dial(options());
  client->stream->write("early ");
  client->stream->write("words");
  EXPECT_EQ(client->stream->unsent(), 11U);
  client->stream->shutdown();
  ASSERT_TRUE(until([&] { return !acceptor_.peers.empty() && acceptor_.peers[0]->ended; }));
  EXPECT_EQ(acceptor_.peers[0]->received, "early words");
}

TEST_F(TlsTest, LargeWritesArriveWholeWithASlowReader) {
  const auto [client, server] = pair();
  std::string sent;
  for (size_t i = 0; i < 6 * kMiB; ++i) sent += static_cast<char>(i * 7 + i / 256);
  server->stream->pause_reading();
  client->stream->write(sent);
  settle();
  EXPECT_EQ(server->received, "");
  EXPECT_GT(client->stream->unsent(), 1 * kMiB);
  // Paused again from inside every call: the rest must wait, and nothing may get lost.
  server->then = [server](std::string_view) { server->stream->pause_reading(); };
  server->stream->resume_reading();
  size_t heard = 0;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(until([&] { return server->received.size() > heard; }));
    heard = server->received.size();
    settle();
    EXPECT_EQ(server->received.size(), heard);
    server->stream->resume_reading();
  }
  server->then = nullptr;
  server->stream->resume_reading();
  ASSERT_TRUE(until([&] { return server->received.size() == sent.size(); }));
  EXPECT_TRUE(server->received == sent);
  EXPECT_LE(server->largest, kReadChunkBytes);
  EXPECT_EQ(client->stream->unsent(), 0U);
  EXPECT_GT(client->progress, 0);
}

TEST_F(TlsTest, ADestroyedStreamOfWhichAllWasSentEndsInGoodOrder) {
  const auto [client, server] = pair();
  server->stream->write("bye");
  server->stream.reset();
  ASSERT_TRUE(until([&] { return client->ended || client->failed; }));
  EXPECT_TRUE(client->ended);
  EXPECT_EQ(client->received, "bye");
}

TEST_F(TlsTest, AStreamIsRedirectedInsideItsOwnCall) {
  const auto [client, server] = pair();
  Peer heir;
  Peer* const old = server;
  old->then = [&heir, old](std::string_view) { old->stream->redirect(heir); };
  // Two records that may be read in one turn: only the first is the old owner's.
  client->stream->write("first");
  client->stream->write("second");
  ASSERT_TRUE(until([&] { return heir.received == "second"; }));
  old->stream->set_class(env::StreamClass::control);
  client->stream->shutdown();
  ASSERT_TRUE(until([&] { return heir.ended; }));
  EXPECT_EQ(old->received, "first");
  EXPECT_FALSE(old->ended);
}

TEST_F(TlsTest, ACutStreamIsAFailure) {
  // A man in the middle that passes everything on, and then ends both directions.
  serve();
  Acceptor middle;
  std::unique_ptr<Peer> onward;
  middle.prepare = [&](Peer& inner) {
    onward = std::make_unique<Peer>();
    onward->stream = net_.dial({.address = listener_->address()}, *onward);
    inner.then = [&](std::string_view bytes) { onward->stream->write(std::string(bytes)); };
    onward->then = [&inner](std::string_view bytes) { inner.stream->write(std::string(bytes)); };
  };
  const auto listener = std::move(*net_.listen({.address = "127.0.0.1:0"}, middle));
  env::DialOptions via = options();
  via.address = listener->address();
  const auto client = dial(via);
  ASSERT_TRUE(until([&] { return client->connected && acceptor_.peers.size() == 1; }));
  middle.peers[0]->stream->shutdown();
  onward->stream->shutdown();
  Peer& server = *acceptor_.peers[0];
  ASSERT_TRUE(until([&] { return client->failed && server.failed; }));
  EXPECT_EQ(client->failed->code, Code::closed);
  EXPECT_NE(client->failed->message.find("cut off"), std::string::npos);
  EXPECT_FALSE(client->ended);
  EXPECT_FALSE(server.ended);
}

TEST_F(TlsTest, AWrongNameIsRefused) {
  serve();
  env::DialOptions wrong = options();
  wrong.tls_server_name = "db.example";
  const Error error = failure_of(wrong);
  EXPECT_EQ(error.code, Code::permission_denied);
  EXPECT_NE(error.message.find(listener_->address()), std::string::npos);
  EXPECT_NE(error.message.find("db.example"), std::string::npos);
  EXPECT_NE(error.message.find("another name"), std::string::npos) << error.message;
  EXPECT_TRUE(acceptor_.peers.empty());
}

TEST_F(TlsTest, AWrongNumberIsRefusedAndARightNameAccepted) {
  write_server({.alternatives = "DNS:localhost,IP:127.0.0.2"});
  serve();
  EXPECT_EQ(failure_of(options()).code, Code::permission_denied);
  env::DialOptions by_name = options();
  by_name.tls_server_name = "localhost";
  const auto client = dial(by_name);
  ASSERT_TRUE(until([&] { return client->connected; }));
}

TEST_F(TlsTest, AnExpiredCertificateIsRefused) {
  write_server({.valid_from_s = -7200, .valid_to_s = -60});
  serve();
  EXPECT_LT(server_->not_after_s() * 1'000'000, loop_->wall_us());
  const Error error = failure_of(options());
  EXPECT_EQ(error.code, Code::permission_denied);
  EXPECT_NE(error.message.find("it has expired"), std::string::npos) << error.message;
}

TEST_F(TlsTest, AnUnknownAuthorityIsRefusedUnlessAsked) {
  serve();
  make_certificate({.name = "other authority", .authority = true}).write(directory_ / "o.pem", "");
  env::DialOptions other = options();
  other.tls_ca_file = directory_ / "o.pem";
  Error error = failure_of(other);
  EXPECT_EQ(error.code, Code::permission_denied);
  EXPECT_NE(error.message.find("its authority is unknown"), std::string::npos) << error.message;
  // The machine's own trust store does not know it either.
  other.tls_ca_file.clear();
  error = failure_of(other);
  EXPECT_EQ(error.code, Code::permission_denied) << error.message;
  other.tls_insecure = true;
  const auto client = dial(other);
  ASSERT_TRUE(until([&] { return client->connected; }));
  // The server heard of the refusals, by the clients' alerts.
  EXPECT_GE(acceptor_.refusals, 1U);
}

TEST_F(TlsTest, ClientsProveThemselvesWhereTheServerAsks) {
  serve(directory_ / "ca.pem");
  make_certificate({.name = "client", .issuer = &authority_})
      .write(directory_ / "client.pem", directory_ / "client.key");
  env::DialOptions good = options();
  good.tls_cert_file = directory_ / "client.pem";
  good.tls_key_file = directory_ / "client.key";
  const auto client = dial(good);
  ASSERT_TRUE(until([&] { return client->failed || acceptor_.peers.size() == 1; }));
  EXPECT_FALSE(client->failed) << client->failed->message;
  // In TLS 1.3 the client is done before the server has judged; the verdict comes as a failure.
  const Error error = failure_of(options());
  EXPECT_EQ(error.code, Code::permission_denied) << error.message;
  ASSERT_TRUE(until([&] { return acceptor_.refusals == 1; }));
  EXPECT_EQ(acceptor_.refused[0].code, Code::permission_denied);
  EXPECT_EQ(acceptor_.peers.size(), 1U);
}

TEST_F(TlsTest, WhoMayBeUnknownIsToldApartFromWhoHasProvenHimself) {
  serve(directory_ / "ca.pem", true);
  make_certificate({.name = "client", .issuer = &authority_})
      .write(directory_ / "client.pem", directory_ / "client.key");
  const auto unknown = dial(options());
  ASSERT_TRUE(until([&] { return acceptor_.peers.size() == 1; }));
  EXPECT_FALSE(acceptor_.peers[0]->stream->certified());
  EXPECT_TRUE(unknown->stream->certified()) << "the server has shown its own";
  env::DialOptions good = options();
  good.tls_cert_file = directory_ / "client.pem";
  good.tls_key_file = directory_ / "client.key";
  const auto known = dial(good);
  ASSERT_TRUE(until([&] { return acceptor_.peers.size() == 2; }));
  EXPECT_TRUE(acceptor_.peers[1]->stream->certified());
  env::DialOptions careless = options();
  careless.tls_insecure = true;
  const auto believes_all = dial(careless);
  ASSERT_TRUE(until([&] { return acceptor_.peers.size() == 3; }));
  EXPECT_FALSE(believes_all->stream->certified());
  // A certificate of somebody else is worse than none.
  const TestCertificate stranger = make_certificate({.name = "stranger", .authority = true});
  make_certificate({.name = "client", .issuer = &stranger})
      .write(directory_ / "client.pem", directory_ / "client.key");
  EXPECT_EQ(failure_of(good).code, Code::permission_denied);
  EXPECT_EQ(acceptor_.peers.size(), 3U);
}

TEST_F(TlsTest, ReloadServesTheNewCertificateAndABadFileKeepsTheOld) {
  serve();
  const int64_t first = server_->not_after_s();
  write_server({.alternatives = "DNS:second.example", .valid_to_s = 7200});
  ASSERT_TRUE(server_->reload());
  EXPECT_GT(server_->not_after_s(), first);
  env::DialOptions second = options();
  second.tls_server_name = "second.example";
  const auto client = dial(second);
  ASSERT_TRUE(until([&] { return client->connected; }));
  EXPECT_EQ(failure_of(options()).code, Code::permission_denied);

  // A key that does not belong to the certificate.
  make_certificate({}).write(directory_ / "unused.pem", directory_ / "key.pem");
  Result<void> reloaded = server_->reload();
  ASSERT_FALSE(reloaded);
  EXPECT_EQ(reloaded.error().code, Code::bad_argument);
  EXPECT_EQ(reloaded.error().message,
            "TLS key " + directory_ / "key.pem" + ": key values mismatch");
  std::ofstream(directory_ / "cert.pem") << "garbage";
  reloaded = server_->reload();
  ASSERT_FALSE(reloaded);
  EXPECT_EQ(reloaded.error().message,
            "TLS certificate " + directory_ / "cert.pem" + ": no start line");
  const auto again = dial(second);
  ASSERT_TRUE(until([&] { return again->connected || again->failed; }));
  EXPECT_TRUE(again->connected);
}

TEST_F(TlsTest, FilesAreCheckedAtTheStart) {
  struct Case {
    TlsServerConfig config;
    std::string message;
  };
  const std::string cert = directory_ / "cert.pem";
  const std::string key = directory_ / "key.pem";
  const std::string missing = directory_ / "missing";
  for (const Case& bad : {Case{{.cert_file = missing, .key_file = key},
                               "TLS certificate " + missing + ": No such file or directory"},
                          Case{{.cert_file = cert, .key_file = missing},
                               "TLS key " + missing + ": No such file or directory"},
                          Case{{.cert_file = cert, .key_file = key, .client_ca_file = missing},
                               "TLS authorities " + missing + ": No such file or directory"}}) {
    const auto server = TlsServer::load(bad.config);
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().code, Code::bad_argument);
    EXPECT_EQ(server.error().message, bad.message);
  }
  EXPECT_EQ(net_.listen({.address = "127.0.0.1:0", .tls = true}, acceptor_).error().code,
            Code::bad_argument);
}

TEST_F(TlsTest, ABadAuthorityFileOfAClientIsToldLater) {
  serve();
  env::DialOptions bad = options();
  bad.tls_ca_file = directory_ / "missing";
  const auto client = dial(bad);
  EXPECT_FALSE(client->failed);
  ASSERT_TRUE(until([&] { return client->failed.has_value(); }));
  EXPECT_EQ(client->failed->code, Code::bad_argument);
  EXPECT_NE(client->failed->message.find(directory_ / "missing"), std::string::npos);
}

TEST_F(TlsTest, GarbageInsteadOfAHandshakeHarmsNobody) {
  serve();
  for (const std::string& garbage :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(5000, '\xff'), std::string(1, '\x16'),
        std::string("\x16\x03\x01\xff\xff", 5) + std::string(70'000, 'x')}) {
    const UniqueFd fd = raw_connect(listener_->address());
    fcntl(fd.get(), F_SETFL, O_NONBLOCK);
    static_cast<void>(send(fd.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL));
    ::shutdown(fd.get(), SHUT_WR);
    ASSERT_TRUE(until([&] {
      char buffer[512];
      loop_->post([] {});
      const ssize_t count = recv(fd.get(), buffer, sizeof buffer, 0);
      return count == 0 || (count < 0 && errno != EAGAIN);
    }));
  }
  ASSERT_TRUE(until([&] { return acceptor_.refusals == 4; }));
  EXPECT_LT(acceptor_.refused.size(), 4U) << "one report a second and reason";
  EXPECT_TRUE(acceptor_.peers.empty());
  pair();
}

TEST_F(TlsTest, AServerThatSpeaksNoTlsIsToldApart) {
  serve();
  Acceptor plain;
  plain.prepare = [](Peer& peer) {
    peer.then = [&peer](std::string_view) {
      peer.stream->write("HTTP/1.1 400 Bad Request\r\n\r\n");
    };
  };
  const auto listener = std::move(*net_.listen({.address = "127.0.0.1:0"}, plain));
  env::DialOptions wrong = options();
  wrong.address = listener->address();
  const Error error = failure_of(wrong);
  EXPECT_EQ(error.code, Code::io_error);
  EXPECT_EQ(error.message, "TLS handshake with " + listener->address() + ": wrong version number");
}

TEST_F(TlsTest, ASilentServerTimesOut) {
  serve();
  Acceptor silent;
  const auto listener = std::move(*net_.listen({.address = "127.0.0.1:0"}, silent));
  env::DialOptions quick = options();
  quick.address = listener->address();
  quick.timeout_us = 50'000;
  const Error error = failure_of(quick);
  EXPECT_EQ(error.code, Code::timed_out);
  EXPECT_EQ(error.message, "TLS handshake with " + listener->address() + ": timed out");
}

TEST_F(TlsTest, NobodyListeningIsRefused) {
  serve();
  const env::DialOptions gone = options();
  listener_.reset();
  EXPECT_EQ(failure_of(gone).code, Code::refused);
}

TEST_F(TlsTest, HandshakesOfATurnAreBoundedAndAllSucceed) {
  serve();
  size_t most = 0;
  uint64_t before = 0;
  loop_->at_turn_end([&] {
    most = std::max(most, static_cast<size_t>(loop_->stats().handshake_steps - before));
    before = loop_->stats().handshake_steps;
  });
  // How many come to one turn is up to the machine: again, until they were too many for it.
  constexpr size_t kCount = 50;
  for (size_t round = 1; round <= 10 && loop_->stats().handshakes_put_off == 0; ++round) {
    for (size_t i = 0; i < kCount; ++i) clients_.push_back(dial(options()));
    ASSERT_TRUE(until([&] { return acceptor_.peers.size() == round * kCount; }));
  }
  for (const auto& client : clients_) EXPECT_FALSE(client->failed);
  EXPECT_LE(most, kHandshakesPerTurn);
#ifndef __SANITIZE_THREAD__  // there one is served more slowly than the next one comes
  EXPECT_GT(loop_->stats().handshakes_put_off, 0U);
#endif
}

// The peers of these tests hold thousands of descriptors at both ends.
class TlsCrowdTest : public TlsTest {
 protected:
  void SetUp() override {
    raise_descriptor_limit();
    rlimit limit{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 4 * kHandshakesPendingMax) GTEST_SKIP() << "too few descriptors";
    serve();
  }
  /// Connects from an address of 127.0.0.0/8 and says nothing.
  void stall_from(const std::string& address, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      stalled_.push_back(raw_connect(listener_->address(), address));
    }
  }
  /// How many of those that stall were dropped by the server.
  size_t dropped(size_t from, size_t to) {
    size_t count = 0;
    for (size_t i = from; i < to; ++i) {
      char byte = 0;
      const ssize_t got = recv(stalled_[i].get(), &byte, 1, MSG_DONTWAIT);
      if (got == 0 || (got < 0 && errno == ECONNRESET)) ++count;
    }
    return count;
  }

  std::vector<UniqueFd> stalled_;
};

TEST_F(TlsCrowdTest, HandshakesThatHangGiveTheirPlacesUpToNewcomersInAboutASecond) {
  const uint64_t began_us = loop_->now_us();
  stall_from("127.0.0.2", kHandshakesPendingMax);
  settle();
  const auto client = dial(options());
  ASSERT_TRUE(until([&] { return client->connected || client->failed.has_value(); }));
  EXPECT_FALSE(client->failed);
  EXPECT_GE(loop_->now_us() - began_us, kHandshakePatienceUs);
  EXPECT_LT(loop_->now_us() - began_us, kHandshakeUsMax / 2);
  // One newcomer takes one place, and it is told whose.
  settle();
  EXPECT_EQ(dropped(0, stalled_.size()), 1U);
  ASSERT_EQ(acceptor_.refused.size(), 1U);
  EXPECT_NE(acceptor_.refused[0].message.find("127.0.0.2:"), std::string::npos);
  EXPECT_NE(acceptor_.refused[0].message.find("gave its place up"), std::string::npos);
}

TEST_F(TlsCrowdTest, TheAddressWithTheMostHangingHandshakesGivesItsPlacesUpFirst) {
  constexpr size_t kFew = 8;
  constexpr size_t kNewcomers = 20;
  stall_from("127.0.0.3", kFew);  // the oldest, but few
  settle();
  stall_from("127.0.0.2", kHandshakesPendingMax - kFew);
  settle();
  for (size_t i = 0; i < kNewcomers; ++i) clients_.push_back(dial(options()));
  ASSERT_TRUE(until([&] { return acceptor_.peers.size() == kNewcomers; }));
  settle();
  EXPECT_EQ(dropped(0, kFew), 0U);
  EXPECT_GE(dropped(kFew, stalled_.size()), 1U);
  EXPECT_LE(dropped(kFew, stalled_.size()), kNewcomers);
}

TEST_F(TlsCrowdTest, WhoSaysAByteNowAndThenGainsNoTime) {
  stall_from("127.0.0.2", kHandshakesPendingMax);
  settle();
  const auto client = dial(options());
  // The beginning of a record that promises 512 bytes.
  const std::string hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  size_t said = 0;
  const uint64_t began_us = loop_->now_us();
  std::function<void()> drip = [&] {
    const char byte = said < hello.size() ? hello[said] : 'x';
    ++said;
    for (const UniqueFd& fd : stalled_) {
      static_cast<void>(send(fd.get(), &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT));
    }
    loop_->at(loop_->now_us() + kHandshakePatienceUs / 4, [&] { drip(); });
  };
  drip();
  ASSERT_TRUE(until([&] { return client->connected || client->failed.has_value(); }));
  EXPECT_FALSE(client->failed);
  EXPECT_LT(loop_->now_us() - began_us, kHandshakeUsMax / 2);
}

TEST_F(TlsTest, AStreamMayBeDestroyedInsideAnyOfItsCalls) {
  serve();
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
    env::DialOptions dialling = options();
    if (kind == in_failure) dialling.tls_server_name = "db.example";
    owner.then = [&](std::string_view) {
      if (kind == in_bytes) owner.stream.reset();
    };
    owner.at_end = [&] {
      if (kind == in_end) owner.stream.reset();
    };
    owner.at_failure = [&] { owner.stream.reset(); };
    acceptor_.peers.clear();
    acceptor_.prepare = [](Peer& peer) { peer.at_failure = [&peer] { peer.stream.reset(); }; };
    owner.stream = tls_net_->dial(dialling, owner);
    if (kind != in_failure && kind != in_connected) {
      ASSERT_TRUE(until([&] { return acceptor_.peers.size() == 1; }));
      acceptor_.peers[0]->stream->write("x");
      if (kind == in_progress) owner.stream->write(std::string(16 * kMiB, 'x'));
      if (kind == in_end) acceptor_.peers[0]->stream->shutdown();
    }
    ASSERT_TRUE(until([&] { return owner.stream == nullptr; })) << kind;
    settle();
  }
}

TEST_F(TlsTest, TheListenerMayGoInTheMiddleOfHandshakes) {
  serve();
  for (size_t i = 0; i < 5; ++i) clients_.push_back(dial(options()));
  acceptor_.prepare = [this](Peer&) { listener_.reset(); };
  ASSERT_TRUE(until([&] { return acceptor_.peers.size() == 1; }));
  settle();
  EXPECT_EQ(acceptor_.peers.size(), 1U);
  size_t ended = 0;
  ASSERT_TRUE(until([&] {
    ended = 0;
    for (const auto& client : clients_) ended += client->failed ? 1 : 0;
    return ended == 4;
  }));
}

}  // namespace
}  // namespace doozer::io
