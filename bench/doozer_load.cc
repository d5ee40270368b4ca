// doozer-load: puts load on a Doozer server and tells throughput, latencies, and the CPU time that
// each operation cost the servers and this program.
//
// Closed loop: as many requests in flight as asked for, over as many connections. Open loop
// (--rate): requests begin at fixed times whatever the answers do, and each is measured from the
// time at which it should have begun, so that a stall is not omitted from the figures.

#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/rng.h"
#include "bench/histogram.h"
#include "bench/process_cpu.h"
#include "io/loop.h"
#include "io/net.h"
#include "wire/doozer.h"

namespace doozer::bench {
namespace {

struct LoadOptions {
  std::string address = "127.0.0.1:8046";
  std::string operation = "set";
  size_t connections = 16;
  size_t in_flight = 256;
  double seconds = 5;
  double warm_up = 1;
  uint64_t keys = 10'000;
  size_t value_bytes = 256;
  uint64_t rate = 0;
  bool fill = false;
  bool json = false;
  std::vector<int> server_pids;
};

uint64_t own_cpu_us() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto us = [](const timeval& t) {
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000 + static_cast<uint64_t>(t.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

uint64_t servers_cpu_us(const LoadOptions& options) {
  uint64_t sum = 0;
  for (const int pid : options.server_pids) sum += process_cpu_us(pid);
  return sum;
}

class Load;

class Connection final : public env::StreamEvents {
 public:
  Connection(Load& load, env::Net& net, const std::string& address);
  void on_connected() override;
  void on_bytes(std::string_view bytes) override;
  void on_end() override { die("closed by the server"); }
  void on_failed(const Error& error) override { die(error.message); }

  /// Adds a request that should have begun at `began_us`.
  void begin(uint64_t began_us);
  void flush();
  size_t in_flight() const { return in_flight_; }
  bool ready() const { return ready_; }

 private:
  [[noreturn]] static void die(const std::string& why) {
    std::fprintf(stderr, "doozer-load: connection: %s\n", why.c_str());
    std::exit(1);
  }
  size_t take_frame(std::string_view bytes);

  Load& load_;
  std::unique_ptr<env::Stream> stream_;
  std::string in_;
  std::string out_;
  std::vector<uint64_t> began_us_;  // by tag
  std::vector<int32_t> free_tags_;
  size_t in_flight_ = 0;
  bool ready_ = false;
};

class Load {
 public:
  Load(const LoadOptions& options, io::Loop& loop, io::RealNet& net)
      : options_(options), loop_(loop), rng_(1), value_(options.value_bytes, 'v') {
    for (size_t i = 0; i < options_.connections; ++i) {
      connections_.push_back(std::make_unique<Connection>(*this, net, options_.address));
    }
    for (char& c : value_) c = static_cast<char>('a' + rng_.below(26));
    loop_.at_turn_end([this] {
      for (const auto& connection : connections_) connection->flush();
    });
  }

  void run() {
    while (!all_connected()) loop_.run_for(10'000);
    if (options_.fill) fill();
    measuring_ = false;
    start();
    loop_.run_for(static_cast<uint64_t>(options_.warm_up * 1e6));
    measuring_ = true;
    const uint64_t cpu = servers_cpu_us(options_);
    const uint64_t own = own_cpu_us();
    const uint64_t began = loop_.now_us();
    loop_.run_for(static_cast<uint64_t>(options_.seconds * 1e6));
    const uint64_t took = loop_.now_us() - began;
    report(took, servers_cpu_us(options_) - cpu, own_cpu_us() - own);
  }

  const LoadOptions& options() const { return options_; }
  uint64_t now_us() const { return loop_.now_us(); }
  /// Appends the next request with this tag.
  void append(int32_t tag, std::string& out) {
    wire::RequestView request;
    request.tag = tag;
    const std::string path = filling_ ? key(next_key_++) : key(rng_.below(options_.keys));
    request.path = path;
    const std::string& op = options_.operation;
    const bool write = filling_ || op == "set" || (op == "mixed" && rng_.chance(1, 10));
    if (write) {
      request.verb = static_cast<int32_t>(wire::Verb::set);
      request.value = value_;
      request.rev = -1;
      // Too much is sent on purpose: what became of each is to be told, not a connection closed.
      if (!closed_loop()) request.mode = wire::kModeTellMore;
    } else if (op == "nop") {
      request.verb = static_cast<int32_t>(wire::Verb::nop);
      request.path = std::nullopt;
    } else if (op == "rev") {
      request.verb = static_cast<int32_t>(wire::Verb::rev);
      request.path = std::nullopt;
    } else {
      request.verb = static_cast<int32_t>(wire::Verb::get);
      if (op == "lget") request.mode = wire::kModeLinearizable;
    }
    wire::append_request(request, out);
  }
  void done(uint64_t began_us, bool failed, bool unknown) {
    if (filling_) {
      ++filled_;
      return;
    }
    if (!measuring_) return;
    if (failed) {
      ++(unknown ? unknown_ : errors_);
      return;
    }
    latencies_.add(loop_.now_us() - began_us);
  }
  /// In the closed loop each answer makes room for the next request.
  bool closed_loop() const { return filling_ ? next_key_ < options_.keys : options_.rate == 0; }

 private:
  std::string key(uint64_t number) const {
    char name[64];
    // 32 bytes, a thousand files in a directory.
    std::snprintf(name, sizeof name, "/bench/%06llu/file-%013llu",
                  static_cast<unsigned long long>(number / 1000),
                  static_cast<unsigned long long>(number));
    return name;
  }
  bool all_connected() const {
    for (const auto& connection : connections_) {
      if (!connection->ready()) return false;
    }
    return true;
  }
  void fill() {
    filling_ = true;
    start();
    while (filled_ < options_.keys) loop_.run_for(10'000);
    filling_ = false;
  }
  // Called between turns, so what it begins is also sent here.
  void start() {
    begin_all();
    for (const auto& connection : connections_) connection->flush();
  }
  void begin_all() {
    if (filling_ || options_.rate == 0) {
      const size_t each = std::max<size_t>(1, options_.in_flight / options_.connections);
      size_t left = std::max(options_.in_flight, size_t{1});
      for (const auto& connection : connections_) {
        for (size_t i = 0; i < each && left > 0; ++i, --left) {
          if (filling_ && next_key_ >= options_.keys) return;
          connection->begin(loop_.now_us());
        }
      }
    } else {
      next_due_us_ = loop_.now_us();
      tick();
    }
  }
  // Open loop: begins what is due, however late this tick itself is.
  void tick() {
    const double gap_us = 1e6 / static_cast<double>(options_.rate);
    const uint64_t now = loop_.now_us();
    while (next_due_us_ <= now) {
      connections_[next_connection_++ % connections_.size()]->begin(next_due_us_);
      carried_us_ += gap_us;
      const auto whole = static_cast<uint64_t>(carried_us_);
      carried_us_ -= static_cast<double>(whole);
      next_due_us_ += whole;
    }
    loop_.at(std::max(next_due_us_, now + 50), [this] { tick(); });
  }
  void report(uint64_t took_us, uint64_t servers_us, uint64_t own_us) const {
    const auto count = static_cast<double>(std::max<uint64_t>(latencies_.count(), 1));
    const double per_second = count * 1e6 / static_cast<double>(took_us);
    const char* format =
        options_.json
            ? "{\"operation\":\"%s\",\"connections\":%zu,\"in_flight\":%zu,\"value_bytes\":%zu,"
              "\"per_second\":%.0f,\"p50_us\":%llu,\"p90_us\":%llu,\"p99_us\":%llu,"
              "\"p999_us\":%llu,\"max_us\":%llu,\"server_cpu_us_per_op\":%.2f,"
              "\"load_cpu_us_per_op\":%.2f,\"errors\":%llu,\"unknown\":%llu}\n"
            : "%-6s %5zu connections %6zu in flight %7zu bytes: %9.0f/s  p50 %llu  p90 %llu  p99 "
              "%llu  p99.9 %llu  max %llu us  server %.2f us CPU/op  load %.2f us CPU/op  errors "
              "%llu  unknown %llu\n";
    const auto u = [](uint64_t v) { return static_cast<unsigned long long>(v); };
    std::printf(format, options_.operation.c_str(), options_.connections, options_.in_flight,
                options_.value_bytes, per_second, u(latencies_.quantile(0.5)),
                u(latencies_.quantile(0.9)), u(latencies_.quantile(0.99)),
                u(latencies_.quantile(0.999)), u(latencies_.max()),
                static_cast<double>(servers_us) / count, static_cast<double>(own_us) / count,
                u(errors_), u(unknown_));
  }

  const LoadOptions& options_;
  io::Loop& loop_;
  Rng rng_;
  std::string value_;
  std::vector<std::unique_ptr<Connection>> connections_;
  Histogram latencies_;
  bool measuring_ = false;
  bool filling_ = false;
  uint64_t next_key_ = 0;
  uint64_t filled_ = 0;
  uint64_t errors_ = 0;
  uint64_t unknown_ = 0;
  uint64_t next_due_us_ = 0;
  double carried_us_ = 0;
  size_t next_connection_ = 0;
};

Connection::Connection(Load& load, env::Net& net, const std::string& address) : load_(load) {
  env::DialOptions options;
  options.address = address;
  stream_ = net.dial(options, *this);
}

void Connection::on_connected() { ready_ = true; }

void Connection::begin(uint64_t began_us) {
  if (free_tags_.empty()) {
    free_tags_.push_back(static_cast<int32_t>(began_us_.size()));
    began_us_.push_back(0);
  }
  const int32_t tag = free_tags_.back();
  free_tags_.pop_back();
  began_us_[static_cast<size_t>(tag)] = began_us;
  ++in_flight_;
  load_.append(tag, out_);
}

void Connection::flush() {
  if (out_.empty() || !ready_) return;
  stream_->write(std::move(out_));
  out_.clear();
}

void Connection::on_bytes(std::string_view bytes) {
  if (!in_.empty()) {
    in_.append(bytes);
    const size_t taken = take_frame(in_);
    in_.erase(0, taken);
    return;
  }
  const size_t taken = take_frame(bytes);
  in_.assign(bytes.substr(taken));
}

size_t Connection::take_frame(std::string_view bytes) {
  size_t taken = 0;
  for (;;) {
    const std::string_view rest = bytes.substr(taken);
    const auto size = wire::frame_bytes(rest, kCommandBytesMax);
    if (!size) die(size.error().message);
    if (*size == 0 || rest.size() < *size) return taken;
    const auto answer =
        wire::decode_response(rest.substr(wire::kHeadBytes, *size - wire::kHeadBytes));
    if (!answer) die(answer.error().message);
    taken += *size;
    const int32_t tag = answer->tag.value_or(-1);
    if (tag < 0 || static_cast<size_t>(tag) >= began_us_.size()) die("an answer to nothing");
    --in_flight_;
    free_tags_.push_back(tag);
    load_.done(began_us_[static_cast<size_t>(tag)], answer->err_code.has_value(),
               answer->outcome == wire::kOutcomeUnknown);
    if (load_.closed_loop()) begin(load_.now_us());
  }
}

int main_of(int argc, char** argv) {
  LoadOptions options;
  CLI::App app("Puts load on a Doozer server and measures it.", "doozer-load");
  app.add_option("-a,--address", options.address, "HOST:PORT of the server");
  app.add_option("--op", options.operation, "set, get, lget (linearizable), mixed, nop, rev")
      ->check(CLI::IsMember({"set", "get", "lget", "mixed", "nop", "rev"}));
  app.add_option("-c,--connections", options.connections)->check(CLI::Range(1, 20000));
  app.add_option("-n,--in-flight", options.in_flight, "over all connections; closed loop");
  app.add_option("--seconds", options.seconds, "measured, after the warm-up");
  app.add_option("--warm-up", options.warm_up, "seconds");
  app.add_option("--keys", options.keys)->check(CLI::Range(uint64_t{1}, uint64_t{100'000'000}));
  app.add_option("--value-bytes", options.value_bytes);
  app.add_option("--rate", options.rate, "requests a second; open loop");
  app.add_flag("--fill", options.fill, "first set every key once");
  app.add_flag("--json", options.json);
  app.add_option("--server-pid", options.server_pids, "tell the CPU time of these processes");
  CLI11_PARSE(app, argc, argv);
  auto loop = io::Loop::create();
  if (!loop) {
    std::fprintf(stderr, "doozer-load: %s\n", loop.error().message.c_str());
    return 1;
  }
  io::RealNet net(**loop);
  Load load(options, **loop, net);
  load.run();
  return 0;
}

}  // namespace
}  // namespace doozer::bench

int main(int argc, char** argv) { return doozer::bench::main_of(argc, argv); }
