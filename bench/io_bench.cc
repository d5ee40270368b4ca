// What the loop and its sockets cost without any server behind them: an echo of 30-byte messages,
// 16 in a row on each of 16 connections, and one at a time on one. The clients are threads with
// plain sockets; only the loop's thread is measured.
//
//   io_bench [CONNECTIONS [IN_A_ROW [ROUNDS]]]

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/units.h"
#include "io/loop.h"
#include "io/net.h"

namespace {

using doozer::Error;
namespace env = doozer::env;

constexpr size_t kMessageBytes = 30;

// Answers each message by itself, as a server does, but with one write for each read.
struct Echo final : env::StreamEvents {
  void on_bytes(std::string_view bytes) override { stream->write(std::string(bytes)); }
  void on_end() override { stream.reset(); }
  void on_failed(const Error&) override { stream.reset(); }
  std::unique_ptr<env::Stream> stream;
};

struct Acceptor final : env::AcceptEvents {
  void on_accept(std::unique_ptr<env::AcceptedStream> stream) override {
    echoes.push_back(std::make_unique<Echo>());
    echoes.back()->stream = stream->attach(*echoes.back());
  }
  void on_refused(const Error& why, uint64_t) override { std::puts(why.message.c_str()); }
  std::vector<std::unique_ptr<Echo>> echoes;
};

void client(uint16_t port, size_t in_a_row, size_t rounds) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  CHECK(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  const std::string out(kMessageBytes * in_a_row, 'x');
  std::string in(out.size(), '\0');
  for (size_t i = 0; i < rounds; ++i) {
    CHECK(send(fd, out.data(), out.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(out.size()));
    CHECK(recv(fd, in.data(), in.size(), MSG_WAITALL) == static_cast<ssize_t>(in.size()));
  }
  close(fd);
}

double thread_cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

void run(size_t connections, size_t in_a_row, size_t rounds) {
  const std::unique_ptr<doozer::io::Loop> loop = std::move(*doozer::io::Loop::create());
  doozer::io::RealNet net(*loop);
  Acceptor acceptor;
  const auto listener = std::move(*net.listen({.address = "127.0.0.1:0"}, acceptor));
  const std::string& address = listener->address();
  const auto port = static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
  std::thread clients([&] {
    std::vector<std::thread> threads;
    for (size_t i = 0; i < connections; ++i) threads.emplace_back(client, port, in_a_row, rounds);
    for (std::thread& thread : threads) thread.join();
    loop->stop();
  });
  const double cpu_before = thread_cpu_seconds();
  const uint64_t before_us = loop->now_us();
  loop->run();
  const double cpu = thread_cpu_seconds() - cpu_before;
  const double seconds = static_cast<double>(loop->now_us() - before_us) / 1e6;
  clients.join();
  const auto messages = static_cast<double>(connections * in_a_row * rounds);
  const doozer::io::LoopStats stats = loop->stats();
  std::printf(
      "connections %zu, in a row %zu: %.0f messages/s, %.3f us CPU each, %llu turns, "
      "%llu wake-ups, longest turn %llu us\n",
      connections, in_a_row, messages / seconds, cpu * 1e6 / messages,
      static_cast<unsigned long long>(stats.turns), static_cast<unsigned long long>(stats.wake_ups),
      static_cast<unsigned long long>(stats.turn_cpu_us_max));
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, size_t otherwise) {
    return argc > i ? static_cast<size_t>(std::atoll(argv[i])) : otherwise;
  };
  if (argc > 1) {
    run(number(1, 16), number(2, 16), number(3, 10'000));
    return 0;
  }
  run(16, 16, 10'000);
  run(1, 1, 50'000);
}
