// doozer::Client over loopback, against the fake server on a loop and a thread of its own.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <thread>

#include "client/testing/fake_server.h"
#include "doozer/client.h"
#include "io/loop.h"
#include "io/net.h"

namespace doozer {
namespace {

/// The fake server behind a real listener. Touch `server` and `store` only through run().
class Host final : env::AcceptEvents {
 public:
  Host() {
    loop_ = std::move(*io::Loop::create());
    net_ = std::make_unique<io::RealNet>(*loop_);
    listener_ = std::move(*net_->listen({.address = "127.0.0.1:0"}, *this));
    address_ = listener_->address();
    thread_ = std::thread([this] { loop_->run(); });
  }
  ~Host() override {
    loop_->stop();
    thread_.join();
    connections_.clear();
    listener_.reset();
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  const std::string& address() const { return address_; }
  Options options() const {
    Options options;
    options.addresses = {address_};
    return options;
  }
  /// On the server's thread; waits for it.
  template <typename F>
  auto run(F what) {
    std::promise<decltype(what(*this))> promise;
    loop_->post_from_any_thread([&] {
      if constexpr (std::is_void_v<decltype(what(*this))>) {
        what(*this);
        promise.set_value();
      } else {
        promise.set_value(what(*this));
      }
    });
    return promise.get_future().get();
  }
  void write(const std::string& path, const std::string& value) {
    run([&](Host& host) {
      host.store->set(path, value);
      host.server.wake();
    });
  }
  void cut_all() {
    run([](Host& host) { host.connections_.clear(); });
  }

  std::shared_ptr<client::FakeStore> store = std::make_shared<client::FakeStore>();
  client::FakeServer server{store};

 private:
  struct Held final : env::StreamEvents, client::FakePeer {
    explicit Held(Host& host) : host(host) {}
    ~Held() override { endpoint().on_close(*this); }
    client::FakeEndpoint& endpoint() const { return host.server; }
    void on_bytes(std::string_view bytes) override { endpoint().on_bytes(*this, bytes); }
    void on_end() override { drop(); }
    void on_failed(const Error& /*error*/) override { drop(); }
    void send(std::string bytes) override { stream->write(std::move(bytes)); }
    void end() override { stream->shutdown(); }
    void reset() override {}
    void drop() { host.connections_.erase(this); }
    Host& host;
    std::unique_ptr<env::Stream> stream;
  };
  void on_accept(std::unique_ptr<env::AcceptedStream> stream) override {
    auto held = std::make_unique<Held>(*this);
    held->stream = stream->attach(*held);
    held->endpoint().on_open(*held);
    Held* key = held.get();
    connections_.emplace(key, std::move(held));
  }
  void on_refused(const Error& /*why*/, uint64_t /*count*/) override {}

  std::unique_ptr<io::Loop> loop_;
  std::unique_ptr<io::RealNet> net_;
  std::unique_ptr<env::Listener> listener_;
  std::map<Held*, std::unique_ptr<Held>> connections_;
  std::string address_;
  std::thread thread_;
};

Client connected(const Host& host) {
  Result<Client> client = Client::connect(host.options());
  CHECK(client.has_value());
  return std::move(*client);
}

TEST(Facade, BlockingCallsCarryEveryVerb) {
  Host host;
  Client client = connected(host);
  EXPECT_EQ(client.set("/a/x", "1", kMissing).value(), 1);
  EXPECT_EQ(client.get("/a/x").value(), (File{"/a/x", "1", 1}));
  EXPECT_EQ(client.stat("/a/x").value().length, 1);
  EXPECT_EQ(client.ls("/a").value().names, std::vector<std::string>{"x"});
  EXPECT_EQ(client.walk("/**").value().files.size(), 1U);
  size_t walked = 0;
  EXPECT_EQ(client
                .walk_each("/**", {},
                           [&walked](const File&) {
                             ++walked;
                             return true;
                           })
                .value(),
            1);
  EXPECT_EQ(walked, 1U);
  EXPECT_EQ(client.wait("/**", 1).value().path, "/a/x");
  EXPECT_EQ(client.rev().value(), 1);
  EXPECT_EQ(client.self().value(), "FAKESERVERAAAAAA");
  EXPECT_EQ(client.status().value(), "{}");
  EXPECT_TRUE(client.nop());
  EXPECT_TRUE(client.access(""));
  EXPECT_TRUE(client.del("/a/x", kAnyRevision));
  EXPECT_EQ(client.set("/a/x", "2", 1).value(), 4);
  EXPECT_EQ(client.set("/a/x", "2", kMissing).error().code, Code::revision_mismatch);
  const Connection connection = client.connection();
  EXPECT_TRUE(connection.connected);
  EXPECT_EQ(connection.address, host.address());
  EXPECT_TRUE(connection.extensions);
  EXPECT_EQ(connection.revision_seen, 4);
}

TEST(Facade, FuturesAndCallbacksPipeline) {
  Host host;
  Client client = connected(host);
  std::vector<std::future<Result<int64_t>>> sets;
  sets.reserve(500);
  for (int i = 0; i < 500; ++i) {
    sets.push_back(client.future_set("/" + std::to_string(i), "v", kMissing));
  }
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(sets[static_cast<size_t>(i)].get().value(), i + 1);
  }
  std::promise<std::string> value;
  client.async_get("/7", {}, [&value](const Result<File>& file) { value.set_value(file->value); });
  EXPECT_EQ(value.get_future().get(), "v");
  EXPECT_EQ(client.future_get("/7").get().value().revision, 8);
  EXPECT_EQ(client.future_stat("/7").get().value().revision, 8);
  EXPECT_TRUE(client.future_del("/7", 8).get());
  EXPECT_EQ(client.future_wait("/7", 2).get().value().position.revision, 8);
}

TEST(Facade, ManyThreadsShareOneClient) {
  Host host;
  Client client = connected(host);
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&client, &good, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string path = "/" + std::to_string(t);
        if (!client.set(path, std::to_string(i), kAnyRevision)) return;
        if (client.get(path).value().value != std::to_string(i)) return;
      }
      ++good;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 8);
  EXPECT_EQ(client.rev().value(), 400);
}

TEST(Facade, ABlockingCallFromACallbackFailsInsteadOfHanging) {
  Host host;
  Client client = connected(host);
  std::promise<Code> code;
  client.async_rev({}, [&](const Result<int64_t>&) {
    EXPECT_TRUE(client.connection().connected);
    code.set_value(client.get("/x").error().code);
  });
  EXPECT_EQ(code.get_future().get(), Code::bad_argument);
}

TEST(Facade, AWatchIsAskedForOneEventAtATimeAndSurvivesReconnection) {
  Host host;
  for (int i = 1; i <= 300; ++i) host.store->set("/w/" + std::to_string(i), "v");
  Client client = connected(host);
  Watch watch = client.watch("/w/**", {1, 0}).value();
  for (int i = 1; i <= 300; ++i) {
    if (i % 100 == 0) host.cut_all();
    const Result<Event> event = watch.next(std::chrono::seconds(20));
    ASSERT_TRUE(event) << event.error().message;
    ASSERT_EQ(event->position, (Position{i, 0}));
    ASSERT_EQ(watch.position(), (Position{i + 1, 0}));
  }
  EXPECT_EQ(watch.next(std::chrono::milliseconds(1)).error().code, Code::timed_out);
  host.write("/w/new", "n");
  EXPECT_EQ(watch.next(std::chrono::seconds(20)).value().value, "n");
  watch.cancel();
  EXPECT_EQ(watch.next().error().code, Code::closed);
}

TEST(Facade, AWatchReadsAheadOnlyALittle) {
  Host host;
  for (int i = 1; i <= 1'000; ++i) host.store->set("/w", "v");
  Client client = connected(host);
  Watch watch = client.watch("/w", {1, 0}).value();
  ASSERT_TRUE(watch.next(std::chrono::seconds(20)));
  // Many round trips later.
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(client.self());
  EXPECT_LT(host.run([](Host& h) { return h.server.heard_of(wire::Verb::wait); }), 80U);
  for (int i = 2; i <= 1'000; ++i) {
    ASSERT_EQ(watch.next(std::chrono::seconds(20)).value().position.revision, i);
  }
}

TEST(Facade, AWatchFromNowKnowsWhereItBegan) {
  Host host;
  host.store->set("/w", "old");
  Client client = connected(host);
  Watch watch = client.watch("/w").value();
  for (int i = 0; i < 100 && watch.position().revision == 0; ++i) ASSERT_TRUE(client.self());
  EXPECT_EQ(watch.position(), (Position{2, 0}));
  host.write("/w", "new");
  EXPECT_EQ(watch.next(std::chrono::seconds(20)).value().value, "new");
}

TEST(Facade, AHandlerHearsEventsUntilItsHandleIsGone) {
  Host host;
  Client client = connected(host);
  std::promise<std::string> first;
  std::atomic<int> heard{0};
  {
    const Result<WatchHandle> handle = client.watch("/w", {1, 0}, [&](const Result<Event>& event) {
      if (heard++ == 0) first.set_value(event->value);
    });
    ASSERT_TRUE(handle);
    host.write("/w", "1");
    EXPECT_EQ(first.get_future().get(), "1");
  }
  host.write("/w", "2");
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(client.self());
  EXPECT_EQ(heard, 1);
}

TEST(Facade, ClosingEndsEverythingAndEverybodyHears) {
  Host host;
  Client client = connected(host);
  Watch watch = client.watch("/w", {1, 0}).value();
  std::future<Result<Event>> wait = client.future_wait("/w", 1);
  std::promise<Code> told;
  const Result<WatchHandle> handle = client.watch(
      "/w", {1, 0}, [&told](const Result<Event>& event) { told.set_value(event.error().code); });
  ASSERT_TRUE(client.self());
  host.run([](Host& h) { h.server.deaf = true; });
  std::future<Result<int64_t>> set = client.future_set("/x", "1", kMissing);
  while (host.run([](Host& h) { return h.server.heard_of(wire::Verb::set); }) == 0) {
  }
  client.close();
  EXPECT_EQ(wait.get().error().code, Code::closed);
  EXPECT_EQ(set.get().error().code, Code::unknown_outcome);
  EXPECT_EQ(watch.next().error().code, Code::closed);
  EXPECT_EQ(told.get_future().get(), Code::closed);
  EXPECT_EQ(client.get("/x").error().code, Code::closed);
  EXPECT_FALSE(client.connection().connected);
  EXPECT_EQ(client.watch("/w").value().next().error().code, Code::closed);
  client.close();
}

TEST(Facade, AMovedClientGoesOnAndAWatchMayOutliveIt) {
  Host host;
  Client first = connected(host);
  Client second = std::move(first);
  EXPECT_TRUE(second.self());
  Watch watch = second.watch("/w", {1, 0}).value();
  second = connected(host);
  EXPECT_EQ(watch.next().error().code, Code::closed);
  EXPECT_TRUE(second.self());
}

TEST(Facade, ConnectTellsWhyItCannot) {
  std::string dead;
  {
    const Host host;
    dead = host.address();
  }
  const Result<Client> refused = Client::connect("doozer:?ca=" + dead);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::refused) << refused.error().message;
  EXPECT_NE(refused.error().message.find(dead), std::string::npos);
  EXPECT_EQ(Client::connect("nonsense").error().code, Code::bad_argument);
  EXPECT_EQ(Client::connect(Options{}).error().code, Code::bad_argument);

  Host locked;
  locked.run([](Host& h) { h.server.secret = "s"; });
  Options options = locked.options();
  options.secret = "wrong";
  EXPECT_EQ(Client::connect(options).error().code, Code::permission_denied);
  options.secret = "s";
  EXPECT_TRUE(Client::connect(options));
}

TEST(Facade, MadeWithoutAServerItsCallsWaitUntilTheirTimeLimit) {
  std::string dead;
  {
    const Host host;
    dead = host.address();
  }
  Options options;
  options.addresses = {dead};
  Result<Client> client = Client::make(options);
  ASSERT_TRUE(client);
  const auto result = client->set("/x", "1", kMissing, {.timeout = std::chrono::milliseconds(50)});
  EXPECT_EQ(result.error().code, Code::timed_out);
}

TEST(Facade, ANameIsLookedUpInTheNameService) {
  Host host;
  Host names;
  Options options;
  options.cluster_name = "mine";
  options.boot_uri = "doozer:?ca=" + names.address();
  EXPECT_EQ(Client::connect(options).error().code, Code::not_found);
  names.write("/ctl/ns/mine/ABCDEFGHIJKLMNOP", host.address());
  names.write("/ctl/ns/other/ABCDEFGHIJKLMNOP", "127.0.0.1:1");
  host.write("/x", "here");
  Result<std::vector<std::string>> found = lookup_cluster(names.options(), "mine");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(*found, std::vector<std::string>{host.address()});
  Result<Client> client = Client::connect(options);
  ASSERT_TRUE(client) << client.error().message;
  EXPECT_EQ(client->get("/x").value().value, "here");
  EXPECT_EQ(lookup_cluster(names.options(), "a/b").error().code, Code::bad_argument);
}

}  // namespace
}  // namespace doozer
