#include "sim/server_process.h"

#include <utility>

namespace doozer::sim {
namespace {

Identity random_identity(Rng& rng) {
  std::array<uint8_t, Identity::kSize> bytes{};
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.next());
  return Identity(bytes);
}

std::string host_of(const std::string& address) { return address.substr(0, address.rfind(':')); }

SimClockOptions clock_options(const ServerProcessOptions& options) {
  SimClockOptions clock = options.clock;
  clock.start_us = options.start_us;
  return clock;
}

}  // namespace

void SimLog::write(const LogRecord& record) {
  if (listener_ != nullptr) return listener_->write(record);
  lines_.push_back(render_log_text(
      record, {.wall_us = clock_.wall_us(), .monotonic_us = clock_.now_us()}, false));
}

bool SimLog::has(std::string_view text) const {
  for (const std::string& line : lines_) {
    if (line.find(text) != std::string::npos) return true;
  }
  return false;
}

ServerProcess::ServerProcess(SimNetwork& network, SimDisk& disk,
                             const ServerProcessOptions& options)
    : clock_(clock_options(options)),
      log_(clock_),
      lanes_(clock_, &disk, {.seed = options.seed, .job_us = 20, .job_jitter_us = 0}),
      net_(network, clock_, host_of(options.address)) {
  log_.hand_to(options.log_listener);
  Rng rng(options.seed);
  server::ServerOptions server_options;
  server_options.config = options.config;
  server_options.config.listen = options.address;
  server_options.config.log_level = options.log_level;
  server_options.secrets = options.secrets;
  server_options.hostname = "simulated";
  if (!options.own_host.empty()) {
    server_options.own_host = [host = options.own_host](const auto& /*others*/, bool) {
      return host;
    };
  }
  server_options.version = "sim";
  server_options.fresh_cluster = random_identity(rng);
  server_options.fresh_identity = random_identity(rng);
  // Another one in each life, and the same in the same run.
  server_options.seed = Rng(rng.next() ^ options.start_us).next();
  server_options.digest_every = options.digest_every;
  server_options.retention = options.retention;
  server_options.observer = options.observer;
  server_options.snapshots = options.snapshots;
  if (options.names) {
    server_options.names = options.names(clock_, net_, Logger(log_, context_, options.log_level));
  }
  server_ = std::make_unique<server::Server>(
      server::World{.clock = clock_, .disk = disk, .lanes = lanes_, .net = net_, .log_sink = log_},
      std::move(server_options));
}

ServerProcess::~ServerProcess() {
  net_.die(false);
  server_.reset();
}

Result<void> ServerProcess::start() {
  return server_->start([this] { serving_ = true; },
                        [this](const Result<void>& how) { stopped_ = how; });
}

}  // namespace doozer::sim
