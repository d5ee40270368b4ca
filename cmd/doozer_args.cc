#include "cmd/doozer_args.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/units.h"
#include "doozer/uri.h"

namespace doozer::cli {
namespace {

constexpr std::string_view kDefaultAddress = "127.0.0.1:8046";
constexpr std::string_view kDefaultCluster = "local";

tl::unexpected<Error> usage(std::string message) {
  return fail(Code::bad_argument, std::move(message));
}

bool is_number(std::string_view word) {
  return word.size() > 1 && word[0] == '-' &&
         std::ranges::all_of(word.substr(1), [](char c) { return c >= '0' && c <= '9'; });
}

/// One option as it was found: its row, and its value if it takes one.
struct Found {
  const FlagRow* flag;
  std::string value;
};

struct Words {
  std::vector<Found> flags;
  const CommandRow* command = nullptr;
  std::vector<std::string> arguments;
};

Result<Found> read_flag(const std::vector<std::string>& words, size_t& at,
                        const CommandRow* command) {
  const std::string& word = words[at];
  std::string_view name = word;
  name.remove_prefix(name.starts_with("--") ? 2 : 1);
  const size_t equals = name.find('=');
  const bool attached = equals != std::string_view::npos;
  const FlagRow* flag = find_flag(name.substr(0, equals), command);
  if (flag == nullptr) {
    return usage(command == nullptr
                     ? fmt::format("unknown option {} (options of a command stand after it)", word)
                     : fmt::format("doozer {} has no option {}", command->name, word));
  }
  if (flag->argument.empty()) {
    if (attached) return usage(fmt::format("option --{} takes no value", flag->name));
    return Found{flag, {}};
  }
  if (attached) return Found{flag, std::string(name.substr(equals + 1))};
  if (at + 1 == words.size()) {
    return usage(fmt::format("option --{} needs a value: {}", flag->name, flag->argument));
  }
  return Found{flag, words[++at]};
}

Result<Words> sort_words(const std::vector<std::string>& words) {
  Words sorted;
  bool only_arguments = false;
  for (size_t at = 0; at < words.size(); ++at) {
    const std::string& word = words[at];
    if (!only_arguments && word == "--") {
      only_arguments = true;
    } else if (!only_arguments && word.size() > 1 && word[0] == '-' && !is_number(word)) {
      TRY_ASSIGN(Found found, read_flag(words, at, sorted.command));
      sorted.flags.push_back(std::move(found));
    } else if (sorted.command == nullptr) {
      sorted.command = find_command(word);
      if (sorted.command == nullptr) return usage(fmt::format("unknown command {}", quote(word)));
    } else {
      sorted.arguments.push_back(word);
    }
  }
  return sorted;
}

Result<int64_t> parse_whole(const FlagRow& flag, std::string_view text, int64_t least) {
  const auto number = parse_int(text);
  if (!number || *number < least) {
    return usage(
        fmt::format("option --{}: {} is no number from {} on", flag.name, quote(text), least));
  }
  return *number;
}

Result<Duration> parse_time(const FlagRow& flag, std::string_view text) {
  const auto microseconds = parse_duration_us(text);
  if (!microseconds) {
    return usage(fmt::format("option --{}: {}", flag.name, microseconds.error().message));
  }
  if (*microseconds == 0) return usage(fmt::format("option --{}: must be over 0", flag.name));
  return Duration(static_cast<Duration::rep>(*microseconds));
}

Result<uint64_t> parse_value_limit(const FlagRow& flag, std::string_view text) {
  const auto bytes = parse_size(text);
  if (!bytes) return usage(fmt::format("option --{}: {}", flag.name, bytes.error().message));
  if (*bytes == 0 || *bytes > kValueBytesCeiling) {
    return usage(fmt::format("option --{}: {} is not between 1 and {}", flag.name, quote(text),
                             format_size(kValueBytesCeiling)));
  }
  return *bytes;
}

/// As far as the shape goes: what no path of a file can begin with would silently match nothing.
Result<> check_path(const FlagRow& flag, std::string_view text) {
  const bool shaped = text == "/" || (text.starts_with('/') && !text.ends_with('/') &&
                                      text.find("//") == std::string_view::npos);
  if (shaped) return {};
  return usage(fmt::format("option --{}: {} is no path; a path is / or /NAME/NAME...", flag.name,
                           quote(text)));
}

/// What options say of the cluster; worked in once all are known.
struct Cluster {
  std::string address;
  std::string boot;
  TlsOptions tls;
};

/// Sets `tls` or returns false if `name` is none of its options.
bool take_tls(std::string_view name, const std::string& value, TlsOptions& tls) {
  if (name == "tls-ca") {
    tls.ca_file = value;
  } else if (name == "tls-name") {
    tls.server_name = value;
  } else if (name == "tls-cert") {
    tls.cert_file = value;
  } else if (name == "tls-key") {
    tls.key_file = value;
  } else if (name == "tls-insecure") {
    tls.insecure = true;
  } else if (name != "tls") {
    return false;
  }
  tls.enabled = true;
  return true;
}

Result<> take_flag(const Found& found, Invocation& invocation, Cluster& cluster) {
  const std::string_view name = found.flag->name;
  if (take_tls(name, found.value, cluster.tls)) return {};
  if (name == "address") {
    cluster.address = found.value;
  } else if (name == "boot") {
    cluster.boot = found.value;
  } else if (name == "rev") {
    TRY_ASSIGN(const int64_t revision, parse_whole(*found.flag, found.value, -1));
    if (revision >= 0) invocation.revision = revision;
  } else if (name == "local") {
    invocation.local = true;
  } else if (name == "timeout") {
    TRY_ASSIGN(invocation.timeout, parse_time(*found.flag, found.value));
  } else if (name == "output") {
    if (found.value != "text" && found.value != "json") {
      return usage(fmt::format("option --output: {} is neither text nor json", quote(found.value)));
    }
    invocation.json = found.value == "json";
  } else if (name == "help") {
    invocation.help = true;
  } else if (name == "version") {
    invocation.version = true;
  } else if (name == "file") {
    if (found.value.empty()) return usage("option --file: the name is empty");
    invocation.file = found.value;
  } else if (name == "exec") {
    if (found.value.empty()) return usage("option --exec: the command is empty");
    invocation.exec = found.value;
  } else if (name == "count") {
    TRY_ASSIGN(invocation.count, parse_whole(*found.flag, found.value, 1));
  } else if (name == "watch") {
    invocation.watch = true;
  } else if (name == "long") {
    invocation.long_listing = true;
  } else if (name == "below") {
    TRY(check_path(*found.flag, found.value));
    invocation.below = found.value;
  } else if (name == "overwrite") {
    invocation.overwrite = true;
  } else if (name == "dry-run") {
    invocation.dry_run = true;
  } else if (name == "value-bytes-max") {
    TRY_ASSIGN(invocation.value_bytes_max, parse_value_limit(*found.flag, found.value));
  } else {
    UNREACHABLE();
  }
  return {};
}

Result<> check_arguments(const Invocation& invocation) {
  const CommandRow& command = *invocation.command;
  const size_t count = invocation.arguments.size();
  if (count < command.arguments_min || count > command.arguments_max) {
    std::string message = fmt::format("too {} arguments; it is: doozer {} {}",
                                      count < command.arguments_min ? "few" : "many", command.name,
                                      command.arguments);
    while (message.ends_with(' ')) message.pop_back();
    if (count == 1 && (command.name == "set" || command.name == "del")) {
      message += " (REV -1 passes always, see doozer help " + std::string(command.name) + ")";
    }
    return usage(std::move(message));
  }
  if (invocation.revision && !command.at_revision) {
    return usage(fmt::format("doozer {} has no use for --rev{}", command.name,
                             command.name == "set" || command.name == "del"
                                 ? "; its revision is the second argument"
                                 : ""));
  }
  if (command.name == "set" || command.name == "del") {
    const auto revision = parse_int(invocation.arguments[1]);
    if (!revision) {
      return usage(fmt::format("revision {} is no whole number", quote(invocation.arguments[1])));
    }
    if (*revision < -1) {
      return usage(fmt::format("revision {} passes never; the least is -1, which passes always",
                               invocation.arguments[1]));
    }
  }
  const size_t value_at = command.name == "add" ? 1 : 2;
  if ((command.name == "set" || command.name == "add") && count > value_at &&
      !invocation.file.empty()) {
    return usage("the value is given twice, as an argument and by --file");
  }
  return {};
}

/// Merges the options of the command line over what the URI says.
void take_tls_options(const TlsOptions& given, TlsOptions& tls) {
  if (!given.enabled) return;
  tls.enabled = true;
  tls.insecure = tls.insecure || given.insecure;
  const auto take = [](const std::string& from, std::string& to) {
    if (!from.empty()) to = from;
  };
  take(given.ca_file, tls.ca_file);
  take(given.server_name, tls.server_name);
  take(given.cert_file, tls.cert_file);
  take(given.key_file, tls.key_file);
}

/// help, man and completion are of use however wrong the environment is.
bool needs_server(const CommandRow& command) {
  return command.name != "help" && command.name != "man" && command.name != "completion";
}

/// A URI needs these percent-encoded.
std::string encode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (c == '%' || c == '&' || c == '=' || c == '+' || c == '#') {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      encoded += c;
    }
  }
  return encoded;
}

/// "doozer:?..." as it is; else HOST or HOST:PORT, several separated by commas, as such a URI.
std::string cluster_uri(std::string_view text) {
  if (text.starts_with("doozer:")) return std::string(text);
  std::string uri = "doozer:?";
  std::string_view rest = text;
  while (true) {
    const size_t end = std::min(rest.find(','), rest.size());
    uri += (uri.back() == '?' ? "ca=" : "&ca=") + encode(rest.substr(0, end));
    if (end == rest.size()) break;
    rest.remove_prefix(end + 1);
  }
  return uri;
}

Result<> settle_cluster(Cluster cluster, const Environment& environment, Options& client) {
  if (cluster.address.empty()) cluster.address = environment("DOOZER_URI");
  if (cluster.boot.empty()) cluster.boot = environment("DOOZER_BOOT_URI");
  if (!cluster.address.empty()) {
    TRY_ASSIGN(client, parse_cluster(cluster.address));
  } else if (cluster.boot.empty()) {
    client.addresses = {std::string(kDefaultAddress)};
  } else {
    client.cluster_name = kDefaultCluster;
  }
  // An address that is told needs no looking up.
  if (!client.addresses.empty()) client.cluster_name.clear();
  if (!cluster.boot.empty() && client.addresses.empty()) {
    client.boot_uri = cluster_uri(cluster.boot);
    if (const auto boot = parse_uri(client.boot_uri); !boot) {
      return usage("option --boot (or DOOZER_BOOT_URI): " + boot.error().message);
    }
  }
  if (client.addresses.empty() && client.boot_uri.empty()) {
    return usage(
        "the URI names a cluster but no server; give --boot with the URI of a name service");
  }
  if (client.secret.empty()) client.secret = environment("DOOZER_SECRET");
  take_tls_options(cluster.tls, client.tls);
  if (client.tls.cert_file.empty() != client.tls.key_file.empty()) {
    return usage("--tls-cert and --tls-key are given together or not at all");
  }
  return {};
}

}  // namespace

bool asks_for_json(const std::vector<std::string>& words) {
  bool json = false;
  for (size_t at = 0; at < words.size() && words[at] != "--"; ++at) {
    std::string_view word = words[at];
    if (!word.starts_with('-')) continue;
    word.remove_prefix(word.starts_with("--") ? 2 : 1);
    const size_t equals = std::min(word.find('='), word.size());
    const std::string_view name = word.substr(0, equals);
    if (name != "o" && name != "output") continue;
    if (equals < word.size()) {
      json = word.substr(equals + 1) == "json";
    } else if (at + 1 < words.size()) {
      json = words[++at] == "json";
    }
  }
  return json;
}

Result<Options> parse_cluster(std::string_view text) { return parse_uri(cluster_uri(text)); }

Result<Invocation> parse_command_line(const std::vector<std::string>& words,
                                      const Environment& environment) {
  TRY_ASSIGN(Words sorted, sort_words(words));
  Invocation invocation;
  invocation.command = sorted.command;
  invocation.arguments = std::move(sorted.arguments);
  Cluster cluster;
  for (const Found& found : sorted.flags) TRY(take_flag(found, invocation, cluster));
  if (invocation.help || invocation.version) return invocation;
  if (invocation.command == nullptr) return usage("no command");
  TRY(check_arguments(invocation));
  if (!needs_server(*invocation.command)) return invocation;
  TRY(settle_cluster(std::move(cluster), environment, invocation.client));
  if (invocation.value_bytes_max) invocation.client.value_bytes_max = *invocation.value_bytes_max;
  if (invocation.timeout) {
    invocation.client.request_timeout = *invocation.timeout;
    invocation.client.connect_timeout =
        std::min(invocation.client.connect_timeout, *invocation.timeout);
  }
  return invocation;
}

}  // namespace doozer::cli
