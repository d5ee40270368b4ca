// doozerd: joins the server with the real world. What it decides is in server/; what it does is
// here.

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "cmd/doozerd_flags.h"
#include "cmd/doozerd_names.h"
#include "cmd/doozerd_recover.h"
#include "io/descriptors.h"
#include "io/disk.h"
#include "io/early_signals.h"
#include "io/entropy.h"
#include "io/lanes.h"
#include "io/log_sink.h"
#include "io/loop.h"
#include "io/memory_use.h"
#include "io/net.h"
#include "io/notify.h"
#include "io/signals.h"
#include "server/server.h"
#include "storage/exchange.h"
#include "storage/identity_file.h"

extern char** environ;

namespace doozer::cmd {
namespace {

constexpr int kSignalExitBase = 128;

io::LogFormat sink_format(server::LogFormat format) {
  switch (format) {
    case server::LogFormat::automatic: return io::LogFormat::automatic;
    case server::LogFormat::json: return io::LogFormat::json;
    case server::LogFormat::text: return io::LogFormat::text;
  }
  return io::LogFormat::automatic;
}

int complain(const Error& error, int exit_code) {
  std::fprintf(stderr, "doozerd: %s\n", error.message.c_str());
  return exit_code;
}

/// Why it does not start.
int exit_of(const Error& error) {
  return error.code == Code::bad_argument ? kExitUsage : kExitRuntime;
}

/// What to do about it; empty where the error says so itself, or nothing is known.
std::string next_step(const Error& error, const server::Config& config) {
  const auto tells = [&](std::string_view word) {
    return error.message.find(word) != std::string::npos;
  };
  if (tells("EADDRINUSE")) return "something listens there already; --listen names another address";
  const bool of_directory = error.code == Code::corrupt ||
                            (error.code == Code::not_found && tells(config.data_dir + "/"));
  if (!of_directory || tells("doozer-inspect")) return "";
  return "doozer-inspect " + config.data_dir + " tells what is whole; doozer-inspect salvage " +
         config.data_dir + " NEWDIR makes a new directory of that";
}

/// Null without --tls-cert.
Result<std::unique_ptr<io::TlsServer>> load_tls(const server::Configured& configured) {
  TRY(check_files(configured));
  const server::Config& config = configured.config;
  if (!config.tls()) return nullptr;
  return io::TlsServer::load({.cert_file = config.tls_cert,
                              .key_file = config.tls_key,
                              .client_ca_file = config.peer_ca,
                              // Clients come by the same port, and have none.
                              .clients_may_be_unknown = true});
}

// The process of one server, from the command line's end to its exit status.
class Process {
 public:
  explicit Process(Invocation invocation)
      : invocation_(std::move(invocation)),
        config_(invocation_.configured.config),
        sink_(STDERR_FILENO, sink_format(config_.log_format)),
        logger_(sink_, context_, config_.log_level) {}

  int run() {
    if (auto prepared = prepare(); !prepared) {
      leave_as_found();
      return complain(prepared.error(), exit_of(prepared.error()));
    }
    for (const std::string& warning : invocation_.configured.warnings) {
      logger_.warn("configuration", {{"warning", std::string_view(warning)}});
    }
    auto started = server_->start([this] { on_serving(); },
                                  [this](const Result<void>& how) { on_stopped(how); });
    early_signals_.reset();
    if (!started) {
      Error error = started.error();
      if (const std::string next = next_step(error, config_); !next.empty()) {
        error.message += "; " + next;
      }
      logger_.error("cannot_start", {{"data_dir", std::string_view(config_.data_dir)},
                                     {"error", std::string_view(error.message)}});
      leave_as_found();
      return exit_of(started.error());
    }
    loop_->run();
    // All that was promised is durable. Freeing a million files one by one, or waiting for a log
    // segment that is being prepared, would only hold the lock against the next start.
    std::fflush(nullptr);
    std::_Exit(exit_code_);
  }

 private:
  Result<void> prepare() {
    io::raise_descriptor_limit();
    TRY_ASSIGN(loop_, io::Loop::create());
    // Before any thread is started: they inherit which signals are theirs.
    TRY_ASSIGN(signals_, io::Signals::watch(*loop_, [this](int number) { on_signal(number); }));
    TRY_ASSIGN(early_signals_,
               io::EarlySignals::watch([this](int number) { on_early_signal(number); }));
    TRY_ASSIGN(disk_, io::RealDisk::open_directory(config_.data_dir, true));
    TRY_ASSIGN(lanes_, io::ThreadLanes::start(*loop_));
    TRY_ASSIGN(tls_, load_tls(invocation_.configured));
    if (tls_ != nullptr) warn_of_expiry();
    net_ = std::make_unique<io::RealNet>(*loop_, tls_.get());
    server::ServerOptions options;
    options.config = config_;
    options.secrets = invocation_.configured.secrets;
    options.hostname = io::host_name();
    options.version = DOOZER_VERSION;
    options.fresh_cluster = io::random_identity();
    options.fresh_identity = io::random_identity();
    options.seed = io::random_u64();
    options.snapshots.log_bytes = config_.snapshot_log_bytes;
    options.loop_figures = [this] { return loop_figures(); };
    options.memory_figures = [] {
      const io::MemoryUse use = io::memory_use();
      return server::MemoryFigures{.rss_bytes = use.rss_bytes, .rss_bytes_max = use.rss_bytes_max};
    };
    if (!config_.boot_uri.empty()) {
      TRY_ASSIGN(NameServiceTarget target, parse_boot_uri(config_.boot_uri, config_.cluster));
      options.config.cluster = target.cluster;
      TRY_ASSIGN(options.names,
                 ClientNames::make(*loop_, *net_, std::move(target), io::random_u64(), logger_));
    }
    server_ = std::make_unique<server::Server>(
        server::World{
            .clock = *loop_, .disk = *disk_, .lanes = *lanes_, .net = *net_, .log_sink = sink_},
        std::move(options));
    return {};
  }

  // What refuses to start has made no data directory, and no lock in one that was empty.
  void leave_as_found() {
    if (disk_ != nullptr) disk_->undo_start();
  }

  server::LoopFigures loop_figures() const {
    const io::LoopStats stats = loop_->stats();
    return {.turns = stats.turns,
            .wake_ups = stats.wake_ups,
            .turn_cpu_us_max = stats.turn_cpu_us_max,
            .turns_over_limit = stats.turns_over_limit};
  }

  // The server's own once there is one: it knows node, term and revision.
  const Logger& log() const { return server_ == nullptr ? logger_ : server_->logger(); }

  void warn_of_expiry() {
    constexpr int64_t kWarnSeconds = 30LL * 24 * 3600;
    const int64_t left = tls_->not_after_s() - loop_->wall_us() / 1'000'000;
    if (left < kWarnSeconds) {
      log().warn("certificate_expires",
                 {{"file", std::string_view(config_.tls_cert)}, {"days", left / (24 * 3600)}});
    }
  }

  void on_serving() { notifier_.ready("serving on " + server_->address()); }

  // While the log is read nothing is served and nothing can be lost: what is on the disk bears an
  // end at any moment. On a thread of its own.
  void on_early_signal(int number) {
    logger_.info("stopped_while_starting", {{"signal", number}});
    notifier_.stopping();
    std::_Exit(kExitOk);
  }

  void on_signal(int number) {
    if (number == SIGHUP) {
      reload();
      return;
    }
    if (stop_signal_ != 0) {
      log().warn("stopped_at_once", {{"signal", number}});
      std::_Exit(kSignalExitBase + number);
    }
    stop_signal_ = number;
    notifier_.stopping();
    server_->stop();
  }

  void reload() {
    if (tls_ == nullptr) {
      log().info("nothing_to_reload", {{"why", "no --tls-cert"}});
      return;
    }
    if (auto reloaded = tls_->reload(); !reloaded) {
      log().error("certificate_not_reloaded",
                  {{"error", std::string_view(reloaded.error().message)},
                   {"effect", "the old certificate stays in use"}});
      return;
    }
    log().info("certificate_reloaded", {{"file", std::string_view(config_.tls_cert)}});
    warn_of_expiry();
  }

  void on_stopped(const Result<void>& how) {
    exit_code_ = how ? kExitOk : kExitRuntime;
    notifier_.stopping();
    loop_->stop();
  }

  // Destroyed from the last to the first: the server before the world that it lives in.
  const Invocation invocation_;
  const server::Config config_;
  LogContext context_;
  io::FdLogSink sink_;
  Logger logger_;
  io::Notifier notifier_ = io::Notifier::from_environment();
  std::unique_ptr<io::Loop> loop_;
  std::unique_ptr<io::Signals> signals_;
  std::unique_ptr<io::RealDisk> disk_;
  std::unique_ptr<io::ThreadLanes> lanes_;  ///< finishes what it was given
  std::unique_ptr<io::TlsServer> tls_;
  std::unique_ptr<io::RealNet> net_;
  std::unique_ptr<server::Server> server_;
  std::unique_ptr<io::EarlySignals> early_signals_;  ///< until the loop turns
  int stop_signal_ = 0;
  int exit_code_ = kExitOk;
};

/// What the directory is to be told of, on standard output.
Result<std::string> recover_alone(const Invocation& invocation) {
  const std::string& directory = invocation.configured.config.data_dir;
  const bool for_real = invocation.recover_for_real;
  TRY_ASSIGN(const auto disk, io::RealDisk::open_directory(directory, false));
  TRY(disk->lock("lock"));
  TRY_ASSIGN(const bool decided, storage::exchange_decided(*disk));
  if (decided && for_real) {
    TRY(storage::settle_exchange(*disk));
    TRY_ASSIGN(const storage::Ownership owner, storage::read_identity(*disk));
    return directory + ": what was interrupted is done: cluster " + owner.cluster.to_string() +
           " of server " + owner.identity.to_string() + " alone\n";
  }
  const storage::Ownership after{.cluster = io::random_identity(),
                                 .identity = io::random_identity()};
  TRY_ASSIGN(AlonePlan plan, plan_alone(*disk, after));
  if (for_real) TRY(carry_out(plan, *disk));
  return print_alone(plan, directory, for_real);
}

int run_recover_alone(const Invocation& invocation) {
  const auto told = recover_alone(invocation);
  if (!told) return complain(with_context(told.error(), "--recover-alone"), kExitRuntime);
  std::fputs(told->c_str(), stdout);
  return std::fflush(stdout) == 0 ? kExitOk : kExitRuntime;
}

/// What nobody but the client library and the TLS library can judge, as at a start.
Result<void> check_config(const server::Configured& configured) {
  const server::Config& config = configured.config;
  if (!config.boot_uri.empty()) TRY(parse_boot_uri(config.boot_uri, config.cluster));
  TRY(load_tls(configured));
  return {};
}

int main_of(int argc, const char* const* argv) {
  auto invocation = parse_command_line(argc, argv, read_environment(environ));
  if (!invocation) return complain(invocation.error(), kExitUsage);
  switch (invocation->action) {
    case Action::run: return Process(std::move(*invocation)).run();
    case Action::recover_alone: return run_recover_alone(*invocation);
    case Action::check_config:
      if (auto good = check_config(invocation->configured); !good) {
        return complain(good.error(), kExitUsage);
      }
      [[fallthrough]];
    case Action::print_config:
    case Action::help:
    case Action::version:
    case Action::print_man:
      for (const std::string& warning : invocation->configured.warnings) {
        std::fprintf(stderr, "doozerd: warning: %s\n", warning.c_str());
      }
      std::fputs(action_output(*invocation).c_str(), stdout);
      return std::fflush(stdout) == 0 ? kExitOk : kExitRuntime;
  }
  return kExitRuntime;
}

}  // namespace
}  // namespace doozer::cmd

int main(int argc, char** argv) {
  doozer::io::hold_standard_descriptors();
  return doozer::cmd::main_of(argc, argv);
}
