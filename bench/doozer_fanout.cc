// doozer-fanout: many WAITs for one file, then one SET, again and again: how long after the SET's
// answer the last waiter has heard, and what it cost the server.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "bench/histogram.h"
#include "bench/process_cpu.h"
#include "io/loop.h"
#include "io/net.h"
#include "wire/doozer.h"

namespace doozer::bench {
namespace {

struct FanoutOptions {
  std::string address = "127.0.0.1:8046";
  size_t waiters = 1000;
  size_t connections = 1000;
  size_t rounds = 50;
  int server_pid = 0;
};

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "doozer-fanout: %s\n", why.c_str());
  std::exit(1);
}

class Connection final : public env::StreamEvents {
 public:
  Connection(env::Net& net, const std::string& address) {
    env::DialOptions options;
    options.address = address;
    stream_ = net.dial(options, *this);
  }
  void send(const wire::RequestView& request) {
    std::string out;
    wire::append_request(request, out);
    stream_->write(std::move(out));
  }
  bool connected = false;
  size_t answers = 0;
  int64_t last_rev = 0;

  void on_connected() override { connected = true; }
  void on_end() override { die("closed by the server"); }
  void on_failed(const Error& error) override { die(error.message); }
  void on_bytes(std::string_view bytes) override {
    in_ += bytes;
    for (;;) {
      const auto size = wire::frame_bytes(in_, kCommandBytesMax);
      if (!size) die(size.error().message);
      if (*size == 0 || in_.size() < *size) return;
      const auto answer = wire::decode_response(
          std::string_view(in_).substr(wire::kHeadBytes, *size - wire::kHeadBytes));
      if (!answer) die(answer.error().message);
      if (answer->err_code) die("error answer: " + std::string(answer->err_detail.value_or("")));
      last_rev = answer->rev.value_or(0);
      ++answers;
      in_.erase(0, *size);
    }
  }

 private:
  std::unique_ptr<env::Stream> stream_;
  std::string in_;
};

void run(const FanoutOptions& options, io::Loop& loop, io::RealNet& net) {
  constexpr std::string_view kPath = "/bench/watched";
  std::vector<std::unique_ptr<Connection>> connections;
  for (size_t i = 0; i < options.connections; ++i) {
    connections.push_back(std::make_unique<Connection>(net, options.address));
  }
  Connection writer(net, options.address);
  const auto until = [&](auto done) {
    while (!done()) loop.run_for(200);
  };
  until([&] {
    for (const auto& c : connections) {
      if (!c->connected) return false;
    }
    return writer.connected;
  });
  wire::RequestView set;
  set.verb = static_cast<int32_t>(wire::Verb::set);
  set.path = kPath;
  set.rev = -1;
  set.value = "x";
  writer.send(set);
  until([&] { return writer.answers == 1; });

  Histogram last_heard;
  const auto heard = [&] {
    size_t sum = 0;
    for (const auto& c : connections) sum += c->answers;
    return sum;
  };
  const uint64_t cpu = options.server_pid != 0 ? process_cpu_us(options.server_pid) : 0;
  for (size_t round = 0; round < options.rounds; ++round) {
    wire::RequestView wait;
    wait.verb = static_cast<int32_t>(wire::Verb::wait);
    wait.path = kPath;
    wait.rev = writer.last_rev + 1;
    for (size_t i = 0; i < options.waiters; ++i) {
      wait.tag = static_cast<int32_t>(i);
      connections[i % connections.size()]->send(wait);
    }
    loop.run_for(50'000);
    const size_t before = heard();
    const size_t answered = writer.answers;
    writer.send(set);
    uint64_t set_answered_us = 0;
    while (heard() < before + options.waiters) {
      loop.run_for(50);
      if (set_answered_us == 0 && writer.answers > answered) set_answered_us = loop.now_us();
    }
    const uint64_t now = loop.now_us();
    last_heard.add(set_answered_us == 0 ? 0 : now - set_answered_us);
  }
  const double events = static_cast<double>(options.rounds * options.waiters);
  const double server_us =
      options.server_pid != 0 ? static_cast<double>(process_cpu_us(options.server_pid) - cpu) : 0;
  std::printf(
      "fanout %zu waiters over %zu connections: last one heard after the SET's answer: p50 "
      "%llu  p90 %llu  max %llu us  server %.2f us CPU/wait\n",
      options.waiters, options.connections,
      static_cast<unsigned long long>(last_heard.quantile(0.5)),
      static_cast<unsigned long long>(last_heard.quantile(0.9)),
      static_cast<unsigned long long>(last_heard.max()), server_us / events);
}

int main_of(int argc, char** argv) {
  FanoutOptions options;
  CLI::App app("Measures how fast many waiters hear of one change.", "doozer-fanout");
  app.add_option("-a,--address", options.address, "HOST:PORT of the server");
  app.add_option("-w,--waiters", options.waiters)->check(CLI::Range(1, 1'000'000));
  app.add_option("-c,--connections", options.connections)->check(CLI::Range(1, 20'000));
  app.add_option("--rounds", options.rounds)->check(CLI::Range(1, 100'000));
  app.add_option("--server-pid", options.server_pid, "tell the CPU time of this process");
  CLI11_PARSE(app, argc, argv);
  auto loop = io::Loop::create();
  if (!loop) die(loop.error().message);
  io::RealNet net(**loop);
  run(options, **loop, net);
  return 0;
}

}  // namespace
}  // namespace doozer::bench

int main(int argc, char** argv) { return doozer::bench::main_of(argc, argv); }
