#include "server/options_table.h"

#include <algorithm>
#include <array>
#include <limits>

namespace doozer::server {
namespace {

constexpr uint64_t kNoBound = std::numeric_limits<int64_t>::max();
constexpr uint64_t kSecond = 1'000'000;

constexpr Option kOptions[] = {
    // --- Addresses
    {.name = "listen",
     .letter = 'l',
     .kind = OptionKind::address,
     .value_name = "HOST:PORT",
     .help = "address for clients and peers; with --tls-cert it speaks TLS only",
     .target = &Config::listen},
    {.name = "advertise",
     .kind = OptionKind::address,
     .value_name = "HOST:PORT",
     .help = "address told to others; else the one listened on, or that by which it reaches them",
     .target = &Config::advertise},
    {.name = "peer-listen",
     .kind = OptionKind::address,
     .value_name = "HOST:PORT",
     .help = "a separate address for peers",
     .target = &Config::peer_listen},
    {.name = "attach",
     .letter = 'a',
     .kind = OptionKind::address,
     .value_name = "HOST:PORT",
     .help = "address of another server of the cluster; repeated for each, or between commas",
     .target = &Config::attach},
    {.name = "boot-uri",
     .letter = 'b',
     .kind = OptionKind::uri,
     .value_name = "URI",
     .help = "a name-service cluster to boot through, doozer:?ca=HOST:PORT&cn=NAME",
     .target = &Config::boot_uri},
    // --- A new cluster
    {.name = "boot",
     .help = "make a new cluster, also beyond loopback; with --attach if all others hold none",
     .target = &Config::boot},
    {.name = "slots",
     .kind = OptionKind::count,
     .value_name = "N",
     .help = "members of a new cluster; servers that attach fill these slots",
     .target = &Config::slots,
     .least = 1,
     .most = kSlotsMax},
    {.name = "cluster",
     .letter = 'c',
     .kind = OptionKind::name,
     .value_name = "NAME",
     .help = "name of the cluster",
     .target = &Config::cluster},
    // --- Data
    {.name = "data-dir",
     .kind = OptionKind::text,
     .value_name = "DIR",
     .help = "where everything is kept; created if missing",
     .target = &Config::data_dir},
    {.name = "history",
     .original = "hist",
     .kind = OptionKind::count,
     .value_name = "N",
     .help = "revisions that stay readable",
     .target = &Config::history,
     .least = 1,
     .most = kNoBound},
    {.name = "history-bytes",
     .kind = OptionKind::size,
     .value_name = "SIZE",
     .help = "memory for the history; the older end goes first",
     .target = &Config::history_bytes,
     .least = 64 * kKiB,
     .most = kNoBound},
    {.name = "segment-bytes",
     .kind = OptionKind::size,
     .value_name = "SIZE",
     .help = "preallocated size of a file of the log",
     .target = &Config::segment_bytes,
     .least = kSegmentBytesMin,
     .most = kSegmentBytes},
    {.name = "disk-reserve-bytes",
     .kind = OptionKind::size,
     .value_name = "SIZE",
     .help = "disk space kept free for deletions when the disk fills up",
     .target = &Config::disk_reserve_bytes,
     .least = 1 * kMiB,
     .most = 1024 * kMiB},
    {.name = "snapshot-log-bytes",
     .kind = OptionKind::size,
     .value_name = "SIZE",
     .help = "so much new log asks for a new snapshot, which shortens the next start",
     .target = &Config::snapshot_log_bytes,
     .least = 64 * kKiB,
     .most = kSnapshotLogBytes},
    {.name = "trust-log",
     .kind = OptionKind::count,
     .value_name = "INDEX",
     .help =
         "trust a log that was cut off behind this entry and may lack some; the log asks for it",
     .target = &Config::trust_log,
     .most = kNoBound},
    // --- Members and peers
    {.name = "timeout",
     .kind = OptionKind::duration,
     .value_name = "DURATION",
     .help = "a member silent for so long is replaced by a standby",
     .target = &Config::timeout_us,
     .least = 10 * kSecond,
     .most = kNoBound},
    {.name = "never-lead",
     .help = "hand leadership over whenever another member can take it",
     .target = &Config::never_lead},
    {.name = "insecure-peers",
     .help = "talk to peers beyond loopback without TLS and without a secret",
     .target = &Config::insecure_peers},
    {.name = "peer-ca",
     .kind = OptionKind::text,
     .value_name = "FILE",
     .help = "PEM file of the authority that signs the certificates of peers",
     .target = &Config::peer_ca},
    {.name = "tls-cert",
     .original = "tlscert",
     .kind = OptionKind::text,
     .value_name = "FILE",
     .help = "PEM file of the server's certificate and its chain",
     .target = &Config::tls_cert},
    {.name = "tls-key",
     .original = "tlskey",
     .kind = OptionKind::text,
     .value_name = "FILE",
     .help = "PEM file of the certificate's private key",
     .target = &Config::tls_key},
    // --- Logs
    {.name = "log-format",
     .kind = OptionKind::choice,
     .value_name = "FORMAT",
     .help = "auto (text on a terminal, else json), json or text",
     .target = &Config::log_format,
     .choices = "auto|json|text"},
    {.name = "log-level",
     .kind = OptionKind::choice,
     .value_name = "LEVEL",
     .help = "the least that is logged: debug, info, warn or error",
     .target = &Config::log_level,
     .choices = "debug|info|warn|error"},
    // --- Limits
    {.name = "value-bytes-max",
     .kind = OptionKind::size,
     .value_name = "SIZE",
     .help = "largest value of a file",
     .target = &Config::value_bytes_max,
     .least = 1,
     .most = kValueBytesCeiling},
    {.name = "connections-max",
     .kind = OptionKind::count,
     .value_name = "N",
     .help = "connections of clients in all",
     .target = &Config::connections_max,
     .least = 1,
     .most = kConnectionsMax},
    {.name = "connections-per-address-max",
     .kind = OptionKind::count,
     .value_name = "N",
     .help = "connections of clients from one address",
     .target = &Config::connections_per_address_max,
     .least = 1,
     .most = kConnectionsPerAddressMax},
    {.name = "outstanding-requests-max",
     .kind = OptionKind::count,
     .value_name = "N",
     .help = "requests of a connection begun at once; more are read later",
     .target = &Config::outstanding_requests_max,
     .least = 1,
     .most = kOutstandingRequestsMax},
    {.name = "waits-per-connection-max",
     .kind = OptionKind::count,
     .value_name = "N",
     .help = "waits of a connection",
     .target = &Config::waits_per_connection_max,
     .least = 1,
     .most = kWaitsPerConnectionMax},
    {.name = "frame-complete-max",
     .kind = OptionKind::duration,
     .value_name = "DURATION",
     .help = "a client that takes longer to finish a request is cut",
     .target = &Config::frame_complete_us_max,
     .least = kSecond / 10,
     .most = kFrameCompleteUsMax},
    {.name = "unsent-stall-max",
     .kind = OptionKind::duration,
     .value_name = "DURATION",
     .help = "a client that takes no byte of its answers for so long is cut",
     .target = &Config::unsent_stall_us_max,
     .least = kSecond / 10,
     .most = kUnsentStallUsMax},
    // --- Accepted for the original's sake
    {.name = "web",
     .letter = 'w',
     .kind = OptionKind::text,
     .value_name = "HOST:PORT",
     .help = "accepted without effect: there is no web view yet",
     .without_effect = true},
    {.name = "pulse",
     .kind = OptionKind::text,
     .value_name = "SECONDS",
     .help = "accepted without effect: nothing is written in the background",
     .without_effect = true},
    {.name = "fill",
     .kind = OptionKind::text,
     .value_name = "SECONDS",
     .help = "accepted without effect: the log has no holes to fill",
     .without_effect = true},
    // --- Actions
    {.name = "config",
     .kind = OptionKind::text,
     .value_name = "FILE",
     .help = "TOML file with any of the settings above",
     .setting = OptionSetting::flag_or_env},
    {.name = "print-config",
     .help = "print every setting, its value and where it came from, and exit",
     .setting = OptionSetting::flag_only},
    {.name = "check-config",
     .help = "check the configuration and exit: 0 if it is good, 2 if not",
     .setting = OptionSetting::flag_only},
    {.name = "recover-alone",
     .help = "make a cluster of one from the surviving data directory; only says what it would do",
     .setting = OptionSetting::flag_only},
    {.name = "yes", .help = "with --recover-alone: do it", .setting = OptionSetting::flag_only},
    {.name = "version",
     .letter = 'v',
     .help = "print the version and exit",
     .setting = OptionSetting::flag_only},
    {.name = "help",
     .letter = 'h',
     .help = "print this and exit",
     .setting = OptionSetting::flag_only},
    {.name = "print-man",
     .help = "print the manual page and exit",
     .setting = OptionSetting::flag_only,
     .hidden = true},
};

constexpr size_t kNameBytesMax = 64;  // longer ones are like no option

// Levenshtein's distance of two short names, one row at a time.
size_t distance(std::string_view one, std::string_view two) {
  std::array<size_t, kNameBytesMax + 1> row{};
  for (size_t j = 0; j <= two.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= one.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= two.size(); ++j) {
      const size_t replaced = diagonal + (one[i - 1] == two[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[two.size()];
}

}  // namespace

std::span<const Option> options() { return kOptions; }

std::optional<size_t> find_option(std::string_view name) {
  for (size_t i = 0; i < std::size(kOptions); ++i) {
    if (kOptions[i].name == name) return i;
  }
  return std::nullopt;
}

std::string suggest_option(std::string_view name, std::string_view dashes) {
  if (name.size() > kNameBytesMax) return "";
  const Option* nearest = nullptr;
  size_t nearest_distance = std::max<size_t>(2, name.size() / 3) + 1;
  for (const Option& option : kOptions) {
    for (const std::string_view known : {option.name, option.original}) {
      if (option.hidden || known.empty()) continue;
      const size_t far = distance(name, known);
      if (far < nearest_distance) {
        nearest = &option;
        nearest_distance = far;
      }
    }
  }
  return nearest == nullptr
             ? ""
             : "did you mean \"" + std::string(dashes) + std::string(nearest->name) + "\"?";
}

std::string environment_name(std::string_view option_name) {
  std::string name = "DOOZERD_";
  for (const char c : option_name) {
    name += c == '-' ? '_' : (c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  }
  return name;
}

}  // namespace doozer::server
