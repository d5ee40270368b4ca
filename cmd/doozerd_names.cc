#include "cmd/doozerd_names.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/probe.h"
#include "client/options.h"
#include "doozer/uri.h"

namespace doozer::cmd {
namespace {

constexpr std::string_view kDefaultCluster = "local";
/// While it is searched, the name service is asked so often.
constexpr uint64_t kLookEveryUs = 1'000'000;
/// Servers that are there get so long to prove that they hold the cluster before anybody stands for
/// election beside them (in the original, too, one second).
constexpr uint64_t kAttachFirstUs = 3'000'000;
/// Of the cluster looked for; a cluster has at most 32 servers.
constexpr size_t kAddressesMax = 128;
constexpr size_t kAddressBytesMax = 256;
constexpr uint64_t kRetryUs = 2'000'000;
constexpr Duration kRequestTimeout = std::chrono::seconds(5);
/// What others remove, or an old backup of the name service lacks, is there again after so long.
constexpr uint64_t kCheckEveryUs = 60'000'000;

/// No linearizable read is needed: who was first is decided by compare-and-set.
ReadOptions reading() {
  ReadOptions options;
  options.local = true;
  return options;
}

}  // namespace

Result<NameServiceTarget> parse_boot_uri(std::string_view uri, std::string_view cluster) {
  auto parsed = parse_uri(uri);
  if (!parsed) return fail(with_context(std::move(parsed).error(), "boot-uri"));
  NameServiceTarget target{.client = std::move(*parsed), .cluster = std::string(cluster)};
  std::string named = std::exchange(target.client.cluster_name, {});
  if (!named.empty() && named != cluster) {
    if (cluster != kDefaultCluster) {
      return fail(Code::bad_argument, "boot-uri names cluster " + quote(named) +
                                          " (cn), --cluster " + quote(cluster) + ": which is it?");
    }
    target.cluster = std::move(named);
  }
  if (target.client.addresses.empty()) {
    return fail(Code::bad_argument, "boot-uri: no address of the name service: ca=HOST:PORT");
  }
  if (target.cluster.empty() || target.cluster.find_first_of("/*?[]{}\\") != std::string::npos) {
    return fail(Code::bad_argument,
                "cluster name " + quote(target.cluster) + ": cannot stand in a name service");
  }
  target.client.old_server_reads = true;
  target.client.request_timeout = kRequestTimeout;
  return target;
}

Result<std::unique_ptr<ClientNames>> ClientNames::make(env::Clock& clock, env::Net& net,
                                                       NameServiceTarget target, uint64_t seed,
                                                       const Logger& logger) {
  std::unique_ptr<ClientNames> names(new ClientNames(clock, std::move(target.cluster), logger));
  TRY_ASSIGN(names->core_, client::Core::make(clock, net, std::move(target.client), seed));
  return names;
}

ClientNames::~ClientNames() {
  if (timer_ != 0) clock_.cancel(timer_);
}

// --- The search

void ClientNames::find(const Identity& self, const std::string& address,
                       UniqueFunction<void(const Finding&)> then) {
  CHECK(!searching_);
  self_ = self.to_string();
  address_ = address;
  then_ = std::move(then);
  searching_ = true;
  first_look_us_ = clock_.now_us();
  look();
}

void ClientNames::settled() { searching_ = false; }

void ClientNames::look() {
  if (!searching()) return;
  core_->walk("/ctl/ns/" + cluster_ + "/*", reading(),
              [this](Result<Files> files) { on_listed(std::move(files)); });
}

void ClientNames::on_listed(Result<Files> files) {
  if (!searching()) return;
  if (!files) return failed("looking for servers", files.error());
  found_.clear();
  for (const File& file : files->files) {
    if (file.value == address_ || file.path == entry()) continue;
    // Anybody may have written there.
    auto address = client::complete_address(file.value);
    if (!address || address->size() > kAddressBytesMax || found_.size() == kAddressesMax) {
      PROBE("names: what stands there is no address, or one too many");
      logger_.debug("entry_skipped", {{"path", std::string_view(file.path)}});
      continue;
    }
    found_.push_back(*std::move(address));
  }
  core_->get(first(), reading(), [this](Result<File> file) { on_first(std::move(file)); });
}

void ClientNames::on_first(Result<File> first) {
  if (!searching()) return;
  if (!first) return failed("looking who was first", first.error());
  reached();
  if (first->exists()) {
    if (first->value == self_) return tell(true);
    // Who lost is no candidate any more; once it is a member, its entry comes again.
    if (standing_) return withdraw();
    return tell(false);
  }
  const bool patient = clock_.now_us() - first_look_us_ < kAttachFirstUs;
  if (!found_.empty() && patient && !standing_) return tell(false);
  stand();
}

/// Announces itself before it is elected: who loses must find the one who won.
void ClientNames::stand() {
  standing_ = true;
  core_->set(entry(), address_, kAnyRevision, {}, [this](Result<int64_t> written) {
    if (!searching()) return;
    if (!written) return failed("announcing itself", written.error());
    core_->set(first(), self_, kMissing, {},
               [this](Result<int64_t> elected) { on_elected(std::move(elected)); });
  });
}

void ClientNames::on_elected(Result<int64_t> elected) {
  if (!searching()) return;
  if (elected) {
    PROBE("names: elected");
    logger_.info("elected_by_name_service", {{"cluster", std::string_view(cluster_)}});
    return tell(true);
  }
  const Code code = elected.error().code;
  // The next look tells who was first; it may be this server after all.
  if (code == Code::revision_mismatch || code == Code::unknown_outcome) return look();
  failed("standing for election", elected.error());
}

void ClientNames::withdraw() {
  core_->del(entry(), kAnyRevision, {}, [this](Result<> gone) {
    if (!searching()) return;
    if (!gone) return failed("withdrawing", gone.error());
    standing_ = false;
    look();
  });
}

void ClientNames::tell(bool may_boot) {
  Finding finding{.addresses = found_, .may_boot = may_boot};
  again(kLookEveryUs);
  if (told_ == finding) return;
  told_ = finding;
  then_(finding);
}

// --- Members

void ClientNames::publish(const Identity& self, const std::string& address) {
  self_ = self.to_string();
  address_ = address;
  publishing_ = true;
  check_entry();
}

void ClientNames::check_entry() {
  if (stopped_) return;
  core_->get(entry(), reading(), [this](Result<File> file) { on_entry(std::move(file)); });
}

void ClientNames::on_entry(Result<File> file) {
  if (stopped_) return;
  if (!file) return failed("publishing", file.error());
  reached();
  if (file->exists() && file->value == address_) return again(kCheckEveryUs);
  core_->set(entry(), address_, kAnyRevision, {}, [this](Result<int64_t> written) {
    if (stopped_) return;
    if (!written) return failed("publishing", written.error());
    logger_.info("published", {{"path", entry()}, {"address", std::string_view(address_)}});
    again(kCheckEveryUs);
  });
}

// --- Both

void ClientNames::stop() {
  stopped_ = true;
  if (timer_ != 0) clock_.cancel(std::exchange(timer_, 0));
}

void ClientNames::again(uint64_t after_us) {
  if (timer_ != 0) clock_.cancel(timer_);
  timer_ = clock_.at(clock_.now_us() + after_us, [this] {
    timer_ = 0;
    if (publishing_) {
      check_entry();
    } else {
      look();
    }
  });
}

void ClientNames::failed(std::string_view doing, const Error& error) {
  if (!std::exchange(unreachable_, true)) {
    logger_.warn("name_service_unreachable",
                 {{"doing", doing}, {"error", std::string_view(error.message)}});
  }
  again(kRetryUs);
}

void ClientNames::reached() {
  if (std::exchange(unreachable_, false)) logger_.info("name_service_reached");
}

}  // namespace doozer::cmd
