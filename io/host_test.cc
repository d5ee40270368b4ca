// Tests of what ties the server to its host: signals, service manager, log, randomness.
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <future>
#include <set>

#include "base/limits.h"
#include "base/units.h"
#include "io/early_signals.h"
#include "io/entropy.h"
#include "io/fd.h"
#include "io/io_testing.h"
#include "io/log_sink.h"
#include "io/memory_use.h"
#include "io/notify.h"
#include "io/signals.h"

namespace doozer::io {
namespace {

TEST_F(LoopTest, SignalsAreEventsOfTheLoop) {
  std::vector<int> heard;
  const auto signals =
      std::move(*Signals::watch(*loop_, [&](int signal) { heard.push_back(signal); }));
  for (const int signal : {SIGHUP, SIGINT, SIGTERM, SIGTERM}) {
    const size_t before = heard.size();
    raise(signal);
    EXPECT_EQ(heard.size(), before) << "never at once";
    ASSERT_TRUE(until([&] { return heard.size() > before; }));
    EXPECT_EQ(heard.back(), signal);
  }
  raise(SIGPIPE);
}

TEST(MemoryUse, GrowsWithWhatIsTouched) {
  constexpr size_t kBytes = 64 * kMiB;
  const MemoryUse before = memory_use();
  EXPECT_GT(before.rss_bytes, 0U);
  std::vector<char> touched(kBytes, 'x');
  const MemoryUse after = memory_use();
  EXPECT_EQ(touched[kBytes / 2], 'x');
  EXPECT_GT(after.rss_bytes, before.rss_bytes + kBytes / 2);
  EXPECT_GE(after.rss_bytes_max, after.rss_bytes);
}

TEST_F(LoopTest, TheSignalsMayBeLetGoInsideTheirCall) {
  std::unique_ptr<Signals> signals;
  int heard = 0;
  signals = std::move(*Signals::watch(*loop_, [&](int) {
    ++heard;
    signals.reset();
  }));
  raise(SIGHUP);
  ASSERT_TRUE(until([&] { return heard == 1; }));
  settle();
}

TEST_F(LoopTest, EarlySignalsAreHeardThoughTheLoopDoesNotTurn) {
  std::vector<int> late;
  const auto signals =
      std::move(*Signals::watch(*loop_, [&](int signal) { late.push_back(signal); }));
  for (const int signal : {SIGINT, SIGTERM}) {
    std::promise<int> heard;
    auto early = std::move(*EarlySignals::watch([&](int number) { heard.set_value(number); }));
    ASSERT_EQ(kill(getpid(), signal), 0);
    EXPECT_EQ(heard.get_future().get(), signal);
    // A second one finds nobody until the loop turns; another one is not ours.
    ASSERT_EQ(kill(getpid(), signal), 0);
    ASSERT_EQ(kill(getpid(), SIGHUP), 0);
    early.reset();
    late.clear();
    ASSERT_TRUE(until([&] { return late.size() == 2; }));
    std::sort(late.begin(), late.end());
    EXPECT_EQ(late, (std::vector{SIGHUP, signal}));
  }
}

struct NotifyTest : testing::Test {
  /// A manager's socket under `name` ('@' in front: abstract).
  UniqueFd manager(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof address.sun_path - 1);
    if (name[0] == '@') address.sun_path[0] = '\0';
    UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())),
              0);
    return fd;
  }
  std::string next(const UniqueFd& fd) {
    char buffer[512];
    const ssize_t count = recv(fd.get(), buffer, sizeof buffer, 0);
    return count < 0 ? "nothing" : std::string(buffer, static_cast<size_t>(count));
  }
  TemporaryDirectory directory;
};

TEST_F(NotifyTest, TheManagerIsToldUnderAPathAndAnAbstractName) {
  for (const std::string& name :
       {directory / "notify", "@doozer-io-test-" + std::to_string(getpid())}) {
    const UniqueFd fd = manager(name);
    const Notifier notifier(name);
    notifier.ready("serving at 127.0.0.1:8046");
    EXPECT_EQ(next(fd), "READY=1\nSTATUS=serving at 127.0.0.1:8046");
    notifier.status("one\nREADY=0");
    EXPECT_EQ(next(fd), "STATUS=one READY=0");
    notifier.stopping();
    EXPECT_EQ(next(fd), "STOPPING=1");
  }
}

TEST_F(NotifyTest, TheSocketComesFromTheEnvironment) {
  const UniqueFd fd = manager(directory / "n");
  setenv("NOTIFY_SOCKET", (directory / "n").c_str(), 1);
  Notifier::from_environment().ready();
  EXPECT_EQ(next(fd), "READY=1");
  unsetenv("NOTIFY_SOCKET");
  Notifier::from_environment().ready();
  EXPECT_EQ(next(fd), "nothing");
}

TEST_F(NotifyTest, WithoutAManagerNothingHappens) {
  for (const std::string& name : {std::string(), std::string("@"), std::string("relative"),
                                  directory / "nobody", std::string(300, '/')}) {
    Notifier(name).ready("x");
  }
}

TEST(Entropy, IdentitiesDiffer) {
  std::set<Identity> seen;
  for (int i = 0; i < 100; ++i) seen.insert(random_identity());
  EXPECT_EQ(seen.size(), 100U);
  EXPECT_FALSE(seen.contains(Identity()));
  EXPECT_NE(random_u64(), random_u64());
  EXPECT_FALSE(host_name().empty());
}

struct LogSinkTest : testing::Test {
  std::string all_of(int fd) {
    std::string text;
    char buffer[4096];
    for (;;) {
      const ssize_t count = read(fd, buffer, sizeof buffer);
      if (count <= 0) return text;
      text.append(buffer, static_cast<size_t>(count));
    }
  }
  LogContext context{.node = "n1", .term = Term(3), .revision = Revision(9)};
};

TEST_F(LogSinkTest, AFileGetsJsonLinesUnlessTextIsAsked) {
  TemporaryDirectory directory;
  for (const auto& [format, json] : {std::pair{"auto", true}, {"json", true}, {"text", false}}) {
    const UniqueFd fd(
        open((directory / format).c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    FdLogSink sink(fd.get(), *parse_log_format(format));
    const Logger log(sink, context, LogLevel::info);
    log.info("serving", {{"port", 8046}});
    log.debug("not_this");
    log.warn("slow_sync", {{"us", 1234}});
    lseek(fd.get(), 0, SEEK_SET);
    const std::string text = all_of(fd.get());
    EXPECT_EQ(text.starts_with("{\"time\":\"2"), json) << text;
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_NE(text.find("8046"), std::string::npos);
    EXPECT_NE(text.find("slow_sync"), std::string::npos);
  }
  EXPECT_FALSE(parse_log_format("xml"));
}

TEST_F(LogSinkTest, ATerminalGetsTextWithColoursUnlessNoColorIsSet) {
  for (const bool no_colour : {false, true}) {
    if (no_colour) setenv("NO_COLOR", "1", 1);
    setenv("TERM", "xterm", 1);
    int master = -1;
    int slave = -1;
    ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
    const UniqueFd reading(master);
    const UniqueFd writing(slave);
    FdLogSink sink(slave, LogFormat::automatic);
    Logger(sink, context, LogLevel::info).info("serving", {});
    char buffer[512];
    const ssize_t count = read(master, buffer, sizeof buffer);
    ASSERT_GT(count, 0);
    const std::string text(buffer, static_cast<size_t>(count));
    EXPECT_EQ(text.find('\x1b') != std::string::npos, !no_colour);
    EXPECT_NE(text.find("serving"), std::string::npos);
    EXPECT_FALSE(text.starts_with("{"));
    unsetenv("NO_COLOR");
  }
}

TEST_F(LogSinkTest, AStuckPipeDropsAndCountsAndSaysSoLater) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reading(ends[0]);
  const UniqueFd writing(ends[1]);
  fcntl(reading.get(), F_SETFL, O_NONBLOCK);
  FdLogSink sink(writing.get(), LogFormat::json);
  const Logger log(sink, context, LogLevel::info);
  const std::string big(10'000, 'x');
  for (int i = 0; i < 100; ++i) log.info("flood", {{"i", i}, {"filler", big}});
  EXPECT_GT(sink.dropped(), 0U);
  const uint64_t dropped = sink.dropped();
  static_cast<void>(all_of(reading.get()));
  log.info("again", {});
  const std::string text = all_of(reading.get());
  EXPECT_NE(text.find("\"event\":\"log_dropped\""), std::string::npos);
  EXPECT_NE(text.find("\"count\":" + std::to_string(dropped)), std::string::npos);
  EXPECT_NE(text.find("\"event\":\"again\""), std::string::npos);
}

TEST_F(LogSinkTest, ASocketThatNobodyReadsBlocksNobody) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  FdLogSink sink(writing.get(), LogFormat::json);
  const std::string big(10'000, 'x');
  for (int i = 0; i < 100; ++i) {
    Logger(sink, context, LogLevel::info).info("flood", {{"filler", big}});
  }
  EXPECT_GT(sink.dropped(), 0U);
}

}  // namespace
}  // namespace doozer::io
