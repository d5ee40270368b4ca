// The configuration of a server: every value typed, checked and with the place it came from.
//
// Pure: it is given (source, key, value) by whoever read the command line, the environment and the
// file, in any order, and decides by precedence: flag, environment, file, default. It must never
// show a secret, nor pass over a setting that it does not understand (only an unknown name in the
// environment is a warning, since others may own it). The options are in options_table.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/log.h"
#include "base/result.h"

namespace doozer::server {

enum class LogFormat : uint8_t { automatic, json, text };

/// What `--NAME` sets; the initial values are the defaults. Names as in the options table.
struct Config {
  // Addresses: "HOST:PORT", "[V6]:PORT", ":PORT" for every interface.
  std::string listen = "127.0.0.1:8046";
  std::string advertise;
  std::string peer_listen;
  std::vector<std::string> attach;
  std::string boot_uri;
  // A new cluster.
  bool boot = false;
  uint64_t slots = 1;
  std::string cluster = "local";
  // Data.
  std::string data_dir = "./data";
  uint64_t history = static_cast<uint64_t>(kHistoryRevisions);
  uint64_t history_bytes = kHistoryBytes;
  uint64_t segment_bytes = kSegmentBytes;
  uint64_t disk_reserve_bytes = kDiskReserveBytes;
  uint64_t snapshot_log_bytes = kSnapshotLogBytes;
  // Members and peers.
  uint64_t timeout_us = 60'000'000;
  bool never_lead = false;
  uint64_t trust_log =
      0;  ///< the index at which a doubtful log ends that is to be trusted; 0: none
  bool insecure_peers = false;
  std::string peer_ca;
  std::string tls_cert;
  std::string tls_key;
  // Logs.
  LogFormat log_format = LogFormat::automatic;
  LogLevel log_level = LogLevel::info;
  // Limits, each at most what base/limits.h says.
  uint64_t value_bytes_max = kValueBytesMax;
  uint64_t connections_max = kConnectionsMax;
  uint64_t connections_per_address_max = kConnectionsPerAddressMax;
  uint64_t outstanding_requests_max = kOutstandingRequestsMax;
  uint64_t waits_per_connection_max = kWaitsPerConnectionMax;
  uint64_t frame_complete_us_max = kFrameCompleteUsMax;
  uint64_t unsent_stall_us_max = kUnsentStallUsMax;

  bool tls() const { return !tls_cert.empty(); }
};

/// Where a value came from. Ordered: a later kind wins over an earlier one.
struct ConfigSource {
  enum class Kind : uint8_t { standard, file, environment, flag } kind = Kind::standard;
  std::string name;  ///< "doozerd.toml:3", "DOOZERD_TIMEOUT", "--timeout"; empty for `standard`

  /// "default", "doozerd.toml:3", "environment DOOZERD_TIMEOUT", "flag --timeout".
  std::string to_string() const;
};

/// DOOZER_RWSECRET and DOOZER_ROSECRET; empty: not set. Never printed, never logged.
struct StartSecrets {
  std::string read_write;
  std::string read_only;
};

/// A whole, checked configuration.
struct Configured {
  Config config;
  std::vector<ConfigSource> sources;  ///< one for each row of options()
  StartSecrets secrets;
  std::vector<std::string> warnings;
};

using Environment = std::vector<std::pair<std::string, std::string>>;

class ConfigBuilder {
 public:
  ConfigBuilder();

  /// Gives `value`, as text, to the option named `key` ("data-dir"). Within one source kind a list
  /// grows and anything else keeps the last. What is wrong (unknown key, bad value, an option that
  /// this source may not set) is kept and told by finish().
  void set(const ConfigSource& source, std::string_view key, std::string_view value);

  /// Takes DOOZERD_NAME for every option, DOOZER_BOOT_URI, and the two secrets. An empty value is
  /// as good as none. Unknown DOOZERD_ names become warnings.
  void set_environment(const Environment& environment);

  /// Keeps a problem found by whoever reads a source: "doozerd.toml:3: ...".
  void problem(std::string message) { problems_.push_back(std::move(message)); }

  /// Checks what concerns several values. Errors: bad_argument, one line for each problem, each
  /// naming source, option and value.
  Result<Configured> finish();

 private:
  void check_together();

  Configured configured_;
  std::vector<std::string> problems_;
};

/// Reads the text of a TOML file into `builder`: keys as in the options table, arrays of strings
/// for options that repeat. `path` is for messages: problems are told as "PATH:LINE: ...".
void read_config_file(ConfigBuilder& builder, std::string_view path, std::string_view content);

/// Every setting with its value and, as a comment, where it came from; itself a good file.
std::string print_config(const Configured& configured);

}  // namespace doozer::server
